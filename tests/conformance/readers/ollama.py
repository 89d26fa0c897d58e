"""ollama: one message, and one flat list of records beside it; a stream is one object per line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "num_predict": "max_tokens",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_SAME = ("tools", "logprobs", "top_logprobs")


def parts(event: Json) -> Iterator[Part]:
    if "message" in event:
        said = event["message"]
        found = event.get("logprobs")
        yield Part(
            own=event,
            said={"content": said.get("content", ""), "reasoning": said.get("thinking", "")},
            logprobs={} if found is None else {"content": found},
            tool_calls=bool(said.get("tool_calls")),
            ending=event.get("done_reason"),
        )


def usage(event: Json) -> dict[str, int]:
    keys = {"prompt": "prompt_eval_count", "generated": "eval_count"}
    return {name: event[key] for name, key in keys.items() if key in event}


def request(body: Json) -> Json:
    given = table(body.get("options"))
    fields: Json = {_OPTIONS[key]: value for key, value in given.items() if key in _OPTIONS}
    fields |= {key: body.get(key) for key in _SAME}
    fields["messages"] = [_message(message) for message in body["messages"]]
    if "format" in body:
        schema = {"type": "json_schema", "json_schema": {"schema": body["format"]}}
        fields["response_format"] = {"type": "json_object"} if body["format"] == "json" else schema
    if "think" in body:
        fields["reasoning_effort"] = "none" if body["think"] is False else body["think"]
    rest = {key: value for key, value in body.items() if key not in {"messages", "options", "format", "think", *_SAME}}
    if other := {key: value for key, value in given.items() if key not in _OPTIONS}:
        rest["options"] = other
    return options(fields, rest)


def _message(message: Json) -> Json:
    out: Json = {"role": message["role"], "content": message["content"]}
    if images := message.get("images"):
        parts: list[Any] = [{"type": "text", "text": message["content"]}] if message["content"] else []
        urls = [f"data:image/png;base64,{image}" for image in images]
        out["content"] = parts + [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    if calls := message.get("tool_calls"):
        out["tool_calls"] = [_call(call) for call in calls]
    if "tool_call_id" in message:
        out["tool_call_id"] = message["tool_call_id"]
    return out


def _call(call: Json) -> Json:
    function = {"name": call["function"]["name"], "arguments": json.dumps(call["function"]["arguments"])}
    return {"id": call["id"], "type": "function", "function": function}


def lines(reply: bytes) -> list[Any]:
    return [json.loads(line) for line in reply.decode().split("\n") if line.strip()]


READER = Reader(parts, usage, request, events=lines)
