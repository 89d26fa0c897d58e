"""Every token record has its place in the answer's texts, or is said to have none.

Real here: the fixtures, which are what engines answered (and for hosted APIs what their documents say they answer).
The answers written down here have what no fixture has. ``test_spans_of_any_answer`` makes up more of them.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from nxlog import Choice, LogprobsData, TokenLogprob, ToolCall, accumulate
from nxlog.logprobs import CHANNELS
from nxlog.request import FunctionCall
from nxlog.wire import get_wire
from tests.test_hosted_recordings import FOLDER
from tests.test_wire_cassettes import ANSWERED, decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog import TokenSpan

STRUCTURE = ("structural", "unaligned")


def text_of(choice: Choice, span: TokenSpan) -> str:
    if span.call is not None:
        return choice.tool_calls[span.call].function.arguments
    return {"content": choice.text, "reasoning": choice.reasoning or "", "refusal": choice.refusal or ""}[span.channel]


def summary(spans: Sequence[TokenSpan]) -> list[tuple[str, str]]:
    """The text of each stretch of spans in one channel."""
    return [(channel, "".join(s.text for s in part)) for channel, part in groupby(spans, lambda span: span.channel)]


def check(choice: Choice) -> None:
    """What must be true of all spans of any choice."""
    spans = choice.spans()
    for name in CHANNELS:
        indices = [index for span in spans if span.records == name for index in span.tokens]
        records = choice.logprobs.channel(name) if choice.logprobs else None
        assert indices == sorted(indices)
        assert set(indices) == set(range(len(records or ())))
    ends: dict[tuple[str, int | None], int] = {}
    for span in spans:
        if span.channel in STRUCTURE:
            assert (span.start, span.end, span.call, span.partial) == (0, 0, None, False)
            continue
        key = span.channel, span.call
        assert ends.get(key, 0) <= span.start < span.end <= len(text_of(choice, span))
        assert text_of(choice, span)[span.start : span.end] == span.text
        ends[key] = span.end
        check_bytes(choice, span)


def check_bytes(choice: Choice, span: TokenSpan) -> None:
    assert choice.logprobs is not None
    records = (choice.logprobs.channel(span.records) or ())[span.tokens.start : span.tokens.stop]
    if any("\ufffd" in record.token or record.bytes is None for record in records) and len(records) > 1:
        return  # the server lost them
    spelled = b"".join(record.token.encode() if record.bytes is None else record.bytes for record in records)
    if span.partial:
        assert span.text.encode() in spelled
    else:
        assert spelled.decode("utf-8", "replace") == span.text


# -- what engines answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERED)
def test_spans_are_in_order_inside_the_text_and_of_its_bytes(name: str) -> None:
    for choice in decoded(name).choices:
        check(choice)


SNAKES = [("content", "🐍🐍🐍")]
END = ("structural", "<|im_end|>")
PARIS = "The capital of France is Paris"
THOUGHT = [
    ("reasoning", "L'Étoile"),
    ("structural", "</think>"),
    ("content", ' is not possible as it would require an additional adjective to add "Paris'),
]
ENGINES = {
    "vllm/chat_logprobs": [("content", f"{PARIS}."), END],
    "vllm/chat_stop": [("content", PARIS), ("unaligned", ".")],
    "vllm/chat_json_schema": [("content", '{ "capital" \n: "Paris"\n\n}'), END],
    "vllm/emoji_chat": [*SNAKES, END],
    "vllm/emoji_chat_stream": [*SNAKES, END],
    "vllm/07b_emoji_responses": [*SNAKES, END],
    "vllm/emoji_chat_cut": [("unaligned", "")],
    "vllm/chat_tools_required": [
        ("structural", '<tool_call>\n{"name": "get_weather", "arguments":'),
        ("tool_call", '"Paris"'),
        ("structural", "}\n</tool_call><|im_end|>"),
    ],
    "vllm/think_11_reasoning_chat": THOUGHT,
    "vllm/think_11_reasoning_chat_stream": THOUGHT,
    "vllm/think_11_reasoning_responses": THOUGHT,
    # The stream lists only the tokens of the text.
    "vllm/think_11_reasoning_responses_stream": THOUGHT[2:],
    "vllm/think_09_reasoning_chat": [("structural", "<think>"), ("reasoning", "France. Paris."), END],
    # The parser of the stream has left the tag in the text.
    "vllm/think_09_reasoning_chat_stream": [("content", "<think>France. Paris."), END],
    # Nothing but ids.
    "vllm/think_09_reasoning_responses_stream": [("unaligned", "")],
    "sglang/chat_stop": [("content", PARIS), ("unaligned", ".")],
    "sglang/emoji_chat": [*SNAKES, END],
    "sglang/emoji_chat_cut": [("content", "\ufffd")],
    # Two of three pieces of each character are lost.
    "sglang/emoji_chat_stream": [("unaligned", "\ufffd\ufffd\ufffd")],
    # U+FFFD in place of the bytes, and characters in place of bytes.
    "sglang/07b_emoji_responses": [*SNAKES, END],
    "sglang/generate_emoji": [("content", " 🤖 Parrot emoji: 🦜 Parrot emoji:")],
    "sglang/emoji_completions": [("content", " 🤖 Parrot emoji: 🦜 Parrot emoji:")],
    "sglang/chat_tools_required": [
        ("content", '[{\n    "name": "get_weather",\n    "parameters": {\n        "city": "Paris"\n    }\n}\n\n]'),
        END,
    ],
    "sglang/generate_no_text": [("unaligned", "")],
    "llamacpp/chat_logprobs": [("content", f"{PARIS}."), ("structural", "")],
    "llamacpp/chat_logprobs_stream": [("content", f"{PARIS}.")],
    "llamacpp/chat_stop": [("content", PARIS)],
    "llamacpp/emoji_chat": [*SNAKES, ("structural", "")],
    "llamacpp/chat_json_schema": [
        ("structural", "```json\n\n"),
        ("content", '{\n\n"capital"\n\n: "Paris"\n\n}'),
        ("structural", "\n\n```"),
    ],
    "llama-cpp-python/chat_logprobs": [("content", "Paris is the capital of France.")],
    "llama-cpp-python/chat_stop": [("content", "Paris is the capital of France"), ("unaligned", ".")],
    "llama-cpp-python/emoji_chat": SNAKES,
    "llama-cpp-python/emoji_completions": [("content", " 🤖 Parrot emoji: 🦜 Robot emoji: 🤔")],
    # mlx-lm's records are not the sampled tokens.
    "mlx-lm/chat_logprobs": [("unaligned", "LaĠFrench,Ġa,Ġnot,ĠI")],
}


@pytest.mark.parametrize("name", ENGINES)
def test_texts_of_engines(name: str) -> None:
    assert summary(decoded(name).choices[0].spans()) == ENGINES[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vllm/emoji_chat", [(range(3), 0, 1), (range(3, 6), 1, 2), (range(6, 9), 2, 3)]),
        ("sglang/emoji_chat", [(range(3), 0, 1), (range(3, 6), 1, 2), (range(6, 9), 2, 3)]),
        # One record for a whole character.
        ("llamacpp/emoji_chat", [(range(1), 0, 1), (range(1, 2), 1, 2), (range(2, 3), 2, 3)]),
        # Where one character ends and the next begins is lost.
        ("llama-cpp-python/emoji_chat", [(range(9), 0, 3)]),
        ("sglang/07b_emoji_responses", [(range(9), 0, 3)]),
    ],
)
def test_pieces_of_a_character_are_one_span(name: str, expected: list[tuple[range, int, int]]) -> None:
    spans = [span for span in decoded(name).choices[0].spans() if span.channel == "content"]
    assert [(span.tokens, span.start, span.end) for span in spans] == expected


def test_arguments_of_a_tool_call_have_offsets() -> None:
    choice = decoded("vllm/chat_tools_required").choices[0]
    found = [span for span in choice.spans() if span.channel == "tool_call"]
    assert [(s.tokens, s.call, s.start, s.end, s.partial) for s in found] == [
        (range(31, 32), 0, 0, 1, True),  # ' "'
        (range(32, 33), 0, 1, 6, False),
        (range(33, 34), 0, 6, 7, False),
    ]


@pytest.mark.parametrize("name", ["chat", "chat_stream", "responses"])
def test_reasoning_and_answer_of_one_list_are_told_apart(name: str) -> None:
    choice = decoded(f"vllm/think_11_reasoning_{name}").choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.reasoning is None
    reasoning, content = choice.tokens("reasoning"), choice.tokens("content")
    assert "".join(token.token for token in reasoning) == choice.reasoning
    assert "".join(token.token for token in content) == choice.text
    assert [*reasoning, *choice.tokens("structural"), *content] == list(choice.logprobs)


def test_channels_of_their_own() -> None:
    choice = decoded("deepseek/chat_reasoning_logprobs").choices[0]
    assert summary(choice.spans()) == [("content", choice.text), ("reasoning", choice.reasoning)]
    assert [span.records for span in choice.spans()] == ["content"] * 5 + ["reasoning"] * 11
    refusal = decoded("openai/chat_refusal").choices[0]
    assert summary(refusal.spans()) == [("refusal", refusal.refusal)]
    assert Choice(text="Yes").spans() == Choice(text="Yes").tokens("content") == []


@pytest.mark.skipif(not FOLDER.is_dir(), reason="there are no third-party recordings beside this checkout")
def test_harmony_recorded_by_others() -> None:
    """A gpt-oss stream: two channels in the records, and one text with the server's own tags."""
    path = FOLDER / "bedrock_openai_compat" / "chat_stream_chunks.json"
    decoder = get_wire("openai-chat").stream_decoder()
    events = [json.dumps(chunk) for chunk in json.loads(path.read_text(encoding="utf-8"))["chunks"]]
    body = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
    choice = accumulate([*decoder.feed(body), *decoder.close()]).choices[0]
    check(choice)
    thought, answer = choice.text.removeprefix("<reasoning>").split("</reasoning>")
    assert summary(choice.spans()) == [
        ("structural", "<|channel|>analysis<|message|>"),
        ("content", thought),
        ("structural", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("content", answer),
        ("structural", "<|return|>"),
    ]


# -- what others may answer ------------------------------------------------------------------------------------------


def tokens(*texts: str) -> LogprobsData:
    return LogprobsData([TokenLogprob.build(text, -0.5, bytes=text.encode()) for text in texts])


def calling(*arguments: str, records: LogprobsData, text: str = "") -> Choice:
    calls = [ToolCall(id=f"{i}", function=FunctionCall(name="look", arguments=a)) for i, a in enumerate(arguments)]
    return Choice(text=text, tool_calls=calls, logprobs=records, finish_reason="tool_calls")


def test_harmony_with_a_call() -> None:
    header = ["<|start|>", "assistant", "<|channel|>", "commentary", " to=functions.look", "<|message|>"]
    records = tokens(
        "<|channel|>", "analysis", "<|message|>", "Hm", ".", "<|end|>", *header, '{"', 'at": 1}', "<|call|>"
    )
    choice = calling('{"at": 1}', records=records).model_copy(update={"reasoning": "Hm."})
    check(choice)
    assert summary(choice.spans()) == [
        ("structural", "<|channel|>analysis<|message|>"),
        ("reasoning", "Hm."),
        ("structural", "<|end|>" + "".join(header)),
        ("tool_call", '{"at": 1}'),
        ("structural", "<|call|>"),
    ]


def test_token_between_two_calls_is_in_both() -> None:
    records = tokens("Now.", '[{"name": "look", "arguments": ', "{", '}}, {"name": "look", "arguments": {', "}", "}]")
    choice = calling("{}", "{}", text="Now.", records=records)
    check(choice)
    found = [(s.channel, s.call, list(s.tokens), s.start, s.end, s.partial) for s in choice.spans()]
    assert found == [
        ("content", None, [0], 0, 4, False),
        ("structural", None, [1], 0, 0, False),
        ("tool_call", 0, [2], 0, 1, False),
        ("tool_call", 0, [3], 1, 2, True),
        ("tool_call", 1, [3], 0, 1, True),
        ("tool_call", 1, [4], 1, 2, False),
        ("structural", None, [5], 0, 0, False),
    ]
    assert [token.token for token in choice.tokens("tool_call")] == [records[i].token for i in (2, 3, 4)]


def test_arguments_that_the_server_wrote_anew_are_not_aligned() -> None:
    records = tokens("<tool_call>", '{"name": "look", "arguments": ', '{"at":1}', "}", "</tool_call>")
    choice = calling('{"at": 1}', records=records)
    assert summary(choice.spans()) == [
        ("structural", "<tool_call>"),
        ("unaligned", '{"name": "look", "arguments": {"at":1}}'),
        ("structural", "</tool_call>"),
    ]


def test_a_text_with_two_places_has_none() -> None:
    # The reasoning is not shown, and has the answer in it.
    records = tokens("Paris", "?", " ", "Paris", "</think>", "Paris", "<|im_end|>")
    choice = Choice(text="Paris", logprobs=records, finish_reason="stop")
    assert summary(choice.spans()) == [
        ("unaligned", "Paris? Paris"),
        ("structural", "</think>"),
        ("unaligned", "Paris"),
        END,
    ]
    # With one place it is known.
    choice = Choice(text="Lyon", logprobs=tokens("Paris", "?", "</think>", "Lyon", "<|im_end|>"), finish_reason="stop")
    expected = [("unaligned", "Paris?"), ("structural", "</think>"), ("content", "Lyon"), END]
    assert summary(choice.spans()) == expected


def test_texts_that_overlap_are_both_unknown() -> None:
    choice = Choice(text="b c", reasoning="a b", logprobs=tokens("a ", "b", " c", " d"), finish_reason="stop")
    assert summary(choice.spans()) == [("unaligned", "a b c d")]


def test_token_cut_by_a_stop_string_is_partial() -> None:
    choice = Choice(text="One, tw", logprobs=tokens("One", ",", " two"), finish_reason="stop")
    check(choice)
    assert [(span.text, span.partial) for span in choice.spans()] == [("One", False), (",", False), (" tw", True)]


def test_fewer_records_than_tokens() -> None:
    choice = Choice(text="One, two, three", logprobs=tokens(" two", ",", "<|im_end|>"), finish_reason="stop")
    check(choice)
    assert [(s.channel, s.start, s.end) for s in choice.spans()] == [
        ("content", 4, 8),
        ("content", 8, 9),
        ("structural", 0, 0),
    ]


def test_only_an_answer_that_ended_has_an_end() -> None:
    records = LogprobsData([*tokens("One"), TokenLogprob.build("", -0.1, bytes=b"")])
    for reason, channel in [("stop", "structural"), ("length", "unaligned"), (None, "unaligned")]:
        choice = Choice(text="One", logprobs=records, finish_reason=reason)
        assert [span.channel for span in choice.spans()] == ["content", channel]


def test_marker_in_the_text_is_text() -> None:
    choice = Choice(text="<|im_end|> ends.", logprobs=tokens("<|im_end|>", " ends", ".", "<|im_end|>"))
    assert summary(choice.spans()) == [("content", "<|im_end|> ends."), END]
