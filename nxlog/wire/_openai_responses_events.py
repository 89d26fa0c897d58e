"""The events of an ``openai-responses`` stream: JSON to the typed event that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, json_safe, loads
from nxlog.responses import events as typed
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._openai_responses_items import fields_of, item_of, part_of, reasoning_text, records_of, text_of
from nxlog.wire._openai_responses_reply import NAME, raise_error, raise_flat_error, read_reply, reply_of

if TYPE_CHECKING:
    from typing import Any

    from nxlog.responses.items import OutputPart, ReasoningText

ENDS = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.cancelled": "cancelled",
    "response.failed": "failed",
}
"""The last events, and the status that they stand for."""

_STATES = {*ENDS, "response.created", "response.queued", "response.in_progress"}
_PIECES: dict[str, type[typed.Event]] = {
    "response.output_text.delta": typed.TextDelta,
    "response.output_text.done": typed.TextDone,
    "response.refusal.delta": typed.RefusalDelta,
    "response.refusal.done": typed.RefusalDone,
    "response.reasoning_text.delta": typed.ReasoningDelta,
    "response.reasoning_text.done": typed.ReasoningDone,
    "response.reasoning_summary_text.delta": typed.ReasoningDelta,
    "response.reasoning_summary_text.done": typed.ReasoningDone,
    "response.reasoning.delta": typed.ReasoningDelta,
    "response.reasoning.done": typed.ReasoningDone,
    "response.function_call_arguments.delta": typed.ArgumentsDelta,
    "response.function_call_arguments.done": typed.ArgumentsDone,
    "response.code_interpreter_call_code.delta": typed.CodeDelta,
    "response.code_interpreter_call_code.done": typed.CodeDone,
}


class _Event(Struct, gc=False):
    """All that events have; which of it depends on the type."""

    type: str = ""
    sequence_number: int | None = None
    response: Raw = NULL
    item: Raw = NULL
    part: Raw = NULL
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    code: str | None = None
    logprobs: Raw = NULL
    error: Raw = NULL


_decoder = msgspec.json.Decoder(_Event)


def decode_event(payload: bytes) -> typed.Event:
    """One event.

    Raises:
        StatusError: it is an error.
        DecodeError: not a JSON object.
    """
    found = decode_leniently(payload, _decoder, wire=NAME)
    if found.type == "error" or (found.error != NULL and loads(found.error)):
        raise_error(loads(payload), payload)
    if not found.type.startswith("response."):
        raise_flat_error(payload)
    common: dict[str, Any] = {"type": found.type, "sequence_number": found.sequence_number, "payload": payload}
    return (
        _state(found, common)
        or _whole(found, common)
        or _piece(found, common)
        or typed.OtherEvent(data=json_safe(loads(payload)), **common)
    )


def _state(found: _Event, common: dict[str, Any]) -> typed.Event | None:
    """The state of the whole response."""
    if found.type not in _STATES:
        return None
    data = bytes(found.response) if bytes(memoryview(found.response)[:1]) == b"{" else b"{}"
    reply = reply_of(read_reply(data), data)
    status = ENDS.get(found.type)
    if status is not None and reply.status not in ENDS.values():
        reply = reply.model_copy(update={"status": status})
    return typed.ResponseEvent(response=reply, **common)


def _whole(found: _Event, common: dict[str, Any]) -> typed.Event | None:
    """An item or a part that begins or is complete."""
    if found.type.rpartition(".")[2] not in {"added", "done"}:
        return None
    if found.item != NULL:
        return typed.ItemEvent(item=item_of(fields_of(found.item)), output_index=found.output_index, **common)
    if found.part == NULL:
        return None
    names = ("item_id", "output_index", "content_index", "summary_index")
    return typed.PartEvent(part=_part(found.part), **{name: getattr(found, name) for name in names}, **common)


def _part(raw: Raw) -> OutputPart | ReasoningText:
    fields = fields_of(raw)
    kind = text_of(fields.get("type", NULL))
    return reasoning_text(fields, kind) if kind in {"reasoning_text", "summary_text"} else part_of(fields)


def _piece(found: _Event, common: dict[str, Any]) -> typed.Event | None:
    """More of a text, or all of it, or what a tool of the server does."""
    kind = _PIECES.get(found.type)
    if kind is None and found.type.rpartition(".")[0].endswith("_call"):
        kind = typed.ToolEvent
    if kind is None:
        return None
    values = {name: getattr(found, name) for name in kind.__struct_fields__ if name not in common}
    if "logprobs" in values:
        values["logprobs"] = records_of(found.logprobs)
    return kind(**{name: value for name, value in values.items() if value is not None}, **common)
