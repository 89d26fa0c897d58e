"""``cohere-chat``: POST /v2/chat, spoken by Cohere.

https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, loads, well_formed
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage, with_body
from nxlog.wire._cohere_records import records_of
from nxlog.wire._cohere_request import message_object, response_format, thinking, tool_choice, tool_fields
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire._lenient import decode_leniently
from nxlog.wire.base import NO_IDS, encode_body, not_the_shape, spelled
from nxlog.wire.errors import event_error
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nxlog.request import ChatRequest
    from nxlog.wire.base import StreamDecoder

_PLAIN_FIELDS = {
    "temperature": "temperature",
    "top_p": "p",
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
}

_FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}


class CohereChat:
    """The wire; it has no state."""

    name = "cohere-chat"
    lacks: frozenset[str] = frozenset(
        {"n", "top_logprobs", "reasoning_logprobs", "refusal_logprobs", "tool_choice=function"}
        | NO_IDS - {"token_ids"}  # they are in the records
    )

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body. ``n`` and ``top_logprobs`` have no place on this wire and are not sent."""
        body: dict[str, Any] = {"model": model, "messages": [message_object(message) for message in request.messages]}
        body |= spelled(request, _PLAIN_FIELDS, spelling)
        if request.tools is not None:
            body |= tool_fields(request.tools)
        if request.tool_choice is not None and (choice := tool_choice(request.tool_choice)):
            body["tool_choice"] = choice
        if request.response_format is not None:
            body["response_format"] = response_format(request.response_format)
        if (thought := thinking(request)) is not None:
            body["thinking"] = thought
        # The reference calls it mandatory, and has a page for either value.
        body["stream"] = stream
        return encode_body(body, request.provider_options)

    def decode(self, body: bytes) -> ChatResponse:
        """The reply. Citations stay reachable through ``raw``."""
        reply = decode_leniently(body, _reply_decoder, wire=self.name)
        if reply.message is None:
            _raise_error_object(body)
            raise not_the_shape(self.name, body, "it has no message")
        message, blocks = reply.message, _blocks(reply.message)
        records = records_of(reply.logprobs)
        choice = Choice(
            text=_text(blocks),
            reasoning=_thinking(blocks) + (message.tool_plan or "") or None,
            tool_calls=[_tool_call(i, call) for i, call in enumerate(_calls(message))],
            finish_reason=_finish_reason(reply.finish_reason),
            logprobs=LogprobsData(records) if records else None,
        )
        return with_body(ChatResponse(id=reply.id, choices=[choice], usage=_usage(reply.usage)), body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


# -- what is read, and nothing else ----------------------------------------------------------------------------------


class _Counts(Struct, gc=False):
    # Typed as numbers of any kind.
    input_tokens: float | None = None
    output_tokens: float | None = None


class _Usage(Struct, gc=False):
    tokens: _Counts | None = None
    cached_tokens: float | None = None


class _Block(Struct, gc=False):
    text: str | None = None
    thinking: str | None = None


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, gc=False):
    # A list in whole replies, one of them in events.
    content: list[_Block] | _Block | str | None = None
    tool_plan: str | None = None
    tool_calls: list[_Call] | _Call | None = None


class _Reply(Struct, gc=False):
    id: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None
    logprobs: Raw = NULL


class _Delta(Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None
    error: str | None = None


class _Event(Struct, gc=False):
    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    logprobs: Raw = NULL


_reply_decoder = msgspec.json.Decoder(_Reply)
_event_decoder = msgspec.json.Decoder(_Event)


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _raise_error_object(data: bytes) -> None:
    value = loads(data)
    if isinstance(value.get("message"), str):  # where a reply has an object
        raise event_error(value, data.decode("utf-8", "replace"))


def _blocks(message: _Message) -> list[_Block]:
    content = message.content
    if isinstance(content, str):
        return [_Block(content)]
    return [content] if isinstance(content, _Block) else content or []


def _calls(message: _Message) -> list[_Call]:
    calls = message.tool_calls
    return [calls] if isinstance(calls, _Call) else calls or []


def _text(blocks: Iterable[_Block]) -> str:
    return "".join(block.text or "" for block in blocks)


def _thinking(blocks: Iterable[_Block]) -> str:
    return "".join(block.thinking or "" for block in blocks)


def _finish_reason(reason: str | None) -> str | None:
    return None if reason is None else _FINISH_REASONS.get(reason, reason)


def _tool_call(position: int, call: _Call) -> ToolCall:
    function = call.function or _Function()
    return ToolCall(
        id=well_formed(call.id or f"call_{position}"),
        function=FunctionCall(name=well_formed(function.name or ""), arguments=well_formed(function.arguments or "")),
    )


def _usage(usage: _Usage | None) -> Usage | None:
    """Counts of tokens. Billed units are about money and stay in ``raw``."""
    if usage is None:
        return None
    counts = usage.tokens or _Counts()
    prompt, completion = _whole(counts.input_tokens), _whole(counts.output_tokens)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=None if prompt is None or completion is None else prompt + completion,
        cached_tokens=_whole(usage.cached_tokens),
    )


def _whole(count: float | None) -> int | None:
    return None if count is None or not math.isfinite(count) else int(count)


class _Decoder(PayloadDecoder[bytes, StreamChunk]):
    """Chunks from events. The stream is whole when ``message-end`` came."""

    def __init__(self) -> None:
        super().__init__(EventSplitter())
        self._id: str | None = None
        self._calls = 0
        self._call_at: dict[int | None, int] = {}

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if self._done or payload.strip() == b"[DONE]":  # which some gateways add
            return
        event = decode_leniently(payload, _event_decoder, wire=CohereChat.name)
        if not event.type:
            _raise_error_object(payload)
        delta = event.delta or _Delta()
        message = delta.message or _Message()
        if event.type == "message-start":
            self._started, self._id = True, event.id
            yield self._chunk()
        elif event.type in {"content-start", "content-delta"}:
            yield from self._content(_blocks(message), event.logprobs)
        elif event.type == "tool-plan-delta" and message.tool_plan:
            yield self._chunk(reasoning_delta=message.tool_plan)
        elif event.type in {"tool-call-start", "tool-call-delta"}:
            for call in _calls(message):
                yield self._call(event, call)
        elif event.type == "message-end":
            yield self._end(delta, payload)

    def _content(self, blocks: list[_Block], logprobs: Raw) -> Iterator[StreamChunk]:
        records = records_of(logprobs)
        text, thought = _text(blocks), _thinking(blocks)
        if text or thought or records:
            found = StreamLogprobsDelta(records) if records else None
            yield self._chunk(delta=text, reasoning_delta=thought or None, logprobs=found)

    def _call(self, event: _Event, call: _Call) -> StreamChunk:
        if event.type == "tool-call-start" or not self._calls:
            self._call_at[event.index] = self._calls
            self._calls += 1
        function = call.function or _Function()
        piece = ToolCallDelta(
            index=self._call_at.get(event.index, self._calls - 1),
            id=call.id,
            name=function.name,
            arguments=function.arguments or "",
        )
        return self._chunk(tool_call_deltas=(piece,))

    def _end(self, delta: _Delta, payload: bytes) -> StreamChunk:
        if delta.error:
            raise event_error({"message": delta.error}, payload.decode("utf-8", "replace"))
        self._done = True
        return self._chunk(finish_reason=_finish_reason(delta.finish_reason), usage=_usage(delta.usage))

    def _chunk(self, **fields: Any) -> StreamChunk:
        return StreamChunk(**fields, id=self._id)


WIRE = CohereChat()
