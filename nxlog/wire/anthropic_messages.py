"""``anthropic-messages``: POST /messages, spoken by Anthropic and as a second tongue by vLLM, llama.cpp and gateways.

The wire has no logprobs in either direction. https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, loads
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage, with_body
from nxlog.wire._anthropic_request import conversation, output_options, shortest, tool_choice, tool_object
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire.base import NO_IDS, encode_body, not_the_shape, spelled
from nxlog.wire.errors import event_error
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog.errors import StatusError
    from nxlog.request import ChatRequest
    from nxlog.wire.base import StreamDecoder

DEFAULT_MAX_TOKENS = 4096
"""The wire demands a limit. This is the largest that every model of Anthropic's accepts, the oldest included."""

_PLAIN_FIELDS = {"max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "stop": "stop_sequences"}

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# Inside a stream the type stands for the status that the same error has outside of one.
_ERROR_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicMessages:
    """The wire; it has no state."""

    name = "anthropic-messages"
    lacks: frozenset[str] = frozenset(
        {"n", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "json_mode"} | NO_IDS
    )

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body. ``n``, ``seed``, the penalties and logprobs have no place on this wire and are not sent."""
        system, messages = conversation(request.messages)
        body: dict[str, Any] = {"model": model, "messages": messages}
        if system:
            body["system"] = shortest(system)
        body |= spelled(request, _PLAIN_FIELDS, spelling)
        if request.max_tokens is None and (key := spelling.get("max_tokens", "max_tokens")):
            body[key] = DEFAULT_MAX_TOKENS
        if request.tools is not None:
            body["tools"] = [tool_object(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = tool_choice(request.tool_choice)
        body |= output_options(request)
        if stream:
            body["stream"] = True
        return encode_body(body, request.provider_options)

    def decode(self, body: bytes) -> ChatResponse:
        """The reply. Blocks that are neither text, thinking nor a tool call stay reachable through ``raw``."""
        reply = _decode(body, _Message)
        if reply.content is None:
            if reply.error != NULL:
                raise _error(reply.error, body)
            raise not_the_shape(self.name, body, "it has no content")
        calls = [block for block in reply.content if block.type == "tool_use"]
        choice = Choice(
            text="".join(block.text or "" for block in reply.content if block.type == "text"),
            reasoning="".join(block.thinking or "" for block in reply.content if block.type == "thinking") or None,
            tool_calls=[_tool_call(i, block) for i, block in enumerate(calls)],
            finish_reason=_finish_reason(reply.stop_reason),
        )
        usage = None if reply.usage is None else _usage(reply.usage)
        return with_body(ChatResponse(id=reply.id, model=reply.model or "", choices=[choice], usage=usage), body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


# -- what is read, and nothing else ----------------------------------------------------------------------------------


_NO_INPUT = Raw(b"{}")


class _OutputDetails(Struct, gc=False):
    thinking_tokens: int | None = None


class _Usage(Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Block(Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = _NO_INPUT
    stop_reason: str | None = None


class _Message(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    error: Raw = NULL


class _Event(Struct, gc=False):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Block | None = None
    usage: _Usage | None = None
    error: Raw = NULL


_T = TypeVar("_T", _Message, _Event)


def _decode(data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.json.decode(data.decode("utf-8", "replace"), type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise not_the_shape(AnthropicMessages.name, data, str(error)) from None


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _error(error: Raw, data: bytes) -> StatusError:
    return event_error({"error": loads(error)}, data.decode("utf-8", "replace"), statuses=_ERROR_STATUS)


def _finish_reason(reason: str | None) -> str | None:
    return None if reason is None else _FINISH_REASONS.get(reason, reason)


def _input(block: _Block) -> str:
    return "{}" if block.input == NULL else bytes(block.input).decode()


def _tool_call(position: int, block: _Block) -> ToolCall:
    function = FunctionCall(name=block.name or "", arguments=_input(block))
    return ToolCall(id=block.id or f"call_{position}", function=function)


def _usage(usage: _Usage) -> Usage:
    """Counts in OpenAI's sense: the wire's ``input_tokens`` leave the cache out, ``prompt_tokens`` are all of them."""
    prompt, completion = usage.input_tokens, usage.output_tokens
    if prompt is not None:
        prompt += (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    details = usage.output_tokens_details
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=None if prompt is None or completion is None else prompt + completion,
        reasoning_tokens=None if details is None else details.thinking_tokens,
        cached_tokens=usage.cache_read_input_tokens,
    )


class _Decoder(PayloadDecoder[bytes, StreamChunk]):
    """Chunks from events. The stream is whole when ``message_stop`` came, or at least the reason to stop."""

    def __init__(self) -> None:
        super().__init__(EventSplitter())
        self._has_reason = False
        self._id: str | None = None
        self._model: str | None = None
        self._usage = _Usage()
        self._calls = 0
        self._open_call: _Block | None = None

    @property
    def _whole(self) -> bool:
        return self._done or self._has_reason

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if self._done:
            return
        if payload.strip() == b"[DONE]":  # some gateways add the end mark of the other wire
            self._done = True
            return
        event = _decode(payload, _Event)
        if event.type == "error" or event.error != NULL:
            raise _error(event.error, payload)
        if event.type == "message_stop":
            self._done = True
        elif event.type == "message_start":
            yield self._start(event.message or _Message())
        elif event.type == "content_block_start" and event.content_block is not None:
            yield from self._start_block(event.content_block)
        elif event.type == "content_block_delta" and event.delta is not None:
            yield from self._extend_block(event.delta)
        elif event.type == "content_block_stop" and self._open_call is not None:
            # No fragment came: the arguments are those the block began with, as a rule none.
            block, self._open_call = self._open_call, None
            yield self._call(ToolCallDelta(index=self._calls - 1, arguments=_input(block)))
        elif event.type == "message_delta":
            yield self._end(event)

    def _start(self, message: _Message) -> StreamChunk:
        self._started = True
        self._id, self._model = message.id, message.model
        return self._chunk(usage=self._count(message.usage))

    def _start_block(self, block: _Block) -> Iterator[StreamChunk]:
        self._open_call = None
        if block.type == "tool_use":
            self._open_call = block
            self._calls += 1
            yield self._call(ToolCallDelta(index=self._calls - 1, id=block.id, name=block.name))
        elif block.type == "text" and block.text:
            yield self._chunk(delta=block.text)
        elif block.type == "thinking" and block.thinking:
            yield self._chunk(reasoning_delta=block.thinking)

    def _extend_block(self, delta: _Block) -> Iterator[StreamChunk]:
        if delta.type == "text_delta":
            yield self._chunk(delta=delta.text or "")
        elif delta.type == "thinking_delta":
            yield self._chunk(reasoning_delta=delta.thinking or None)
        elif delta.type == "input_json_delta" and delta.partial_json and self._calls:
            self._open_call = None
            yield self._call(ToolCallDelta(index=self._calls - 1, arguments=delta.partial_json))

    def _end(self, event: _Event) -> StreamChunk:
        reason = None if event.delta is None else _finish_reason(event.delta.stop_reason)
        self._has_reason = self._has_reason or reason is not None
        return self._chunk(finish_reason=reason, usage=self._count(event.usage))

    def _count(self, usage: _Usage | None) -> Usage | None:
        """The counts so far: ``message_start`` has those of the prompt, ``message_delta`` as a rule only the others."""
        if usage is None:
            return None
        for name, value in msgspec.structs.asdict(usage).items():
            if value is not None:
                setattr(self._usage, name, value)
        return _usage(self._usage)

    def _call(self, delta: ToolCallDelta) -> StreamChunk:
        return self._chunk(tool_call_deltas=(delta,))

    def _chunk(self, **fields: Any) -> StreamChunk:
        return StreamChunk(**fields, id=self._id, model=self._model)


WIRE = AnthropicMessages()
