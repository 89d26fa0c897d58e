"""``Stream`` and ``AsyncStream``: a streamed reply as an iterator of chunks, inside a ``with`` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio.to_thread

from nxlog._drive import adrive, drive
from nxlog._watch import UNWATCHED, Unwatched, Watch, watch
from nxlog.call import Call, StreamReader, not_a_stream, open_stream
from nxlog.errors import InvalidRequestError, NetworkError, NxlogError
from nxlog.exchange import HttpRequest, HttpResponse, Pause, Sleep, is_stream
from nxlog.response import StreamChunk
from nxlog.warnings import emit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator
    from types import TracebackType
    from typing import Any, Self

    from nxlog._run import AsyncRunner, Runner
    from nxlog.http import AsyncByteStream, SyncByteStream
    from nxlog.response import ChatResponse
    from nxlog.warnings import ParameterWarning


class _Reader(Protocol):
    """Turns the bytes of a stream into what it is made of."""

    @property
    def complete(self) -> bool:
        """Whether the stream came to its end."""
        ...

    @property
    def response(self) -> ChatResponse:
        """What has arrived so far."""
        ...

    def feed(self, data: bytes) -> Iterator[Any]:
        """What these bytes complete."""
        ...

    def close(self) -> Iterator[Any]:
        """What was still waiting at the end of the bytes."""
        ...


T = TypeVar("T")
ReaderT = TypeVar("ReaderT", bound=_Reader)


class StreamBase(ABC, Generic[T, ReaderT]):
    """What a stream knows, however its bytes come."""

    def __init__(self, call: Call | None, runner: Runner | AsyncRunner) -> None:
        self._made = call
        self._settings = runner
        self._watch: Watch | Unwatched = UNWATCHED
        self._reader: ReaderT | None = None
        self._deadline: float | None = None
        self._emitted = 0

    @abstractmethod
    def _open(self) -> Generator[HttpRequest | Pause | Sleep, HttpResponse | None, ReaderT]:
        """Up to the first byte."""

    def _recovery(self, error: NxlogError) -> Generator[HttpRequest | Pause | Sleep, HttpResponse | None, None] | None:
        """What to do so that reading can go on after an error; None when nothing can be done."""
        del error
        return None

    @property
    def _call(self) -> Call:
        if self._made is None:
            raise _not_entered()
        return self._made

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was asked for and cannot be delivered as asked; those of the reply join them at its end."""
        return list(self._call.warnings)

    def _opened(self) -> ReaderT:
        if self._reader is None:
            raise _not_entered()
        return self._reader

    def _check_new(self) -> None:
        if self._reader is not None:
            raise InvalidRequestError("a stream is entered once; call stream() again for another")

    def _begin(self) -> None:
        self._deadline = self._settings.timeout.deadline()
        self._watch = watch(self._call, self._settings.telemetry)

    def _check_whole(self, reader: ReaderT) -> None:
        # A stream that was cancelled or closed must not end as one that came to its end.
        if not reader.complete:
            raise self._call.blame(NetworkError("the stream was closed before its end"))

    def _checked(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.stream and response.status < 300:
            raise not_a_stream(response, self._call)
        return response

    def _emit(self, *, stacklevel: int) -> None:
        new = self._call.warnings[self._emitted :]
        self._emitted += len(new)
        emit(new, stacklevel=stacklevel + 1)


def _not_entered() -> InvalidRequestError:
    return InvalidRequestError("enter the stream first: with client.stream(request) as stream: ...")


class SyncStreamBase(StreamBase[T, ReaderT]):
    """A stream that waits. Leaving the ``with`` block early closes the connection."""

    def __init__(self, call: Call, runner: Runner) -> None:
        super().__init__(call, runner)
        self._runner = runner
        self._bytes: SyncByteStream | None = None
        self._chunks: Iterator[T] = iter(())

    def __enter__(self) -> Self:
        self._check_new()
        self._begin()
        with self._watch.running():
            self._reader = drive(self._open(), self._send, deadline=self._deadline)
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
            with self._watch.attempt(request) as attempt:
                return attempt.answered(self._runner.transport.stream(request, deadline=deadline))

        stream = self._runner.retries.call(send, deadline=deadline, discard=lambda s: s.close())
        if request.stream and stream.status < 300 and is_stream(stream.headers):
            self._bytes = stream
            return HttpResponse(stream.status, stream.headers, b"")
        try:
            response = HttpResponse(stream.status, stream.headers, stream.read())
        finally:
            stream.close()
        return self._checked(request, response)

    def _read(self, reader: ReaderT) -> Iterator[T]:
        try:
            while True:
                try:
                    yield from self._pieces(reader)
                    break
                except NxlogError as error:
                    flow = self._recovery(error)
                    if flow is None:
                        raise
                self._hang_up()
                drive(flow, self._send, deadline=self._deadline)
        except NxlogError as error:
            raise self._watch.failed(self._call.blame(error), reader) from error.__cause__
        finally:
            self.close()

    def _pieces(self, reader: ReaderT) -> Iterator[T]:
        for data in self._bytes or ():
            yield from self._watch.chunks(reader.feed(data))
        yield from self._watch.chunks(reader.close())

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        reader = self._opened()
        for chunk in self._chunks:
            return chunk
        self._check_whole(reader)
        self._emit(stacklevel=2)
        raise StopIteration

    def _hang_up(self) -> None:
        stream, self._bytes = self._bytes, None
        if stream is not None:
            stream.close()

    def close(self) -> None:
        """Close the connection; what has arrived stays in ``response``."""
        self._watch.closed(self._reader)
        if self._bytes is not None:
            self._bytes.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStreamBase(StreamBase[T, ReaderT]):
    """A stream that awaits. Leaving the ``async with`` block early closes the connection."""

    def __init__(self, call: Call | Callable[[], Call], runner: AsyncRunner) -> None:
        # A call that has to start the embedded engine is made in a thread, when the stream is entered.
        self._prepare = None if isinstance(call, Call) else call
        super().__init__(call if isinstance(call, Call) else None, runner)
        self._runner = runner
        self._bytes: AsyncByteStream | None = None
        self._pending: Iterator[T] = iter(())
        self._source: AsyncIterator[bytes] | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        self._check_new()
        if self._prepare is not None:
            self._made = await anyio.to_thread.run_sync(self._prepare)
        self._begin()
        with self._watch.running():
            self._reader = await adrive(self._open(), self._send, deadline=self._deadline)
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
            with self._watch.attempt(request) as attempt:
                return attempt.answered(await self._runner.transport.stream(request, deadline=deadline))

        stream = await self._runner.retries.acall(send, deadline=deadline, discard=lambda s: s.close())
        if request.stream and stream.status < 300 and is_stream(stream.headers):
            self._bytes = stream
            self._source = aiter(stream)
            return HttpResponse(stream.status, stream.headers, b"")
        try:
            response = HttpResponse(stream.status, stream.headers, await stream.read())
        finally:
            await stream.close()
        return self._checked(request, response)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        # No async generator between the user and the connection: nothing is left to a garbage collector.
        reader = self._opened()
        try:
            while True:
                try:
                    for chunk in self._pending:
                        return chunk
                    if self._ended:
                        break
                    await self._receive(reader)
                except NxlogError as error:
                    flow = self._recovery(error)
                    if flow is None:
                        raise
                    await self._hang_up()
                    await adrive(flow, self._send, deadline=self._deadline)
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

    async def _receive(self, reader: ReaderT) -> None:
        """The next bytes, or their end."""
        if self._source is not None:
            try:
                self._pending = self._watch.chunks(reader.feed(await anext(self._source)))
            except StopAsyncIteration:
                self._source = None
            else:
                return
        self._ended = True
        self._pending = self._watch.chunks(reader.close())

    async def _hang_up(self) -> None:
        stream, self._bytes = self._bytes, None
        self._source, self._pending, self._ended = None, iter(()), False
        if stream is not None:
            await stream.close()

    async def aclose(self) -> None:
        """Close the connection; what has arrived stays in ``response``."""
        self._source, self._ended = None, True
        self._watch.closed(self._reader)
        if self._bytes is not None:
            await self._bytes.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _ChatStream(StreamBase[StreamChunk, StreamReader]):
    """What makes a stream one of chunks."""

    def _open(self) -> Generator[HttpRequest | Pause | Sleep, HttpResponse | None, StreamReader]:
        return open_stream(self._call)

    @property
    def response(self) -> ChatResponse:
        """The accumulated reply: what has arrived so far, whole once the stream has ended.

        Raises:
            InvalidRequestError: the stream has not been entered.
        """
        return self._opened().response


class Stream(_ChatStream, SyncStreamBase[StreamChunk, StreamReader]):
    """A streamed reply. Leaving the ``with`` block early closes the connection."""


class AsyncStream(_ChatStream, AsyncStreamBase[StreamChunk, StreamReader]):
    """A streamed reply. Leaving the ``async with`` block early closes the connection."""
