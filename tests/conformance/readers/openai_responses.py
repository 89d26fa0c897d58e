"""openai-responses: output items, and streams in which the deltas alone count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_INCLUDE = "message.output_text.logprobs"
_DELTAS = {
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
}
_ENDS = {"response.completed", "response.incomplete"}


def parts(event: Json) -> Iterator[Part]:
    kind = event.get("type", "")
    if "output" in event:
        for item in event["output"]:
            for part in item.get("content") or ():
                yield _text(part, part.get("text") or "")
            if item.get("type") == "function_call":
                yield Part(own=item, tool_calls=True)
        yield _end(event)
    elif kind in _DELTAS:
        yield _text(event, event["delta"], _DELTAS[kind])
    elif kind.startswith("response.function_call_arguments"):
        yield Part(own=event, tool_calls=True)
    elif kind in _ENDS:
        yield _end(event["response"])


def _end(response: Json) -> Part:
    why = table(response.get("incomplete_details")).get("reason")
    return Part(own=response, ending="length" if why == "max_output_tokens" else why or "stop")


def _text(own: Json, text: str, key: str = "content") -> Part:
    if own.get("type") == "reasoning_text":
        return Part(own=own, said={"reasoning": text})
    found = own.get("logprobs")
    return Part(own=own, said={key: text}, logprobs={} if found is None else {key: found})


def usage(event: Json) -> dict[str, int]:
    found = table(table(event.get("response") or event).get("usage"))
    return {"prompt": found["input_tokens"], "generated": found["output_tokens"]} if found else {}


def request(body: Json) -> Json:
    given: Any = body["input"]
    include = [name for name in body.get("include") or () if name != _INCLUDE]
    asked = _INCLUDE in (body.get("include") or ())
    fields: Json = {
        "messages": [{"role": "user", "content": given}] if isinstance(given, str) else [_message(m) for m in given],
        "max_tokens": body.get("max_output_tokens"),
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "reasoning_effort": table(body.get("reasoning")).get("effort"),
    }
    left = ["input", "include", "max_output_tokens", "temperature", "top_p", "reasoning"]
    if asked:
        fields |= {"logprobs": True, "top_logprobs": body.get("top_logprobs")}
        left.append("top_logprobs")
    return options(fields, {**body, **({"include": include} if include else {})}, without=left if not include else [])


def _message(item: Json) -> Json:
    content = item.get("content")
    if isinstance(content, list) and all("text" in part for part in content):
        content = "".join(part["text"] for part in content)
    return {"role": item["role"], "content": content}


READER = Reader(parts, usage, request)
