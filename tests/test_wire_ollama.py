"""``ollama``: what is sent, byte by byte, and what the vectors do not say about replies.

Nothing here was recorded: the replies are written after the types of Ollama's Go package.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.accumulate import accumulate
from nxlog.errors import DecodeError, InvalidRequestError, NxlogError, ServerError
from nxlog.registry.claims import CLAIM_NAMES
from nxlog.request import ChatRequest
from nxlog.wire.ollama import Ollama
from tests.conformance.readers import reader

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

WIRE = Ollama()
USER = {"role": "user", "content": "Is the sky blue?"}
TOOL = {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": '{"port":"Husum"}'}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest(**{"model": "ignored/here", "messages": [USER], **fields})
    return WIRE.encode(request, model="m:1b", stream=stream, spelling=spelling or {})


def sent(**fields: Any) -> dict[str, Any]:
    body = json.loads(encode(**fields))
    return {key: value for key, value in body.items() if key not in {"model", "messages", "stream"}}


def sent_messages(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(encode(messages=list(messages)))["messages"]


# -- requests --------------------------------------------------------------------------------------------------------


def test_stream_is_always_said() -> None:
    """The server streams unless it is told not to."""
    head = b'{"model":"m:1b","messages":[{"role":"user","content":"Is the sky blue?"}],"stream":'
    assert encode() == head + b"false}"
    assert encode(stream=True) == head + b"true}"


def test_every_field_has_its_place() -> None:
    body = encode(
        temperature=0.0,
        top_p=0.9,
        max_tokens=8,
        stop="END",
        seed=0,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        tools=[TOOL],
        response_format={"type": "json_object"},
        reasoning_effort="high",
        top_logprobs=5,
    )
    assert body == (
        b'{"model":"m:1b","messages":[{"role":"user","content":"Is the sky blue?"}],"stream":false,"options":'
        b'{"temperature":0.0,"top_p":0.9,"num_predict":8,"stop":["END"],"seed":0,"presence_penalty":0.1,'
        b'"frequency_penalty":-0.1},"tools":[{"type":"function","function":{"name":"tide","parameters":'
        b'{"type":"object","properties":{}}}}],"format":"json","think":"high","logprobs":true,"top_logprobs":5}'
    )


@pytest.mark.parametrize("fields", [{"logprobs": True}, {"logprobs": True, "top_logprobs": 0}, {"logprobs": False}])
def test_logprobs_are_beside_the_options(fields: dict[str, Any]) -> None:
    assert sent(**fields) == fields


@pytest.mark.parametrize(
    ("effort", "think"),
    [
        ("none", False),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "high"),
        ("max", "high"),
    ],
)
def test_effort_is_a_level_of_thinking(effort: str, think: Any) -> None:
    assert sent(reasoning_effort=effort) == {"think": think}


def test_formats() -> None:
    assert sent(response_format={"type": "text"}) == {}
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    assert sent(response_format=named) == {"format": SCHEMA}


def test_options_merge_into_the_options_of_the_wire() -> None:
    options = {"options": {"num_ctx": 8192, "seed": 2}, "keep_alive": "5m", "think": True}
    body = sent(seed=1, temperature=0.5, reasoning_effort="low", provider_options=options)
    assert body == {
        "options": {"temperature": 0.5, "seed": 2, "num_ctx": 8192},
        "keep_alive": "5m",
        "think": True,
    }
    with pytest.raises(InvalidRequestError):
        encode(provider_options={"stream": True})


def test_spelling_renames_and_leaves_out() -> None:
    spelling = {"max_tokens": "n", "seed": "", "reasoning_effort": "", "top_logprobs": "k", "response_format": "f"}
    body = sent(
        max_tokens=5,
        seed=1,
        reasoning_effort="low",
        top_logprobs=2,
        response_format={"type": "json_object"},
        spelling=spelling,
    )
    assert body == {"options": {"n": 5}, "logprobs": True, "k": 2, "f": "json"}


def test_what_the_format_lacks_are_claims() -> None:
    assert set(CLAIM_NAMES) >= {name for name in WIRE.lacks if "=" not in name}
    assert {"tool_choice=required", "tool_choice=function"} <= WIRE.lacks
    assert encode(n=2) == encode()


def test_no_tools_is_how_none_is_said() -> None:
    assert sent(tools=[TOOL], tool_choice="none") == {}
    assert sent(tools=[TOOL], tool_choice="auto") == {"tools": [TOOL]}
    assert sent(tool_choice="required") == {}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "tide"}}])
def test_a_call_that_cannot_be_demanded_is_refused(choice: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode(tools=[TOOL], tool_choice=choice)
    assert caught.value.param == "tool_choice"


def test_arguments_are_objects_and_results_name_their_tool() -> None:
    assert sent_messages(
        {"role": "developer", "content": "Be brief."},
        USER,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "low"},
        {"role": "tool", "tool_call_id": "call_9", "content": "?", "name": "now"},
        {"role": "tool", "tool_call_id": "call_8", "content": "?"},
        {"role": "assistant", "content": "No", "refusal": "."},
    ) == [
        {"role": "system", "content": "Be brief."},
        USER,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "function": {"name": "tide", "arguments": {"port": "Husum"}}}],
        },
        {"role": "tool", "content": "low", "tool_call_id": "call_1", "tool_name": "tide"},
        {"role": "tool", "content": "?", "tool_call_id": "call_9", "tool_name": "now"},
        {"role": "tool", "content": "?", "tool_call_id": "call_8"},
        {"role": "assistant", "content": "No."},
    ]


def image(url: str) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "?"}],
    }


def test_images_are_base64_beside_the_text() -> None:
    assert sent_messages(image("data:image/png;base64,AAAA")) == [{"role": "user", "content": "?", "images": ["AAAA"]}]


@pytest.mark.parametrize(
    "message",
    [
        image("https://a.org/a.png"),
        image("data:image/svg+xml,<svg/>"),
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
        {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "tide", "arguments": "[1]"}}]},
    ],
)
def test_what_has_no_place_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\.0\.") as caught:
        encode(messages=[message])
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.5, "max_tokens": 5, "top_logprobs": 3, "provider_options": {"options": {"num_ctx": 9}}},
        {"tools": [TOOL], "response_format": {"type": "json_object"}, "reasoning_effort": "none"},
        {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}], "logprobs": True},
    ],
    ids=str,
)
def test_the_conformance_reader_reads_it_back(fields: dict[str, Any]) -> None:
    body = encode(**fields)
    again = ChatRequest(model="x", **reader("ollama").request(json.loads(body)))
    assert json.loads(WIRE.encode(again, model="m:1b", stream=False, spelling={})) == json.loads(body)


# -- replies; the vectors have the rest ------------------------------------------------------------------------------


def streamed(data: bytes) -> ChatResponse:
    decoder = WIRE.stream_decoder()
    return accumulate([*decoder.feed(data), *decoder.close()])


def line(**fields: Any) -> dict[str, Any]:
    return {"model": "m:1b", "message": {"role": "assistant", "content": "a"}, "done": True, **fields}


def body_of(**fields: Any) -> bytes:
    return json.dumps(line(**fields)).encode()


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("2026-11-20T10:00:00.123456789Z", 1795168800),
        ("2026-11-20T12:00:00+02:00", 1795168800),
        ("2026-11-20T10:00:00", 1795168800),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("yesterday", None),
    ],
)
def test_identity_of_the_reply(text: str, created: int | None) -> None:
    for response in (WIRE.decode(body_of(created_at=text)), streamed(body_of(created_at=text) + b"\n")):
        assert (response.model, response.created, response.id) == ("m:1b", created, None)
    assert WIRE.decode(body_of()).raw == line()


def test_unknown_keys_stay_with_their_record() -> None:
    entry = {"token": "a", "logprob": -1, "rank": 2, "top_logprobs": [{"token": "b", "logprob": -2, "rank": 3}]}
    for response in (WIRE.decode(body_of(logprobs=[entry])), streamed(body_of(logprobs=[entry]))):
        assert response.logprobs is not None
        assert response.logprobs[0].extra == {"rank": 2}
        assert response.logprobs[0].top_logprobs[0].extra == {"rank": 3}


def test_an_error_says_what_the_server_said() -> None:
    with pytest.raises(ServerError, match="the runner is gone"):
        WIRE.decode(b'{"error":"the runner is gone"}')


def test_text_before_a_line_that_is_none_is_not_lost() -> None:
    decoder = WIRE.stream_decoder()
    chunks = []
    with pytest.raises(DecodeError):
        chunks.extend(decoder.feed(body_of(done=False) + b"\noops\n"))
    # The chunk came before the error did.
    decoder = WIRE.stream_decoder()
    feed = decoder.feed(body_of(done=False) + b"\noops\n")
    assert next(feed).delta == "a"
    with pytest.raises(DecodeError):
        next(feed)


WHOLE = b"".join(
    json.dumps(line(done=last, logprobs=[{"token": token, "logprob": -0.5, "bytes": list(token.encode())}])).encode()
    + b"\n"
    for token, last in (("é", False), ("\u2028", False), ("😀", True))
)


def test_every_cut_is_told_from_the_end() -> None:
    """Whatever is missing at the end: all lines arrived, or it is an error."""
    assert len(streamed(WHOLE).logprobs or ()) == 3
    for end in range(len(WHOLE) - 1):
        with pytest.raises(NxlogError):
            streamed(WHOLE[:end])


@given(st.data())
def test_one_wrong_value_raises_nothing_else(data: st.DataObject) -> None:
    value: Any = line(
        logprobs=[{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -2.0}]}],
        message={"role": "assistant", "content": "a", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        created_at="2026-11-20T10:00:00Z",
        eval_count=3,
    )
    node = value
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(st.sampled_from([None, True, -1, 1e300, 10**30, "", "NaN", [], {}, [[]], {"a": 1}, "\ud83d"]))
    try:
        response = streamed(json.dumps(value).encode() + b"\n")
    except NxlogError:
        return
    response.model_dump_json()
