"""anthropic-messages: content blocks, and streams of their pieces. There are no logprobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator


def parts(event: Json) -> Iterator[Part]:
    delta = table(event.get("delta"))
    blocks = [*event.get("content", ()), *(table(event.get(key)) for key in ("content_block", "delta"))]
    for block in filter(None, blocks):
        said = {"content": block.get("text", ""), "reasoning": block.get("thinking", "")}
        yield Part(own=block, said=said, tool_calls=block.get("type") == "tool_use")
    yield Part(own=event, ending=event.get("stop_reason") or delta.get("stop_reason"))


def usage(event: Json) -> dict[str, int]:
    counted = table(event.get("usage") or table(event.get("message")).get("usage"))
    found: dict[str, int] = {}
    if "input_tokens" in counted:
        found["prompt"] = counted["input_tokens"] + counted.get("cache_read_input_tokens", 0)
    if "output_tokens" in counted:
        found["generated"] = counted["output_tokens"]
    return found


def request(body: Json) -> Json:
    """Tools have another shape, which the wire's own tests turn ours into: here they are options."""
    system = [{"role": "system", "content": body["system"]}] if "system" in body else []
    fields = {
        "messages": system + body["messages"],
        "stop": body.get("stop_sequences"),
        **{key: body.get(key) for key in ("temperature", "top_p", "max_tokens", "logprobs", "top_logprobs")},
    }
    return options(fields, body, without=[*fields, "system", "stop_sequences"])


READER = Reader(parts, usage, request)
