"""Spans of answers that are made up: texts first, then cut at random bytes and written as different servers do.

What must come out is known, because the texts were there before the tokens. Nothing here is recorded.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nxlog import Choice, LogprobsData, TokenLogprob, ToolCall
from nxlog.request import FunctionCall
from nxlog.spans import ChannelText, locate
from tests.test_spans import check

# Without markers, and without the characters that stand for something lost.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<`\ufffd\U0010ffff"), max_size=30)
STYLES = ["bytes", "text", "vllm", "sglang"]


@st.composite
def answers(draw: st.DrawFn) -> Choice:
    """Reasoning, an answer and arguments with markers between, cut into tokens as servers cut them."""
    style = draw(st.sampled_from(STYLES))
    reasoning, text, arguments = draw(TEXT), draw(TEXT), draw(TEXT)
    records: list[TokenLogprob] = []
    for part, marker in [(reasoning, "</think>"), (text, "<tool_call>"), (arguments, "</tool_call>")]:
        data = part.encode()
        cuts = sorted(draw(st.sets(st.integers(1, max(len(data) - 1, 1)), max_size=8)) - {len(data)}) if data else []
        if style == "text":
            cuts = [cut for cut in cuts if data[cut] & 0xC0 != 0x80]
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)] if data else []
        records += written(pieces, style)
        records += written([marker.encode()], style)
    calls = [ToolCall(id="1", function=FunctionCall(name="f", arguments=arguments))]
    return Choice(
        text=text, reasoning=reasoning or None, tool_calls=calls, logprobs=LogprobsData(records), finish_reason="stop"
    )


def written(pieces: list[bytes], style: str) -> list[TokenLogprob]:
    if style == "text":
        return [TokenLogprob.build(piece.decode(), -0.5) for piece in pieces]
    if style != "vllm":
        return [TokenLogprob.build(piece.decode("utf-8", "replace"), -0.5, bytes=piece) for piece in pieces]
    out: list[TokenLogprob] = []
    held = b""
    for piece in pieces:
        held += piece
        try:
            text = held.decode()
        except UnicodeDecodeError:
            out.append(TokenLogprob.build("", -0.5, bytes=b""))
            continue
        out.append(TokenLogprob.build(text, -0.5, bytes=held))
        held = b""
    return out


@given(answers())
def test_every_character_has_its_token(choice: Choice) -> None:
    check(choice)
    spelled = dict.fromkeys(["reasoning", "content", "tool_call", "structural", "unaligned"], "")
    for span in choice.spans():
        spelled[span.channel] += span.text
    assert spelled == {
        "reasoning": choice.reasoning or "",
        "content": choice.text,
        "tool_call": choice.tool_calls[0].function.arguments,
        "structural": "</think><tool_call></tool_call>",
        "unaligned": "",
    }


RECORD = st.builds(
    TokenLogprob.build,
    st.sampled_from(["a", "b", " ", "", "é", "\ufffd", " \ufffd", "<|x|>", "</think>", "token_id:3", "\U0010ffff"]),
    st.just(-0.5),
    bytes=st.none() | st.sampled_from([b"", b"a", b"b", "é".encode(), b"\xc3", b"\xa9", b"\xef\xbf\xbd"]),
)
SMALL = st.text("ab é\ufffd\U0010ffff<", max_size=6)


@given(st.lists(RECORD, max_size=8), SMALL, SMALL, SMALL)
def test_what_does_not_fit_breaks_nothing(
    records: list[TokenLogprob], text: str, reasoning: str, arguments: str
) -> None:
    spans = locate(
        records,
        [ChannelText("reasoning", reasoning), ChannelText("content", text), ChannelText("tool_call", arguments, 0)],
        names=["a"],
    )
    assert {index for span in spans for index in span.tokens} == set(range(len(records)))
    texts = {"content": text, "reasoning": reasoning, "tool_call": arguments}
    ends = dict.fromkeys(texts, 0)
    for span in spans:
        if span.channel in texts:
            assert ends[span.channel] <= span.start < span.end
            assert texts[span.channel][span.start : span.end] == span.text != ""
            ends[span.channel] = span.end
