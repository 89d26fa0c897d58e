"""Every exchange in the fixtures is understood by its wire, and every token record in it arrives as it was sent.

Real here: bytes that engines answered to real requests (``captured``), and exchanges written by hand after the
documents of hosted APIs (``documented``). What must come out is read by the readers of ``tests/conformance``, which use
none of nxlog's parsers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.accumulate import accumulate
from nxlog.errors import BadRequestError, ServerError, StatusError
from nxlog.wire import get_wire
from nxlog.wire.errors import RefusalKind, classify_refusal
from tests.conformance.cassettes import CASES, Case
from tests.conformance.readers import reader

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

# Streams in which the server sends an error instead of the rest.
BROKEN: dict[str, tuple[type[StatusError], RefusalKind | None]] = {
    "anthropic/err_stream_overloaded": (ServerError, None),
    "vllm/err_stream_top21": (BadRequestError, RefusalKind.RANGE),
}

# A stream and the whole reply to the same request, from servers that lose nothing on the way.
PAIRS = [
    "vllm/chat_logprobs",
    "vllm/chat_eos",
    "vllm/chat_token_ids",
    "vllm/chat_tokens_as_token_ids",
    "vllm/emoji",
    "vllm/emoji_chat",
    "vllm/emoji_chat_cut",
    "vllm/chat_tools_required",
    "vllm/think_11_reasoning_chat",
    "openai/chat_logprobs",
    "openai/chat_n2",
    "openai/chat_refusal",
    "openai/chat_tools",
    "deepseek/chat_reasoning_logprobs",
    "anthropic/messages",
    "anthropic/messages_thinking",
    "anthropic/messages_tools",
    "azure-openai/chat_logprobs",
    "cohere/chat_logprobs",
    "openai/completions_logprobs",
    "writer/chat_logprobs",
]

# The same from servers that lose records in streams: what arrives is the whole reply's list without these positions.
LOST = {
    "llamacpp/chat_logprobs": [7],  # the end-of-text token
    "llamacpp/chat_eos": [7],
    "llamacpp/emoji": [31],
    "llamacpp/emoji_chat": [3],
    "sglang/chat_logprobs": [7],
    "sglang/chat_eos": [7],
    "sglang/chat_tools_required": [31],
    "sglang/emoji_chat": [0, 1, 3, 4, 6, 7, 9],  # pieces of characters too
    "sglang/emoji_chat_cut": [0],
}


CHANNELS = {"reasoning_content": "reasoning"}
BY_NAME = {f"{case.provider}/{case.name}": case for case in CASES}
ANSWERED = [name for name, case in BY_NAME.items() if case.status < 400 and name not in BROKEN]


def decoded(name: str) -> ChatResponse:
    case = BY_NAME[name]
    wire = get_wire(case.wire)
    if not case.stream:
        return wire.decode(case.reply)
    decoder = wire.stream_decoder()
    return accumulate([*decoder.feed(case.reply), *decoder.close()])


def expected_records(case: Case) -> dict[tuple[int, str], list[Any]]:
    """Token, logprob and alternatives by choice and channel, in the order of the wire."""
    found: dict[tuple[int, str], list[Any]] = {}
    events = case.events()
    for event in events[-1:] if case.stream and reader(case.wire).cumulative else events:
        for part in reader(case.wire).parts(event):
            for channel, records in part.logprobs.items():
                if records:
                    key = (part.index, CHANNELS.get(channel, channel))
                    found.setdefault(key, []).extend(map(plain, records))
    return found


def plain(record: dict[str, Any]) -> tuple[Any, ...]:
    tops = [(top.get("token") or "", top.get("logprob")) for top in record.get("top_logprobs") or ()]
    return record.get("token") or "", record.get("logprob"), tops


@pytest.mark.parametrize("name", ANSWERED)
def test_every_record_arrives_as_it_was_sent(name: str) -> None:
    response = decoded(name)
    found = {
        (choice.index, channel): [
            (t.token, t.logprob, [(top.token, top.logprob) for top in t.top_logprobs]) for t in part
        ]
        for choice in response.choices
        for channel in ("content", "refusal", "reasoning")
        if choice.logprobs is not None and (part := choice.logprobs.channel(channel))
    }
    assert found == expected_records(BY_NAME[name])
    # No record at all is None, not an empty object.
    assert {index for index, _ in found} == {choice.index for choice in response.choices if choice.logprobs is not None}


@pytest.mark.parametrize("name", BROKEN)
def test_error_inside_a_stream_is_raised(name: str) -> None:
    assert BY_NAME[name].status == 200
    cls, kind = BROKEN[name]
    with pytest.raises(StatusError) as caught:
        decoded(name)
    assert type(caught.value) is cls
    refusal = classify_refusal(str(caught.value))
    assert (refusal and refusal.kind) == kind


@pytest.mark.parametrize("name", PAIRS)
def test_stream_gives_the_whole_reply(name: str) -> None:
    whole, streamed = decoded(name), decoded(f"{name}_stream")
    assert comparable(streamed) == comparable(whole)


@pytest.mark.parametrize("name", LOST)
def test_stream_gives_all_that_the_server_did_not_lose(name: str) -> None:
    whole, streamed = decoded(name), decoded(f"{name}_stream")
    assert whole.logprobs is not None
    assert streamed.logprobs is not None
    kept = [token for i, token in enumerate(whole.logprobs) if i not in LOST[name]]
    assert [(token.token, token.bytes) for token in streamed.logprobs] == [(token.token, token.bytes) for token in kept]
    # Two runs of these engines differ in the numbers; that each is the number of its wire is tested above.
    for got, expected in zip(streamed.logprobs, kept, strict=True):
        assert got.logprob == pytest.approx(expected.logprob, abs=0.01)
    assert (streamed.text, streamed.finish_reason) == (whole.text, whole.finish_reason)


def comparable(response: ChatResponse) -> list[Any]:
    """Choices with what is random in a reply taken out: the ids of tool calls, and white space in their arguments."""
    out: list[Any] = []
    for choice in response.choices:
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.tool_calls]
        out.append((choice.model_copy(update={"tool_calls": []}), calls))
    return [*out, response.usage]
