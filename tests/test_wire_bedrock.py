"""``bedrock-converse``: what is sent, and what the vectors do not say about replies and frames.

Real here, where botocore is installed: its model of the service, against which what is sent is held, and its own reader
of frames. All bodies are written by hand.
"""

from __future__ import annotations

import base64
import importlib
import json
from pathlib import Path
from typing import Any, cast

import pytest

from nxlog.errors import DecodeError, InvalidRequestError, RateLimitError, ResponseTooLargeError
from nxlog.request import ChatRequest
from nxlog.wire.aws_eventstream import FrameSplitter
from nxlog.wire.bedrock_converse import BedrockConverse

WIRE = BedrockConverse()
VECTORS = Path(__file__).parent.parent / "fixtures" / "vectors" / "bedrock-converse.json"
USER = {"role": "user", "content": "Is the sky blue?"}
CALL = {"id": "tu-1", "type": "function", "function": {"name": "tide", "arguments": '{"port":"Husum"}'}}
PNG = "data:image/png;base64,AAE="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"at": {"type": "string"}}}
EMPTY_SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS = [
    {"function": {"name": "tide", "description": "d", "parameters": SCHEMA, "strict": True}},
    {"function": {"name": "now"}},
]
SPECS = [
    {"toolSpec": {"name": "tide", "inputSchema": {"json": SCHEMA}, "description": "d", "strict": True}},
    {"toolSpec": {"name": "now", "inputSchema": {"json": EMPTY_SCHEMA}}},
]


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest.model_validate({"model": "ignored/here", "messages": [USER], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def added(**fields: Any) -> dict[str, Any]:
    """What a field adds to the smallest body."""
    body = json.loads(encode(**fields))
    return {key: value for key, value in body.items() if value != json.loads(encode()).get(key)}


def test_smallest_body() -> None:
    assert encode() == encode(stream=True) == b'{"messages":[{"role":"user","content":[{"text":"Is the sky blue?"}]}]}'


FIELDS: list[tuple[str, Any, dict[str, Any]]] = [
    ("max_tokens", 5, {"inferenceConfig": {"maxTokens": 5}}),
    ("temperature", 0.0, {"inferenceConfig": {"temperature": 0.0}}),
    ("top_p", 0.5, {"inferenceConfig": {"topP": 0.5}}),
    ("stop", ".", {"inferenceConfig": {"stopSequences": ["."]}}),
    ("tools", TOOLS, {"toolConfig": {"tools": SPECS}}),
    ("tool_choice", "auto", {"toolConfig": {"toolChoice": {"auto": {}}}}),
    ("response_format", {"type": "text"}, {}),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "a", "description": "d", "schema": SCHEMA}},
        {
            "outputConfig": {
                "textFormat": {
                    "type": "json_schema",
                    "structure": {
                        "jsonSchema": {
                            "schema": '{"type":"object","properties":{"at":{"type":"string"}}}',
                            "name": "a",
                            "description": "d",
                        }
                    },
                }
            }
        },
    ),
    ("reasoning_effort", "minimal", {"outputConfig": {"effort": "low"}}),
    ("reasoning_effort", "xhigh", {"outputConfig": {"effort": "xhigh"}}),
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
    ("provider_options", {"requestMetadata": {"a": "b"}}, {"requestMetadata": {"a": "b"}}),
]


@pytest.mark.parametrize(("name", "value", "expected"), FIELDS)
def test_field(name: str, value: Any, expected: dict[str, Any]) -> None:
    assert added(**{name: value}) == expected


def test_every_field_of_a_request_is_in_the_table() -> None:
    assert set(ChatRequest.model_fields) == {name for name, _, _ in FIELDS} | {"model", "messages"}


def test_what_has_no_place_is_left_to_the_gate() -> None:
    fields = {name for name, _, expected in FIELDS if not expected} - {
        "response_format",
        "return_token_ids",
        "input_ids",
    }
    assert fields | {"token_ids", "token_ids_in"} <= WIRE.lacks
    assert {"tool_choice=none", "reasoning_effort=none"} <= WIRE.lacks


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "tide"}}, {"tool": {"name": "tide"}}),
        ({"any": {}}, {"any": {}}),
    ],
)
def test_tool_choice(choice: Any, expected: dict[str, Any]) -> None:
    assert added(tools=TOOLS, tool_choice=choice) == {"toolConfig": {"tools": SPECS, "toolChoice": expected}}


@pytest.mark.parametrize(
    ("field", "value"),
    [("tool_choice", "none"), ("response_format", {"type": "json_object"}), ("reasoning_effort", "none")],
)
def test_what_the_wire_has_no_word_for(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=field) as caught:
        encode(tools=TOOLS, **{field: value})
    assert caught.value.param == field


def test_options_merge_into_the_tables() -> None:
    options = {"inferenceConfig": {"temperature": 0.25}, "additionalModelRequestFields": {"top_k": 3}}
    assert added(temperature=0.5, top_p=0.75, provider_options=options) == {
        "inferenceConfig": {"temperature": 0.25, "topP": 0.75},
        "additionalModelRequestFields": {"top_k": 3},
    }


def test_spelling_renames_and_leaves_out() -> None:
    body = added(temperature=0.5, top_p=0.5, reasoning_effort="low", spelling={"temperature": "", "top_p": "p"})
    assert body == {"inferenceConfig": {"p": 0.5}, "outputConfig": {"effort": "low"}}
    assert added(reasoning_effort="low", spelling={"reasoning_effort": ""}) == {}


# -- messages --------------------------------------------------------------------------------------------------------


def turn(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


SKY = turn("user", {"text": "Is the sky blue?"})
ASKED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
USE = turn("assistant", {"toolUse": {"toolUseId": "tu-1", "name": "tide", "input": {"port": "Husum"}}})
PICTURE = {"image": {"format": "png", "source": {"bytes": "AAE="}}}

CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "turns": (
        [USER, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Why?"}],
        [SKY, turn("assistant", {"text": "Yes."}), turn("user", {"text": "Why?"})],
    ),
    "a refusal is text": ([USER, {"role": "assistant", "refusal": "No."}], [SKY, turn("assistant", {"text": "No."})]),
    "parts": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Which?", "cache_control": {"type": "ephemeral"}},
                    image(PNG),
                    image("data:image/jpg;base64,AAE="),
                    {"type": "cachePoint", "cachePoint": {"type": "default"}},
                ],
            }
        ],
        [
            turn(
                "user",
                {"text": "Which?"},
                PICTURE,
                {"image": {"format": "jpeg", "source": {"bytes": "AAE="}}},
                {"cachePoint": {"type": "default"}},
            )
        ],
    ),
    "a call, its results and the next question are two turns": (
        [
            USER,
            ASKED,
            {"role": "tool", "tool_call_id": "tu-1", "content": "3 m"},
            {"role": "tool", "tool_call_id": "tu-2", "content": [{"type": "text", "text": "x"}, image(PNG)]},
            {"role": "user", "content": "So?"},
        ],
        [
            SKY,
            USE,
            turn(
                "user",
                {"toolResult": {"toolUseId": "tu-1", "content": [{"text": "3 m"}]}},
                {"toolResult": {"toolUseId": "tu-2", "content": [{"text": "x"}, PICTURE]}},
                {"text": "So?"},
            ),
        ],
    ),
    "blocks of the wire's own": (
        [USER, {"role": "assistant", "content": [{"type": "r", "reasoningContent": {"redactedContent": "AA=="}}]}],
        [SKY, turn("assistant", {"reasoningContent": {"redactedContent": "AA=="}})],
    ),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str) -> None:
    messages, expected = CONVERSATIONS[name]
    assert json.loads(encode(messages=messages)) == {"messages": expected}


def test_system_and_developer_are_blocks() -> None:
    messages = [{"role": "system", "content": "Be brief."}, USER, {"role": "developer", "content": "No jokes."}]
    body = json.loads(encode(messages=messages))
    assert body == {"messages": [SKY], "system": [{"text": "Be brief."}, {"text": "No jokes."}]}


@pytest.mark.parametrize("url", ["https://h.example/a.png", "data:image/png,abc"])
def test_only_bytes_of_images(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\.0\.content\.0.*data:"):
        encode(messages=[{"role": "user", "content": [image(url)]}])


# -- against botocore ------------------------------------------------------------------------------------------------


def plain_bytes(value: Any) -> Any:
    """The body as botocore takes it: images not yet in base64."""
    if isinstance(value, list):
        return [plain_bytes(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item) if key in {"bytes", "redactedContent"} else plain_bytes(item)
            for key, item in cast("dict[str, Any]", value).items()
        }
    return value


TOOLLESS = {"tool_choice"}  # a choice is not valid without tools, and says nothing here
REQUESTS = [{name: value} for name, value, _ in FIELDS if name not in TOOLLESS]
REQUESTS += [{"messages": given} for given, _ in CONVERSATIONS.values()]


@pytest.mark.parametrize("fields", [*REQUESTS, {"tools": TOOLS, "tool_choice": "required"}], ids=str)
def test_what_is_sent_fits_the_model_of_the_service(fields: dict[str, Any]) -> None:
    pytest.importorskip("botocore")
    session = importlib.import_module("botocore.session").get_session()
    shape = session.get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    validator = importlib.import_module("botocore.validate").ParamValidator()
    body = plain_bytes(json.loads(encode(**fields)))
    report = validator.validate({"modelId": "m", **body}, shape)
    assert not report.has_errors(), report.generate_report()
    assert validator.validate({"modelId": "m", **body, "logprobs": True}, shape).has_errors()


def streams() -> list[Any]:
    tests = json.loads(VECTORS.read_text(encoding="ascii"))["tests"]
    found = [test for test in tests if test["kind"] == "stream" and "Framing" not in test["flags"]]
    return [pytest.param(base64.b64decode(test.get("input_base64", "")), id=test["comment"]) for test in found]


@pytest.mark.parametrize("stream", streams())
def test_frames_are_those_that_botocore_reads(stream: bytes) -> None:
    eventstream = pytest.importorskip("botocore.eventstream")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(stream)
    theirs = [(message.headers, message.payload) for message in buffer]
    assert [tuple(frame) for frame in FrameSplitter().feed(stream)] == theirs
    for size in (1, 7):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        splitter = FrameSplitter()
        assert [tuple(frame) for piece in pieces for frame in splitter.feed(piece)] == theirs


# -- frames and exceptions -------------------------------------------------------------------------------------------


def a_stream(comment: str) -> bytes:
    (found,) = [test for test in json.loads(VECTORS.read_text(encoding="ascii"))["tests"] if test["comment"] == comment]
    return base64.b64decode(found["input_base64"])


def test_an_exception_comes_after_the_chunks_before_it() -> None:
    chunks = WIRE.stream_decoder().feed(a_stream("a frame with throttlingException"))
    assert [next(chunks).delta, next(chunks).delta] == ["", "Lo"]
    with pytest.raises(RateLimitError, match="no, ü") as caught:
        next(chunks)
    assert (caught.value.status_code, caught.value.code) == (429, "ThrottlingException")


def test_a_broken_frame_comes_after_the_frames_before_it() -> None:
    frames = FrameSplitter().feed(a_stream("the checksum of the frame is wrong"))
    assert next(frames).headers[":event-type"] == "messageStart"
    with pytest.raises(DecodeError, match="checksum"):
        next(frames)


def test_every_flipped_bit_is_noticed() -> None:
    stream = a_stream("text in pieces")
    size = int.from_bytes(stream[:4])
    for at in range(size):
        for bit in range(8):
            broken = bytearray(stream[:size])
            broken[at] ^= 1 << bit
            with pytest.raises(DecodeError):
                _ = list(FrameSplitter().feed(bytes(broken)))


def test_a_frame_is_bounded_before_it_is_read() -> None:
    stream = a_stream("text in pieces")
    splitter = FrameSplitter(max_frame=64)
    with pytest.raises(ResponseTooLargeError, match="64"):
        _ = list(splitter.feed(stream[:12]))
