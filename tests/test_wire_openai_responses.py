"""``openai-responses``: what is sent, and what the vectors do not say about replies and streams.

Real here: the wire. The replies are written by hand, in the documented shape or in the dialect of a server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.accumulate import accumulate
from nxlog.errors import BadRequestError, DecodeError, IncompleteStreamError, InvalidRequestError
from nxlog.logprobs import TokenLogprob
from nxlog.request import ChatRequest
from nxlog.wire import get_wire
from nxlog.wire._closing import close
from nxlog.wire.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from nxlog.response import StreamChunk

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
    ("top_logprobs", 0, {"include": [INCLUDE], "top_logprobs": 0}),
    ("provider_options", {"store": False, "max_output_tokens": 9}, {"store": False, "max_output_tokens": 9}),
]


@pytest.mark.parametrize(("name", "value", "expected"), FIELDS)
def test_field(name: str, value: Any, expected: dict[str, Any]) -> None:
    assert added(**{name: value}) == expected


def test_every_field_of_a_request_is_in_the_table() -> None:
    assert set(ChatRequest.model_fields) == {name for name, _, _ in FIELDS} | {"model", "messages"}
    assert WIRE.lacks == {name for name, _, expected in FIELDS if expected == {} and name != "logprobs"}


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
