"""``Stream`` and ``AsyncStream``: a streamed reply as an iterator of chunks, inside a ``with`` block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from nxlog._drive import adrive, drive
from nxlog._watch import UNWATCHED, Unwatched, Watch, watch
from nxlog.call import Call, StreamReader, is_stream, not_a_stream, open_stream
from nxlog.errors import InvalidRequestError, NetworkError, NxlogError
from nxlog.exchange import HttpResponse
from nxlog.warnings import emit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType
    from typing import Self

    from nxlog._watch import Observer
    from nxlog.exchange import HttpRequest
    from nxlog.http import AsyncByteStream, AsyncTransport, SyncByteStream, SyncTransport
    from nxlog.response import ChatResponse, StreamChunk
    from nxlog.retry import RetryPolicy
    from nxlog.timeout import Timeout
    from nxlog.warnings import ParameterWarning


class _StreamBase:
    """What a stream knows, however its bytes come."""

    def __init__(self, call: Call | None, retries: RetryPolicy, timeout: Timeout, telemetry: Observer | None) -> None:
        self._made = call
        self._telemetry = telemetry
        self._watch: Watch | Unwatched = UNWATCHED
        self._retries = retries
        self._timeout = timeout
        self._reader: StreamReader | None = None
        self._deadline: float | None = None
        self._emitted = 0

    @property
    def _call(self) -> Call:
        if self._made is None:
            raise _not_entered()
        return self._made

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was asked for and cannot be delivered as asked; those of the reply join them at its end."""
        return list(self._call.warnings)

    @property
    def response(self) -> ChatResponse:
        """The accumulated reply: what has arrived so far, whole once the stream has ended.

        Raises:
            InvalidRequestError: the stream has not been entered.
        """
        return self._opened().response

    def _opened(self) -> StreamReader:
        if self._reader is None:
            raise _not_entered()
        return self._reader

    def _check_new(self) -> None:
        if self._reader is not None:
            raise InvalidRequestError("a stream is entered once; call stream() again for another")

    def _check_whole(self, reader: StreamReader) -> None:
        # A stream that was cancelled or closed must not end as one that came to its end.
        if not reader.complete:
            raise self._call.blame(NetworkError("the stream was closed before its end"))

    def _emit(self, *, stacklevel: int) -> None:
        new = self._call.warnings[self._emitted :]
        self._emitted += len(new)
        emit(new, stacklevel=stacklevel + 1)


def _not_entered() -> InvalidRequestError:
    return InvalidRequestError("enter the stream first: with client.stream(request) as stream: ...")


class Stream(_StreamBase):
    """A streamed reply. Leaving the ``with`` block early closes the connection."""

    def __init__(
        self,
        call: Call,
        transport: SyncTransport,
        retries: RetryPolicy,
        timeout: Timeout,
        telemetry: Observer | None = None,
    ) -> None:
        super().__init__(call, retries, timeout, telemetry)
        self._transport = transport
        self._bytes: SyncByteStream | None = None
        self._chunks: Iterator[StreamChunk] = iter(())

    def __enter__(self) -> Self:
        self._check_new()
        self._deadline = self._timeout.deadline()
        self._watch = watch(self._call, self._telemetry)
        with self._watch.running():
            self._reader = drive(open_stream(self._call), self._send, deadline=self._deadline)
        self._watch.opened()
        self._chunks = self._read(self._reader)
        try:
            self._emit(stacklevel=2)
        except Warning:  # the user's filter made an error of it
            self.close()
            raise
        return self

    def _send(self, request: HttpRequest) -> HttpResponse:
        deadline = self._deadline

        def send() -> SyncByteStream:
            with self._watch.attempt() as attempt:
                return attempt.answered(self._transport.stream(request, deadline=deadline))

        stream = self._retries.call(send, deadline=deadline, discard=lambda s: s.close())
        if stream.status < 300 and is_stream(stream.headers):
            self._bytes = stream
            return HttpResponse(stream.status, stream.headers, b"")
        try:
            response = HttpResponse(stream.status, stream.headers, stream.read())
        finally:
            stream.close()
        if response.status < 300:
            raise not_a_stream(response, self._call)
        return response

    def _read(self, reader: StreamReader) -> Iterator[StreamChunk]:
        try:
            for data in self._bytes or ():
                yield from self._watch.chunks(reader.feed(data))
            yield from self._watch.chunks(reader.close())
        except NxlogError as error:
            raise self._watch.failed(self._call.blame(error), reader) from error.__cause__
        finally:
            self.close()

    def __iter__(self) -> Iterator[StreamChunk]:
        return self

    def __next__(self) -> StreamChunk:
        reader = self._opened()
        for chunk in self._chunks:
            return chunk
        self._check_whole(reader)
        self._emit(stacklevel=2)
        raise StopIteration

    def close(self) -> None:
        """Close the connection; what has arrived stays in ``response``."""
        self._watch.closed(self._reader)
        if self._bytes is not None:
            self._bytes.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(_StreamBase):
    """A streamed reply. Leaving the ``async with`` block early closes the connection."""

    def __init__(
        self,
        call: Call | Callable[[], Call],
        transport: AsyncTransport,
        retries: RetryPolicy,
        timeout: Timeout,
        telemetry: Observer | None = None,
    ) -> None:
        # A call that has to start the embedded engine is made in a thread, when the stream is entered.
        self._prepare = None if isinstance(call, Call) else call
        super().__init__(call if isinstance(call, Call) else None, retries, timeout, telemetry)
        self._transport = transport
        self._bytes: AsyncByteStream | None = None
        self._pending: Iterator[StreamChunk] = iter(())
        self._source: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._check_new()
        if self._prepare is not None:
            self._made = await anyio.to_thread.run_sync(self._prepare)
        self._deadline = self._timeout.deadline()
        self._watch = watch(self._call, self._telemetry)
        with self._watch.running():
            self._reader = await adrive(open_stream(self._call), self._send, deadline=self._deadline)
        self._watch.opened()
        try:
            self._emit(stacklevel=2)
        except Warning:  # the user's filter made an error of it
            await self.aclose()
            raise
        return self

    async def _send(self, request: HttpRequest) -> HttpResponse:
        deadline = self._deadline

        async def send() -> AsyncByteStream:
            with self._watch.attempt() as attempt:
                return attempt.answered(await self._transport.stream(request, deadline=deadline))

        stream = await self._retries.acall(send, deadline=deadline, discard=lambda s: s.close())
        if stream.status < 300 and is_stream(stream.headers):
            self._bytes = stream
            self._source = aiter(stream)
            return HttpResponse(stream.status, stream.headers, b"")
        try:
            response = HttpResponse(stream.status, stream.headers, await stream.read())
        finally:
            await stream.close()
        if response.status < 300:
            raise not_a_stream(response, self._call)
        return response

    def __aiter__(self) -> AsyncIterator[StreamChunk]:
        return self

    async def __anext__(self) -> StreamChunk:
        # No async generator between the user and the connection: nothing is left to a garbage collector.
        reader = self._opened()
        try:
            while True:
                for chunk in self._pending:
                    return chunk
                if self._source is None:
                    break
                try:
                    self._pending = self._watch.chunks(reader.feed(await anext(self._source)))
                except StopAsyncIteration:
                    self._source = None
                    self._pending = self._watch.chunks(reader.close())
        except NxlogError as error:
            self._watch.failed(self._call.blame(error), reader)
            await self.aclose()
            raise error from error.__cause__
        except BaseException as error:
            self._watch.failed(error, reader)
            await self.aclose()
            raise
        await self.aclose()
        self._check_whole(reader)
        self._emit(stacklevel=2)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection; what has arrived stays in ``response``."""
        self._source = None
        self._watch.closed(self._reader)
        if self._bytes is not None:
            await self._bytes.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
