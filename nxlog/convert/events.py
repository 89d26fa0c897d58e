"""The chunks of a chat stream as the events of a Responses stream.

The order is that of the API: ``response.created``; a reasoning from its beginning to its end; the message with its
parts and deltas; the calls; then the end of every item that is still open, and ``response.completed`` or
``response.incomplete``. Every event has a ``sequence_number``, every item an id of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from nxlog.accumulate import Accumulator
from nxlog.convert._open_items import OpenCall, OpenMessage, OpenReasoning
from nxlog.convert.items import Converted, NewId, end_of, fresh_id, item_status, tokens_of, warnings_of
from nxlog.response import Choice, StreamChunk
from nxlog.responses import OutputText, Refusal, ResponseEvent, ResponsesReply

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator

    from nxlog.logprobs import Channel, LogprobsData, TokenLogprob
    from nxlog.response import ToolCallDelta
    from nxlog.responses import Event

_OpenT = TypeVar("_OpenT", OpenReasoning, OpenMessage, OpenCall)


def chunks_to_events(chunks: Iterable[StreamChunk], *, new_id: NewId = fresh_id) -> Iterator[Event]:
    """The events of a stream, each as soon as its chunk is there. ``ChunkConverter`` also keeps what has no place."""
    converter = ChunkConverter(new_id=new_id)
    for chunk in chunks:
        yield from converter.feed(chunk)
    yield from converter.close()


async def achunks_to_events(chunks: AsyncIterable[StreamChunk], *, new_id: NewId = fresh_id) -> AsyncIterator[Event]:
    """The same for asyncio and trio."""
    converter = ChunkConverter(new_id=new_id)
    async for chunk in chunks:
        for event in converter.feed(chunk):
            yield event
    for event in converter.close():
        yield event


class ChunkConverter:
    """Chunks in, events out. The cost is linear in the length of the stream.

    The records of a chunk without text are not lost: once the text has begun they are a delta without text, before
    that they come with its first delta.

    Args:
        provider: the provider's id, for the response.
        new_id: makes the ids.
    """

    def __init__(self, *, provider: str = "", new_id: NewId = fresh_id) -> None:
        self._provider = provider
        self._new_id = new_id
        self._whole = Accumulator()
        self._sequence = 0
        self._id: str | None = None
        self._items: list[OpenReasoning | OpenMessage | OpenCall] = []
        self._reasoning: OpenReasoning | None = None
        self._message: OpenMessage | None = None
        self._calls: dict[int, OpenCall] = {}
        self._waiting: dict[Channel, list[TokenLogprob]] = {"content": [], "reasoning": []}
        self._converted: Converted | None = None

    @property
    def converted(self) -> Converted:
        """The response that the events make up, and what has no place in it; there after ``close``.

        Raises:
            ValueError: the stream is not closed.
        """
        if self._converted is None:
            raise ValueError("close the converter first, and take the events that it gives")
        return self._converted

    def feed(self, chunk: StreamChunk) -> Iterator[Event]:
        """The events of one chunk; they must be taken before the next is given."""
        self._whole.add(chunk)
        for event in self._events(chunk):
            yield self._numbered(event)

    def close(self) -> Iterator[Event]:
        """The events that end the stream."""
        for event in self._end():
            yield self._numbered(event)

    def _numbered(self, event: Event) -> Event:
        self._sequence += 1
        return msgspec.structs.replace(event, sequence_number=self._sequence - 1)

    def _events(self, chunk: StreamChunk) -> Iterator[Event]:
        if self._id is None:
            self._id = chunk.id or self._new_id("resp")
            begun = self._reply(model=chunk.model or "", created=chunk.created, status="in_progress")
            yield ResponseEvent(type="response.created", response=begun)
        if chunk.index != 0:
            return
        self._wait(chunk)
        yield from self._reason(chunk.reasoning_delta or "")
        yield from self._say(chunk.delta)
        if chunk.refusal_delta:
            message = yield from self._answer()
            yield from message.add_refusal(chunk.refusal_delta)
        for piece in chunk.tool_call_deltas:
            yield from self._call(piece)

    def _reply(self, **fields: Any) -> ResponsesReply:
        return ResponsesReply(id=self._id, provider=self._provider, **fields)

    def _wait(self, chunk: StreamChunk) -> None:
        if chunk.logprobs is not None:
            for channel, waiting in self._waiting.items():
                waiting.extend(chunk.logprobs.channel(channel) or ())

    def _waited(self, channel: Channel) -> list[TokenLogprob]:
        found, self._waiting[channel] = self._waiting[channel], []
        return found

    def _reason(self, delta: str) -> Iterator[Event]:
        if delta and self._reasoning is None:
            self._reasoning = self._new(OpenReasoning, "rs")
            yield from self._reasoning.open()
        if self._reasoning is not None and (delta or self._waiting["reasoning"]):
            yield from self._reasoning.add(delta, self._waited("reasoning"))

    def _say(self, delta: str) -> Iterator[Event]:
        if delta:
            yield from self._answer()
        message = self._message
        if message is not None and (delta or (message.has(OutputText) and self._waiting["content"])):
            yield from message.add_text(delta, self._waited("content"))

    def _answer(self) -> Generator[Event, None, OpenMessage]:
        """The message, which begins where the reasoning ends."""
        yield from self._end_reasoning()
        if self._message is None:
            self._message = self._new(OpenMessage, "msg")
            yield from self._message.open()
        return self._message

    def _end_reasoning(self) -> Iterator[Event]:
        if self._reasoning is not None:
            yield from self._reasoning.close("completed")
            self._reasoning = None  # what comes later is another one

    def _call(self, piece: ToolCallDelta) -> Iterator[Event]:
        yield from self._end_reasoning()
        call = self._calls.get(piece.index)
        # Some gateways number every call 0; another id is another call.
        if call is None or (piece.id and call.call_id and piece.id != call.call_id):
            call = self._calls[piece.index] = self._new(OpenCall, "fc")
        yield from call.add(piece)

    def _new(self, kind: type[_OpenT], prefix: str) -> _OpenT:
        item = kind(self._new_id(prefix), len(self._items))
        self._items.append(item)
        return item

    def _end(self) -> Iterator[Event]:
        if self._id is None:
            yield from self._events(StreamChunk())
        chat = self._whole.response()
        first = next((choice for choice in chat.choices if choice.index == 0), Choice())
        others = [choice for choice in chat.choices if choice.index != 0]
        left = self._attach(first.logprobs)
        for item in self._items:
            if item.item is None:
                yield from item.close(item_status(first.finish_reason))
        reply = self._reply(
            model=chat.model,
            created=chat.created,
            output=[item.item for item in self._items if item.item is not None],
            usage=chat.usage,
            warnings=[*warnings_of(left, others, provider=self._provider, model=chat.model)],
            **end_of(first.finish_reason),
        )
        self._converted = Converted(reply, first.logprobs, others, first.finish_reason, chat.id, tokens_of(first, chat))
        yield ResponseEvent(type=f"response.{reply.status}", response=reply)

    def _attach(self, logprobs: LogprobsData | None) -> dict[Channel, int]:
        """Give the message its records; how many of each channel no item has."""
        left: dict[Channel, int] = {"reasoning": len(self._waiting["reasoning"])}
        parts: tuple[tuple[Channel, type[OutputText | Refusal]], ...] = (("content", OutputText), ("refusal", Refusal))
        for channel, kind in parts:
            records = [] if logprobs is None else list(logprobs.channel(channel) or ())
            if self._message is not None and self._message.has(kind):
                self._message.attach(kind, records)
            else:
                left[channel] = len(records)
        return {channel: count for channel, count in left.items() if count}
