"""Responses and events written by hand, and servers that send them."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.cassettes import CASES
from tests.fault_server import LAST_CHUNK, chunk, chunked_head, response

RECORDED = {f"{case.provider}/{case.name}": case for case in CASES if case.wire in {"openai-responses", "openai-chat"}}
"""Recorded replies by provider and name."""

Json = dict[str, Any]


def record(token: str, logprob: float | None, **more: Any) -> Json:
    return {"token": token, "logprob": logprob, "top_logprobs": [], **more}


def text(value: str, logprobs: list[Json] | None = None) -> Json:
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": logprobs}


def message(*parts: Json, **fields: Any) -> Json:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [*parts], **fields}


def body(*output: Json, **fields: Any) -> Json:
    usage = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    known = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "m", "status": "completed"}
    return {**known, "output": [*output], "usage": usage, **fields}


def answer(value: Json, status: int = 200) -> bytes:
    """A whole HTTP response."""
    return response(status, json.dumps(value).encode())


def numbered(*events: Json, start: int = 0) -> list[Json]:
    """The events with their numbers."""
    return [{"sequence_number": number, **event} for number, event in enumerate(events, start)]


def sse(*events: Json) -> bytes:
    """The bytes of events."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def stream(data: bytes) -> list[Any]:
    """An HTTP response that is a stream."""
    return [chunked_head(), chunk(data), LAST_CHUNK]


def recorded(name: str) -> list[Any] | bytes:
    """The HTTP response that was recorded."""
    case = RECORDED[name]
    return stream(case.reply) if case.stream and case.status == 200 else response(case.status, case.reply)


def delta(value: str, *logprobs: Json, **fields: Any) -> Json:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return {"type": "response.output_text.delta", **place, "delta": value, "logprobs": [*logprobs], **fields}


def created(**fields: Any) -> Json:
    return {"type": "response.created", "response": body(status="in_progress", usage=None, **fields)}


def completed(*output: Json, **fields: Any) -> Json:
    return {"type": "response.completed", "response": body(*output, **fields)}
