"""``openai-chat``: POST /chat/completions, spoken by OpenAI, most gateways and nearly every engine.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, as_list
from nxlog._records import TokenLogprob
from nxlog.errors import DecodeError, IncompleteStreamError
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta, channels_from_object
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage, with_body
from nxlog.wire.base import encode_body, not_the_shape
from nxlog.wire.errors import event_error
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog.request import ChatRequest
    from nxlog.wire.base import StreamDecoder

_PLAIN_FIELDS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "tool_choice",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
)


class OpenAIChat:
    """The wire; it has no state."""

    name = "openai-chat"
    lacks: frozenset[str] = frozenset()

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body. A field that is None is left out, so that it looks like one never heard of."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [message.model_dump(exclude_none=True) for message in request.messages],
        }
        for name in _PLAIN_FIELDS:
            value = getattr(request, name)
            if value is not None and (key := spelling.get(name, name)):
                body[key] = value
        if request.tools is not None:
            body["tools"] = [tool.model_dump(exclude_none=True) for tool in request.tools]
        if request.response_format is not None:
            body["response_format"] = request.response_format.model_dump(exclude_none=True, by_alias=True)
        if stream:
            body["stream"] = True
            # Without it most servers count nothing in a stream, and lost records could not be noticed.
            if spelling.get("stream_options", "stream_options"):
                body["stream_options"] = {"include_usage": True}
        return encode_body(body, request.provider_options)

    def decode(self, body: bytes) -> ChatResponse:
        """The reply."""
        reply = _decode(body)
        _raise_error_object(reply, body)
        if not reply.choices:
            raise not_the_shape(self.name, body, "it has no choices")
        return with_body(
            ChatResponse(
                id=reply.id,
                model=reply.model or "",
                created=reply.created,
                choices=[_choice(choice) for choice in reply.choices],
                usage=_usage(reply.usage),
            ),
            body,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


# -- what is read, and nothing else; the rest stays reachable through ChatResponse.raw ------------------------------


class _Channels(Struct, gc=False):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None
    reasoning: list[TokenLogprob] | None = None


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, gc=False):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct, gc=False):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None
    logprobs: _Channels | None = None
    finish_reason: str | None = None


class _PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None


class _CompletionDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Reply(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Raw = NULL


_T = TypeVar("_T", LogprobsData, StreamLogprobsDelta)
_S = TypeVar("_S", bound=Struct)

_EMPTY = Raw(b"{}")
_decode_strict = msgspec.json.Decoder(_Reply).decode


def _decode(data: bytes) -> _Reply:
    try:
        return _decode_strict(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_tolerant(data)


def _decode_tolerant(data: bytes) -> _Reply:
    """The same for what msgspec refuses: NaN literals, records with unknown keys, wrong types, broken UTF-8."""
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as problem:
        raise not_the_shape(OpenAIChat.name, data, f"not JSON ({problem})") from None
    if not isinstance(value, dict):
        raise not_the_shape(OpenAIChat.name, data, f"a {type(value).__name__} where an object belongs")
    reply = cast("dict[str, Any]", value)
    choices = cast("list[object]", as_list(reply.get("choices")))
    return _Reply(
        id=_str(reply.get("id")),
        model=_str(reply.get("model")),
        created=_int(reply.get("created")),
        choices=[_tolerant_choice(cast("dict[str, Any]", item)) for item in choices if isinstance(item, dict)],
        usage=_or_none(reply.get("usage"), _Usage),
        error=Raw(json.dumps(reply.get("error")).encode()),
    )


def _tolerant_choice(item: dict[str, Any]) -> _Choice:
    logprobs = item.get("logprobs")
    channels = channels_from_object(cast("dict[str, Any]", logprobs)) if isinstance(logprobs, dict) else None
    return _Choice(
        index=_int(item.get("index")) or 0,
        message=_or_none(item.get("message"), _Message),
        delta=_or_none(item.get("delta"), _Message),
        logprobs=None if channels is None else _Channels(**channels),
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


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _raise_error_object(reply: _Reply, data: bytes) -> None:
    if reply.error not in (NULL, _EMPTY):
        raise event_error({"error": json.loads(bytes(reply.error))}, data.decode("utf-8", "replace"))
    if not reply.choices and b'"message"' in data:
        # The flat form of SGLang and Mistral: {"object": "error", "message": ..., "code": ...}
        text = data.decode("utf-8", "replace")
        value = json.loads(text)
        if value.get("object") == "error" or "code" in value:
            raise event_error(value, text)


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content or ""


def _choice(choice: _Choice) -> Choice:
    message = choice.message or _Message()
    return Choice(
        index=choice.index,
        text=_text(message.content),
        refusal=message.refusal,
        reasoning=message.reasoning_content or message.reasoning or None,
        tool_calls=[_tool_call(i, call) for i, call in enumerate(message.tool_calls or ())],
        finish_reason=choice.finish_reason,
        logprobs=_channels(choice.logprobs, LogprobsData),
    )


def _tool_call(position: int, call: _ToolCall) -> ToolCall:
    function = call.function or _Function()
    return ToolCall(
        id=call.id or f"call_{position}",
        function=FunctionCall(name=function.name or "", arguments=_arguments(function)),
    )


def _arguments(function: _Function) -> str:
    # Some servers send the object instead of its text.
    value = function.arguments
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value or ""


def _channels(wire: _Channels | None, cls: type[_T]) -> _T | None:
    if wire is None:
        return None
    reasoning = wire.reasoning_content or wire.reasoning
    if not (wire.content or wire.refusal or reasoning):
        return None
    # An empty list beside a filled one says no more than null does.
    return cls(wire.content or None, refusal=wire.refusal or None, reasoning=reasoning or None)


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        reasoning_tokens=None if completion is None else completion.reasoning_tokens,
        cached_tokens=None if prompt is None else prompt.cached_tokens,
    )


class _Decoder:
    """Chunks from events. The stream is whole when ``[DONE]`` came or every choice has ended."""

    def __init__(self) -> None:
        self._events = EventSplitter()
        self._done = False
        self._open: set[int] = set()
        self._ended: set[int] = set()

    def feed(self, data: bytes) -> Iterator[StreamChunk]:
        for payload in self._events.feed(data):
            yield from self._chunks(payload)

    def close(self) -> Iterator[StreamChunk]:
        for payload in self._events.close():
            # The last event may lack its blank line, or be cut; what follows tells whether anything was lost.
            with contextlib.suppress(DecodeError):
                yield from self._chunks(payload)
        if self._done or (self._ended and not self._open):
            return
        raise IncompleteStreamError(
            "the stream ended before the answer did"
            if self._open
            else "the stream ended before the first chunk of an answer"
        )

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if self._done:
            return
        if payload.strip() == b"[DONE]":
            self._done = True
            return
        reply = _decode(payload)
        if not reply.choices:
            _raise_error_object(reply, payload)
            if reply.usage is not None:
                yield StreamChunk(usage=_usage(reply.usage), id=reply.id, model=reply.model, created=reply.created)
            return
        usage = _usage(reply.usage)
        for choice in reply.choices:
            yield self._chunk(choice, reply, usage)
            usage = None
        _raise_error_object(reply, payload)

    def _chunk(self, choice: _Choice, reply: _Reply, usage: Usage | None) -> StreamChunk:
        delta = choice.delta or choice.message or _Message()
        if choice.finish_reason is not None:
            self._ended.add(choice.index)
            self._open.discard(choice.index)
        elif choice.index not in self._ended:
            self._open.add(choice.index)
        return StreamChunk(
            delta=_text(delta.content),
            index=choice.index,
            logprobs=_channels(choice.logprobs, StreamLogprobsDelta),
            finish_reason=choice.finish_reason,
            usage=usage,
            reasoning_delta=delta.reasoning_content or delta.reasoning or None,
            refusal_delta=delta.refusal or None,
            tool_call_deltas=tuple(_tool_call_delta(i, call) for i, call in enumerate(delta.tool_calls or ())),
            id=reply.id,
            model=reply.model,
            created=reply.created,
        )


def _tool_call_delta(position: int, call: _ToolCall) -> ToolCallDelta:
    function = call.function or _Function()
    return ToolCallDelta(
        index=position if call.index is None else call.index,
        id=call.id,
        name=function.name,
        arguments=_arguments(function),
    )


WIRE = OpenAIChat()
