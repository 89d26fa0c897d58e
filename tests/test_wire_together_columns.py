"""``together-columns``: what is sent, and what the vectors cannot show of the records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.accumulate import accumulate
from nxlog.request import ChatRequest
from nxlog.wire import get_wire
from nxlog.wire.together_columns import TogetherColumns

WIRE = TogetherColumns()
CHAT = get_wire("openai-chat")
USER = {"role": "user", "content": "Is the sky blue?"}


def request(**fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": "ignored/here", "messages": [USER], **fields})


def encode(**fields: Any) -> bytes:
    return WIRE.encode(request(**fields), model="m", stream=False, spelling={})


def test_logprobs_are_a_number_in_the_place_they_have_in_openai_chat() -> None:
    body = encode(
        temperature=0.0, top_logprobs=5, response_format={"type": "json_object"}, provider_options={"echo": True}
    )
    assert body == (
        b'{"model":"m","messages":[{"role":"user","content":"Is the sky blue?"}],"temperature":0.0,'
        b'"logprobs":5,"response_format":{"type":"json_object"},"echo":true}'
    )


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": True}, 1),
        ({"top_logprobs": 0}, 1),
        ({"top_logprobs": 20}, 20),
    ],
)
def test_logprobs_without_alternatives_ask_for_one(asked: dict[str, Any], count: int | None) -> None:
    assert json.loads(encode(**asked)).get("logprobs") == count
    assert "top_logprobs" not in json.loads(encode(**asked))


def test_logprobs_are_spelled_as_the_provider_wants() -> None:
    asked = request(top_logprobs=5)
    for spelling, keys in (({"logprobs": "log_probs"}, ["log_probs"]), ({"logprobs": ""}, [])):
        body = json.loads(WIRE.encode(asked, model="m", stream=False, spelling=spelling))
        assert list(body)[2:] == keys


@pytest.mark.parametrize("stream", [False, True])
def test_everything_else_is_openai_chat(*, stream: bool) -> None:
    asked = request(
        max_tokens=5,
        seed=1,
        stop="x",
        n=2,
        reasoning_effort="low",
        response_format={"type": "json_object"},
        tools=[{"type": "function", "function": {"name": "tide"}}],
        tool_choice="auto",
    )
    bodies = [wire.encode(asked, model="m", stream=stream, spelling={"max_tokens": "max"}) for wire in (WIRE, CHAT)]
    assert bodies[0] == bodies[1]
    assert WIRE.lacks > CHAT.lacks == {"token_ids_in"}


def test_every_form_of_one_answer_gives_the_same_values() -> None:
    """Columns, records, and a stream of numbers: no form is preferred, none loses a value or an id."""
    rows = [("Yes", -0.25, 11, {"Yes": -0.25, "No": -1.75}), (".", 0, 12, {".": 0, "!": -8.5})]
    columns = {
        "tokens": [row[0] for row in rows],
        "token_logprobs": [row[1] for row in rows],
        "token_ids": [float(row[2]) for row in rows],
        "top_logprobs": [row[3] for row in rows],
    }
    content = [
        {
            "token": text,
            "logprob": value,
            "token_id": token_id,
            "top_logprobs": [{"token": other, "logprob": number} for other, number in tops.items()],
        }
        for text, value, token_id, tops in rows
    ]
    replies = [
        json.dumps({"choices": [{"message": {"content": "Yes."}, "logprobs": logprobs, "finish_reason": "eos"}]})
        for logprobs in (columns, {"content": content})
    ]
    events = [
        {"delta": {"content": text, "token_id": token_id}, "logprobs": value, "top_logprobs": tops}
        for text, value, token_id, tops in rows
    ]
    stream = "".join(f"data: {json.dumps({'choices': [event]})}\n\n" for event in events)
    decoder = WIRE.stream_decoder()
    chunks = decoder.feed(f'{stream}data: {{"choices":[{{"delta":{{}},"finish_reason":"eos"}}]}}\n\n'.encode())
    streamed = accumulate([*chunks, *decoder.close()])
    for wire in (WIRE, CHAT):
        wholes = [wire.decode(reply.encode()) for reply in replies]
        assert wholes[0].choices == wholes[1].choices == streamed.choices
    assert [token.token_id for token in streamed.logprobs or ()] == [11, 12]
    assert streamed.finish_reason == "stop"


def test_what_has_no_place_in_the_reply_is_in_raw() -> None:
    """The echoed prompt is no part of the answer, and one map for several tokens is of none of them."""
    one_map = {"Yes": -0.25, ".": -0.5}
    prompt = [{"text": "So", "logprobs": {"tokens": ["So"], "token_logprobs": [None]}}]
    logprobs = {"tokens": ["Yes", "."], "token_logprobs": [-0.25, -0.5], "top_logprobs": one_map}
    body = {"prompt": prompt, "choices": [{"message": {"content": "Yes."}, "logprobs": logprobs}]}
    response = WIRE.decode(json.dumps(body).encode())
    assert [(token.token, token.logprob) for token in response.logprobs or ()] == [("Yes", -0.25), (".", -0.5)]
    assert response.raw is not None
    assert response.raw["prompt"] == prompt
    assert response.raw["choices"][0]["logprobs"]["top_logprobs"] == one_map
