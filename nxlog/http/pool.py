"""Connections: where the next request goes out.

httpcore's pool walks all its connections for each request that starts and for each that ends, so
the cost of a request grows with the number in flight. Here every connection is an httpx transport
of its own, limited to that one connection, and the idle ones of an origin are a stack: taking one
and giving it back cost the same at any width. The last one used comes out first, so that the ones
that are not needed grow old and are closed.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
import httpx

from nxlog.errors import InvalidRequestError
from nxlog.http.origin import KEEPALIVE, Origin, build_request, target_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from nxlog.exchange import HttpRequest

_CLOSING_TIME = 5.0
"""How long saying goodbye to a peer may take; then the connection is just dropped."""

Limits = dict[str, float | None]
TransportT = TypeVar("TransportT")


class Shelf(Generic[TransportT]):
    """The transports of a pool, idle and busy. No I/O: what is to be closed is handed out.

    Its methods are safe to call from several threads, because each uses only atomic operations.
    """

    def __init__(self, build: Callable[[Origin], TransportT], *, shared: bool = False) -> None:
        self._build = build
        self._shared = shared
        self._idle: dict[Origin, deque[tuple[TransportT, float]]] = {}
        self._busy: set[TransportT] = set()
        self.closed: bool = False

    def take(self, origin: Origin) -> TransportT:
        """Take the transport that was used last, or build one."""
        if self.closed:
            raise InvalidRequestError("the client is closed; make a new one", param="client")
        stack = self._idle.setdefault(origin, deque())
        try:
            transport = stack[-1][0] if self._shared else stack.pop()[0]
        except IndexError:
            transport = self._build(origin)
            if self._shared:
                stack.append((transport, 0.0))
        if not self._shared:
            self._busy.add(transport)
        return transport

    def put(self, origin: Origin, transport: TransportT) -> TransportT | None:
        """Put a transport back; returns one that is to be closed."""
        if self._shared:
            return None
        self._busy.discard(transport)
        if self.closed:
            return transport
        now = time.monotonic()
        stack = self._idle[origin]
        stack.append((transport, now))
        if now - stack[0][1] > KEEPALIVE:
            with contextlib.suppress(IndexError):  # another thread was faster
                return stack.popleft()[0]
        return None

    def drop(self, transport: TransportT) -> TransportT | None:
        """Forget a transport whose connection is in an unknown state; it is to be closed."""
        self._busy.discard(transport)
        return None if self._shared else transport

    def drain(self) -> Iterator[TransportT]:
        """Hand out everything, busy ones included; nothing can be taken any more."""
        self.closed = True
        for stack in list(self._idle.values()):
            while stack:
                yield stack.pop()[0]
        while self._busy:
            yield self._busy.pop()


class SyncLease:
    """A response whose body is still on its connection, and what becomes of the connection."""

    def __init__(
        self,
        pool: SyncPool,
        origin: Origin,
        transport: httpx.BaseTransport,
        response: httpx.Response,
    ) -> None:
        self._pool = pool
        self._origin = origin
        self._transport = transport
        self._stream = cast("httpx.SyncByteStream", response.stream)
        self.response = response

    def chunks(self) -> Iterator[bytes]:
        """The body as it is on the wire."""
        return iter(self._stream)

    def finish(self, *, complete: bool) -> None:
        """Give the connection back if the whole body was read, else close it."""
        pool, transport = self._pool, self._transport
        if not complete:
            pool.discard(transport)
            return
        try:
            self._stream.close()
        except BaseException:
            pool.discard(transport)
            raise
        old = pool.shelf.put(self._origin, transport)
        pool.free.release()
        if old is not None:
            old.close()


class SyncPool:
    """Transports with one connection each, shared by the threads of the process."""

    def __init__(self, build: Callable[[Origin], httpx.BaseTransport], *, max_connections: int) -> None:
        self.shelf: Shelf[httpx.BaseTransport] = Shelf(build)
        self.free: threading.BoundedSemaphore = threading.BoundedSemaphore(max_connections)

    def send(self, request: HttpRequest, limits: Limits) -> SyncLease:
        """Send the request; the lease holds the response head."""
        target = target_of(request.url)
        built = build_request(request, target, limits)
        if not self.free.acquire(timeout=limits["pool"]):
            raise httpx.PoolTimeout("", request=built)
        try:
            transport = self.shelf.take(target.origin)
        except BaseException:
            self.free.release()
            raise
        try:
            response = transport.handle_request(built)
        except BaseException:
            self.discard(transport)
            raise
        return SyncLease(self, target.origin, transport, response)

    def discard(self, transport: httpx.BaseTransport) -> None:
        """Close a connection that is in the middle of something."""
        self.shelf.drop(transport)
        try:
            with contextlib.suppress(Exception):
                transport.close()
        finally:
            self.free.release()

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        for transport in self.shelf.drain():
            transport.close()


class AsyncLease:
    """A response whose body is still on its connection, and what becomes of the connection."""

    def __init__(
        self,
        pool: AsyncPool,
        origin: Origin,
        transport: httpx.AsyncBaseTransport,
        response: httpx.Response,
    ) -> None:
        self._pool = pool
        self._origin = origin
        self._transport = transport
        self._stream = cast("httpx.AsyncByteStream", response.stream)
        self._chunks: AsyncIterator[bytes] | None = None
        self.response = response

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it is on the wire."""
        self._chunks = aiter(self._stream)
        return self._chunks

    async def finish(self, *, complete: bool) -> None:
        """Give the connection back if the whole body was read, else close it."""
        pool, transport = self._pool, self._transport
        if not complete:
            await self._break_off()
            return
        try:
            await self._stream.aclose()
        except BaseException:
            await self._break_off()
            raise
        old = pool.shelf.put(self._origin, transport)
        pool.release()
        if old is not None:
            await _aclose_quietly(old)

    async def _break_off(self) -> None:
        try:
            await break_off(self.response, self._chunks)
        finally:
            await self._pool.discard(self._transport)


class AsyncPool:
    """Transports with one connection each, for the tasks of one event loop."""

    def __init__(
        self,
        build: Callable[[Origin], httpx.AsyncBaseTransport],
        *,
        max_connections: int,
        shared: bool = False,
    ) -> None:
        self.shelf: Shelf[httpx.AsyncBaseTransport] = Shelf(build, shared=shared)
        self._max_connections = max_connections
        self._free: anyio.Semaphore | None = None

    async def send(self, request: HttpRequest, limits: Limits) -> AsyncLease:
        """Send the request; the lease holds the response head."""
        target = target_of(request.url)
        built = build_request(request, target, limits)
        await self._acquire(built, limits["pool"])
        try:
            transport = self.shelf.take(target.origin)
        except BaseException:
            self.release()
            raise
        try:
            response = await transport.handle_async_request(built)
        except BaseException:
            await self.discard(transport)
            raise
        return AsyncLease(self, target.origin, transport, response)

    async def discard(self, transport: httpx.AsyncBaseTransport) -> None:
        """Close a connection that is in the middle of something."""
        closing = self.shelf.drop(transport)
        try:
            if closing is not None:
                await _aclose_quietly(closing)
        finally:
            self.release()

    async def aclose(self) -> None:
        """Close every connection; requests under way fail."""
        for transport in self.shelf.drain():
            await _aclose_quietly(transport)

    async def _acquire(self, request: httpx.Request, limit: float | None) -> None:
        if self._free is None:  # made here, because the event loop is not known before
            self._free = anyio.Semaphore(self._max_connections, fast_acquire=True)
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(limit):
                await self._free.acquire()
                return
            raise httpx.PoolTimeout("", request=request) from None

    def release(self) -> None:
        """A connection is free again, or gone."""
        if self._free is not None:
            self._free.release()


async def break_off(response: httpx.Response, chunks: AsyncIterator[bytes] | None) -> None:
    """Close a response in the middle, and with it the connection.

    httpcore reads the body through four nested async generators. Closing the outer one leaves the
    inner ones to the garbage collector, about which trio complains. So the socket is closed first
    and what is already buffered is read: the read that finds the socket closed ends them all.
    """
    with anyio.move_on_after(_CLOSING_TIME, shield=True):
        network = response.extensions.get("network_stream")
        if network is not None:
            with contextlib.suppress(Exception):
                await network.aclose()
            if chunks is not None:
                with contextlib.suppress(Exception):
                    async for _ in chunks:
                        pass
        if isinstance(chunks, AsyncGenerator):
            with contextlib.suppress(Exception):
                await chunks.aclose()
        with contextlib.suppress(Exception):
            await cast("httpx.AsyncByteStream", response.stream).aclose()


async def _aclose_quietly(transport: httpx.AsyncBaseTransport) -> None:
    # A connection that cannot even be closed properly is gone, which is what was wanted.
    with anyio.move_on_after(_CLOSING_TIME, shield=True), contextlib.suppress(Exception):
        await transport.aclose()
