"""What nxlog reads of an ``openai-chat`` reply or chunk; the rest stays reachable through ``ChatResponse.raw``.

A reply is read by the strict structs, else by the loose ones (records with keys of the server's own, or in another
format), else by Python's tolerant JSON reader. Each gives the same ``Reply``.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, NULL, integer, loads_anything
from nxlog.wire._beside_records import completed
from nxlog.wire._column_records import decode_number
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._logprobs_value import Channels, decode_entries, is_number, sniff
from nxlog.wire._token_ids import ids_of

NAME = "openai-chat"


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
    token_id: int | float | None = None


class ReplyChoice(Struct, gc=False):
    index: int = 0
    message: Message | None = None
    delta: Message | None = None
    text: str | None = None
    logprobs: Channels | None = None
    finish_reason: str | None = None
    # Other places where servers put records. Anything but null there is for the loose reader.
    reasoning_logprobs: None = None
    log_probs: None = None
    # What says more about the same records.
    token_ids: list[int] | None = None
    response_token_ids: list[int] | None = None
    meta_info: Raw = NULL
    # vLLM's and SGLang's names for the same.
    stop_reason: int | str | None = None
    matched_stop: int | str | None = None
    weight_versions: Raw = NULL
    # Of the prompt, where it is told by choice.
    prompt_token_ids: list[int] | None = None
    prompt_logprobs: Raw = NULL


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
    token: None = None  # as above
    prompt_token_ids: list[int] | None = None
    prompt_logprobs: Raw = NULL
    metadata: Raw = NULL
    sglext: Raw = NULL


class _LooseChoice(Struct, gc=False):
    index: int = 0
    message: Message | None = None
    delta: Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL
    log_probs: Raw = NULL
    reasoning_logprobs: Raw = NULL
    top_logprobs: Raw = NULL
    token_ids: Raw = NULL
    response_token_ids: Raw = NULL
    prompt_token_ids: Raw = NULL
    prompt_logprobs: Raw = NULL
    meta_info: Raw = NULL
    stop_reason: Raw = NULL
    matched_stop: Raw = NULL
    weight_versions: Raw = NULL


class _LooseReply(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None  # some servers have fractions of a second
    choices: list[_LooseChoice] | None = None
    usage: ReplyUsage | None = None
    error: Raw = NULL
    token: Raw = NULL
    prompt_token_ids: Raw = NULL
    prompt_logprobs: Raw = NULL
    metadata: Raw = NULL
    sglext: Raw = NULL


_decode_strict = msgspec.json.Decoder(Reply).decode
_loose_decoder = msgspec.json.Decoder(_LooseReply)


def decode_reply(data: bytes) -> Reply:
    """The reply or chunk, by the first reader that understands it.

    Raises:
        DecodeError: not a JSON object.
    """
    try:
        reply = _decode_strict(data)
    except BROKEN:
        # Nearly always records with keys of the server's own, as Fireworks has them.
        return decode_loosely(data)
    for choice in reply.choices or ():
        # Looked at here, because it is so for every chunk of a stream and hardly ever true.
        if choice.token_ids or choice.response_token_ids or choice.meta_info is not NULL:
            _complete(choice)
    return reply


def _complete(choice: ReplyChoice) -> None:
    if choice.logprobs is not None:
        ids = choice.token_ids or choice.response_token_ids
        choice.logprobs.content = completed(choice.logprobs.content, ids, choice.meta_info)


def decode_loosely(data: bytes, *, wire: str = NAME) -> Reply:
    """The same where the strict reader is not worth a try: records come in whatever format the server likes.

    Raises:
        DecodeError: not a JSON object.
    """
    return _from_loose(decode_leniently(data, _loose_decoder, wire=wire))


# -- records, wherever the server has put them -----------------------------------------------------------------------


def _from_loose(reply: _LooseReply) -> Reply:
    choices = None if reply.choices is None else [_from_loose_choice(choice) for choice in reply.choices]
    if choices is not None and len(choices) == 1 and choices[0].logprobs is None:
        choices[0].logprobs = _beside_choices(reply.token)
    at = reply.created
    created = None if at is None or not math.isfinite(at) else int(at)
    return Reply(
        reply.id,
        reply.model,
        created,
        choices,
        reply.usage,
        reply.error,
        prompt_token_ids=ids_of(reply.prompt_token_ids),
        prompt_logprobs=reply.prompt_logprobs,
        metadata=reply.metadata,
        sglext=reply.sglext,
    )


def _beside_choices(token: Raw) -> Channels | None:
    """The record of a completion's chunk from Together: ``{id, text, logprob, special}``."""
    records = [] if token == NULL else decode_entries(token)
    return Channels(records) if any(record.logprob is not None for record in records) else None


def _from_loose_choice(choice: _LooseChoice) -> ReplyChoice:
    found = ReplyChoice(
        index=choice.index,
        message=choice.message,
        delta=choice.delta,
        text=choice.text,
        finish_reason=choice.finish_reason,
        logprobs=_channels(choice),
        token_ids=ids_of(choice.token_ids) or ids_of(choice.response_token_ids),
        meta_info=choice.meta_info,
        stop_reason=_stop(choice.stop_reason) or _stop(choice.matched_stop),
        weight_versions=choice.weight_versions,
        prompt_token_ids=ids_of(choice.prompt_token_ids),
        prompt_logprobs=choice.prompt_logprobs,
    )
    _complete(found)
    return found


def _stop(value: Raw) -> str | int | None:
    found = None if value == NULL else loads_anything(value)
    return found if isinstance(found, str) else integer(found)


def _channels(choice: _LooseChoice) -> Channels | None:
    value = choice.log_probs if choice.logprobs == NULL else choice.logprobs
    if choice.delta is not None and is_number(value):
        # Together's chunk of a chat: the logprob of the one token that the chunk carries.
        text = choice.delta.content if isinstance(choice.delta.content, str) else ""
        found = decode_number(value, token=text, token_id=choice.delta.token_id, top_logprobs=choice.top_logprobs)
        channels: Channels | None = Channels(found)
    else:
        channels = sniff(value, ids=choice.token_ids, prompt_ids=choice.prompt_token_ids)
    reasoning = sniff(choice.reasoning_logprobs)
    if reasoning is None:
        return channels
    channels = channels or Channels()
    channels.reasoning = channels.reasoning or reasoning.content or reasoning.reasoning_content or reasoning.reasoning
    return channels
