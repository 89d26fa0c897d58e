"""``openai-chat``: what is sent, byte by byte, and the odd replies that once were read wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.accumulate import accumulate
from nxlog.errors import BadRequestError, InvalidRequestError, ServerError
from nxlog.request import ChatRequest
from nxlog.response import ChatResponse
from nxlog.wire import get_wire
from nxlog.wire.openai_chat import OpenAIChat

WIRE = OpenAIChat()
USER = {"role": "user", "content": "Is the sky blue?"}
TOOL = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": '{"port":"Husum"}'}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest(**{"model": "ignored/here", "messages": [USER], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def sent(**fields: Any) -> dict[str, Any]:
    return json.loads(encode(**fields))


# -- requests --------------------------------------------------------------------------------------------------------


def test_absent_fields_are_not_sent() -> None:
    assert encode() == b'{"model":"m","messages":[{"role":"user","content":"Is the sky blue?"}]}'


FIELDS = [
    ("temperature", 0.0),
    ("temperature", 1.5),
    ("top_p", 0.5),
    ("max_tokens", 5),
    ("stop", ["."]),
    ("seed", 0),
    ("n", 2),
    ("presence_penalty", -1.0),
    ("frequency_penalty", 0.0),
    ("tools", [TOOL]),
    ("tool_choice", "required"),
    ("tool_choice", {"type": "function", "function": {"name": "tide"}}),
    ("response_format", {"type": "json_object"}),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}),
    ("reasoning_effort", "low"),
    ("logprobs", True),
    ("logprobs", False),
    ("return_token_ids", True),
    ("prompt_logprobs", 0),
    ("stop_token_ids", [2, 7]),
]


@pytest.mark.parametrize(("name", "value"), FIELDS)
def test_field_is_sent_as_it_is(name: str, value: Any) -> None:
    assert sent(**{name: value}) == {"model": "m", "messages": [USER], name: value}


def test_ids_of_a_prompt_have_no_place_here_and_ids_to_score_turn_logprobs_on() -> None:
    plain = {"model": "m", "messages": [USER]}
    assert sent(input_ids=[1, 5]) == plain
    assert sent(logprob_token_ids=[260]) == {**plain, "logprobs": True, "logprob_token_ids": [260]}


def test_every_field_of_a_request_is_in_the_table() -> None:
    tested = {name for name, _ in FIELDS} | {"model", "messages", "top_logprobs", "provider_options"}
    tested |= {"input_ids", "logprob_token_ids"}
    assert set(ChatRequest.model_fields) == tested


def test_alternatives_are_sent_with_logprobs() -> None:
    assert sent(top_logprobs=0) == {"model": "m", "messages": [USER], "logprobs": True, "top_logprobs": 0}


def test_a_stop_text_is_a_list_of_one() -> None:
    assert sent(stop=".")["stop"] == ["."]


@pytest.mark.parametrize("stream", [False, True])
def test_request_without_logprobs_is_that_of_a_client_that_never_heard_of_them(*, stream: bool) -> None:
    request = ChatRequest(model="m", messages=[USER], temperature=0.0, top_logprobs=5)
    without = request.with_logprobs(False).model_copy(update={"logprobs": None})
    never = ChatRequest(model="m", messages=[USER], temperature=0.0)
    bodies = {WIRE.encode(each, model="m", stream=stream, spelling={}) for each in (without, never)}
    assert len(bodies) == 1
    assert b"logprobs" not in bodies.pop()


def test_stream_asks_for_usage() -> None:
    body = sent(stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "stream" not in sent()


def test_spelling_renames_and_leaves_out() -> None:
    body = sent(
        max_tokens=5,
        seed=1,
        temperature=0.5,
        stream=True,
        spelling={
            "max_tokens": "max_completion_tokens",
            "seed": "random_seed",
            "temperature": "",
            "stream_options": "",
        },
    )
    assert body == {"model": "m", "messages": [USER], "max_completion_tokens": 5, "random_seed": 1, "stream": True}


def test_the_model_has_another_name_and_the_address_asks_for_the_stream() -> None:
    """As at watsonx."""
    body = sent(stream=True, spelling={"model": "model_id", "stream": "", "stream_options": ""})
    assert body == {"model_id": "m", "messages": [USER]}


MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "Hi", "name": "ada"},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.org/a.png", "detail": "low"}}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
    {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": "Yes."},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "assistant", "refusal": "No."},
    {"role": "tool", "content": "low tide", "tool_call_id": "call_1"},
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_message_is_sent_as_it_is(message: dict[str, Any]) -> None:
    assert sent(messages=[message])["messages"] == [message]


def test_messages_keep_their_order() -> None:
    assert sent(messages=MESSAGES)["messages"] == MESSAGES


def test_text_is_sent_as_utf8() -> None:
    assert "\u2028é😀".encode() in encode(messages=[{"role": "user", "content": "\u2028é😀"}])


def test_provider_options_are_laid_over_the_body() -> None:
    body = sent(temperature=0.5, provider_options={"min_p": 0.1, "temperature": 0.7, "guided": {"regex": "a"}})
    assert body == {"model": "m", "messages": [USER], "temperature": 0.7, "min_p": 0.1, "guided": {"regex": "a"}}
    assert encode(provider_options={}) == encode()


@pytest.mark.parametrize("options", [{"stream": True}, {"stream": False}, {"x": object()}])
def test_options_that_cannot_be_sent_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        encode(provider_options=options)


# -- replies; the vectors have the rest ------------------------------------------------------------------------------


def reply(**choice: Any) -> bytes:
    return json.dumps({"id": "v", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", **choice}]}).encode()


def test_identity_of_the_reply() -> None:
    body = b'{"id":"i","model":"m","created":7,"choices":[{"message":{"content":"a"}}],"extra":{"x":1}}'
    response = WIRE.decode(body)
    assert (response.id, response.model, response.created, response.text) == ("i", "m", 7, "a")
    assert response.raw == json.loads(body)
    assert response.finish_reason is None


def test_usage_details() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 4,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    response = WIRE.decode(json.dumps({"choices": [{"message": {"content": ""}}], "usage": usage}).encode())
    assert response.usage is not None
    assert response.usage.model_dump() == {
        "prompt_tokens": 5,
        "completion_tokens": 4,
        "total_tokens": 9,
        "reasoning_tokens": 2,
        "cached_tokens": 3,
    }


def test_content_in_parts_is_their_text() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "reference", "ids": [1]}, {"type": "text", "text": "b"}]
    assert WIRE.decode(reply(message={"content": content})).text == "ab"


@pytest.mark.parametrize("arguments", ['{"port": "é"}', {"port": "é"}])
def test_arguments_are_json_text_even_when_the_server_sends_the_object(arguments: Any) -> None:
    call = {"id": "c", "function": {"name": "tide", "arguments": arguments}}
    assert WIRE.decode(reply(message={"tool_calls": [call]})).tool_calls[0].function.arguments == '{"port": "é"}'


@pytest.mark.parametrize(
    "wrong",
    [
        {"index": None},
        {"finish_reason": 3},
        {"message": {"content": "a", "refusal": 3, "role": None}},
        {"message": {"content": "a", "tool_calls": "none"}},
        {"logprobs": {"content": 7}},
    ],
)
def test_a_value_of_a_wrong_type_is_a_missing_one(wrong: dict[str, Any]) -> None:
    assert WIRE.decode(reply(**{"message": {"content": "a"}, **wrong})).text == "a"


def test_created_may_have_fractions_of_a_second() -> None:
    assert WIRE.decode(b'{"created":1700000000.75,"choices":[{"message":{"content":"a"}}]}').created == 1_700_000_000


@pytest.mark.parametrize("created", ["NaN", "Infinity", "1e999", "true", '"now"', "[]"])
def test_created_that_is_no_time_is_missing(created: str) -> None:
    body = f'{{"created":{created},"choices":[{{"message":{{"content":"a"}}}}]}}'
    assert WIRE.decode(body.encode()).created is None


def test_error_beside_choices_is_raised_in_a_whole_reply_too() -> None:
    body = {"choices": [{"message": {"content": "a"}}], "error": {"message": "gone", "code": 502}}
    with pytest.raises(ServerError, match="gone"):
        WIRE.decode(json.dumps(body).encode())


@pytest.mark.parametrize("error", [None, {}, [], "", False])
def test_no_error_beside_choices_is_none(error: Any) -> None:
    assert WIRE.decode(json.dumps({"choices": [{"message": {"content": "a"}}], "error": error}).encode()).text == "a"


@pytest.mark.parametrize("body", ['{"error":{"message":"m","code":%s}}', '{"object":"error","message":"m","code":%s}'])
def test_number_too_long_for_python_is_still_in_an_error(body: str) -> None:
    with pytest.raises(ServerError, match="inside its reply: m"):
        WIRE.decode((body % ("9" * 5000)).encode())


def test_number_too_long_for_python_costs_no_reply() -> None:
    usage = b'{"completion_tokens":' + b"9" * 5000 + b"}"
    got = WIRE.decode(b'{"choices":[{"message":{"content":"x"}}],"usage":' + usage + b"}")
    assert got.text == "x"


def test_half_a_surrogate_pair_can_be_written_wherever_it_stands() -> None:
    call = r'{"index":0,"id":"\ud800","function":{"name":"\ud800","arguments":"\ud800"}}'
    message = r'{"content":"\ud800","tool_calls":[' + call + "]}"
    body = r'{"id":"\ud800","model":"\ud800","choices":[{"%s":%s,"finish_reason":"\ud800"}]}'
    whole = WIRE.decode((body % ("message", message)).encode())
    decoder = WIRE.stream_decoder()
    streamed = accumulate([*decoder.feed(b"data: " + (body % ("delta", message)).encode() + b"\n\n"), *decoder.close()])
    assert whole == streamed
    assert ChatResponse.model_validate_json(whole.model_dump_json()) == whole
    assert whole.tool_calls[0].function.arguments == "\ufffd"


def test_half_a_surrogate_pair_where_a_number_belongs() -> None:
    got = WIRE.decode(rb'{"choices":[{"message":{"content":"x"}}],"usage":{"completion_tokens":"\ud800"}}')
    assert got.text == "x"


def test_flat_error_with_a_value_of_a_wrong_type_is_still_an_error() -> None:
    with pytest.raises(BadRequestError, match="off"):
        WIRE.decode(b'{"object":"error","message":"logprobs are off","code":400,"id":5}')


TOP = '{"token":"a","logprob":-1.0,"top_logprobs":[{"token":%s,"logprob":-2.0},{"token":"b","logprob":-3.0}]}'


@pytest.mark.parametrize(
    ("token", "expected"),
    [(b'"\\ud83d"', "\ud83d"), (b'"caf\xe9"', "caf\ufffd"), (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd")],
    ids=["half a pair", "latin-1", "half a pair in UTF-8"],
)
def test_broken_text_in_an_alternative_costs_no_record(token: bytes, expected: str) -> None:
    record = TOP.encode() % token
    body = b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":[' + record + b"]}}]}"
    logprobs = WIRE.decode(body).logprobs
    assert logprobs is not None
    for data in (logprobs, logprobs.compact()):
        assert [(top.token, top.logprob) for top in data[0].top_logprobs] == [(expected, -2.0), ("b", -3.0)]
        assert data[0].count_alternatives() == 2


@pytest.mark.parametrize("top", ['{"token":0,"logprob":-1.0}', '{"token":"a","logprob":"x"}', "null", "7"])
def test_compact_keeps_alternatives_that_are_not_what_they_should_be(top: str) -> None:
    record = f'{{"token":"a","logprob":-1.0,"top_logprobs":[{top},{{"token":"b","logprob":-3.0}}]}}'
    body = f'{{"choices":[{{"message":{{"content":"a"}},"logprobs":{{"content":[{record}]}}}}]}}'
    logprobs = WIRE.decode(body.encode()).logprobs
    assert logprobs is not None
    assert logprobs.compact() == logprobs
    assert logprobs[0].count_alternatives() == len(logprobs[0].top_logprobs) == 2


def test_wires_are_found_by_name() -> None:
    assert get_wire("openai-chat").name == "openai-chat"
    with pytest.raises(InvalidRequestError, match="one of openai-chat, openai-completions"):
        get_wire("gopher")


def test_records_with_keys_of_the_servers_own_stay_lazy() -> None:
    """Fireworks adds keys to every record. They are kept, and the alternatives are still a slice of the reply."""
    odd_spacing = '[ {"token":"b" , "logprob":-2.0, "bytes":[98], "rank":2} ]'
    body = (
        '{"id":"r","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"content":"a"},"logprobs":'
        '{"content":[{"token":"a","logprob":-1,"bytes":[97],"sampling_logprob":-0.5,"top_logprobs":'
        + odd_spacing
        + "}],"
        '"tokens":["a"],"refusal":null}}]}'
    ).encode()
    (token,) = OpenAIChat().decode(body).logprobs or ()
    assert (token.token, token.logprob, token.bytes) == ("a", -1.0, b"a")
    assert token.extra == {"sampling_logprob": -0.5}
    assert bytes(token.raw_top_logprobs) == odd_spacing.encode()
    (alternative,) = token.top_logprobs
    assert (alternative.token, alternative.logprob, alternative.extra) == ("b", -2.0, {"rank": 2})


FIREWORKS = {
    "token": " sky",
    "logprob": -0.5,
    "sampling_logprob": -0.25,
    "bytes": [32, 115, 107, 121],
    "top_logprobs": [{"token": " sky", "logprob": -0.5, "token_id": 7}],
    "token_id": 7,
    "text_offset": 12,
    "last_activation": "AAAA",
}


@pytest.mark.parametrize("stream", [False, True])
def test_everything_in_a_record_of_fireworks_is_within_reach(*, stream: bool) -> None:
    if stream:
        decoder = WIRE.stream_decoder()
        choice = {"delta": {"content": " sky"}, "logprobs": {"content": [FIREWORKS]}, "finish_reason": "stop"}
        chunks = decoder.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        logprobs = accumulate([*chunks, *decoder.close()]).logprobs
    else:
        logprobs = WIRE.decode(reply(message={"content": " sky"}, logprobs={"content": [FIREWORKS]})).logprobs
    (token,) = logprobs or ()
    assert (token.token, token.logprob, token.bytes, token.token_id) == (" sky", -0.5, b" sky", 7)
    assert token.extra == {"sampling_logprob": -0.25, "text_offset": 12, "last_activation": "AAAA"}
    assert (token.top_logprobs[0].token_id, token.top_logprobs[0].extra) == (7, {})


def test_offsets_in_columns_are_within_reach() -> None:
    columns = {"tokens": ["a", "b"], "tokenLogprobs": [-1.0, -2.0], "textOffset": [0, 1]}
    logprobs = WIRE.decode(reply(message={"content": "ab"}, logprobs=columns)).logprobs
    assert [(token.token, token.extra) for token in logprobs or ()] == [
        ("a", {"text_offset": 0}),
        ("b", {"text_offset": 1}),
    ]


def test_text_in_place_of_token_is_no_extra() -> None:
    record = {"id": 3, "text": "a", "logprob": -1.0, "special": False}
    (token,) = WIRE.decode(reply(message={"content": "a"}, logprobs={"content": [record]})).logprobs or ()
    assert (token.token, token.token_id, token.extra) == ("a", 3, {"special": False})


def test_a_text_beside_a_token_stays_an_extra() -> None:
    records = [{"token": "a", "text": "b", "logprob": -1.0}, {"token": "", "logprob": -2.0}]
    first, second = WIRE.decode(reply(message={"content": "a"}, logprobs={"content": records})).logprobs or ()
    assert (first.token, first.extra) == ("a", {"text": "b"})
    assert (second.token, second.extra) == ("", {})
