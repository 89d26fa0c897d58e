"""The same conversation on the chat route and on the Responses route of vLLM and SGLang, recorded from both.

Real here: what the engines answered, and the decoders. They give the same tokens where the servers agree; where they do
not, the delivery report says what and how many.
"""

from __future__ import annotations

from typing import Any

import pytest

from nxlog import AlignmentKind, ChatRequest, ChatResponse, Client, accumulate
from nxlog.delivery import check_delivery
from nxlog.parameter_adapter import adapt
from nxlog.registry import Registry
from nxlog.response import with_asked
from nxlog.wire import get_wire
from tests.fault_server import FaultServer
from tests.responses.bodies import RECORDED
from tests.responses.bodies import recorded as served

ENDED = "<|im_end|>"


def recorded(name: str) -> ChatResponse:
    case = RECORDED[name]
    wire = get_wire(case.wire)
    if case.stream:
        decoder = wire.stream_decoder()
        found = accumulate([*decoder.feed(case.reply), *decoder.close()])
    else:
        found = wire.decode(case.reply)
    return with_asked(found, logprobs=True, top_logprobs=case.request().top_logprobs)


def codes(name: str) -> list[str]:
    case = RECORDED[name]
    return [warning.code.value for warning in check_delivery(case.request(), recorded(name))]


@pytest.mark.parametrize(
    ("chat", "responses"),
    [
        ("vllm/emoji_chat", "vllm/07b_emoji_responses"),
        ("vllm/emoji", "vllm/07_emoji_responses"),
        ("vllm/think_11_reasoning_chat", "vllm/think_11_reasoning_responses"),
        ("vllm/think_11_reasoning_chat_stream", "vllm/think_11_reasoning_responses"),
    ],
)
def test_vllm_agrees_with_itself(chat: str, responses: str) -> None:
    """Whole replies: every token with its value and its bytes."""
    one, other = recorded(chat), recorded(responses)
    assert one.logprobs is not None
    assert other.logprobs is not None
    assert len(other.logprobs) > 5
    # In one pair the limits of tokens differ.
    cut = len(other.logprobs) if other.finish_reason == "length" else len(one.logprobs)
    assert (one.text[: len(other.text)], one.reasoning) == (other.text, other.reasoning)
    for mine, theirs in zip(one.logprobs[:cut], other.logprobs, strict=True):
        assert (mine.token, mine.logprob, mine.bytes) == (theirs.token, theirs.logprob, theirs.bytes)
        # Fewer alternatives were asked for in one of them.
        most = min(len(mine.top_logprobs), len(theirs.top_logprobs))
        assert mine.top_logprobs[:most] == theirs.top_logprobs[:most]
    assert (one.delivery.lost, other.delivery.lost) == (0, 0)


@pytest.mark.parametrize(
    ("chat", "responses", "lost", "alignment"),
    [
        # The pieces of characters, and the end of the turn.
        ("vllm/emoji_chat_stream", "vllm/emoji_responses_stream", 7, AlignmentKind.MERGED),
        # The reasoning, and the mark behind it.
        ("vllm/think_11_reasoning_chat_stream", "vllm/think_11_reasoning_responses_stream", 6, AlignmentKind.EXACT),
    ],
)
def test_what_vllm_leaves_out_of_its_streams_is_counted(
    chat: str, responses: str, lost: int, alignment: AlignmentKind
) -> None:
    one, other = recorded(chat), recorded(responses)
    assert one.logprobs is not None
    assert other.logprobs is not None
    assert (one.delivery.lost, other.delivery.lost) == (0, lost)
    assert other.delivery.channels[0].alignment.kind is alignment
    assert codes(responses) == ["fewer_records"]
    # What is there is what the chat route has, in its order.
    values = iter([token.logprob for token in one.logprobs])
    assert all(token.logprob in values for token in other.logprobs)


def test_sglang_agrees_in_values_and_not_in_bytes() -> None:
    """On the Responses route the pieces of a character have the bytes of U+FFFD."""
    one, other = recorded("sglang/emoji_chat"), recorded("sglang/07b_emoji_responses")
    assert one.text == other.text
    assert one.logprobs is not None
    assert other.logprobs is not None
    assert [token.token for token in one.logprobs] == [token.token for token in other.logprobs]
    for mine, theirs in zip(one.logprobs, other.logprobs, strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-5)
    differ = [i for i, (a, b) in enumerate(zip(one.logprobs, other.logprobs, strict=True)) if a.bytes != b.bytes]
    assert differ == list(range(9))
    assert one.delivery.channels[0].alignment.is_lossless
    alignment = other.delivery.channels[0].alignment
    assert (alignment.kind, alignment.token_index, alignment.byte_offset) == (AlignmentKind.MISMATCH, 0, 0)
    # Alternatives with the same text are merged to one.
    assert other.delivery.channels[0].least_alternatives == 1
    assert codes("sglang/07b_emoji_responses") == ["fewer_alternatives", "misaligned"]


def test_sglang_gives_no_logprobs_in_streams_of_this_route() -> None:
    """The gate knows it from the refusal that was recorded."""
    case = RECORDED["sglang/responses_logprobs_stream"]
    assert (case.status, b"logprobs are not supported in streaming mode" in case.reply) == (400, True)
    capabilities = Registry.default().capabilities("sglang", "m", wire="openai-responses")
    request = ChatRequest(model="sglang/m", messages=[{"role": "user", "content": "x"}], logprobs=True)
    sent, (warning,) = adapt(request, capabilities, stream=True)
    assert (sent.logprobs, warning.code) == (None, "unsupported_streaming")
    assert adapt(request, capabilities, stream=False)[1] == []


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_the_end_of_the_turn_is_in_whole_replies(engine: str) -> None:
    found = recorded(f"{engine}/responses_logprobs")
    assert found.logprobs is not None
    assert found.logprobs[-1].token == ENDED
    assert found.delivery.lost == 0
    assert found.delivery.channels[0].alignment.is_end_only


@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
def test_chat_on_this_wire_is_the_same_answer() -> None:
    """``client.chat(wire="openai-responses")`` and ``reply.to_chat()``, for every recorded whole reply."""
    names = [
        name
        for name, case in RECORDED.items()
        if case.wire == "openai-responses" and case.status == 200 and not case.stream
    ]
    assert len(names) > 15
    for name in names:
        provider = name.partition("/")[0]
        options: dict[str, Any] = {"provider": provider, "api_key": "key"}
        with FaultServer(served(name)) as server, Client(**options, base_url=f"{server.url}/v1") as client:
            reply = client.responses.create(model="m", input="x", top_logprobs=2)
        with (
            FaultServer(served(name)) as server,
            Client(**options, base_url=f"{server.url}/v1", wire="openai-responses") as client,
        ):
            chat = client.chat(model="m", messages=[{"role": "user", "content": "x"}], top_logprobs=2)
        assert reply.to_chat() == chat, name
        assert reply.delivery == chat.delivery, name
