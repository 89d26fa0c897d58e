"""``ollama``: POST /api/chat, Ollama's own route. A stream is one JSON object per line.

Every field is left out where it is empty, an empty list of alternatives or of records as well. The records are one
list beside the message: where a model thinks, those of its thinking are in it too, and nothing tells them apart.

https://docs.ollama.com/api/chat
"""

from __future__ import annotations

import calendar
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, loads
from nxlog._records import decode_tokens
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage, with_body
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._ollama_request import conversation, format_of, think, tools
from nxlog.wire.base import NO_IDS, encode_body, not_the_shape, spelled
from nxlog.wire.errors import event_error
from nxlog.wire.ndjson import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog._records import TokenLogprob
    from nxlog.request import ChatRequest
    from nxlog.wire.base import StreamDecoder

NAME = "ollama"

_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}


class Ollama:
    """The wire; it has no state."""

    name = NAME
    lacks: frozenset[str] = frozenset({"n", "tool_choice=required", "tool_choice=function"} | NO_IDS)

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body. ``stream`` is always said: the server streams unless it is told not to."""
        body: dict[str, Any] = {"model": model, "messages": conversation(request.messages), "stream": stream}
        if options := spelled(request, _OPTIONS, spelling):
            body["options"] = options
        fields: dict[str, Any] = {
            "tools": tools(request),
            "format": format_of(request.response_format),
            "think": think(request.reasoning_effort),
            "logprobs": request.logprobs,
            "top_logprobs": request.top_logprobs,
        }
        ours = {"format": "response_format", "think": "reasoning_effort"}
        for own, value in fields.items():
            if value is not None and (key := spelling.get(ours.get(own, own), own)):
                body[key] = value
        return encode_body(body, request.provider_options, tables=("options",))

    def decode(self, body: bytes) -> ChatResponse:
        """The reply."""
        reply = decode_leniently(body, _decoder, wire=self.name)
        _raise_error(reply, body)
        if reply.message is None:
            raise not_the_shape(self.name, body, "it has no message")
        message, records = reply.message, _records(reply)
        calls = message.tool_calls or []
        choice = Choice(
            text=message.content or "",
            reasoning=message.thinking or None,
            tool_calls=[_tool_call(i, call) for i, call in enumerate(calls)],
            finish_reason=_finish_reason(reply, has_calls=bool(calls)),
            logprobs=LogprobsData(records) if records else None,
        )
        response = ChatResponse(
            model=reply.model or "", created=_timestamp(reply.created_at), choices=[choice], usage=_usage(reply)
        )
        return with_body(response, body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


# -- what is read, and nothing else ----------------------------------------------------------------------------------


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: Raw = NULL


class _Call(Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Reply(Struct, gc=False):
    """A whole reply, or a line of a stream."""

    model: str | None = None
    created_at: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: Raw = NULL
    error: Raw = NULL


_decoder = msgspec.json.Decoder(_Reply)
_NO_ERROR = {b"null", b'""', b"{}"}


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _raise_error(reply: _Reply, data: bytes) -> None:
    if bytes(reply.error) not in _NO_ERROR:
        raise event_error({"error": loads(reply.error)}, data.decode("utf-8", "replace"))


def _records(reply: _Reply) -> list[TokenLogprob]:
    return [] if reply.logprobs == NULL else decode_tokens(reply.logprobs)


def _finish_reason(reply: _Reply, *, has_calls: bool) -> str | None:
    # The wire's words are OpenAI's, but that a call is no reason of its own.
    return "tool_calls" if has_calls and reply.done_reason == "stop" else reply.done_reason


def _arguments(function: _Function) -> str:
    """The arguments as JSON text; they are an object, and with some models its text."""
    if function.arguments == NULL:
        return "{}"
    value = bytes(function.arguments)
    return loads(value) if value.startswith(b'"') else value.decode()


def _tool_call(position: int, call: _Call) -> ToolCall:
    function = call.function or _Function()
    return ToolCall(
        id=call.id or f"call_{position}",
        function=FunctionCall(name=function.name or "", arguments=_arguments(function)),
    )


def _timestamp(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        # Without an offset it is taken for UTC.
        seconds = calendar.timegm(datetime.fromisoformat(text).utctimetuple())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None  # the year 1 is how Go writes no time


def _usage(reply: _Reply) -> Usage | None:
    prompt, generated = reply.prompt_eval_count, reply.eval_count
    if prompt is None and generated is None:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=generated,
        total_tokens=None if prompt is None or generated is None else prompt + generated,
    )


class _Decoder(PayloadDecoder[bytes, StreamChunk]):
    """Chunks from lines. The stream is whole when a line said ``"done": true``."""

    def __init__(self) -> None:
        super().__init__(LineSplitter())
        self._calls = 0

    def _chunks(self, line: bytes) -> Iterator[StreamChunk]:
        reply = decode_leniently(line, _decoder, wire=NAME)
        _raise_error(reply, line)
        message, records = reply.message, _records(reply)
        if message is None and not records and not reply.done:
            return
        self._started = True
        self._done = self._done or reply.done
        message = message or _Message()
        deltas = tuple(self._tool_call_delta(call) for call in message.tool_calls or ())
        yield StreamChunk(
            delta=message.content or "",
            logprobs=StreamLogprobsDelta(records) if records else None,
            finish_reason=_finish_reason(reply, has_calls=self._calls > 0),
            usage=_usage(reply),
            reasoning_delta=message.thinking or None,
            tool_call_deltas=deltas,
            model=reply.model,
            created=_timestamp(reply.created_at),
        )

    def _tool_call_delta(self, call: _Call) -> ToolCallDelta:
        """A call, which comes whole. Its own index starts again in every line, so it is not used."""
        function = call.function or _Function()
        self._calls += 1
        return ToolCallDelta(index=self._calls - 1, id=call.id, name=function.name, arguments=_arguments(function))


WIRE = Ollama()
