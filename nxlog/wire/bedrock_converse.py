"""``bedrock-converse``: POST /model/{model}/converse and /converse-stream, of Amazon Bedrock.

The model is in the URL alone, and the wire has no logprobs in either direction. Streams are binary.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, loads, well_formed
from nxlog.errors import DecodeError
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage, with_body
from nxlog.wire._bedrock_request import conversation, output_config, tool_config
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire._lenient import decode_leniently
from nxlog.wire.aws_eventstream import Frame, FrameSplitter
from nxlog.wire.base import NO_IDS, encode_body, not_the_shape, spelled
from nxlog.wire.errors import event_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog.errors import StatusError
    from nxlog.request import ChatRequest
    from nxlog.wire.base import StreamDecoder

_CONFIG_FIELDS = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
_TABLES = ("inferenceConfig", "toolConfig", "outputConfig")

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
# Inside a stream the type stands for the status that the same error has outside of one.
_ERROR_STATUS = {
    "ValidationException": 400,
    "ModelTimeoutException": 408,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


class BedrockConverse:
    """The wire; it has no state."""

    name = "bedrock-converse"
    lacks: frozenset[str] = frozenset(
        {"n", "seed", "presence_penalty", "frequency_penalty", "json_mode"}
        | {"logprobs", "streaming_logprobs", "top_logprobs", "reasoning_logprobs", "refusal_logprobs"}
        | NO_IDS
        | {"tool_choice=none", "reasoning_effort=none"}
    )

    def encode(
        self,
        request: ChatRequest,
        *,
        model: str,  # noqa: ARG002 - said by the URL
        stream: bool,  # noqa: ARG002 - said by the URL
        spelling: Mapping[str, str],
    ) -> bytes:
        """The request body.

        ``n``, ``seed``, the penalties and logprobs have no place on this wire and are not sent. What a model has beyond
        the wire goes into ``provider_options={"additionalModelRequestFields": {...}}``. A part of a message that nxlog
        does not know is a block of the wire's own beside a ``type`` of any name.
        """
        system, messages = conversation(request.messages)
        body: dict[str, Any] = {"messages": messages}
        if system:
            body["system"] = system
        if config := spelled(request, _CONFIG_FIELDS, spelling):
            body["inferenceConfig"] = config
        if tools := tool_config(request):
            body["toolConfig"] = tools
        if output := output_config(request, spelling):
            body["outputConfig"] = output
        return encode_body(body, request.provider_options, tables=_TABLES)

    def decode(self, body: bytes) -> ChatResponse:
        """The reply. Blocks that are neither text, reasoning nor a tool call stay reachable through ``raw``."""
        reply = decode_leniently(body, _reply_decoder, wire=self.name)
        message = None if reply.output is None else reply.output.message
        if message is None:
            _raise_error_object(body)
            raise not_the_shape(self.name, body, "it has no message")
        blocks = message.content or []
        calls = [block.tool_use for block in blocks if block.tool_use is not None]
        choice = Choice(
            text="".join(block.text or "" for block in blocks),
            reasoning="".join(_reasoning(block) for block in blocks) or None,
            tool_calls=[_tool_call(i, call) for i, call in enumerate(calls)],
            finish_reason=_finish_reason(reply.stop_reason),
        )
        return with_body(ChatResponse(choices=[choice], usage=_usage(reply.usage)), body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


# -- what is read, and nothing else ----------------------------------------------------------------------------------


class _ReasoningText(Struct, gc=False):
    text: str | None = None


class _Reasoning(Struct, gc=False, rename="camel"):
    # Inside of another object in whole replies, not so in events.
    reasoning_text: _ReasoningText | None = None
    text: str | None = None


class _ToolUse(Struct, gc=False, rename="camel"):
    tool_use_id: str | None = None
    name: str | None = None
    # An object in whole replies, pieces of its text in events.
    input: Raw = NULL


class _Block(Struct, gc=False, rename="camel"):
    text: str | None = None
    reasoning_content: _Reasoning | None = None
    tool_use: _ToolUse | None = None


class _Message(Struct, gc=False):
    content: list[_Block] | None = None


class _Output(Struct, gc=False):
    message: _Message | None = None


class _Usage(Struct, gc=False, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None


class _Reply(Struct, gc=False, rename="camel"):
    output: _Output | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Event(Struct, gc=False, rename="camel"):
    content_block_index: int = 0
    start: _Block | None = None
    delta: _Block | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Exception(Struct, gc=False):
    message: str | None = None
    kind: str | None = msgspec.field(name="__type", default=None)


_reply_decoder = msgspec.json.Decoder(_Reply)
_event_decoder = msgspec.json.Decoder(_Event)
_exception_decoder = msgspec.json.Decoder(_Exception)


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _raise_error_object(data: bytes) -> None:
    told = decode_leniently(data, _exception_decoder, wire=BedrockConverse.name)
    if told.message is not None:
        raise _error((told.kind or "").rpartition("#")[2], told.message, data)


def _error(kind: str, message: str, data: bytes) -> StatusError:
    # Outside of streams, and in the documents, the same errors have a capital letter.
    code = kind[:1].upper() + kind[1:]
    text = data.decode("utf-8", "replace")
    return event_error({"message": message, "code": code}, text, statuses=_ERROR_STATUS)


def _finish_reason(reason: str | None) -> str | None:
    return None if reason is None else _FINISH_REASONS.get(reason, reason)


def _reasoning(block: _Block) -> str:
    content = block.reasoning_content
    if content is None:
        return ""
    return content.text or (content.reasoning_text.text if content.reasoning_text else None) or ""


def _tool_call(position: int, call: _ToolUse) -> ToolCall:
    arguments = "{}" if call.input == NULL else bytes(call.input).decode("utf-8", "replace")
    return ToolCall(
        id=well_formed(call.tool_use_id or f"call_{position}"),
        function=FunctionCall(name=well_formed(call.name or ""), arguments=well_formed(arguments)),
    )


def _usage(usage: _Usage | None) -> Usage | None:
    """Counts in OpenAI's sense: the wire's ``inputTokens`` leave the cache out, ``prompt_tokens`` are all of them."""
    if usage is None:
        return None
    prompt, completion = usage.input_tokens, usage.output_tokens
    if prompt is not None:
        prompt += (usage.cache_read_input_tokens or 0) + (usage.cache_write_input_tokens or 0)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=None if prompt is None or completion is None else prompt + completion,
        cached_tokens=usage.cache_read_input_tokens,
    )


class _Decoder(PayloadDecoder[Frame, StreamChunk]):
    """Chunks from frames. The stream is whole when ``messageStop`` came; the counts follow it."""

    def __init__(self) -> None:
        super().__init__(FrameSplitter())
        self._calls = 0
        self._open_call: int | None = None

    def _chunks(self, frame: Frame) -> Iterator[StreamChunk]:
        _raise_exception(frame)
        kind = frame.headers.get(":event-type")
        event = decode_leniently(frame.payload or b"{}", _event_decoder, wire=BedrockConverse.name)
        if kind == "messageStart":
            self._started = True
            yield StreamChunk()
        elif kind == "contentBlockStart" and event.start is not None:
            yield from self._start(event.start)
        elif kind == "contentBlockDelta" and event.delta is not None:
            yield from self._extend(event.delta)
        elif kind == "contentBlockStop" and self._open_call is not None:
            # No piece came: the call has no arguments.
            yield self._call(ToolCallDelta(index=self._open_call, arguments="{}"))
            self._open_call = None
        elif kind == "messageStop":
            self._done = True
            yield StreamChunk(finish_reason=_finish_reason(event.stop_reason))
        elif kind == "metadata" and event.usage is not None:
            yield StreamChunk(usage=_usage(event.usage))

    def _start(self, block: _Block) -> Iterator[StreamChunk]:
        self._open_call = None
        if block.tool_use is not None:
            self._open_call = self._calls
            self._calls += 1
            call = block.tool_use
            yield self._call(ToolCallDelta(index=self._open_call, id=call.tool_use_id, name=call.name))

    def _extend(self, delta: _Block) -> Iterator[StreamChunk]:
        if delta.text:
            yield StreamChunk(delta=delta.text)
        if thought := _reasoning(delta):
            yield StreamChunk(reasoning_delta=thought)
        if delta.tool_use is not None and self._calls and (piece := _piece(delta.tool_use.input)):
            self._open_call = None
            yield self._call(ToolCallDelta(index=self._calls - 1, arguments=piece))

    def _call(self, delta: ToolCallDelta) -> StreamChunk:
        return StreamChunk(tool_call_deltas=(delta,))


def _piece(value: Raw) -> str:
    text = loads(value)
    return text if isinstance(text, str) else ""


def _raise_exception(frame: Frame) -> None:
    """Raise what is no event.

    Raises:
        StatusError: an exception of the service, or an error of the protocol.
    """
    headers = frame.headers
    kind = headers.get(":message-type")
    if kind == "error":
        raise _error(headers.get(":error-code", ""), headers.get(":error-message", ""), frame.payload)
    if kind == "exception":
        raise _error(headers.get(":exception-type", ""), _told(frame.payload), frame.payload)


def _told(payload: bytes) -> str:
    message = None
    with contextlib.suppress(DecodeError):
        message = decode_leniently(payload, _exception_decoder, wire=BedrockConverse.name).message
    return message or payload.decode("utf-8", "replace")


WIRE = BedrockConverse()
