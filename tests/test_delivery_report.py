"""``response.delivery``: what came back per channel, and whether the records spell the text.

Real here: the reports on replies of real servers (cassettes of vLLM, SGLang, llama.cpp and mlx-lm), read by the wire
and, for streams, accumulated; and calls from the client down to a scripted provider. Duplicates, and texts that end
early, are made by hand.
"""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import Alignment, AlignmentKind, ChatResponse, Choice, LogprobsData, TokenLogprob, Usage
from nxlog.alignment import align
from nxlog.delivery import check_delivery
from nxlog.request import ChatRequest, FunctionCall, ToolCall
from nxlog.testing import FakeProvider, FakeReply
from tests.test_wire_cassettes import LOST, decoded

if TYPE_CHECKING:
    from nxlog.delivery_report import ChannelDelivery

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "?"}], "logprobs": True}


def content(response: ChatResponse) -> ChannelDelivery:
    found = response.delivery.channel()
    assert found is not None
    return found


def tokens(*texts: str) -> list[TokenLogprob]:
    return [TokenLogprob.build(text, -0.5 - i / 8) for i, text in enumerate(texts)]


def reply(text: str, records: list[TokenLogprob], **fields: Any) -> ChatResponse:
    return ChatResponse(choices=[Choice(text=text, logprobs=LogprobsData(records), **fields)])


# -- real servers ----------------------------------------------------------------------------------------------------

REAL: list[tuple[str, str, int | None, tuple[str, ...]]] = [
    ("llamacpp/chat_logprobs", "exact", None, ()),  # the end token is there, with no text
    ("llamacpp/chat_logprobs_stream", "exact", None, ()),  # and is lost in the stream
    ("sglang/emoji_chat_cut", "exact", None, ()),  # three bytes of four; the text has U+FFFD for them
    ("vllm/chat_logprobs", "structural-tokens", 31, ("<|im_end|>",)),
    ("vllm/emoji_chat_stream", "structural-tokens", 12, ("<|im_end|>",)),
    ("vllm/chat_stop", "structural-tokens", 30, (".",)),  # the stop string
    ("llamacpp/chat_json_schema", "structural-tokens", 0, (*tuple("```j"), "so", "n", *tuple("\n\n\n\n"), "```")),
    ("vllm/think_11_reasoning_chat", "reasoning-included", 0, ("</think>",)),
    ("vllm/think_11_reasoning_chat_stream", "reasoning-included", 0, ("</think>",)),
    ("vllm/think_11_reasoning_responses", "reasoning-included", 0, ("</think>",)),
    ("vllm/think_09_reasoning_chat", "reasoning-included", 0, ("<think>", "<|im_end|>")),
    ("llamacpp/emoji_chat", "merged", None, ()),
    ("llamacpp/emoji_chat_stream", "merged", None, ()),
    ("llama-cpp-python/completions_echo_logprobs", "prefix", 24, ()),  # the last token has no record
    ("sglang/emoji_chat_stream", "mismatch", 0, ()),
    ("mlx-lm/chat_logprobs", "mismatch", 0, ()),  # the likeliest tokens, not the sampled ones
    ("sglang/emoji_completions", "mismatch", 1, ()),  # bytes shown as Latin-1
    ("mlx-lm/chat_logprobs_only", "unknown", None, ()),  # ids without texts
]


@pytest.mark.parametrize(("name", "kind", "offset", "omitted"), REAL, ids=[case[0] for case in REAL])
def test_alignment_of_real_replies(name: str, kind: str, offset: int | None, omitted: tuple[str, ...]) -> None:
    alignment = content(decoded(name)).alignment
    assert (alignment.kind.value, alignment.byte_offset, alignment.omitted) == (kind, offset, omitted)


def test_every_kind_is_met_in_a_real_reply() -> None:
    assert {kind for _, kind, _, _ in REAL} == {kind.value for kind in AlignmentKind}


def test_tool_calls_among_the_records() -> None:
    response = decoded("vllm/chat_tools_required_stream")
    alignment = content(response).alignment
    assert alignment.kind is AlignmentKind.STRUCTURAL_TOKENS
    assert "".join(alignment.omitted).startswith('<tool_call>\n{"name": "get_weather"')
    assert alignment.omitted[-1] == "<|im_end|>"
    assert not alignment.written, "so no position is shifted, and nobody is warned"


@pytest.mark.parametrize("name", LOST)
def test_what_a_stream_loses_is_counted(name: str) -> None:
    """SGLang and llama.cpp send fewer records in a stream than for the whole reply."""
    whole, streamed = content(decoded(name)), content(decoded(f"{name}_stream"))
    assert whole.records - streamed.records == len(LOST[name])
    assert streamed.generated is not None
    assert streamed.lost == streamed.generated - streamed.records
    assert streamed.lost == len(LOST[name]) + (whole.lost or 0)


def test_a_lossy_stream_is_reported_with_the_number_of_lost_records() -> None:
    response = decoded("sglang/emoji_chat_stream")
    report = response.delivery
    assert (report.records, report.generated, report.lost) == (3, 10, 7)
    (warning,) = check_delivery(ChatRequest.model_validate(ASKED), response)
    assert "3 token records for 10 generated tokens, so 7 are lost" in warning.message
    assert content(response).alignment.token_index == 0


def test_alternatives_are_counted() -> None:
    part = content(decoded("openai/chat_fewer_alternatives"))
    assert (part.least_alternatives, part.most_alternatives) == (1, 1)
    assert content(decoded("llamacpp/chat_nprobs_200")).most_alternatives == 200
    assert content(decoded("vllm/chat_json_schema")).masked_alternatives == 21


def test_reasoning_with_records_of_its_own() -> None:
    """DeepSeek counts reasoning apart, and lists it apart."""
    report = decoded("deepseek/chat_reasoning_logprobs").delivery
    assert [(part.channel, part.records, part.lost, part.alignment.kind.value) for part in report.channels] == [
        ("content", 5, 1, "exact"),
        ("reasoning", 11, 0, "exact"),
    ]
    assert report.lost == 1


# -- what the request says -------------------------------------------------------------------------------------------


def test_a_call_knows_what_was_asked() -> None:
    fake = FakeProvider()
    said = [("Yes", -0.1, {"Yes": -0.1, "No": -2.5}), (".", -0.2, {".": -0.2, "!": -2.0})]
    fake.reply(FakeReply(tokens=said))
    fake.reply(FakeReply(tokens=said))
    with fake.client() as client:
        whole = client.chat(**ASKED, top_logprobs=2)
        with client.stream(**ASKED, top_logprobs=2) as stream:
            next(stream)
            begun = stream.response.delivery
            for _ in stream:
                pass
    assert begun.requested is True
    for response in (whole, stream.response):
        part = content(response)
        assert (part.requested, part.records, part.alternatives_asked) == (True, 2, 2)
        assert (part.least_alternatives, part.most_alternatives, part.missing, part.masked) == (2, 2, 0, 0)
        assert part.alignment == Alignment(AlignmentKind.EXACT)
        for other in (copy.copy(response), copy.deepcopy(response), pickle.loads(pickle.dumps(response))):
            assert other.delivery == response.delivery
    assert ChatResponse.model_validate_json(whole.model_dump_json()).delivery.requested is None


def test_a_field_that_was_dropped_was_asked_for() -> None:
    fake = FakeProvider()
    fake.reply(FakeReply(tokens=[("Yes", -0.1)], logprobs=False))
    with fake.client() as client, pytest.warns(UserWarning, match="without a single token record"):
        report = client.chat(**ASKED).delivery
    assert (report.requested, report.records) == (True, 0)
    assert [(part.channel, part.records, part.least_alternatives) for part in report.channels] == [("content", 0, None)]


def test_a_reply_made_by_hand_was_not_asked_for() -> None:
    report = reply("Hi", tokens("Hi")).delivery
    assert (report.requested, report.generated, report.lost) == (None, None, None)
    assert ChatResponse().delivery.channels == ()


# -- made by hand ----------------------------------------------------------------------------------------------------


def test_values_that_are_missing_or_masked() -> None:
    values = [None, float("nan"), -9999.0, -0.5]
    part = content(reply("aaaa", [TokenLogprob.build("a", value) for value in values]))
    assert (part.missing, part.masked, part.alignment.kind) == (2, 1, AlignmentKind.EXACT)


@pytest.mark.parametrize(
    ("records", "text", "expected"),
    [
        (tokens("a", "b") * 2, "ab", 2),  # the closing event repeats all
        ([*tokens("a", "b"), *tokens("a", "b")[1:]], "ab", 1),
        (tokens("a", "b", "b"), "abb", 0),
        (tokens("a", "b", "b"), "ab", 0),  # of another value, so another token
        (tokens("a", "x"), "ab", 0),
    ],
)
def test_duplicates(records: list[TokenLogprob], text: str, expected: int) -> None:
    assert content(reply(text, records)).duplicates == expected


@pytest.mark.parametrize(
    ("texts", "text", "expected"),
    [
        (["Zür", "ich!"], "Zürich?", ("mismatch", 7, 6, 1)),
        (["Zür"], "Zürich", ("prefix", 4, 3, 1)),
        (["Zür", "<|end|>"], "Zürich", ("prefix", 4, 3, 1)),
        (["Zür", "ich", " is", " far"], "Zürich", ("prefix", 7, 6, 2)),
        (["<|start|>", "Zür", "<|call|>", "ich"], "Zürich", ("structural-tokens", 0, 0, 0)),
        (["<b>", "Zürich"], "<b>Zürich", ("exact", None, None, None)),  # a mark that is part of the text
        (["a"], "", ("structural-tokens", 0, 0, 0)),  # the end, and nothing before it
        ([], "a", ("unknown", None, None, None)),
    ],
)
def test_offsets(texts: list[str], text: str, expected: tuple[Any, ...]) -> None:
    found = align(tokens(*texts), text)
    assert (found.kind.value, found.byte_offset, found.char_offset, found.token_index) == expected


def test_bytes_decide_over_texts() -> None:
    """Bytes made from code points are those of another text, though the text looks right."""
    wrong = TokenLogprob.build("é", -0.5, bytes=b"\xe9")
    assert align([wrong], "é").kind is AlignmentKind.MISMATCH


def test_merged_needs_bytes_for_the_missing_tokens() -> None:
    usage = Usage(completion_tokens=9)
    merged = reply("🐍🐍", tokens("🐍", "🐍")).model_copy(update={"usage": Usage(completion_tokens=8)})
    assert content(merged).alignment.kind is AlignmentKind.MERGED
    for other in (merged.model_copy(update={"usage": usage}), reply("ab", tokens("a", "b"), finish_reason="stop")):
        assert content(other).alignment.kind is AlignmentKind.EXACT


def test_a_text_that_is_not_shown_cannot_be_compared() -> None:
    hidden = ChatResponse(choices=[Choice(text="a", logprobs=LogprobsData(tokens("a"), reasoning=tokens("b")))])
    part = hidden.delivery.channel("reasoning")
    assert part is not None
    assert part.alignment.kind is AlignmentKind.UNKNOWN


# -- warnings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "text", "expected"),
    [
        (["a", "b"], "ab", None),
        (["a", "b", "<|end|>"], "ab", None),
        (["<|start|>", "a"], "a", ("info", "structural-tokens")),
        (["a", "b", "c"], "a", ("info", "prefix")),
        (["a"], "ab", ("warning", "prefix")),
        (["a", "c"], "ab", ("warning", "mismatch")),
    ],
)
def test_warnings(texts: list[str], text: str, expected: tuple[str, str] | None) -> None:
    found = check_delivery(ChatRequest.model_validate(ASKED), reply(text, tokens(*texts)))
    assert [(w.severity.value, w.applied) for w in found if w.code == "misaligned"] == ([expected] if expected else [])


def test_tool_calls_behind_the_text_are_no_news() -> None:
    call = ToolCall(id="c", function=FunctionCall(name="look", arguments="{}"))
    response = reply("Hm.", tokens("Hm", ".", "[look", "()]"), tool_calls=[call])
    assert check_delivery(ChatRequest.model_validate(ASKED), response) == []
    assert content(response).alignment.kind is AlignmentKind.STRUCTURAL_TOKENS


def test_the_worst_channel_is_named_once() -> None:
    choices = [
        Choice(index=0, text="ab", logprobs=LogprobsData(tokens("<|x|>", "ab"))),
        Choice(index=1, text="ab", logprobs=LogprobsData(tokens("xb"))),
    ]
    request = ChatRequest.model_validate(ASKED | {"n": 2})
    (warning,) = check_delivery(request, ChatResponse(choices=choices))
    assert (warning.severity.value, warning.applied) == ("warning", "mismatch")
    assert "content of choice 1" in warning.message
    assert warning.message.endswith("(and 1 more)")
