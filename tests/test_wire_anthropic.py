"""``anthropic-messages``: what is sent, and what the vectors do not say about replies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.errors import IncompleteStreamError, InvalidRequestError
from nxlog.request import ChatRequest
from nxlog.wire._anthropic_request import tool_choice
from nxlog.wire.anthropic_messages import DEFAULT_MAX_TOKENS, AnthropicMessages

WIRE = AnthropicMessages()
USER = {"role": "user", "content": "Is the sky blue?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": '{"port":"Husum"}'}}
USE = {"type": "tool_use", "id": "call_1", "name": "tide", "input": {"port": "Husum"}}
PNG = "data:image/png;base64,AA=="


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest(**{"model": "ignored/here", "messages": [USER], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def added(**fields: Any) -> dict[str, Any]:
    """What a field adds to the smallest body."""
    body = json.loads(encode(**fields))
    return {key: value for key, value in body.items() if value != json.loads(encode()).get(key)}


def test_smallest_body() -> None:
    assert encode() == (
        b'{"model":"m","messages":[{"role":"user","content":"Is the sky blue?"}],"max_tokens":%d}' % DEFAULT_MAX_TOKENS
    )


FIELDS: list[tuple[str, Any, dict[str, Any]]] = [
    ("max_tokens", 5, {"max_tokens": 5}),
    ("temperature", 0.0, {"temperature": 0.0}),
    ("top_p", 0.5, {"top_p": 0.5}),
    ("stop", ".", {"stop_sequences": ["."]}),
    ("tool_choice", "auto", {"tool_choice": {"type": "auto"}}),
    ("tool_choice", "required", {"tool_choice": {"type": "any"}}),
    ("tool_choice", "none", {"tool_choice": {"type": "none"}}),
    (
        "tool_choice",
        {"type": "function", "function": {"name": "tide"}},
        {"tool_choice": {"type": "tool", "name": "tide"}},
    ),
    (
        "tool_choice",
        {"type": "any", "disable_parallel_tool_use": True},
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    ("reasoning_effort", "none", {"thinking": {"type": "disabled"}}),
    ("reasoning_effort", "minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    ("reasoning_effort", "low", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    ("reasoning_effort", "max", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
    ("response_format", {"type": "text"}, {}),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    ),
    ("tools", [], {}),
    (
        "tools",
        [{"function": {"name": "tide", "description": "d", "parameters": {"type": "object"}, "strict": True}}],
        {"tools": [{"name": "tide", "description": "d", "input_schema": {"type": "object"}, "strict": True}]},
    ),
    (
        "tools",
        [{"function": {"name": "now"}}],
        {"tools": [{"name": "now", "input_schema": {"type": "object", "properties": {}}}]},
    ),
    ("seed", 7, {}),
    ("n", 2, {}),
    ("presence_penalty", 1.0, {}),
    ("frequency_penalty", 1.0, {}),
    ("logprobs", True, {}),
    ("top_logprobs", 5, {}),
    ("input_ids", [1, 5], {}),
    ("return_token_ids", True, {}),
    ("prompt_logprobs", 1, {}),
    ("stop_token_ids", [2], {}),
    ("logprob_token_ids", [5], {}),
    ("provider_options", {"top_k": 5, "max_tokens": 9}, {"top_k": 5, "max_tokens": 9}),
]


@pytest.mark.parametrize(("name", "value", "expected"), FIELDS)
def test_field(name: str, value: Any, expected: dict[str, Any]) -> None:
    assert added(**{name: value}) == expected


def test_every_field_of_a_request_is_in_the_table() -> None:
    assert set(ChatRequest.model_fields) == {name for name, _, _ in FIELDS} | {"model", "messages"}


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_about_logprobs_is_ever_sent(*, stream: bool) -> None:
    assert encode(top_logprobs=5, stream=stream) == encode(stream=stream)


def test_effort_and_format_share_one_object() -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    config = added(reasoning_effort="high", response_format=schema)["output_config"]
    assert config == {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}


def test_stream_is_asked_for() -> None:
    assert added(stream=True) == {"stream": True}


def test_the_limit_that_nobody_gave_is_spelled_and_left_out_too() -> None:
    assert "limit" in json.loads(encode(spelling={"max_tokens": "limit"}))
    assert set(json.loads(encode(spelling={"max_tokens": ""}))) == {"model", "messages"}


def test_spelling_renames_and_leaves_out() -> None:
    body = added(temperature=0.5, stop=".", spelling={"temperature": "", "stop": "stop"})
    assert body == {"stop": ["."]}


def test_json_object_has_no_counterpart() -> None:
    with pytest.raises(InvalidRequestError, match="json_object") as caught:
        encode(response_format={"type": "json_object"})
    assert caught.value.param == "response_format"


# -- messages --------------------------------------------------------------------------------------------------------


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def result(call: str, content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": content}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], Any, list[dict[str, Any]]]] = {
    "system is a field of its own": ([{"role": "system", "content": "Be brief."}, USER], "Be brief.", [USER]),
    "developer is system": ([{"role": "developer", "content": "Be brief."}, USER], "Be brief.", [USER]),
    "several systems, wherever they are": (
        [{"role": "system", "content": "a"}, USER, {"role": "developer", "content": "b"}],
        [text("a"), text("b")],
        [USER],
    ),
    "a system of one text part": ([{"role": "system", "content": [text("a")]}, USER], "a", [USER]),
    "a system part with more than text": (
        [{"role": "system", "content": [text("a") | {"cache_control": {"type": "ephemeral"}}]}, USER],
        [text("a") | {"cache_control": {"type": "ephemeral"}}],
        [USER],
    ),
    "an empty system is none": ([{"role": "system", "content": ""}, USER], None, [USER]),
    "the same speaker twice is one message": (
        [USER, {"role": "user", "content": "And green?"}, {"role": "assistant", "content": "a"},
         {"role": "assistant", "content": "b"}, USER],
        None,
        [{"role": "user", "content": [text("Is the sky blue?"), text("And green?")]},
         {"role": "assistant", "content": [text("a"), text("b")]}, USER],
    ),
    "tool calls and their results": (
        [USER, {"role": "assistant", "content": "I look.", "tool_calls": [CALL, CALL | {"id": "call_2"}]},
         {"role": "tool", "content": "low", "tool_call_id": "call_1"},
         {"role": "tool", "content": [text("high")], "tool_call_id": "call_2"},
         {"role": "user", "content": "And?"}],
        None,
        [USER, {"role": "assistant", "content": [text("I look."), USE, USE | {"id": "call_2"}]},
         {"role": "user", "content": [result("call_1", "low"), result("call_2", "high"), text("And?")]}],
    ),
    "no empty text beside a tool call": (
        [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}], None,
        [USER, {"role": "assistant", "content": [USE]}],
    ),
    "an image as a tool result": (
        [{"role": "tool", "content": [image(PNG)], "tool_call_id": "c"}], None,
        [{"role": "user", "content": [result("c", [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}])]}],
    ),
    "an empty tool result": (
        [{"role": "tool", "content": "", "tool_call_id": "c"}], None, [{"role": "user", "content": [result("c", "")]}],
    ),
    "images by address and by value": (
        [{"role": "user", "content": [text("a"), image("https://example.org/a.png"), image(PNG)]}], None,
        [{"role": "user", "content": [
            text("a"),
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}]}],
    ),
    "other parts pass as they are": (
        [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}], None,
        [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}],
    ),
    "a refusal is what the assistant said": (
        [USER, {"role": "assistant", "refusal": "No."}], None, [USER, {"role": "assistant", "content": "No."}],
    ),
    "an empty message stays for the server to judge": (
        [{"role": "user", "content": ""}], None, [{"role": "user", "content": ""}],
    ),
    "the name of a speaker has no place": ([USER | {"name": "ada"}], None, [USER]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str) -> None:
    messages, system, expected = CONVERSATIONS[name]
    body = json.loads(encode(messages=messages))
    assert body["messages"] == expected
    assert body.get("system") == system


@pytest.mark.parametrize(("arguments", "value"), [("", {}), ("{}", {}), (' {"a": [1, null]} ', {"a": [1, None]})])
def test_arguments_are_parsed(arguments: str, value: Any) -> None:
    call = CALL | {"function": {"name": "tide", "arguments": arguments}}
    body = json.loads(encode(messages=[{"role": "assistant", "tool_calls": [call]}]))
    assert body["messages"][0]["content"][0]["input"] == value


@pytest.mark.parametrize("arguments", ['{"port":', "[1]", "7", "null", '"x"', "no JSON"])
def test_arguments_that_are_no_object_are_refused_by_the_place_of_the_message(arguments: str) -> None:
    call = CALL | {"function": {"name": "tide", "arguments": arguments}}
    with pytest.raises(InvalidRequestError, match=r"messages\.1\.tool_calls\.0: .*'tide'") as caught:
        encode(messages=[USER, {"role": "assistant", "tool_calls": [call]}])
    assert caught.value.param == "messages"


@pytest.mark.parametrize("url", ["data:image/png,AA", "data:", "data:image/png;base64"])
def test_image_by_value_must_be_base64(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\.0\.content\.0: .*base64"):
        encode(messages=[{"role": "user", "content": [image(url)]}])


# -- replies ---------------------------------------------------------------------------------------------------------


def reply(**fields: Any) -> bytes:
    return json.dumps({"id": "i", "type": "message", "model": "m", "content": [text("a")], **fields}).encode()


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        (None, None),
    ],
)
def test_finish_reason(reason: str | None, expected: str | None) -> None:
    assert WIRE.decode(reply(stop_reason=reason)).finish_reason == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 7, "output_tokens": 2}, (7, 2, 9, None, None)),
        ({"input_tokens": 1, "cache_read_input_tokens": 38, "output_tokens": 7}, (39, 7, 46, None, 38)),
        (
            {
                "input_tokens": 1,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 20,
                "output_tokens": 7,
                "output_tokens_details": {"thinking_tokens": 5},
            },
            (21, 7, 28, 5, 0),
        ),
        ({"output_tokens": 2}, (None, 2, None, None, None)),
    ],
)
def test_usage_counts_the_cache_into_the_prompt(usage: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    got = WIRE.decode(reply(usage=usage)).usage
    assert got is not None
    counts = (got.prompt_tokens, got.completion_tokens, got.total_tokens, got.reasoning_tokens, got.cached_tokens)
    assert counts == expected


def test_reply_remembers_its_body_and_has_no_logprobs() -> None:
    response = WIRE.decode(reply())
    assert (response.id, response.model, response.text, response.logprobs) == ("i", "m", "a", None)
    assert response.raw == json.loads(reply())


@pytest.mark.parametrize(("given", "expected"), [({"a": "é"}, {"a": "é"}), ({}, {}), (None, {})])
def test_arguments_are_json_text(given: Any, expected: Any) -> None:
    block = {"type": "tool_use", "name": "tide", "input": given}
    (call,) = WIRE.decode(reply(content=[block])).tool_calls
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("call_0", "tide", expected)


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


START = {"type": "message_start", "message": {"id": "i", "model": "m", "usage": {"input_tokens": 7}}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}


def test_every_chunk_says_which_reply_it_belongs_to() -> None:
    decoder = WIRE.stream_decoder()
    chunks = list(decoder.feed(events(START, {"type": "ping"}, END, {"type": "message_stop"})))
    assert [(chunk.id, chunk.model, chunk.index) for chunk in chunks] == [("i", "m", 0)] * 2
    assert [chunk.finish_reason for chunk in chunks] == [None, "stop"]
    assert list(decoder.close()) == []


def test_tool_calls_count_from_zero_whatever_block_they_are() -> None:
    decoder = WIRE.stream_decoder()
    stream = events(
        START,
        {"type": "content_block_start", "index": 0, "content_block": text("")},
        {"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "a", "name": "x"}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 3},
        {"type": "content_block_start", "index": 4, "content_block": {"type": "tool_use", "input": {"b": 1}}},
        {"type": "content_block_stop", "index": 4},
    )
    deltas = [delta for chunk in decoder.feed(stream) for delta in chunk.tool_call_deltas]
    assert [(delta.index, delta.id, delta.name, delta.arguments) for delta in deltas] == [
        (0, "a", "x", ""),
        (0, None, None, "{}"),
        (1, None, None, ""),
        (1, None, None, '{"b": 1}'),
    ]


@pytest.mark.parametrize("end", [[{"type": "message_stop"}], [END], [END, {"type": "message_stop"}]])
def test_stream_is_whole_with_its_end_or_the_reason_for_it(end: list[dict[str, Any]]) -> None:
    decoder = WIRE.stream_decoder()
    list(decoder.feed(events(START, *end)))
    assert list(decoder.close()) == []


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ([], "before the first chunk"),
        ([{"type": "ping"}], "before the first chunk"),
        ([START], "before the answer did"),
    ],
)
def test_stream_that_just_ends_is_incomplete(stream: list[dict[str, Any]], message: str) -> None:
    decoder = WIRE.stream_decoder()
    list(decoder.feed(events(*stream)))
    with pytest.raises(IncompleteStreamError, match=message):
        list(decoder.close())


def test_what_follows_the_end_is_ignored() -> None:
    decoder = WIRE.stream_decoder()
    assert list(decoder.feed(events({"type": "message_stop"}, {"type": "error"}) + b"data: no JSON\n\n")) == []
    assert list(decoder.close()) == []


def test_end_mark_of_the_other_wire_ends_the_stream() -> None:
    decoder = WIRE.stream_decoder()
    assert list(decoder.feed(b"data: [DONE]\n\n")) == []
    assert list(decoder.close()) == []


@pytest.mark.parametrize("function", [None, "f", {}, {"name": 5}])
def test_a_tool_choice_without_a_name_is_refused(function: Any) -> None:
    choice = {"type": "function", "name": "f"} if function is None else {"type": "function", "function": function}
    with pytest.raises(InvalidRequestError, match="tool_choice: a function is named as") as caught:
        tool_choice(choice)
    assert caught.value.param == "tool_choice"
