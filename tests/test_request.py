"""``ChatRequest``: every field, what is refused and how it is said."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nxlog.request import (
    ChatRequest,
    FunctionCall,
    FunctionDefinition,
    ImagePart,
    ImageURL,
    JsonSchemaFormat,
    Message,
    OtherPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    describe_errors,
)

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
EVERYTHING: dict[str, Any] = {
    "model": "openai/gpt-4o",
    "messages": [USER],
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 16,
    "stop": ["\n"],
    "seed": 7,
    "n": 2,
    "presence_penalty": -0.5,
    "frequency_penalty": 0.5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "logprobs": True,
    "top_logprobs": 5,
    "logprob_token_ids": [260, 7042],
    "return_token_ids": True,
    "prompt_logprobs": 1,
    "stop_token_ids": [2],
    "input_ids": [1, 5],
    "provider_options": {"user": "u"},
}


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [USER], **fields})


# -- fields ----------------------------------------------------------------------------------------------------------


def test_json_names_are_the_field_names_b01() -> None:
    made = ChatRequest.model_validate(EVERYTHING)
    assert set(EVERYTHING) == set(ChatRequest.model_fields)
    assert made.model_dump(exclude_none=True, by_alias=True) == EVERYTHING
    assert ChatRequest.model_validate_json(json.dumps(EVERYTHING)) == made
    assert ChatRequest.model_validate_json(made.model_dump_json()) == made
    assert ChatRequest.model_validate(made.model_dump()) == made


def test_type_checkers_see_every_field() -> None:
    """The signature for type checkers, which does not exist at run time, names the fields in their order."""
    tree = ast.parse(Path(inspect.getfile(ChatRequest)).read_text(encoding="utf-8"))
    (init,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    assert [argument.arg for argument in init.args.kwonlyargs] == list(ChatRequest.model_fields)


def test_absent_fields_are_none_b20() -> None:
    made = request()
    assert made.model_fields_set == {"model", "messages"}
    assert made.model_dump(exclude_none=True) == {"model": "m", "messages": [USER]}


def test_seed_usage_b02() -> None:
    made = ChatRequest(
        model="gpt-5.4",
        messages=[{"role": "user", "content": "..."}],
        logprobs=True,
        top_logprobs=5,
    )
    assert (made.logprobs, made.top_logprobs) == (True, 5)
    assert made.messages == [Message(role="user", content="...")]


def test_one_stop_is_a_list_of_one() -> None:
    assert request(stop="END").stop == ["END"]
    assert request(stop=["a", "b"]).stop == ["a", "b"]


def test_it_is_immutable() -> None:
    made = request()
    with pytest.raises(ValidationError, match="frozen"):
        made.logprobs = True
    with pytest.raises(ValidationError, match="frozen"):
        made.messages[0].content = "x"


def test_top_logprobs_imply_logprobs_b24() -> None:
    assert request(top_logprobs=5).logprobs is True
    assert request(top_logprobs=0).logprobs is True
    assert request(top_logprobs=5, logprobs=None).logprobs is True
    assert request(top_logprobs=None).logprobs is None
    assert request(logprobs=False).logprobs is False
    assert request(logprobs=False, top_logprobs=None).logprobs is False
    assert ChatRequest.model_validate_json(
        '{"model":"m","messages":[{"role":"user","content":""}],"top_logprobs":2}'
    ).logprobs
    assert request(top_logprobs=10**6).top_logprobs == 10**6  # the upper limit is the provider's


def test_builders_b01() -> None:
    made = request(temperature=0.5)
    assert made.with_logprobs() == request(temperature=0.5, logprobs=True)
    assert made.with_top_logprobs(5) == request(temperature=0.5, logprobs=True, top_logprobs=5)
    assert made.with_top_logprobs(5).with_logprobs(False) == request(temperature=0.5, logprobs=False)
    assert request(logprobs=False).with_top_logprobs(1).logprobs is True
    assert made == request(temperature=0.5)
    assert "top_logprobs" not in made.with_logprobs().model_fields_set
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        made.with_top_logprobs(-1)
    whole = ChatRequest.model_validate(EVERYTHING)
    assert whole.with_top_logprobs(3) == ChatRequest.model_validate({**EVERYTHING, "top_logprobs": 3})


# -- messages --------------------------------------------------------------------------------------------------------

CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be short."},
    {"role": "developer", "content": "Be kind.", "name": "dev"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is "},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "text", "text": "this?"},
        ],
    },
    {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    {"role": "assistant", "content": "A cat.", "refusal": None},
]


def test_messages_as_dicts_and_typed_are_the_same() -> None:
    call = ToolCall(id="c1", function=FunctionCall(name="look", arguments='{"a":1}'))
    typed = [
        Message(role="system", content="Be short."),
        Message(role="developer", content="Be kind.", name="dev"),
        Message(
            role="user",
            content=[
                TextPart(text="What is "),
                ImagePart(image_url=ImageURL(url="https://example.org/a.png", detail="low")),
                OtherPart.model_validate({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
                TextPart(text="this?"),
            ],
        ),
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", tool_call_id="c1", content="a cat"),
        Message(role="assistant", content="A cat."),
    ]
    made = request(messages=CONVERSATION)
    assert made == request(messages=typed)
    CONVERSATION[-1].pop("refusal", None)
    assert [message.model_dump(exclude_none=True) for message in made.messages] == CONVERSATION


def test_text_of_a_message() -> None:
    made = request(messages=CONVERSATION)
    assert [message.text for message in made.messages] == [
        "Be short.",
        "Be kind.",
        "What is this?",
        "",
        "a cat",
        "A cat.",
    ]


def test_tools_and_formats_as_dicts_and_typed_are_the_same() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    asked = request(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}}
        ],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}},
    )
    assert asked.tools == [Tool(function=FunctionDefinition(name="f", description="d", parameters=schema, strict=True))]
    named = JsonSchemaFormat(name="n", schema=schema, strict=True)
    assert asked.response_format == ResponseFormat(type="json_schema", json_schema=named)
    assert asked.response_format
    assert asked.response_format.model_dump(exclude_none=True, by_alias=True) == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": schema, "strict": True},
    }
    assert ChatRequest.model_validate(asked.model_dump()) == asked


# -- mistakes --------------------------------------------------------------------------------------------------------

SECRET = "sk-secret-value"
SCHEMA_RULE = "'json_schema' is given exactly when type is 'json_schema'"
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"logprobs": SECRET}, "logprobs", "logprobs: must be a bool: True or False, got str"),
    ({"logprobs": 1}, "logprobs", "logprobs: must be a bool: True or False, got int"),
    ({"top_logprobs": -7}, "top_logprobs", "top_logprobs: Input should be greater than or equal to 0 (got int)"),
    ({"top_logprobs": True}, "top_logprobs", "top_logprobs: must be an int >= 0, got bool"),
    ({"top_logprobs": "5"}, "top_logprobs", "top_logprobs: must be an int >= 0, got str"),
    ({"top_logprobs": 5.0}, "top_logprobs", "top_logprobs: must be an int >= 0, got float"),
    (
        {"logprobs": False, "top_logprobs": 5},
        "top_logprobs",
        "top_logprobs: given together with logprobs=False; leave one of the two out",
    ),
    ({"logprobs": False, "top_logprobs": 0}, "top_logprobs", "top_logprobs: given together with logprobs=False; "),
    ({"temperature": -0.1}, "temperature", "temperature: Input should be greater than or equal to 0 (got float)"),
    ({"temperature": float("inf")}, "temperature", "temperature: Input should be a finite number (got float)"),
    ({"presence_penalty": float("nan")}, "presence_penalty", "presence_penalty: Input should be a finite number"),
    ({"top_p": 1.5}, "top_p", "top_p: Input should be less than or equal to 1 (got float)"),
    ({"max_tokens": 0}, "max_tokens", "max_tokens: Input should be greater than or equal to 1 (got int)"),
    ({"n": True}, "n", "n: must be a number, got bool"),
    ({"n": 0}, "n", "n: Input should be greater than or equal to 1 (got int)"),
    ({"seed": SECRET}, "seed", "seed: Input should be a valid integer"),
    ({"stop": [1]}, "stop", "stop.0: Input should be a valid string (got int)"),
    ({"reasoning_effort": SECRET}, "reasoning_effort", "reasoning_effort: Input should be 'none', 'minimal', 'low'"),
    ({"tool_choice": SECRET}, "tool_choice", "tool_choice: Input should be 'auto', 'none' or 'required' (got str)"),
    ({"response_format": {"type": "json_schema"}}, "response_format", f"response_format: {SCHEMA_RULE}"),
    ({"response_format": {"type": "text", "json_schema": {"schema": {}}}}, "response_format", SCHEMA_RULE),
    (
        {"tools": [{"function": {"nam": SECRET}}]},
        "tools",
        "tools.0.function.name: Field required; tools.0.function.nam",
    ),
    (
        {"provider_options": SECRET},
        "provider_options",
        "provider_options: Input should be a valid dictionary (got str)",
    ),
    ({"top_logprob": 5}, "top_logprob", "top_logprob: Extra inputs are not permitted (got int)"),
    ({"model": ""}, "model", "model: String should have at least 1 character"),
    ({"messages": []}, "messages", "messages: give at least one message, or input_ids"),
    ({"messages": SECRET}, "messages", "messages: Input should be a valid list (got str)"),
    ({"messages": [{"role": "bot", "content": SECRET}]}, "messages", "messages.0.role: Input should be 'system'"),
    ({"messages": [{"role": "user"}]}, "messages", "messages.0: a message with role 'user' needs 'content'"),
    ({"messages": [USER | {"content": 5}]}, "messages", "messages.0.content: Input should be a valid string (got int)"),
    ({"messages": [USER | {"tool_calls": []}]}, "messages", "messages.0: only a message with role 'assistant' has"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages", "messages.0: a message with role 'tool' needs"),
    ({"messages": [USER | {"txt": SECRET}]}, "messages", "messages.0.txt: Extra inputs are not permitted (got str)"),
    (
        {"messages": [USER | {"content": [{"type": "text", "txt": SECRET}]}]},
        "messages",
        "messages.0.content.0.text: Field required",
    ),
    ({"messages": [USER | {"content": [SECRET]}]}, "messages", "messages.0.content.0: Input should be a valid dict"),
    ({"messages": [USER | {"content": [{"x": SECRET}]}]}, "messages", "messages.0.content.0.type: Field required"),
]


@pytest.mark.parametrize(("fields", "first", "message"), MISTAKES, ids=[message[:40] for _, _, message in MISTAKES])
def test_errors_name_field_and_rule_and_no_value_b24(fields: dict[str, Any], first: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        request(**fields)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert first in str(caught.value)
    found, line = describe_errors(list(caught.value.errors()))
    assert found == first
    assert message in line
    assert SECRET not in line


def test_every_mistake_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        request(temperature=-1, nope=1, top_p=2)
    assert [part.split(":")[0] for part in describe_errors(list(caught.value.errors()))[1].split("; ")] == [
        "temperature",
        "top_p",
        "nope",
    ]


def test_options_are_not_in_the_repr() -> None:
    assert SECRET not in repr(request(provider_options={"api_key": SECRET}))
    assert SECRET not in str(request(provider_options={"api_key": SECRET}))


def test_a_copy_with_changes_is_checked_like_a_new_request() -> None:
    plain = ChatRequest(model="m", messages=[{"role": "user", "content": "x"}])
    assert plain.model_copy(update={"top_logprobs": 3}).logprobs is True
    assert plain.model_copy(update={"messages": [{"role": "user", "content": "y"}]}).messages[0].text == "y"
    assert plain.model_copy() == plain.model_copy(update={}) == plain
    with pytest.raises(ValidationError, match="top_logprobs"):
        plain.model_copy(update={"top_logprobs": -1})
    with pytest.raises(ValidationError, match="logprobs=False"):
        plain.model_copy(update={"logprobs": False, "top_logprobs": 3})


def test_an_empty_list_asks_for_nothing() -> None:
    request = ChatRequest(model="m", messages=[{"role": "user", "content": "x"}], tools=[], stop=[])
    assert (request.tools, request.stop) == (None, None)
