"""What the gate left of a request is what is sent.

Real here: the encoder, and the gate where a test uses it.
"""

from __future__ import annotations

import json
from typing import Any

from nxlog.parameter_adapter import adapt
from nxlog.registry import Registry
from nxlog.responses import ResponsesRequest
from nxlog.wire._openai_responses_request import encode_own

TOOL = {"type": "function", "name": "tide", "parameters": {"type": "object"}}
SCHEMA = {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}


def sent(
    given: dict[str, Any], left: dict[str, Any] | None = None, spelling: dict[str, str] | None = None
) -> dict[str, Any]:
    """The body, without what every body has, when the gate changed the fields in ``left``."""
    request = ResponsesRequest.model_validate({"model": "m", "input": "x", **given})
    chat = request.as_chat().model_copy(update=left or {})
    body: dict[str, Any] = json.loads(encode_own(request, chat, model="m", stream=False, spelling=spelling or {}))
    assert (body.pop("model"), body.pop("input"), body.pop("stream")) == ("m", "x", False)
    return body


def test_tools_that_are_dropped_go_together() -> None:
    given = {"tools": [TOOL, {"type": "web_search"}], "tool_choice": "auto"}
    assert sent(given) == given
    assert sent(given, {"tools": None, "tool_choice": None}) == {}
    # Of the server's own tools the gate knows nothing.
    assert sent({"tools": [{"type": "web_search"}]}) == {"tools": [{"type": "web_search"}]}


def test_a_tool_by_its_name_in_either_shape() -> None:
    flat = {"type": "function", "name": "tide"}
    assert sent({"tool_choice": flat})["tool_choice"] == flat
    assert sent({"tool_choice": {"type": "function", "function": {"name": "tide"}}})["tool_choice"] == flat


def test_the_form_of_the_answer() -> None:
    given = {"text": {"format": SCHEMA, "verbosity": "low"}}
    assert sent(given) == given
    assert sent(given, {"response_format": None}) == {"text": {"verbosity": "low"}}
    lower = {"text": {"format": {"type": "json_object"}, "verbosity": "low"}}
    assert sent(given, {"response_format": {"type": "json_object"}}) == lower


def test_how_much_it_reasons() -> None:
    given = {"reasoning": {"effort": "low", "summary": "auto"}}
    assert sent(given) == given
    assert sent(given, {"reasoning_effort": None}) == {"reasoning": {"summary": "auto"}}
    assert sent(given, None, {"reasoning_effort": "effort"}) == {"reasoning": {"summary": "auto"}, "effort": "low"}
    assert sent(given, None, {"reasoning_effort": ""}) == {"reasoning": {"summary": "auto"}}
    # A word that nxlog does not know is the server's matter.
    assert sent({"reasoning": {"effort": "extreme"}}) == {"reasoning": {"effort": "extreme"}}


def test_words_in_place_of_a_format_join_the_instructions() -> None:
    nothing = {"json_mode": {"value": "no"}, "json_schema": {"value": "no"}}
    registry = Registry.default().with_(capabilities={"vllm": {"wires": {"openai-responses": nothing}}})
    request = ResponsesRequest(model="m", input="x", instructions="Be short.", text={"format": SCHEMA})
    capabilities = registry.capabilities("vllm", "m", wire="openai-responses")
    chat, (warning,) = adapt(request.as_chat(), capabilities)
    assert warning.code == "emulated"
    body = json.loads(encode_own(request, chat, model="m", stream=False, spelling={}))
    assert body["instructions"].startswith("Be short.")
    assert "JSON schema" in body["instructions"]
    assert (body["input"], "text" in body) == ("x", False)


def test_spelling_renames_and_leaves_out() -> None:
    given = {"max_output_tokens": 5, "temperature": 0.5, "top_logprobs": 2}
    spelling = {"max_tokens": "max_tokens", "temperature": "", "logprobs": "logprobs"}
    assert sent(given, None, spelling) == {"max_tokens": 5, "logprobs": True, "top_logprobs": 2}
