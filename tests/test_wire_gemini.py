"""``gemini``: what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.errors import InvalidRequestError
from nxlog.request import ChatRequest
from nxlog.wire.gemini import Gemini

WIRE = Gemini()
USER = {"role": "user", "content": "Is the sky blue?"}
CALL = {"id": "fc-1", "type": "function", "function": {"name": "tide", "arguments": '{"port":"Husum"}'}}
PNG = "data:image/png;base64,AA=="
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}


def encode(
    *, model: str = "gemini-9", stream: bool = False, spelling: dict[str, str] | None = None, **more: Any
) -> Any:
    request = ChatRequest.model_validate({"model": "ignored/here", "messages": [USER], **more})
    return WIRE.encode(request, model=model, stream=stream, spelling=spelling or {})


def added(**fields: Any) -> dict[str, Any]:
    """What a field adds to the smallest body."""
    body = json.loads(encode(**fields))
    return {key: value for key, value in body.items() if value != json.loads(encode()).get(key)}


def config(**fields: Any) -> dict[str, Any]:
    return added(**fields).get("generationConfig", {})


def test_smallest_body() -> None:
    assert encode() == b'{"contents":[{"role":"user","parts":[{"text":"Is the sky blue?"}]}]}'


def test_body_with_everything_about_logprobs() -> None:
    assert encode(temperature=0.5, top_logprobs=5, messages=[{"role": "user", "content": "Hi"}]) == (
        b'{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],'
        b'"generationConfig":{"temperature":0.5,"responseLogprobs":true,"logprobs":5}}'
    )


def test_model_and_stream_are_in_the_url_alone() -> None:
    assert encode(stream=True) == encode() == encode(model="gemini-other")


FIELDS: list[tuple[str, Any, dict[str, Any]]] = [
    ("max_tokens", 5, {"generationConfig": {"maxOutputTokens": 5}}),
    ("temperature", 0.0, {"generationConfig": {"temperature": 0.0}}),
    ("top_p", 0.5, {"generationConfig": {"topP": 0.5}}),
    ("stop", ".", {"generationConfig": {"stopSequences": ["."]}}),
    ("seed", 7, {"generationConfig": {"seed": 7}}),
    ("n", 2, {"generationConfig": {"candidateCount": 2}}),
    ("presence_penalty", 1.0, {"generationConfig": {"presencePenalty": 1.0}}),
    ("frequency_penalty", -1.0, {"generationConfig": {"frequencyPenalty": -1.0}}),
    ("logprobs", True, {"generationConfig": {"responseLogprobs": True}}),
    ("logprobs", False, {"generationConfig": {"responseLogprobs": False}}),
    ("top_logprobs", 5, {"generationConfig": {"responseLogprobs": True, "logprobs": 5}}),
    ("input_ids", [1, 5], {}),
    ("return_token_ids", True, {}),
    ("prompt_logprobs", 1, {}),
    ("stop_token_ids", [2], {}),
    ("logprob_token_ids", [5], {"generationConfig": {"responseLogprobs": True}}),
    ("top_logprobs", 0, {"generationConfig": {"responseLogprobs": True}}),
    ("tool_choice", "auto", {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}),
    ("tool_choice", "required", {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
    ("tool_choice", "none", {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}),
    (
        "tool_choice",
        {"type": "function", "function": {"name": "tide"}},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["tide"]}}},
    ),
    ("tool_choice", {"retrievalConfig": {}}, {"toolConfig": {"retrievalConfig": {}}}),
    ("tools", [], {}),
    (
        "tools",
        [
            {"function": {"name": "tide", "description": "d", "parameters": SCHEMA, "strict": True}},
            {"function": {"name": "now"}},
        ],
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "tide", "description": "d", "parametersJsonSchema": SCHEMA},
                        {"name": "now"},
                    ]
                }
            ]
        },
    ),
    ("response_format", {"type": "text"}, {}),
    ("response_format", {"type": "json_object"}, {"generationConfig": {"responseMimeType": "application/json"}}),
    (
        "response_format",
        {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
        {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
    ),
    ("reasoning_effort", "none", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
    ("reasoning_effort", "minimal", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}}),
    ("reasoning_effort", "max", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}),
    ("provider_options", {"cachedContent": "c"}, {"cachedContent": "c"}),
]


@pytest.mark.parametrize(("name", "value", "expected"), FIELDS)
def test_field(name: str, value: Any, expected: dict[str, Any]) -> None:
    assert added(**{name: value}) == expected


def test_every_field_of_a_request_is_in_the_table() -> None:
    assert set(ChatRequest.model_fields) == {name for name, _, _ in FIELDS} | {"model", "messages"}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}),
        ("gemini-2.5-pro", "medium", {"thinkingBudget": 8192}),
        ("publishers/google/models/gemini-2.0-flash", "xhigh", {"thinkingBudget": 24576}),
        ("gemini-3-pro-preview", "low", {"thinkingLevel": "LOW"}),
        ("gemini-3.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-20", "medium", {"thinkingLevel": "MEDIUM"}),
    ],
)
def test_effort_is_a_budget_or_a_level_by_model(model: str, effort: str, expected: dict[str, Any]) -> None:
    body = json.loads(encode(model=model, reasoning_effort=effort))
    assert body["generationConfig"]["thinkingConfig"] == expected


def test_options_merge_into_the_tables() -> None:
    options: dict[str, Any] = {
        "generationConfig": {"topK": 3, "temperature": 0.25},
        "toolConfig": {"retrievalConfig": {}},
        "labels": {},
    }
    body = added(temperature=0.5, top_p=0.75, tool_choice="auto", provider_options=options)
    assert body == {
        "generationConfig": {"temperature": 0.25, "topP": 0.75, "topK": 3},
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}, "retrievalConfig": {}},
        "labels": {},
    }


def test_options_fill_a_table_that_is_not_there() -> None:
    assert added(provider_options={"generationConfig": {"topK": 3}}) == {"generationConfig": {"topK": 3}}


def test_spelling_renames_and_leaves_out() -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    spelling = {"seed": "", "top_p": "nucleus", "top_logprobs": "", "response_format": "responseSchema"}
    found = config(
        seed=7,
        top_p=0.5,
        top_logprobs=5,
        response_format=schema,
        reasoning_effort="low",
        spelling=spelling | {"reasoning_effort": ""},
    )
    assert found == {
        "nucleus": 0.5,
        "responseLogprobs": True,
        "responseMimeType": "application/json",
        "responseSchema": SCHEMA,
    }


# -- messages --------------------------------------------------------------------------------------------------------


def text(value: str) -> dict[str, Any]:
    return {"text": value}


def turn(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def answer(name: str, response: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"functionResponse": {**more, "name": name, "response": response}}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CALLED = turn("model", {"functionCall": {"id": "fc-1", "name": "tide", "args": {"port": "Husum"}}})
SKY = turn("user", text("Is the sky blue?"))

CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "turns": (
        [USER, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Why?"}],
        [SKY, turn("model", text("Yes.")), turn("user", text("Why?"))],
    ),
    "two messages of one speaker are one turn": (
        [USER, {"role": "user", "content": "And the sea?"}],
        [turn("user", text("Is the sky blue?"), text("And the sea?"))],
    ),
    "a refusal is text": ([USER, {"role": "assistant", "refusal": "No."}], [SKY, turn("model", text("No."))]),
    "images in the URL and elsewhere": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Which?"},
                    image(PNG),
                    image("https://h.example/a.JPG?x=1"),
                    image("gs://bucket/b.webp"),
                    image("https://h.example/c"),
                ],
            }
        ],
        [
            turn(
                "user",
                text("Which?"),
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://h.example/a.JPG?x=1"}},
                {"fileData": {"mimeType": "image/webp", "fileUri": "gs://bucket/b.webp"}},
                {"fileData": {"fileUri": "https://h.example/c"}},
            )
        ],
    ),
    "a call and its result": (
        [USER, ASKED, {"role": "tool", "tool_call_id": "fc-1", "content": "3 m"}],
        [SKY, CALLED, turn("user", answer("tide", {"output": "3 m"}, id="fc-1"))],
    ),
    "a result that is an object, then a question": (
        [
            USER,
            ASKED,
            {"role": "tool", "tool_call_id": "fc-1", "content": '{"m": 3}'},
            {"role": "user", "content": "?"},
        ],
        [SKY, CALLED, turn("user", answer("tide", {"m": 3}, id="fc-1"), text("?"))],
    ),
    "a result that is JSON but no object": (
        [USER, ASKED, {"role": "tool", "tool_call_id": "fc-1", "content": "[3]"}],
        [SKY, CALLED, turn("user", answer("tide", {"output": "[3]"}, id="fc-1"))],
    ),
    "a result with an image": (
        [USER, ASKED, {"role": "tool", "tool_call_id": "fc-1", "content": [{"type": "text", "text": "x"}, image(PNG)]}],
        [
            SKY,
            CALLED,
            turn(
                "user",
                answer("tide", {"output": "x"}, id="fc-1"),
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
            ),
        ],
    ),
    "an id that nxlog made up is not sent": (
        [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL | {"id": "call_0"}]},
            {"role": "tool", "tool_call_id": "call_0", "content": "3 m"},
        ],
        [
            SKY,
            turn("model", {"functionCall": {"name": "tide", "args": {"port": "Husum"}}}),
            turn("user", answer("tide", {"output": "3 m"})),
        ],
    ),
    "a result that names its function": (
        [USER, {"role": "tool", "tool_call_id": "fc-9", "name": "now", "content": "noon"}],
        [turn("user", text("Is the sky blue?"), answer("now", {"output": "noon"}, id="fc-9"))],
    ),
    "parts of the wire's own, with their signatures": (
        [
            USER,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Hm.", "thoughtSignature": "c2ln"},
                    {"type": "call", "functionCall": {"name": "now", "args": {}}, "thoughtSignature": "c2ln"},
                ],
            },
        ],
        [
            SKY,
            turn(
                "model",
                {"text": "Hm.", "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "now", "args": {}}, "thoughtSignature": "c2ln"},
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str) -> None:
    messages, contents = CONVERSATIONS[name]
    assert json.loads(encode(messages=messages)) == {"contents": contents}


def test_system_and_developer_are_one_instruction() -> None:
    messages = [{"role": "system", "content": "Be brief."}, USER, {"role": "developer", "content": "No jokes."}]
    body = json.loads(encode(messages=messages))
    assert body == {"contents": [SKY], "systemInstruction": {"parts": [text("Be brief."), text("No jokes.")]}}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([USER, {"role": "tool", "tool_call_id": "fc-9", "content": "3 m"}], r"messages\.1.*'fc-9'.*'name'"),
        ([USER, ASKED | {"tool_calls": [CALL | {"function": {"name": "t", "arguments": "[1]"}}]}], "JSON object"),
        ([{"role": "user", "content": [image("data:image/png,abc")]}], "base64"),
    ],
)
def test_what_the_wire_cannot_say(messages: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        encode(messages=messages)
    assert caught.value.param == "messages"
