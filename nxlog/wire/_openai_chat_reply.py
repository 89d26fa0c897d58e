"""What nxlog reads of an ``openai-chat`` reply or chunk; the rest stays reachable through ``ChatResponse.raw``.

A reply is read by the strict structs, else by the loose ones (records with keys of the server's own), else by
Python's tolerant JSON reader. Each gives the same ``Reply``.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, NULL, as_list, loads, raw_of
from nxlog._records import TokenLogprob, decode_tokens
from nxlog.logprobs import channels_from_object
from nxlog.wire.base import not_the_shape

NAME = "openai-chat"


class Channels(Struct, gc=False):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None
    reasoning: list[TokenLogprob] | None = None


class Function(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallPart(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Message(Struct, gc=False):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallPart] | None = None


class ReplyChoice(Struct, gc=False):
    index: int = 0
    message: Message | None = None
    delta: Message | None = None
    logprobs: Channels | None = None
    finish_reason: str | None = None


class _PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None


class _CompletionDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class ReplyUsage(Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class Reply(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[ReplyChoice] | None = None
    usage: ReplyUsage | None = None
    error: Raw = NULL


class _LooseChoice(Struct, gc=False):
    index: int = 0
    message: Message | None = None
    delta: Message | None = None
    logprobs: dict[str, Raw] | None = None
    finish_reason: str | None = None


class _LooseReply(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[_LooseChoice] | None = None
    usage: ReplyUsage | None = None
    error: Raw = NULL


_S = TypeVar("_S", bound=Struct)

_decode_strict = msgspec.json.Decoder(Reply).decode
_decode_loose = msgspec.json.Decoder(_LooseReply).decode


def decode_reply(data: bytes) -> Reply:
    """The reply or chunk, by the first reader that understands it.

    Raises:
        DecodeError: not a JSON object.
    """
    try:
        return _decode_strict(data)
    except msgspec.ValidationError:
        # Nearly always records with keys of the server's own, as Fireworks has them.
        with contextlib.suppress(*BROKEN):
            return _from_loose(_decode_loose(data))
    except BROKEN:
        pass
    return _decode_tolerant(data)


def _from_loose(reply: _LooseReply) -> Reply:
    choices = None if reply.choices is None else [_from_loose_choice(choice) for choice in reply.choices]
    return Reply(reply.id, reply.model, reply.created, choices, reply.usage, reply.error)


def _from_loose_choice(choice: _LooseChoice) -> ReplyChoice:
    channels: Channels | None = None
    if choice.logprobs is not None:
        known = {name: raw for name, raw in choice.logprobs.items() if name in Channels.__struct_fields__}
        channels = Channels(**{name: None if raw == NULL else decode_tokens(raw) for name, raw in known.items()})
    return ReplyChoice(choice.index, choice.message, choice.delta, channels, choice.finish_reason)


def _decode_tolerant(data: bytes) -> Reply:
    """The same for what msgspec refuses: NaN literals, wrong types, broken UTF-8."""
    try:
        value = loads(data)
    except (ValueError, RecursionError) as problem:
        raise not_the_shape(NAME, data, f"not JSON ({problem})") from None
    if not isinstance(value, dict):
        raise not_the_shape(NAME, data, f"a {type(value).__name__} where an object belongs")
    reply = cast("dict[str, Any]", value)
    choices = cast("list[object]", as_list(reply.get("choices")))
    return Reply(
        id=_str(reply.get("id")),
        model=_str(reply.get("model")),
        created=_int(reply.get("created")),
        choices=[_tolerant_choice(cast("dict[str, Any]", item)) for item in choices if isinstance(item, dict)],
        usage=_or_none(reply.get("usage"), ReplyUsage),
        error=raw_of(reply.get("error")),
    )


def _tolerant_choice(item: dict[str, Any]) -> ReplyChoice:
    logprobs = item.get("logprobs")
    channels = channels_from_object(cast("dict[str, Any]", logprobs)) if isinstance(logprobs, dict) else None
    return ReplyChoice(
        index=_int(item.get("index")) or 0,
        message=_or_none(item.get("message"), Message),
        delta=_or_none(item.get("delta"), Message),
        logprobs=None if channels is None else Channels(**channels),
        finish_reason=_str(item.get("finish_reason")),
    )


def _or_none(value: object, kind: type[_S]) -> _S | None:
    """The value as a struct, without the fields whose values are of a wrong type."""
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, object]", value)
    out = kind()
    for field in msgspec.structs.fields(kind):
        if field.name in fields:
            with contextlib.suppress(msgspec.ValidationError):
                setattr(out, field.name, msgspec.convert(fields[field.name], field.type, strict=False))
    return out


def _str(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _int(value: object) -> int | None:
    # A float that is no finite number has no integer.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value)
