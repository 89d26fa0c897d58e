"""bedrock-converse: content blocks, and binary streams of their pieces. There are no logprobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}


def events(reply: bytes) -> list[Json]:
    """The payloads of the frames, by their lengths alone."""
    found: list[Json] = []
    at = 0
    while at < len(reply):
        size, headers = int.from_bytes(reply[at : at + 4]), int.from_bytes(reply[at + 4 : at + 8])
        found.append(json.loads(reply[at + 12 + headers : at + size - 4] or b"{}"))
        at += size
    return found


def parts(event: Json) -> Iterator[Part]:
    message = table(table(event.get("output")).get("message"))
    for block in [*message.get("content", ()), *(table(event.get(key)) for key in ("start", "delta"))]:
        reasoning = table(block.get("reasoningContent"))
        thought = reasoning.get("text") or table(reasoning.get("reasoningText")).get("text", "")
        said = {"content": block.get("text", ""), "reasoning": thought}
        yield Part(own=block, said=said, tool_calls="toolUse" in block)
    yield Part(own=event, ending=event.get("stopReason"))


def usage(event: Json) -> dict[str, int]:
    counted = table(event.get("usage"))
    if not counted:
        return {}
    cache = counted.get("cacheReadInputTokens", 0) + counted.get("cacheWriteInputTokens", 0)
    return {"prompt": counted["inputTokens"] + cache, "generated": counted["outputTokens"]}


def request(body: Json) -> Json:
    """Texts and the settings of inference; what has another shape is options, which the wire's own tests encode."""
    system = [{"role": "system", "content": _text(body["system"])}] if "system" in body else []
    messages = [{"role": turn["role"], "content": _text(turn["content"])} for turn in body["messages"]]
    config = dict(table(body.get("inferenceConfig")))
    fields = {"messages": system + messages} | {ours: config.pop(theirs, None) for theirs, ours in _CONFIG.items()}
    rest = {**body, "inferenceConfig": config}
    return options(fields, rest, without=["messages", "system", *([] if config else ["inferenceConfig"])])


def _text(blocks: list[Json]) -> str:
    return "".join(block["text"] for block in blocks)


READER = Reader(parts, usage, request, events)
