"""What servers of the Responses API say when they refuse.

Real here: the answers of vLLM 0.32.0 in ``fixtures/vllm/responses``, and in the table at the end the sentences of the
acceptance checklist, section D, which no server that runs here says.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog import errors
from nxlog.wire.errors import RefusalKind, classify_refusal, event_error, status_error
from tests.responses.stories import FILES, Story, body_of

BAD, MISSING, SERVER = errors.BadRequestError, errors.NotFoundError, errors.ServerError
UNKNOWN = errors.ResponseNotFoundError

REFUSALS = {
    (path.stem, number): one
    for path in FILES
    for number, one in enumerate(Story(path.stem).interactions)
    if one["response"]["status"]["code"] >= 400
}
# D-12, D-13, D-14, D-15: class and param of everything that vLLM refused.
REAL: dict[tuple[str, int], tuple[type[errors.StatusError], str | None]] = {
    ("background", -1): (BAD, "response_id"),
    ("cancel", 2): (BAD, "response_id"),
    ("cancel_stream", 5): (BAD, "response_id"),
    **{("errors", number): (UNKNOWN, "response_id") for number in range(8)},
    ("errors", 8): (BAD, None),  # no DELETE
    ("errors", 9): (MISSING, None),  # no input_items
    ("errors", 10): (BAD, "background"),
    ("no_store", 1): (UNKNOWN, "response_id"),
    ("no_store", 2): (UNKNOWN, "response_id"),
    ("no_store", 4): (BAD, "background"),
    ("no_store", 5): (BAD, "background"),
    ("store_false", 1): (UNKNOWN, "response_id"),
    ("store_false", 2): (UNKNOWN, "response_id"),
    ("stream_lost", 1): (UNKNOWN, "response_id"),
    ("stream_lost", 2): (UNKNOWN, "response_id"),
}


def test_the_table_names_everything_that_was_refused() -> None:
    named = {(story, number % len(Story(story).interactions)) for story, number in REAL}
    assert named == set(REFUSALS)


@pytest.mark.parametrize(("story", "number"), REAL)
def test_a_refusal_of_vllm(story: str, number: int) -> None:
    """D-12 (background without store), D-13 and D-15 (ids), D-14 (cancel): each has its class and names its field."""
    one = Story(story).interactions[number]
    error = status_error(one["response"]["status"]["code"], body_of(one))
    assert (type(error), error.param) == REAL[story, number]
    assert classify_refusal(body_of(one).decode()) is None


SAID: list[tuple[int, str, type[errors.StatusError], str | None]] = [
    (400, "Invalid 'response_id': 'X'. Expected an ID that begins with 'resp'.", UNKNOWN, "response_id"),
    (400, "Invalid 'previous_response_id': 'X'. Expected an ID that begins with 'resp'.", UNKNOWN, "response_id"),
    (404, "Response with id 'X' not found.", UNKNOWN, "response_id"),
    (400, "Previous response with id 'X' not found.", UNKNOWN, "response_id"),
    (400, "Cannot cancel a synchronous response.", BAD, "response_id"),
    (400, "This vLLM engine does not support `store=True` and therefore does not support the background mode.", BAD,
     "background"),
    (500, "Tool use is not supported in Responses API without Harmony", BAD, "tools"),
    (500, "Only 'auto' tool_choice is supported in response API with Harmony", BAD, "tool_choice"),
    (500, "Streaming is not supported for responses API without Harmony.", BAD, "stream"),
    (400, "MCP tool server is not supported in background mode and streaming mode", BAD, "tools"),
    (400, "llama.cpp does not support 'previous_response_id'.", BAD, "previous_response_id"),
    (400, "Client disconnected", SERVER, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text", "cls", "param"), SAID)
def test_a_sentence_of_the_checklist(status: int, text: str, cls: type[errors.StatusError], param: str | None) -> None:
    """D-13, D-14, D-15, D-20 and the table of error texts: the class is what is said, whatever the status."""
    body: dict[str, Any] = {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": status}}
    error = status_error(status, json.dumps(body).encode())
    assert (type(error), error.param, error.status_code) == (cls, param, status)
    assert text in error.message
    # What the server itself names wins.
    body["error"]["param"] = "its_own"
    assert status_error(status, json.dumps(body).encode()).param == "its_own"


@pytest.mark.parametrize(("status", "text", "cls", "param"), SAID)
def test_the_same_sentence_inside_a_stream(
    status: int, text: str, cls: type[errors.StatusError], param: str | None
) -> None:
    """D-20: an error object in a stream that began with 200 is the same error."""
    value = {"type": "error", "error": {"message": text, "code": status}}
    error = event_error(value, json.dumps(value))
    assert (type(error), error.param, error.status_code) == (cls, param, status)


def test_the_code_of_a_gateway_says_it_too() -> None:
    """D-15: OpenAI's code for an unknown previous response, with any words."""
    body = b'{"error":{"message":"missing continuation","code":"previous_response_not_found"}}'
    assert type(status_error(400, body)) is UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "logprobs are not supported with gpt-oss models",
        "logprobs are not supported in streaming mode",
        "logprobs are not supported with reasoning models",
    ],
)
def test_refused_logprobs_are_still_a_refusal(text: str) -> None:
    """The three sentences about logprobs go their own way: one retry without them."""
    error = status_error(400, json.dumps({"error": {"message": text}}).encode())
    assert type(error) is BAD
    refusal = classify_refusal(error.body or "")
    assert refusal is not None
    assert refusal.kind is RefusalKind.UNSUPPORTED


@pytest.mark.parametrize(
    "text", ["File not found.", "The model `x` does not exist.", "Client disconnected the wire of the toaster."]
)
def test_other_complaints_keep_the_class_of_their_status(text: str) -> None:
    error = status_error(404, json.dumps({"error": {"message": text}}).encode())
    assert type(error) is MISSING
    assert error.param is None
