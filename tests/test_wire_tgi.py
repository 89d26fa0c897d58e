"""``tgi``: what is sent, byte by byte, and what the vectors do not say about replies.

Nothing here was recorded: the replies are written after the OpenAPI description of Text Generation Inference.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.accumulate import accumulate
from nxlog.errors import BadRequestError, InvalidRequestError, NxlogError
from nxlog.registry.claims import CLAIM_NAMES
from nxlog.request import ChatRequest
from nxlog.wire.errors import RefusalKind, classify_refusal, status_error
from nxlog.wire.tgi import Tgi
from tests.conformance.readers import reader

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

WIRE = Tgi()
PROMPT = {"role": "user", "content": "Is the sky blue?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest(**{"model": "ignored/here", "messages": [PROMPT], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def sent(**fields: Any) -> dict[str, Any]:
    body = json.loads(encode(**fields))
    assert body.keys() == {"inputs", "parameters"}
    assert body["parameters"].pop("details") is True
    return body["parameters"]


# -- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_the_body_does_not_say_whether_it_is_a_stream(*, stream: bool) -> None:
    assert encode(stream=stream) == b'{"inputs":"Is the sky blue?","parameters":{"details":true}}'


def test_every_field_has_its_place() -> None:
    body = encode(
        temperature=0.5,
        top_p=0.9,
        max_tokens=8,
        stop="END",
        seed=0,
        n=2,
        frequency_penalty=-0.1,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        top_logprobs=5,
    )
    assert body == (
        b'{"inputs":"Is the sky blue?","parameters":{"details":true,"max_new_tokens":8,"stop":["END"],"seed":0,'
        b'"frequency_penalty":-0.1,"best_of":2,"do_sample":true,"temperature":0.5,"top_p":0.9,"top_n_tokens":5,'
        b'"grammar":{"type":"json","value":{"type":"object"}}}}'
    )


@pytest.mark.parametrize(
    ("asked", "parameters"),
    [
        ({}, {}),
        ({"temperature": 0}, {"do_sample": False}),
        # Any of the two would make the server sample again.
        ({"temperature": 0, "top_p": 0.5}, {"do_sample": False}),
        ({"temperature": 1}, {"do_sample": True, "temperature": 1.0}),
        ({"temperature": 0.7}, {"do_sample": True, "temperature": 0.7}),
        ({"top_p": 0.5}, {"do_sample": True, "top_p": 0.5}),
        # The server refuses 1, which says that nothing is cut off.
        ({"top_p": 1}, {"do_sample": True}),
        ({"temperature": 0.5, "top_p": 1}, {"do_sample": True, "temperature": 0.5}),
        ({"n": 1}, {}),
        ({"n": 2}, {"best_of": 2, "do_sample": True}),
        ({"seed": 1}, {"seed": 1}),
    ],
    ids=str,
)
def test_sampling_is_said_as_the_server_understands_it(asked: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert sent(**asked) == parameters


@pytest.mark.parametrize("asked", [{}, {"logprobs": True}, {"logprobs": False}, {"logprobs": True, "top_logprobs": 0}])
def test_records_come_with_the_details_and_alternatives_are_asked_for(asked: dict[str, Any]) -> None:
    assert sent(**asked) == {}
    assert sent(top_logprobs=1) == {"top_n_tokens": 1}


def test_options_merge_into_the_parameters() -> None:
    options = {"parameters": {"decoder_input_details": True, "seed": 2}, "x": 1}
    body = json.loads(encode(seed=1, max_tokens=3, provider_options=options))
    assert body == {
        "inputs": "Is the sky blue?",
        "parameters": {"details": True, "max_new_tokens": 3, "seed": 2, "decoder_input_details": True},
        "x": 1,
    }


def test_spelling_renames_and_leaves_out() -> None:
    spelling = {"max_tokens": "max_tokens", "seed": "", "n": "", "top_logprobs": "k", "temperature": "", "top_p": "p"}
    body = sent(max_tokens=5, seed=1, n=2, top_logprobs=2, temperature=0.5, top_p=0.5, spelling=spelling)
    assert body == {"max_tokens": 5, "do_sample": True, "p": 0.5, "k": 2}


def test_what_the_format_lacks_are_claims_and_cannot_get_in() -> None:
    assert set(CLAIM_NAMES) >= WIRE.lacks
    tool = {"type": "function", "function": {"name": "tide"}}
    assert encode(
        tools=[tool], presence_penalty=1, reasoning_effort="low", response_format={"type": "json_object"}
    ) == (encode())


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_conversation_is_refused(role: str) -> None:
    with pytest.raises(InvalidRequestError, match="tgi completes one text"):
        encode(messages=[{"role": role, "content": "x"}, PROMPT])


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": True},
        {"top_logprobs": 3, "temperature": 0.5, "max_tokens": 5, "n": 2},
        {"logprobs": True, "temperature": 0, "provider_options": {"parameters": {"decoder_input_details": True}}},
        {"logprobs": True, "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
    ],
    ids=str,
)
def test_the_conformance_reader_reads_it_back(fields: dict[str, Any]) -> None:
    body = encode(**fields)
    again = ChatRequest(model="x", **reader("tgi").request(json.loads(body)))
    assert json.loads(WIRE.encode(again, model="m", stream=False, spelling={})) == json.loads(body)


# -- replies; the vectors have the rest ------------------------------------------------------------------------------


def token(token_id: int, text: str, logprob: float | None, **more: Any) -> dict[str, Any]:
    return {"id": token_id, "text": text, "logprob": logprob, "special": False, **more}


def decode(*tokens: dict[str, Any], **details: Any) -> ChatResponse:
    known = {"finish_reason": "length", "generated_tokens": len(tokens), "tokens": tokens}
    return WIRE.decode(json.dumps({"generated_text": "x", "details": {**known, **details}}).encode())


def streamed(data: bytes) -> ChatResponse:
    decoder = WIRE.stream_decoder()
    return accumulate([*decoder.feed(data), *decoder.close()])


def test_what_is_special_is_known_of_every_record() -> None:
    response = decode(
        token(1, "a", -1.0, special=True, rank=3),
        token(2, "b", -1.0),
        top_tokens=[[token(4, "c", -2.0, special=True)], []],
    )
    assert response.logprobs is not None
    first, second = response.logprobs
    assert (first.token, first.extra, second.extra) == ("a", {"special": True, "rank": 3}, {"special": False})
    assert (first.top_logprobs[0].token, first.top_logprobs[0].extra) == ("c", {"special": True})
    assert first.bytes is None
    assert response.logprobs.compact() == response.logprobs


def test_columns_have_every_alternative() -> None:
    response = decode(token(1, "a", None), token(2, "b", -1), top_tokens=[[token(3, "c", -2.0)], [token(4, "d", None)]])
    assert response.logprobs is not None
    columns = response.logprobs.columns()
    assert (columns.tokens, columns.top_tokens) == (["a", "b"], ["c", "d"])
    assert columns.token_ids is not None
    assert columns.top_token_ids is not None
    assert (list(columns.token_ids), list(columns.top_token_ids)) == ([1, 2], [3, 4])
    assert columns.logprobs[0] != columns.logprobs[0]  # NaN: the server sent no value


def events(*found: dict[str, Any]) -> bytes:
    return b"".join(b"data:" + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in found)


STREAM = events(
    {"index": 1, "token": token(5, "é", -0.5), "generated_text": None, "details": None},
    {"index": 2, "token": token(6, "\u2028", -0.5), "generated_text": None, "details": None},
    {
        "index": 3,
        "token": token(7, "😀", -0.5),
        "generated_text": "é\u2028😀",
        "details": {"finish_reason": "eos_token", "generated_tokens": 3, "seed": 4},
    },
)


def test_every_cut_is_told_from_the_end() -> None:
    """Whatever is missing at the end: every event arrived, or it is an error."""
    response = streamed(STREAM)
    assert (response.text, len(response.logprobs or ())) == ("é\u2028😀", 3)
    for end in range(len(STREAM) - 2):
        with pytest.raises(NxlogError):
            streamed(STREAM[:end])


def test_a_stream_and_the_whole_reply_are_the_same() -> None:
    tokens = [token(5, "é", -0.5), token(6, "\u2028", -0.5), token(7, "😀", -0.5)]
    details = {"finish_reason": "eos_token", "generated_tokens": 3, "tokens": tokens}
    assert WIRE.decode(json.dumps({"generated_text": "é\u2028😀", "details": details}).encode()) == streamed(STREAM)


REFUSALS = [
    ("Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 9", RefusalKind.RANGE, 5),
    (
        "Input validation error: `decoder_input_details` == true is not supported when streaming tokens",
        RefusalKind.PRECONDITION,
        None,
    ),
]


@pytest.mark.parametrize(("message", "kind", "limit"), REFUSALS, ids=lambda value: None)
def test_refusals_are_understood_in_and_out_of_streams(message: str, kind: RefusalKind, limit: int | None) -> None:
    body = json.dumps({"error": message, "error_type": "validation"}).encode()
    outside = status_error(422, body)
    with pytest.raises(BadRequestError) as inside:
        streamed(b"data:" + body + b"\n\n")
    for error in (outside, inside.value):
        assert (type(error), error.status_code, error.code) == (BadRequestError, 422, "validation")
        refusal = classify_refusal(error.message)
        assert refusal is not None
        assert (refusal.kind, refusal.limit) == (kind, limit)
