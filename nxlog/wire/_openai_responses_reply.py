"""What nxlog reads of an ``openai-responses`` reply or event; the rest stays reachable through ``ChatResponse.raw``."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import EMPTY, NULL, loads, well_formed
from nxlog._records import decode_tokens
from nxlog.logprobs import LogprobsData
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import Choice, Usage
from nxlog.wire._lenient import decode_leniently
from nxlog.wire.errors import event_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog._records import TokenLogprob

NAME = "openai-responses"

# The code of an error inside a reply stands for the status that it has outside of one.
_ERROR_STATUS = {
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}
_INCOMPLETE = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}
_NO_RECORDS = (NULL, EMPTY, Raw(b"{}"))
PARAGRAPH = "\n\n"
"""Between the parts of a reasoning, each of which is a text of its own, often with a heading."""


class Part(Struct, gc=False):
    """A part of a message, or of a reasoning item's content or summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: Raw = NULL


class Item(Struct, gc=False):
    """One item of ``output``: a message, a reasoning, a function call, or what nxlog has no place for."""

    type: str = ""
    id: str | None = None
    content: str | list[Part] | None = None
    summary: list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _InputDetails(Struct, gc=False):
    cached_tokens: int | None = None


class _OutputDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(Struct, gc=False):
    reason: str | None = None


class Reply(Struct, gc=False):
    """The response object: the whole reply, and inside the first and the last events of a stream."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    output: list[Item] | None = None
    usage: _Usage | None = None
    error: Raw = NULL


class Event(Struct, gc=False):
    """One event of a stream; which fields it has depends on its type."""

    type: str = ""
    response: Reply | None = None
    item: Item | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    logprobs: Raw = NULL
    error: Raw = NULL


_reply_decoder = msgspec.json.Decoder(Reply)
_event_decoder = msgspec.json.Decoder(Event)


def decode_reply(data: bytes) -> Reply:
    """The response object of a whole reply.

    Raises:
        DecodeError: not a JSON object.
    """
    return decode_leniently(data, _reply_decoder, wire=NAME)


def decode_event(data: bytes) -> Event:
    """One event.

    Raises:
        DecodeError: not a JSON object.
    """
    return decode_leniently(data, _event_decoder, wire=NAME)


# -- errors ----------------------------------------------------------------------------------------------------------


def is_error(error: Raw) -> bool:
    """Whether the value of an ``error`` key says that there is one; null, ``{}`` and ``""`` do not."""
    return error != NULL and bool(loads(error))


def raise_failure(reply: Reply, data: bytes) -> None:
    """Raise what the response object says went wrong, if it says so.

    Raises:
        StatusError: it has an error, or its status is ``failed``.
    """
    if is_error(reply.error):
        raise_error({"error": loads(reply.error)}, data)
    if reply.status == "failed":
        raise_error({"message": "its status is 'failed', and it does not say why"}, data)


def raise_flat_error(data: bytes) -> None:
    """Raise the flat form of SGLang and Mistral, ``{"object": "error", "message": ..., "code": ...}``, if it is one.

    Raises:
        StatusError: it is one.
    """
    value = loads(data)
    if "message" in value and (value.get("object") == "error" or "code" in value):
        raise_error(value, data)


def raise_error(value: object, data: bytes) -> None:
    """Raise the error that an error object of any shape describes.

    Raises:
        StatusError: always.
    """
    raise event_error(value, data.decode("utf-8", "replace"), statuses=_ERROR_STATUS)


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def choice_of(reply: Reply) -> Choice:
    """All that the output says; the wire has no second choice."""
    calls = calls_of(reply)
    records = records_of(reply)
    return Choice(
        text=text_of(reply),
        refusal=refusal_of(reply) or None,
        reasoning=reasoning_of(reply) or None,
        tool_calls=[_tool_call(i, item) for i, item in enumerate(calls)],
        finish_reason=finish_reason(reply, has_calls=bool(calls)),
        logprobs=LogprobsData(records) if records else None,
    )


def text_of(reply: Reply) -> str:
    """The text of all messages."""
    return "".join(part.text or "" for part in _text_parts(reply))


def records_of(reply: Reply) -> list[TokenLogprob]:
    """The token records of all messages, in the order of their text."""
    return [record for part in _text_parts(reply) for record in records(part.logprobs)]


def refusal_of(reply: Reply) -> str:
    """The text of all refusals."""
    return "".join(part.refusal or "" for part in _message_parts(reply) if part.type == "refusal")


def reasoning_of(reply: Reply) -> str:
    """The text of the reasoning, or of its summary, where the server shows one."""
    items = [item for item in reply.output or () if item.type == "reasoning"]
    parts = [part for item in items for part in [*(item.summary or ()), *_parts(item)]]
    return PARAGRAPH.join(part.text for part in parts if part.text)


def calls_of(reply: Reply) -> list[Item]:
    """The function calls."""
    return [item for item in reply.output or () if item.type == "function_call"]


def records(raw: Raw) -> list[TokenLogprob]:
    """The records of a ``logprobs`` key: a list here, not an object of channels."""
    return [] if raw in _NO_RECORDS else decode_tokens(raw)


def _text_parts(reply: Reply) -> Iterator[Part]:
    return (part for part in _message_parts(reply) if part.type in {"output_text", "text"})


def _message_parts(reply: Reply) -> Iterator[Part]:
    return (part for item in reply.output or () if item.type == "message" for part in _parts(item))


def _parts(item: Item) -> list[Part]:
    content = item.content
    return [Part("output_text", content)] if isinstance(content, str) else content or []


def call_id(item: Item) -> str | None:
    """The id that the result of a call refers to."""
    return item.call_id or item.id


def arguments(item: Item) -> str:
    """The arguments of a call as JSON text; some servers send the object."""
    value = item.arguments
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value or ""


def _tool_call(position: int, item: Item) -> ToolCall:
    return ToolCall(
        id=well_formed(call_id(item) or f"call_{position}"),
        function=FunctionCall(name=well_formed(item.name or ""), arguments=well_formed(arguments(item))),
    )


def finish_reason(reply: Reply, *, has_calls: bool) -> str | None:
    """OpenAI's chat word for the end; None while there is no end (a response in the background)."""
    details = reply.incomplete_details
    reason = None if details is None else details.reason
    if reason is not None:
        return _INCOMPLETE.get(reason, reason)
    if reply.status == "completed":
        return "tool_calls" if has_calls else "stop"
    return None if reply.status in {"queued", "in_progress"} else reply.status


def usage_of(reply: Reply) -> Usage | None:
    """The counts."""
    usage = reply.usage
    if usage is None:
        return None
    prompt, generated = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        reasoning_tokens=None if generated is None else generated.reasoning_tokens,
        cached_tokens=None if prompt is None else prompt.cached_tokens,
    )


def created_of(reply: Reply) -> int | None:
    """When the response was made; some servers send a fraction of a second with it."""
    at = reply.created_at
    return None if at is None or not math.isfinite(at) else int(at)
