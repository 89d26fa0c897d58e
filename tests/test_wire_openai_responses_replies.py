"""``openai-responses``: what the vectors do not say about replies and streams.

Real here: the wire, and in the last section the bytes that vLLM, SGLang, llama.cpp and transformers answered. The
other replies are written by hand, in the documented shape or in the dialect of a server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from nxlog.accumulate import accumulate
from nxlog.errors import BadRequestError, DecodeError, IncompleteStreamError
from nxlog.logprobs import TokenLogprob
from nxlog.wire._closing import close
from nxlog.wire.openai_responses import OpenAIResponses
from tests.conformance.cassettes import CASES

if TYPE_CHECKING:
    from nxlog.response import ChatResponse, StreamChunk

WIRE = OpenAIResponses()
INCLUDE = "message.output_text.logprobs"

# -- replies ---------------------------------------------------------------------------------------------------------


def record(token: str, logprob: float | None, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "top_logprobs": [], **more}


def response(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    item = {"type": "message", "id": "msg", "role": "assistant", "content": list(parts)}
    return {"id": "r", "model": "m", "created_at": 1790000000, "status": "completed", "output": [item], **fields}


def part(value: str, logprobs: Any = None) -> dict[str, Any]:
    return {"type": "output_text", "text": value, "logprobs": logprobs}


def test_reply_says_who_made_it_and_remembers_its_body() -> None:
    body = response(part("Yes."), background=False)
    reply = WIRE.decode(json.dumps(body).encode())
    assert (reply.id, reply.model, reply.created, reply.text, reply.logprobs) == ("r", "m", 1790000000, "Yes.", None)
    assert reply.raw == body


@pytest.mark.parametrize(
    ("at", "expected"), [(1790000000.75, 1790000000), (None, None), (1e400, None), ("\ud83d", None)]
)
def test_time_with_a_fraction(at: float | str | None, expected: int | None) -> None:
    assert WIRE.decode(json.dumps(response(created_at=at)).encode()).created == expected


def test_unknown_keys_of_a_record_stay_reachable() -> None:
    body = response(part("a", [record("a", -1.0, rank=4, text_offset=7)]))
    (token,) = WIRE.decode(json.dumps(body).encode()).logprobs or ()
    assert token.extra == {"rank": 4, "text_offset": 7}


def test_half_surrogate_pairs_cost_no_reply() -> None:
    call = {"type": "function_call", "call_id": "\ud83d", "name": "\ud83d", "arguments": "\ud83d"}
    reply = WIRE.decode(json.dumps(response(part("\ud83d"), output=[call])).encode())
    reply.model_dump_json()
    assert reply.tool_calls[0].id == "\ufffd"


def test_error_of_a_failed_response_keeps_code_and_body() -> None:
    body = json.dumps(response(status="failed", error={"code": "invalid_prompt", "message": "no"})).encode()
    with pytest.raises(BadRequestError, match="no") as caught:
        WIRE.decode(body)
    assert (caught.value.code, caught.value.status_code, caught.value.body) == ("invalid_prompt", 400, body.decode())


# -- streams ---------------------------------------------------------------------------------------------------------


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def created() -> dict[str, Any]:
    return {"type": "response.created", "response": response(status="in_progress", output=[])}


def delta(value: str, *logprobs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "msg", "delta": value, "logprobs": list(logprobs)}


def completed(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": response(*parts, **fields)}


def chunks(*values: dict[str, Any]) -> list[StreamChunk]:
    decoder = WIRE.stream_decoder()
    return [*decoder.feed(events(*values)), *decoder.close()]


A, B, C = record("a", -1.0), record("b", -2.0), record("c", -3.0)
FULL = [{**A, "bytes": [97]}, {**B, "bytes": [98]}]


def tokens(chunk: StreamChunk) -> list[str]:
    return [token.token for token in chunk.logprobs or ()]


def test_every_chunk_says_which_reply_it_belongs_to() -> None:
    seen = chunks(created(), {"type": "response.in_progress"}, delta("a"), completed(part("a")))
    assert [(chunk.id, chunk.model, chunk.created, chunk.index) for chunk in seen] == [("r", "m", 1790000000, 0)] * 3
    assert [chunk.delta for chunk in seen] == ["", "a", ""]
    assert [chunk.finish_reason for chunk in seen] == [None, None, "stop"]


def test_records_are_delivered_with_their_text_and_once() -> None:
    seen = chunks(created(), delta("a", A), delta("b", B), completed(part("ab", [A, B])))
    assert [(chunk.delta, tokens(chunk)) for chunk in seen] == [("", []), ("a", ["a"]), ("b", ["b"]), ("", [])]
    assert [chunk.closing_logprobs for chunk in seen] == [None] * 4


def test_bytes_that_come_late_are_in_the_response_and_not_further_tokens() -> None:
    seen = chunks(created(), delta("a", A), delta("b", B), completed(part("ab", FULL)))
    assert sum(len(tokens(chunk)) for chunk in seen) == 2
    assert [token.bytes for chunk in seen for token in chunk.logprobs or ()] == [None, None]
    assert [token.bytes for token in seen[-1].closing_logprobs or ()] == [b"a", b"b"]
    assert [token.bytes for token in accumulate(seen).logprobs or ()] == [b"a", b"b"]


def test_records_that_only_follow_are_delivered_in_a_chunk() -> None:
    seen = chunks(created(), delta("a", A), completed(part("a", [A, B])))
    assert [tokens(chunk) for chunk in seen] == [[], ["a"], ["b"], []]
    assert seen[-1].closing_logprobs is None


def test_records_lost_in_the_middle_are_in_the_response() -> None:
    seen = chunks(created(), delta("a", A), delta("c", C), completed(part("abc", [A, B, C])))
    assert [tokens(chunk) for chunk in seen] == [[], ["a"], ["c"], []]
    assert [token.token for token in accumulate(seen).logprobs or ()] == ["a", "b", "c"]


def test_a_stream_that_breaks_off_keeps_the_records_of_its_chunks() -> None:
    decoder = WIRE.stream_decoder()
    seen = list(decoder.feed(events(created(), delta("a", A))))
    with pytest.raises(IncompleteStreamError, match="before the answer did"):
        list(decoder.close())
    assert [token.token for token in accumulate(seen).logprobs or ()] == ["a"]


def test_the_last_event_may_lack_its_blank_line() -> None:
    data = events(created(), delta("a"), completed(part("a"))).rstrip()
    decoder = WIRE.stream_decoder()
    assert [chunk.finish_reason for chunk in [*decoder.feed(data), *decoder.close()]] == [None, None, "stop"]


def test_chunks_before_an_error_are_delivered() -> None:
    decoder = WIRE.stream_decoder()
    feed = decoder.feed(events(created(), delta("a")) + b"data: {\n\n")
    assert [next(feed).delta, next(feed).delta] == ["", "a"]
    with pytest.raises(DecodeError):
        next(feed)


def test_refusal_and_reasoning_are_deltas_of_their_own() -> None:
    seen = chunks(
        created(),
        {"type": "response.reasoning_summary_text.delta", "item_id": "rs", "summary_index": 0, "delta": "hm"},
        {"type": "response.refusal.delta", "item_id": "msg", "delta": "No."},
        completed({"type": "refusal", "refusal": "No."}),
    )
    assert [(chunk.delta, chunk.reasoning_delta, chunk.refusal_delta) for chunk in seen] == [
        ("", None, None),
        ("", "hm", None),
        ("", None, "No."),
        ("", None, None),
    ]


def test_tool_call_deltas() -> None:
    item = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "tide", "arguments": "{}"}
    pieces = [
        {"type": "response.output_item.added", "output_index": 3, "item": {**item, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 3, "item_id": "fc", "delta": "{"},
        {"type": "response.function_call_arguments.done", "output_index": 3, "item_id": "fc", "arguments": "{}"},
        {"type": "response.output_item.done", "output_index": 3, "item": item},
    ]
    seen = chunks(created(), *pieces, completed(output=[item]))
    deltas = [delta for chunk in seen for delta in chunk.tool_call_deltas]
    assert [(delta.index, delta.id, delta.name, delta.arguments) for delta in deltas] == [
        (0, "c1", "tide", ""),
        (0, None, None, "{"),
        (0, None, None, "}"),
    ]
    assert seen[-1].finish_reason == "tool_calls"


# -- closing lists ---------------------------------------------------------------------------------------------------


def build(token: str, logprob: float | None, data: bytes | None = None) -> TokenLogprob:
    return TokenLogprob.build(token, logprob, bytes=data)


GIVEN = [build("a", -1.25, b"a"), build("b", -2.5, b"b")]


def test_an_equal_list_adds_nothing() -> None:
    again = [build("a", -1.25, b"a"), build("b", -2.5, b"b")]
    assert close(GIVEN, again) == ([], None)
    assert close([], []) == ([], None)
    assert close(GIVEN, []) == ([], None)


def test_values_of_the_chunks_are_kept() -> None:
    given = [build("a", -3.128163e-07), build("b", -2.4584821e-06)]
    trailing, whole = close(given, [build("a", -0.0, b"a"), build("b", -2e-06, b"b"), build("c", -1.0, b"c")])
    assert [token.token for token in trailing] == ["c"]
    assert [(token.logprob, token.bytes) for token in whole or ()] == [
        (-3.128163e-07, b"a"),
        (-2.4584821e-06, b"b"),
        (-1.0, b"c"),
    ]


@pytest.mark.parametrize("value", [None, float("nan"), float("-inf"), -9999.0])
def test_odd_values_are_recognized(value: float | None) -> None:
    _, whole = close([build("a", value)], [build("a", value, b"a")])
    assert whole is not None
    assert whole[0].bytes == b"a"


@pytest.mark.parametrize("other", [build("x", -1.25), build("a", -1.3), build("a", None), build("a", float("nan"))])
def test_a_list_of_other_records_says_nothing(other: TokenLogprob) -> None:
    assert close(GIVEN, [other, GIVEN[1], GIVEN[1]]) == ([], None)


# -- recordings; that every record of a delta arrives, and no other, is tested for all wires together -----------------

RECORDED = {f"{case.provider}/{case.name}": case for case in CASES if case.wire == WIRE.name}


def recorded(name: str) -> ChatResponse:
    case = RECORDED[name]
    if not case.stream:
        return WIRE.decode(case.reply)
    decoder = WIRE.stream_decoder()
    return accumulate([*decoder.feed(case.reply), *decoder.close()])


# A whole reply, the stream of the same request, and the records of the one that vLLM leaves out of the other: the end
# of the turn, pieces of characters, and with a reasoning parser the reasoning.
PAIRS: list[tuple[str, str, list[int]]] = [
    ("vllm/responses_logprobs", "vllm/responses_logprobs_stream", [6]),
    ("vllm/responses_enable_response_messages", "vllm/responses_n_logprob_stream_token", []),
    ("vllm/07b_emoji_responses", "vllm/emoji_responses_stream", [0, 1, 3, 4, 6, 7, 9]),
    ("vllm/think_11_reasoning_responses", "vllm/think_11_reasoning_responses_stream", [0, 1, 2, 3, 4, 5]),
]


@pytest.mark.parametrize(("name", "stream", "lost"), PAIRS)
def test_stream_gives_the_whole_reply_but_for_what_the_server_loses(name: str, stream: str, lost: list[int]) -> None:
    whole, streamed = recorded(name), recorded(stream)
    assert whole.logprobs is not None
    assert streamed.logprobs is not None
    # With their bytes and those of their alternatives, which the deltas lack. Ids were asked for in one of them only.
    kept = [msgspec.structs.replace(record, raw_token_id=None) for record in whole.logprobs]
    assert list(streamed.logprobs) == [record for i, record in enumerate(kept) if i not in lost]
    for field in ("text", "reasoning", "finish_reason", "usage"):
        assert getattr(streamed, field) == getattr(whole, field)


def test_records_only_where_they_were_included() -> None:
    found = {name: recorded(name).logprobs for name in RECORDED if RECORDED[name].status == 200}
    asked = {name for name in found if INCLUDE in RECORDED[name].body.get("include", [])}
    assert {name for name, logprobs in found.items() if logprobs} <= asked
    # These ignore it, and one reply is all reasoning.
    deaf = {name for name in asked if name.startswith(("llamacpp/", "transformers-serve/"))}
    assert {name for name in asked - deaf if not found[name]} == {"vllm/think_09_reasoning_responses"}
    assert not any(found[name] for name in deaf)
