"""``cohere-chat``: what is sent, and what the vectors do not say about replies. All bodies are written by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.accumulate import accumulate
from nxlog.errors import InvalidRequestError, ServerError
from nxlog.logprobs import LogprobsData
from nxlog.request import ChatRequest
from nxlog.wire.cohere_chat import CohereChat

WIRE = CohereChat()
USER = {"role": "user", "content": "Is the sky blue?"}
CALL = {"id": "tide_0", "type": "function", "function": {"name": "tide", "arguments": '{"port":"Husum"}'}}
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
EMPTY_SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest.model_validate({"model": "ignored/here", "messages": [USER], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def added(**fields: Any) -> dict[str, Any]:
    """What a field adds to the smallest body."""
    body = json.loads(encode(**fields))
    return {key: value for key, value in body.items() if value != json.loads(encode()).get(key)}


def test_smallest_body() -> None:
    assert encode() == b'{"model":"m","messages":[{"role":"user","content":"Is the sky blue?"}],"stream":false}'


def test_body_with_logprobs() -> None:
    assert encode(logprobs=True, stream=True) == (
        b'{"model":"m","messages":[{"role":"user","content":"Is the sky blue?"}],"logprobs":true,"stream":true}'
    )


FIELDS: list[tuple[str, Any, dict[str, Any]]] = [
    ("max_tokens", 5, {"max_tokens": 5}),
    ("temperature", 0.0, {"temperature": 0.0}),
    ("top_p", 0.5, {"p": 0.5}),
    ("stop", ".", {"stop_sequences": ["."]}),
    ("seed", 7, {"seed": 7}),
    ("presence_penalty", 0.5, {"presence_penalty": 0.5}),
    ("frequency_penalty", 0.5, {"frequency_penalty": 0.5}),
    ("logprobs", True, {"logprobs": True}),
    ("logprobs", False, {"logprobs": False}),
    ("top_logprobs", 5, {"logprobs": True}),
    ("input_ids", [1, 5], {}),
    ("return_token_ids", True, {}),
    ("prompt_logprobs", 1, {}),
    ("stop_token_ids", [2], {}),
    ("logprob_token_ids", [5], {"logprobs": True}),
    ("n", 2, {}),
    ("tool_choice", "auto", {}),
    ("tool_choice", "required", {"tool_choice": "REQUIRED"}),
    ("tool_choice", "none", {"tool_choice": "NONE"}),
    (
        "tools",
        [
            {"function": {"name": "tide", "description": "d", "parameters": SCHEMA, "strict": True}},
            {"function": {"name": "now"}},
        ],
        {
            "tools": [
                {"type": "function", "function": {"parameters": SCHEMA, "name": "tide", "description": "d"}},
                {"type": "function", "function": {"parameters": EMPTY_SCHEMA, "name": "now"}},
            ],
            "strict_tools": True,
        },
    ),
    ("response_format", {"type": "text"}, {"response_format": {"type": "text"}}),
    ("response_format", {"type": "json_object"}, {"response_format": {"type": "json_object"}}),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
        {"response_format": {"type": "json_object", "json_schema": SCHEMA}},
    ),
    ("reasoning_effort", "none", {"thinking": {"type": "disabled"}}),
    ("reasoning_effort", "low", {"thinking": {"type": "enabled"}}),
    ("provider_options", {"k": 5, "max_tokens": 9}, {"k": 5, "max_tokens": 9}),
]


@pytest.mark.parametrize(("name", "value", "expected"), FIELDS)
def test_field(name: str, value: Any, expected: dict[str, Any]) -> None:
    assert added(**{name: value}) == expected


def test_every_field_of_a_request_is_in_the_table() -> None:
    assert set(ChatRequest.model_fields) == {name for name, _, _ in FIELDS} | {"model", "messages"}


def test_what_has_no_place_is_left_to_the_gate() -> None:
    assert {"n", "top_logprobs", "tool_choice=function"} <= WIRE.lacks


def test_spelling_renames_and_leaves_out() -> None:
    assert added(temperature=0.5, top_p=0.5, spelling={"temperature": "", "top_p": "top_p"}) == {"top_p": 0.5}


def test_a_tool_cannot_be_named() -> None:
    with pytest.raises(InvalidRequestError, match="required") as caught:
        encode(tool_choice={"type": "function", "function": {"name": "tide"}})
    assert caught.value.param == "tool_choice"


IMAGE = {"type": "image_url", "image_url": {"url": "https://h.example/a.png", "detail": "low"}}
MESSAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"role": "system", "content": "Be brief."}, {"role": "system", "content": "Be brief."}),
    ({"role": "developer", "content": "Be brief."}, {"role": "system", "content": "Be brief."}),
    (
        {"role": "user", "content": [{"type": "text", "text": "Which?"}, IMAGE, {"type": "document", "document": {}}]},
        {"role": "user", "content": [{"type": "text", "text": "Which?"}, IMAGE, {"type": "document", "document": {}}]},
    ),
    ({"role": "assistant", "content": "Yes."}, {"role": "assistant", "content": "Yes."}),
    ({"role": "assistant", "refusal": "No."}, {"role": "assistant", "content": "No."}),
    ({"role": "assistant"}, {"role": "assistant", "content": ""}),
    (
        {"role": "assistant", "content": [{"type": "text", "text": "Hm."}], "refusal": "No."},
        {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, {"type": "text", "text": "No."}]},
    ),
    ({"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "assistant", "tool_calls": [CALL]}),
    (
        {"role": "tool", "tool_call_id": "tide_0", "content": "3 m"},
        {"role": "tool", "tool_call_id": "tide_0", "content": "3 m"},
    ),
    ({"role": "tool", "tool_call_id": "t", "content": ""}, {"role": "tool", "tool_call_id": "t", "content": ""}),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_message(message: dict[str, Any], expected: dict[str, Any]) -> None:
    assert json.loads(encode(messages=[message]))["messages"] == [expected]


# -- replies; the vectors have the rest ------------------------------------------------------------------------------


def reply(*runs: dict[str, Any]) -> bytes:
    text = "".join(run.get("text") or "" for run in runs)
    message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    return json.dumps({"id": "c-1", "finish_reason": "COMPLETE", "message": message, "logprobs": list(runs)}).encode()


def records(*runs: dict[str, Any]) -> LogprobsData:
    found = WIRE.decode(reply(*runs)).logprobs
    assert found is not None
    return found


LONE = {"text": "Low", "token_ids": [1], "logprobs": [-0.25]}
RUN = {"text": " tide now", "token_ids": [2, 3], "logprobs": [-0.5, -0.75]}


def test_joined_tokens_are_the_text() -> None:
    found = WIRE.decode(reply(LONE, RUN))
    assert found.logprobs is not None
    assert "".join(token.token for token in found.logprobs) == found.text
    assert [token.token for token in found.logprobs] == ["Low", " tide now", ""]
    assert [token.bytes for token in found.logprobs] == [None] * 3
    assert all(token.top_logprobs == [] for token in found.logprobs)


def test_a_run_of_several_tokens_stays_reachable() -> None:
    lone, first, second = records(LONE, RUN).content
    assert lone.extra == {}
    assert first.extra == RUN
    assert second.extra == {}


@pytest.mark.parametrize(
    "run", [LONE | {"rank": 1}, {"text": "a", "token_ids": [1, 2], "logprobs": [-0.5]}, {"text": "a"}]
)
def test_what_does_not_fit_stays_reachable(run: dict[str, Any]) -> None:
    assert records(run)[0].extra == run


def test_records_survive_json_and_columns() -> None:
    found = records(LONE, RUN)
    assert LogprobsData.model_validate_json(found.model_dump_json()) == found
    assert found.compact() == found
    assert found.columns().token_ids is not None


def test_an_error_in_the_last_event_comes_after_the_chunks_before_it() -> None:
    start = {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant"}}}
    text = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Lo"}}}}
    end = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "the model went away"}}
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in (start, text, end))
    chunks = WIRE.stream_decoder().feed(stream)
    assert accumulate([next(chunks), next(chunks)]).text == "Lo"
    with pytest.raises(ServerError, match="went away"):
        next(chunks)
