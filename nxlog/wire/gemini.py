"""``gemini``: POST /models/{model}:generateContent and :streamGenerateContent?alt=sse, of AI Studio and Vertex AI.

The model is in the URL alone. https://ai.google.dev/api/generate-content,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, with_body
from nxlog.wire import _gemini_reply as replies
from nxlog.wire._decoder import ChoicesDecoder
from nxlog.wire._gemini_reply import NAME, Candidate, Reply, decode_reply
from nxlog.wire._gemini_request import conversation, generation_config, tool_config, tool_objects
from nxlog.wire._json_array import ObjectSplitter
from nxlog.wire.base import NO_IDS, encode_body, not_the_shape
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog.request import ChatRequest
    from nxlog.response import Usage
    from nxlog.wire.base import StreamDecoder

_TABLES = ("generationConfig", "toolConfig")


class Gemini:
    """The wire; it has no state."""

    name = NAME
    # Ids of tokens are in the records.
    lacks: frozenset[str] = frozenset({"reasoning_logprobs", "refusal_logprobs"} | NO_IDS - {"token_ids"})

    def encode(
        self,
        request: ChatRequest,
        *,
        model: str,
        stream: bool,  # noqa: ARG002 - said by the URL
        spelling: Mapping[str, str],
    ) -> bytes:
        """The request body. Neither the model nor whether to stream is in it: both are in the URL.

        A part of a message that nxlog does not know is a part of the wire's own beside a ``type`` of any name; so the
        ``thoughtSignature`` of a call goes back as ``{"type": "call", "functionCall": ..., "thoughtSignature": ...}``.
        """
        system, contents = conversation(request.messages)
        body: dict[str, Any] = {"contents": contents}
        if system:
            body["systemInstruction"] = {"parts": system}
        if request.tools is not None:
            body["tools"] = tool_objects(request.tools)
        if request.tool_choice is not None:
            body["toolConfig"] = tool_config(request.tool_choice)
        config = generation_config(request, model, spelling)
        if config:
            body["generationConfig"] = config
        return encode_body(body, request.provider_options, tables=_TABLES)

    def decode(self, body: bytes) -> ChatResponse:
        """The reply. Parts that are neither text nor a call, and ``avgLogprobs``, are reachable through ``raw``."""
        reply = decode_reply(body)
        if not reply.candidates and not reply.blocked:
            raise not_the_shape(self.name, body, "it has no candidates")
        blocked = [Choice(finish_reason="content_filter")] if reply.blocked else []
        return with_body(
            ChatResponse(
                id=reply.response_id,
                model=reply.model_version or "",
                created=replies.created_of(reply),
                choices=[_choice(candidate) for candidate in reply.candidates or ()] + blocked,
                usage=replies.usage_of(reply),
            ),
            body,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply, as server-sent events or, without ``alt=sse``, as one JSON array."""
        return _Decoder()


def _choice(candidate: Candidate) -> Choice:
    parts = candidate.parts
    calls = replies.calls_of(parts)
    records = replies.records_of(candidate.logprobs_result)
    return Choice(
        index=candidate.index,
        text=replies.text_of(parts),
        reasoning=replies.text_of(parts, thought=True) or None,
        tool_calls=[replies.tool_call(i, call) for i, call in enumerate(calls)],
        finish_reason=replies.finish_reason(candidate.finish_reason, called=bool(calls)),
        logprobs=LogprobsData(records) if records else None,
    )


class _AnySplitter:
    """Of server-sent events or of one JSON array, as the first byte says."""

    def __init__(self) -> None:
        self._head = b""
        self._chosen: EventSplitter | ObjectSplitter | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that these bytes complete."""
        if self._chosen is None:
            self._head += data
            start = self._head.lstrip(b"\xef\xbb\xbf \t\r\n")
            if not start:
                return []
            self._chosen = ObjectSplitter() if start[:1] in b"[{" else EventSplitter()
            data = self._head
        return self._chosen.feed(data)

    def close(self) -> list[bytes]:
        """What was still waiting when the bytes ended."""
        return self._chosen.close() if self._chosen else []


class _Decoder(ChoicesDecoder):
    """Chunks from events. There is no end mark: the stream is whole when every candidate has a reason to end."""

    def __init__(self) -> None:
        super().__init__(_AnySplitter())
        self._calls: dict[int, int] = {}

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if payload.strip() == b"[DONE]":  # some gateways add the end mark of another wire
            return
        reply = decode_reply(payload)
        usage = replies.usage_of(reply)
        for candidate in reply.candidates or ():
            yield self._chunk(candidate, reply, usage)
            usage = None
        if reply.blocked:
            self._see(0, ends=True)
            yield _about(reply, finish_reason="content_filter", usage=usage)
        elif usage is not None:
            yield _about(reply, usage=usage)

    def _chunk(self, candidate: Candidate, reply: Reply, usage: Usage | None) -> StreamChunk:
        index, parts = candidate.index, candidate.parts
        first = self._calls.get(index, 0)
        calls = [
            ToolCallDelta(index=first + i, id=call.id, name=call.name, arguments=replies.arguments_of(call))
            for i, call in enumerate(replies.calls_of(parts))
        ]
        self._calls[index] = first + len(calls)
        self._see(index, ends=candidate.finish_reason is not None)
        records = replies.records_of(candidate.logprobs_result)
        return _about(
            reply,
            delta=replies.text_of(parts),
            index=index,
            logprobs=StreamLogprobsDelta(records) if records else None,
            finish_reason=replies.finish_reason(candidate.finish_reason, called=self._calls[index] > 0),
            usage=usage,
            reasoning_delta=replies.text_of(parts, thought=True) or None,
            tool_call_deltas=tuple(calls),
        )


def _about(reply: Reply, **fields: Any) -> StreamChunk:
    return StreamChunk(**fields, id=reply.response_id, model=reply.model_version, created=replies.created_of(reply))


WIRE = Gemini()
