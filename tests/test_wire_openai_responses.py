"""``openai-responses``: what is sent.

Real here: the wire's encoder. That the shapes are those servers take is shown by the recordings.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.errors import InvalidRequestError
from nxlog.request import ChatRequest
from nxlog.wire import get_wire
from nxlog.wire.openai_responses import OpenAIResponses

WIRE = OpenAIResponses()
USER = {"role": "user", "content": "Is the sky blue?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": '{"port":"Husum"}'}}
ITEM = {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"port":"Husum"}'}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NO_PARAMETERS = {"type": "object", "properties": {}}
INCLUDE = "message.output_text.logprobs"


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest(**{"model": "ignored/here", "messages": [USER], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def added(**fields: Any) -> dict[str, Any]:
    """What a field adds to the smallest body."""
    body, smallest = json.loads(encode(**fields)), json.loads(encode())
    return {key: value for key, value in body.items() if key not in smallest or value != smallest[key]}


# -- requests --------------------------------------------------------------------------------------------------------


def test_it_is_the_wire_of_its_name() -> None:
    assert get_wire("openai-responses").name == WIRE.name == "openai-responses"


def test_smallest_body() -> None:
    assert encode() == b'{"model":"m","input":[{"role":"user","content":"Is the sky blue?"}],"stream":false}'
    assert encode(stream=True) == encode().replace(b"false", b"true")


def test_full_body() -> None:
    assert encode(max_tokens=5, temperature=0.0, logprobs=True, top_logprobs=2, reasoning_effort="none") == (
        b'{"model":"m","input":[{"role":"user","content":"Is the sky blue?"}],"temperature":0.0,"max_output_tokens":5,'
        b'"reasoning":{"effort":"none"},"include":["message.output_text.logprobs"],"top_logprobs":2,"stream":false}'
    )


FIELDS: list[tuple[str, Any, dict[str, Any]]] = [
    ("temperature", 0.0, {"temperature": 0.0}),
    ("top_p", 0.5, {"top_p": 0.5}),
    ("max_tokens", 5, {"max_output_tokens": 5}),
    ("presence_penalty", -1.0, {"presence_penalty": -1.0}),
    ("frequency_penalty", 0.0, {"frequency_penalty": 0.0}),
    ("stop", ".", {}),
    ("seed", 7, {}),
    ("n", 2, {}),
    (
        "tools",
        [{"function": {"name": "tide", "description": "d", "parameters": SCHEMA, "strict": True}}],
        {"tools": [{"type": "function", "name": "tide", "description": "d", "parameters": SCHEMA, "strict": True}]},
    ),
    (
        "tools",
        [{"function": {"name": "now"}}],
        {"tools": [{"type": "function", "name": "now", "parameters": NO_PARAMETERS, "strict": False}]},
    ),
    ("tool_choice", "required", {"tool_choice": "required"}),
    (
        "tool_choice",
        {"type": "function", "function": {"name": "tide"}},
        {"tool_choice": {"type": "function", "name": "tide"}},
    ),
    ("tool_choice", {"type": "function", "name": "tide"}, {"tool_choice": {"type": "function", "name": "tide"}}),
    ("tool_choice", {"type": "web_search"}, {"tool_choice": {"type": "web_search"}}),
    ("response_format", {"type": "text"}, {"text": {"format": {"type": "text"}}}),
    ("response_format", {"type": "json_object"}, {"text": {"format": {"type": "json_object"}}}),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}},
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}}},
    ),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"description": "d", "schema": SCHEMA}},
        {"text": {"format": {"type": "json_schema", "name": "answer", "description": "d", "schema": SCHEMA}}},
    ),
    ("reasoning_effort", "low", {"reasoning": {"effort": "low"}}),
    ("logprobs", True, {"include": [INCLUDE]}),
    ("logprobs", False, {}),
    ("top_logprobs", 5, {"include": [INCLUDE], "top_logprobs": 5}),
    ("input_ids", [1, 5], {}),
    ("return_token_ids", True, {}),
    ("prompt_logprobs", 1, {}),
    ("stop_token_ids", [2], {}),
    ("logprob_token_ids", [5], {"include": [INCLUDE]}),
    ("top_logprobs", 0, {"include": [INCLUDE], "top_logprobs": 0}),
    ("provider_options", {"store": False, "max_output_tokens": 9}, {"store": False, "max_output_tokens": 9}),
]


@pytest.mark.parametrize(("name", "value", "expected"), FIELDS)
def test_field(name: str, value: Any, expected: dict[str, Any]) -> None:
    assert added(**{name: value}) == expected


_CLAIM = {"return_token_ids": "token_ids", "input_ids": "token_ids_in"}


def test_every_field_of_a_request_is_in_the_table() -> None:
    assert set(ChatRequest.model_fields) == {name for name, _, _ in FIELDS} | {"model", "messages"}
    fields = {name for name, _, expected in FIELDS if expected == {} and name != "logprobs"} | {"logprob_token_ids"}
    assert WIRE.lacks == {_CLAIM.get(name, name) for name in fields}


OPTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"reasoning": {"summary": "auto"}}, {"reasoning": {"effort": "low", "summary": "auto"}}),
    ({"reasoning": {"effort": "high"}}, {"reasoning": {"effort": "high"}}),
    ({"reasoning": None}, {"reasoning": None}),
    ({"text": {"verbosity": "low"}}, {"text": {"format": {"type": "json_object"}, "verbosity": "low"}}),
    ({"include": ["reasoning.encrypted_content"]}, {"include": [INCLUDE, "reasoning.encrypted_content"]}),
    ({"include": [INCLUDE]}, {"include": [INCLUDE]}),
    ({"include": [{"odd": 1}]}, {"include": [INCLUDE, {"odd": 1}]}),
    ({"include": None}, {"include": None}),
]


@pytest.mark.parametrize(("options", "expected"), OPTIONS)
def test_options_do_not_wipe_out_what_was_encoded(options: dict[str, Any], expected: dict[str, Any]) -> None:
    body = added(
        reasoning_effort="low", response_format={"type": "json_object"}, logprobs=True, provider_options=options
    )
    encoded = {"reasoning": {"effort": "low"}, "text": {"format": {"type": "json_object"}}, "include": [INCLUDE]}
    assert body == encoded | expected


def test_options_of_the_same_names_stand_alone_where_nothing_was_encoded() -> None:
    options = {"reasoning": {"summary": "auto"}, "text": {"verbosity": "low"}, "include": ["file_search_call.results"]}
    assert added(provider_options=options) == options


def test_stream_is_not_an_option() -> None:
    with pytest.raises(InvalidRequestError, match="'stream'"):
        encode(provider_options={"stream": True})


def test_spelling_renames_and_leaves_out() -> None:
    spelling = {"max_tokens": "max_tokens", "temperature": "", "reasoning_effort": "effort", "logprobs": "logprobs"}
    body = added(max_tokens=5, temperature=0.5, reasoning_effort="low", top_logprobs=2, spelling=spelling)
    assert body == {"max_tokens": 5, "effort": "low", "logprobs": True, "top_logprobs": 2}
    without = dict.fromkeys(("logprobs", "top_logprobs", "reasoning_effort", "tool_choice"), "")
    assert added(top_logprobs=2, reasoning_effort="low", tool_choice="auto", spelling=without) == {}


def text(value: str, **extra: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **extra}


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def said(content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": content}


def output(call_id: str, value: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "system and developer stay where they are": (
        [{"role": "system", "content": "a"}, USER, {"role": "developer", "content": "b"}],
        [{"role": "system", "content": "a"}, USER, {"role": "developer", "content": "b"}],
    ),
    "what the assistant said": ([USER, {"role": "assistant", "content": "Yes."}, USER], [USER, said("Yes."), USER]),
    "parts of plain text are one text": (
        [{"role": "user", "content": [text("a"), text("b")]}, {"role": "assistant", "content": [text("c")]}],
        [{"role": "user", "content": "ab"}, said("c")],
    ),
    "a part with a key of its own": (
        [{"role": "user", "content": [text("a", cache_control={"type": "ephemeral"})]}],
        [{"role": "user", "content": [{"type": "input_text", "text": "a", "cache_control": {"type": "ephemeral"}}]}],
    ),
    "the same of the assistant": (
        [USER, {"role": "assistant", "content": [text("a", annotations=[])]}],
        [USER, said([{"type": "output_text", "text": "a", "annotations": []}])],
    ),
    "images": (
        [{"role": "user", "content": [text("a"), image("https://example.org/a.png"),
                                      image("data:image/png;base64,AA==", detail="low")]}],
        [{"role": "user", "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}]}],
    ),
    "other parts pass as they are": (
        [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
        [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
    ),
    "tool calls and their results": (
        [USER, {"role": "assistant", "content": "I look.", "tool_calls": [CALL, CALL | {"id": "call_2"}]},
         {"role": "tool", "content": "low", "tool_call_id": "call_1"},
         {"role": "tool", "content": [text("hi"), text("gh")], "tool_call_id": "call_2"}],
        [USER, said("I look."), ITEM, ITEM | {"call_id": "call_2"}, output("call_1", "low"), output("call_2", "high")],
    ),
    "no empty message beside a tool call": (
        [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}], [USER, ITEM],
    ),
    "an image as a tool result": (
        [{"role": "tool", "content": [image("https://example.org/a.png")], "tool_call_id": "c"}],
        [output("c", [{"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"}])],
    ),
    "a refusal": (
        [USER, {"role": "assistant", "refusal": "No."}], [USER, said([{"type": "refusal", "refusal": "No."}])],
    ),
    "a text and a refusal": (
        [USER, {"role": "assistant", "content": "Yes, but", "refusal": "No."}],
        [USER, said([{"type": "output_text", "text": "Yes, but"}, {"type": "refusal", "refusal": "No."}])],
    ),
    "parts and a refusal": (
        [USER, {"role": "assistant", "content": [text("a", annotations=[])], "refusal": "No."}],
        [USER, said([{"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "No."}])],
    ),
    "an empty message stays for the server to judge": (
        [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}, {"role": "assistant"}],
        [{"role": "user", "content": ""}, said(""), said("")],
    ),
    "the name of a speaker has no place": ([USER | {"name": "ada"}], [USER]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str) -> None:
    messages, expected = CONVERSATIONS[name]
    assert json.loads(encode(messages=messages))["input"] == expected
