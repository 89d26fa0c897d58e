"""The response object of ``openai-responses``: the whole reply, and in the first and the last events of a stream."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, NULL, json_safe, loads, loads_anything
from nxlog.response import Usage
from nxlog.responses.reply import (
    IncompleteDetails,
    RawMessage,
    ReplyError,
    ResponsesReply,
    separated,
    texts_of,
    with_memory,
    with_text,
)
from nxlog.wire._beside_records import completed
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._openai_responses_items import Fields, fields_of_all, item_of, text_of
from nxlog.wire.base import not_the_shape
from nxlog.wire.errors import event_error

if TYPE_CHECKING:
    from nxlog.responses.items import OutputItem

NAME = "openai-responses"

# The code of an error inside a reply stands for the status that it has outside of one.
_ERROR_STATUS = {
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}


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


class _Reply(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    usage: _Usage | None = None
    error: Raw = NULL
    previous_response_id: str | None = None
    background: bool | None = None
    store: bool | None = None
    input_messages: Raw = NULL
    output_messages: Raw = NULL


class _Loose(_Reply, gc=False):
    output: Raw = NULL


class Reply(_Reply, gc=False):
    """What is read of a response object; the rest stays reachable through ``raw``."""

    output: list[Fields] | None = None


_strict_decoder = msgspec.json.Decoder(Reply)
_loose_decoder = msgspec.json.Decoder(_Loose)


def read_reply(data: bytes) -> Reply:
    """The response object, undecoded but for what is short.

    Raises:
        DecodeError: not a JSON object.
    """
    with contextlib.suppress(*BROKEN):
        return _strict_decoder.decode(data)
    loose = decode_leniently(data, _loose_decoder, wire=NAME)
    known = {name: getattr(loose, name) for name in _Reply.__struct_fields__}
    return Reply(**known, output=fields_of_all(loose.output))


def reply_of(found: Reply, data: bytes) -> ResponsesReply:
    """The same in nxlog's types, whatever its status."""
    details, ids = found.incomplete_details, _messages(found.output_messages)
    output = _with_ids([item_of(item) for item in found.output or ()], ids)
    reply = ResponsesReply(
        id=found.id,
        model=found.model or "",
        created=_created(found.created_at),
        status=found.status,
        output=output,
        usage=_usage(found.usage, says_something=bool(output)),
        incomplete_details=None if details is None else IncompleteDetails(reason=details.reason),
        error=_error(found.error),
        previous_response_id=found.previous_response_id,
        background=found.background,
        store=found.store,
        input_messages=_messages(found.input_messages),
        output_messages=ids,
    )
    return separated(with_memory(reply, body=data))


def decode_reply(data: bytes) -> ResponsesReply:
    """The response that a body is.

    Raises:
        StatusError: the body is an error object.
        DecodeError: not JSON, or no response.
    """
    found = read_reply(data)
    reply = reply_of(found, data)
    if found.output is None and not (is_failed(reply) or reply.is_running):
        raise_flat_error(data)
        raise not_the_shape(NAME, data, "it has no output")
    return reply


def _messages(raw: Raw) -> list[RawMessage] | None:
    found = fields_of_all(raw)
    return None if found is None else [_message(item) for item in found]


def _message(fields: dict[str, Raw]) -> RawMessage:
    tokens = loads_anything(fields.get("tokens", NULL))
    ids = cast("list[object]", tokens) if isinstance(tokens, list) else []
    return RawMessage(
        type=text_of(fields.get("type", NULL)) or "",
        message=loads_anything(fields.get("message", NULL)),
        tokens=[item for item in ids if isinstance(item, int) and not isinstance(item, bool)],
    )


def _error(raw: Raw) -> ReplyError | None:
    value = loads_anything(raw)
    if not value:
        return None  # null, {} and "" say that there is none
    if not isinstance(value, dict):
        return ReplyError(message=str(value))
    given = cast("dict[str, Any]", json_safe(value))
    code, message = given.get("code"), given.get("message")
    known = {"code": code if isinstance(code, str | int) else None, "message": message or given}
    return ReplyError.model_validate({**given, **known, "message": str(known["message"])})


def _usage(usage: _Usage | None, *, says_something: bool) -> Usage | None:
    if usage is None:
        return None
    if says_something and usage.output_tokens == 0:
        # Older servers do not count what harmony models generate.
        usage.output_tokens = usage.total_tokens = None
    prompt, generated = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        reasoning_tokens=None if generated is None else generated.reasoning_tokens,
        cached_tokens=None if prompt is None else prompt.cached_tokens,
    )


def _created(at: float | None) -> int | None:
    # Some servers send a fraction of a second with it.
    return None if at is None or not math.isfinite(at) else int(at)


# -- records that say more together ----------------------------------------------------------------------------------


def _with_ids(output: list[OutputItem], messages: list[RawMessage] | None) -> list[OutputItem]:
    """The records with the ids that vLLM has beside them, where there is one for each."""
    ids = [token for message in messages or () for token in message.tokens]
    held = [place for place in texts_of(output) if place[2].logprobs]
    if len(held) != 1 or not ids:
        return output
    item, part, text = held[0]
    return with_text(output, item, part, text.model_copy(update={"logprobs": completed(text.logprobs, ids, NULL)}))


# -- errors ----------------------------------------------------------------------------------------------------------


def is_failed(reply: ResponsesReply) -> bool:
    """Whether the response says that it went wrong."""
    return reply.error is not None or reply.status == "failed"


def raise_failure(reply: ResponsesReply, data: bytes) -> None:
    """Raise what the response says went wrong, if it says so.

    Raises:
        StatusError: it has an error, or its status is ``failed``.
    """
    if reply.error is not None:
        raise_error({"error": reply.error.model_dump()}, data)
    if reply.status == "failed":
        raise_error({"message": "its status is 'failed', and it does not say why"}, data)


def raise_flat_error(data: bytes) -> None:
    """Raise the flat form of SGLang and Mistral, ``{"object": "error", "message": ..., "code": ...}``, if it is one.

    Raises:
        StatusError: it is one.
    """
    value: dict[str, Any] = loads(data)
    if "message" in value and (value.get("object") == "error" or "code" in value):
        raise_error(value, data)


def raise_error(value: object, data: bytes) -> None:
    """Raise the error that an error object of any shape describes.

    Raises:
        StatusError: always.
    """
    raise event_error(value, data.decode("utf-8", "replace"), statuses=_ERROR_STATUS)
