"""``ResponsesStream`` and ``AsyncResponsesStream``: a streamed response as an iterator of events.

The stream of a response in the background survives its connection: see ``watchdog``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nxlog.errors import IncompleteStreamError, NxlogError, TransportError
from nxlog.responses.calls import ask, completed, http_request, included
from nxlog.responses.events import Event, ResponseEvent
from nxlog.responses.jobs import wait
from nxlog.responses.watchdog import Recovery, Watchdog, stalled
from nxlog.streams import AsyncStreamBase, StreamBase, SyncStreamBase
from nxlog.wire._openai_responses_merge import Merger
from nxlog.wire._openai_responses_reply import raise_failure
from nxlog.wire._openai_responses_stream import EventDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import TypeAlias

    from nxlog._run import AsyncRunner, Runner
    from nxlog.call import Call
    from nxlog.exchange import HttpRequest, HttpResponse, Pause, Sleep
    from nxlog.response import ChatResponse
    from nxlog.responses.reply import ResponsesReply
    from nxlog.warnings import ParameterWarning

    Asked: TypeAlias = HttpRequest | Pause | Sleep


class EventReader:
    """The bytes of a streamed response to events, over any number of connections, and to the response they make up."""

    def __init__(self, call: Call, recovery: Recovery, merger: Merger) -> None:
        self.call = call
        self.merger = merger
        self.found: list[ParameterWarning] = []
        self._recovery = recovery
        self._decoder = EventDecoder(merger)
        self._reply: ResponsesReply | None = None
        self._last: ResponseEvent | None = None

    @property
    def complete(self) -> bool:
        """Whether the stream came to its end."""
        return self._reply is not None

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete."""
        return self._taken(self._decoder.feed(data))

    def close(self) -> Iterator[Event]:
        """The events still waiting at the end of the bytes; then the response is whole."""
        yield from self._taken(self._decoder.close())
        if self._last is not None:
            yield self._last
            raise_failure(self._last.response, b"")
        self._reply = completed(self.call, self.merger.response(), found=[*self.merger.warnings, *self.found])

    def _taken(self, events: Iterator[Event]) -> Iterator[Event]:
        try:
            for event in events:
                self._recovery.progress()
                yield event
                if isinstance(event, ResponseEvent):
                    raise_failure(event.response, event.payload)
        except NxlogError as error:
            # An error inside a stream comes too late to send again, but not for the next call.
            self.call.learn(self.call.blame(error))
            raise error from error.__cause__

    def resume(self) -> None:
        """The next bytes are those of another connection."""
        self.merger.numbers.resume()
        self._decoder = EventDecoder(self.merger)

    def finish(self, reply: ResponsesReply, failure: NxlogError) -> None:
        """There are no further events; the server has said how the response ended."""
        self.merger.finish(reply)
        # Those who wait for the last event see one.
        self._last = ResponseEvent(type=f"response.{reply.status or 'completed'}", response=self.merger.response())
        self.found.append(stalled(failure, reply))

    @property
    def reply(self) -> ResponsesReply:
        """What has arrived so far; whole, and checked against what was asked, once the stream has ended."""
        if self._reply is not None:
            return self._reply
        so_far = self.merger.response()
        chat = self.call.so_far(so_far.to_chat())
        return so_far.model_copy(update={"provider": chat.provider, "warnings": chat.warnings})

    @property
    def response(self) -> ChatResponse:
        """The same as a chat answer."""
        return self.reply.to_chat() if self.complete else self.call.so_far(self.merger.response().to_chat())


class _EventStream(StreamBase[Event, EventReader]):
    """What makes a stream one of events."""

    _watchdog: Watchdog
    _after: tuple[str, int | None] | None
    _survives: bool

    def _of(self, watchdog: Watchdog, *, background: bool, after: tuple[str, int | None] | None) -> None:
        """Say which stream it is.

        Args:
            watchdog: how long it may say nothing.
            background: whether the response goes on without its connection.
            after: id of a response that there is already, and the number of the last event that is not wanted.
        """
        self._watchdog = watchdog
        self._survives = background
        self._after = after
        self._troubles = Recovery(watchdog)

    @property
    def response(self) -> ResponsesReply:
        """The merged response: what has arrived so far, whole once the stream has ended.

        Raises:
            InvalidRequestError: the stream has not been entered.
        """
        return self._opened().reply

    def _open(self) -> Generator[Asked, HttpResponse | None, EventReader]:
        merger = Merger()
        try:
            if self._after is None:
                yield from self._call.opened()
            else:
                response_id, last = self._after
                merger.begin(response_id, last)
                yield from self._reopened(response_id, last)
        except NxlogError as error:
            raise self._call.blame(error) from error.__cause__
        return EventReader(self._call, self._troubles, merger)

    def _reopened(self, response_id: str, last: int | None) -> Generator[Asked, HttpResponse | None, None]:
        query = {"stream": "true"} | ({} if last is None else {"starting_after": str(last)})
        query |= included(self._call)
        yield from self._call.exchanged(http_request(self._call, "GET", response_id, query=query, stream=True))

    def _recovery(self, error: NxlogError) -> Generator[Asked, HttpResponse | None, None] | None:
        response_id = self._opened().merger.id
        broken = isinstance(error, TransportError | IncompleteStreamError)
        return self._recovered(error, response_id) if broken and self._survives and response_id else None

    def _recovered(self, failure: NxlogError, response_id: str) -> Generator[Asked, HttpResponse | None, None]:
        """Connect again, or take what the server says of how the response ended."""
        reader = self._opened()

        again = partial(ask, self._call, response_id)
        while True:
            reply = yield from self._troubles.after(failure, again)
            last = reader.merger.numbers.last
            if reply is None and last is None:
                # The server does not count its events, so there is no telling which are new.
                reply = yield from wait(again, self._watchdog.poll, timeout=self._watchdog.patience)
            if reply is not None:
                return reader.finish(reply, failure)
            try:
                yield from self._reopened(response_id, last)
            except NxlogError as error:
                failure = error
            else:
                return reader.resume()


class ResponsesStream(_EventStream, SyncStreamBase[Event, EventReader]):
    """A streamed response. Leaving the ``with`` block early closes the connection."""

    def __init__(
        self,
        call: Call,
        runner: Runner,
        watchdog: Watchdog,
        *,
        background: bool,
        after: tuple[str, int | None] | None = None,
    ) -> None:
        super().__init__(call, runner)
        self._of(watchdog, background=background, after=after)


class AsyncResponsesStream(_EventStream, AsyncStreamBase[Event, EventReader]):
    """A streamed response. Leaving the ``async with`` block early closes the connection."""

    def __init__(
        self,
        call: Call | Callable[[], Call],
        runner: AsyncRunner,
        watchdog: Watchdog,
        *,
        background: bool,
        after: tuple[str, int | None] | None = None,
    ) -> None:
        super().__init__(call, runner)
        self._of(watchdog, background=background, after=after)
