"""Sending requests, in both modes.

``SyncTransport`` and ``AsyncTransport`` send an ``HttpRequest`` and return either the whole
response or one whose body is still on its way. They map every error of httpx to one of nxlog, bound
the body, keep the time, and never follow a redirect: status and headers are the caller's to judge.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio
import httpx

from nxlog.errors import InvalidRequestError, NetworkError
from nxlog.exchange import HttpRequest, HttpResponse
from nxlog.http.body import Body
from nxlog.http.client import AsyncClientSource, SyncClientSource, check_client
from nxlog.http.errors import Place, expired, mapped
from nxlog.http.origin import (
    aiohttp_transport,
    async_transport,
    check_spelling,
    import_httpx_aiohttp,
    sync_transport,
)
from nxlog.http.pool import AsyncPool, SyncPool
from nxlog.timeout import Timeout, TimeoutLike

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from typing import Self

    from nxlog.http.client import AsyncClientLease, SyncClientLease
    from nxlog.http.pool import AsyncLease, Limits, SyncLease

MAX_RESPONSE_BYTES = 256 << 20
"""Default bound of a response: 4,000 tokens with 20 alternatives are 6 MB."""

MAX_CONNECTIONS = 1000

T = TypeVar("T")

_DEFAULT = Timeout()


class _Exchange:
    """One request under its limits: what sync and async have in common."""

    __slots__ = ("deadline", "limits", "place")

    def __init__(self, request: HttpRequest, timeout: Timeout, deadline: float | None) -> None:
        self.deadline: float | None = timeout.deadline() if deadline is None else deadline
        if request.read is not None and (timeout.read is None or request.read < timeout.read):
            timeout = replace(timeout, read=request.read)
        self.limits: Limits = {
            "connect": timeout.connect,
            "read": timeout.read,
            "write": timeout.write,
            "pool": timeout.pool,
        }
        self.place: Place = Place(request.url, request.headers, timeout, self.limits)

    def remaining(self) -> float | None:
        """Seconds until the deadline, None without one; raises when it has passed."""
        if self.deadline is None:
            return None
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise expired(self.place, "total")
        return remaining

    def shrink(self) -> None:
        """Lower the limits to what is left; httpcore reads them when it starts to wait."""
        remaining = self.remaining()
        if remaining is not None:
            for name, limit in self.limits.items():
                self.limits[name] = remaining if limit is None else min(limit, remaining)

    async def in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await the call, but not past the deadline; the scope never outlives it."""
        remaining = self.remaining()
        if remaining is None:
            return await call()
        with anyio.move_on_after(remaining):
            return await call()
        raise expired(self.place, "total")


class SyncByteStream:
    """A response whose body is still on its way; iterate, ``read()`` or ``close()`` it.

    Attributes:
        status: the HTTP status.
        headers: names in lower case; values of repeated ones are joined with a comma.
    """

    def __init__(self, lease: SyncLease | SyncClientLease, exchange: _Exchange, limit: int) -> None:
        self.status: int = lease.response.status_code
        self.headers: dict[str, str] = _headers(lease.response)
        self._body = Body(self.headers, status=self.status, limit=limit)
        self._exchange = exchange
        self._lease = lease
        self._raw = lease.chunks()
        self._pieces: deque[bytes] = deque()
        self._complete = False
        self._closed = False

    def read(self) -> bytes:
        """The rest of the body, decompressed."""
        return b"".join(self)

    def close(self) -> None:
        """Stop here; an unread rest closes the connection."""
        if not self._closed:
            self._closed = True
            self._pieces.clear()
            with mapped(self._exchange.place):
                self._lease.finish(complete=False)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._pieces:
            if self._complete:
                raise StopIteration
            if self._closed:
                raise _closed_early(self._exchange)
            self._receive()
        return self._pieces.popleft()

    def _receive(self) -> None:
        try:
            self._exchange.remaining()
            with mapped(self._exchange.place):
                raw = next(self._raw, None)
            if raw is not None:
                self._pieces.extend(self._body.feed(raw))
                return
            self._body.finish()
        except BaseException:
            self.close()
            raise
        self._complete = self._closed = True
        with mapped(self._exchange.place):
            self._lease.finish(complete=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncByteStream:
    """A response whose body is still on its way; iterate, ``read()`` or ``close()`` it.

    Attributes:
        status: the HTTP status.
        headers: names in lower case; values of repeated ones are joined with a comma.
    """

    def __init__(self, lease: AsyncLease | AsyncClientLease, exchange: _Exchange, limit: int) -> None:
        self.status: int = lease.response.status_code
        self.headers: dict[str, str] = _headers(lease.response)
        self._body = Body(self.headers, status=self.status, limit=limit)
        self._exchange = exchange
        self._lease = lease
        self._raw = lease.chunks()
        self._pieces: deque[bytes] = deque()
        self._complete = False
        self._closed = False

    async def read(self) -> bytes:
        """The rest of the body, decompressed."""
        return b"".join([piece async for piece in self])

    async def close(self) -> None:
        """Stop here; an unread rest closes the connection."""
        if not self._closed:
            self._closed = True
            self._pieces.clear()
            with mapped(self._exchange.place):
                await self._lease.finish(complete=False)

    aclose = close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._complete:
                raise StopAsyncIteration
            if self._closed:
                raise _closed_early(self._exchange)
            await self._receive()
        return self._pieces.popleft()

    async def _receive(self) -> None:
        try:
            with mapped(self._exchange.place):
                raw = await self._exchange.in_time(self._next)
            if raw is not None:
                self._pieces.extend(self._body.feed(raw))
                return
            self._body.finish()
        except BaseException:
            await self.close()
            raise
        self._complete = self._closed = True
        with mapped(self._exchange.place):
            await self._lease.finish(complete=True)

    async def _next(self) -> bytes | None:
        return await anext(self._raw, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


class SyncTransport:
    """Sends requests and keeps the connections; safe to share between threads.

    Args:
        timeout: a ``Timeout``, a number of seconds for the whole call, or None for no limit.
        http_client: your own ``httpx.Client``; it is used as it is (proxy, certificates, hooks)
            and never closed.
        max_connections: how many requests may be under way at a time.
        max_response_bytes: bound of one decompressed body.
    """

    def __init__(
        self,
        *,
        timeout: TimeoutLike = _DEFAULT,
        http_client: httpx.Client | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self.timeout: Timeout = Timeout.of(timeout)
        self._limit = _count("max_response_bytes", max_response_bytes)
        connections = _count("max_connections", max_connections)
        self._source: SyncPool | SyncClientSource
        if http_client is None:
            self._source = SyncPool(sync_transport, max_connections=connections)
        else:
            check_client(http_client, httpx.Client)
            self._source = SyncClientSource(http_client)

    def send(self, request: HttpRequest, *, deadline: float | None = None) -> HttpResponse:
        """Send and return the whole response.

        Args:
            request: what to send.
            deadline: on the clock of ``time.monotonic``; None starts ``timeout.total`` now.
        """
        stream = self.stream(request, deadline=deadline)
        return HttpResponse(stream.status, stream.headers, stream.read())

    def stream(self, request: HttpRequest, *, deadline: float | None = None) -> SyncByteStream:
        """Send and return when the head of the response is here; close what you get."""
        if request.credential is not None:
            deadline = self.timeout.deadline() if deadline is None else deadline
            request = request.authorized()
        exchange = _Exchange(request, self.timeout, deadline)
        exchange.shrink()
        with mapped(exchange.place):
            lease = self._source.send(request, exchange.limits)
            try:
                exchange.shrink()
                return SyncByteStream(lease, exchange, self._limit)
            except BaseException:
                lease.finish(complete=False)
                raise

    def close(self) -> None:
        """Close the connections."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncTransport:
    """Sends requests and keeps the connections, on asyncio or trio.

    Args:
        timeout: a ``Timeout``, a number of seconds for the whole call, or None for no limit.
        http_client: your own ``httpx.AsyncClient``; it is used as it is (proxy, certificates,
            hooks) and never closed. ``"aiohttp"`` sends through aiohttp, which costs a third of the
            time (needs ``nxlog[aiohttp]``; asyncio only).
        max_connections: how many requests may be under way at a time.
        max_response_bytes: bound of one decompressed body.
    """

    def __init__(
        self,
        *,
        timeout: TimeoutLike = _DEFAULT,
        http_client: httpx.AsyncClient | Literal["aiohttp"] | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self.timeout: Timeout = Timeout.of(timeout)
        self._limit = _count("max_response_bytes", max_response_bytes)
        connections = _count("max_connections", max_connections)
        self._source: AsyncPool | AsyncClientSource
        self._respells = http_client == "aiohttp"
        if http_client is None:
            self._source = AsyncPool(async_transport, max_connections=connections)
        elif http_client == "aiohttp":
            import_httpx_aiohttp()
            self._source = AsyncPool(aiohttp_transport, max_connections=connections, shared=True)
        else:
            check_client(http_client, httpx.AsyncClient)
            self._source = AsyncClientSource(http_client)

    async def send(self, request: HttpRequest, *, deadline: float | None = None) -> HttpResponse:
        """Send and return the whole response.

        Args:
            request: what to send.
            deadline: on the clock of ``time.monotonic``; None starts ``timeout.total`` now.
        """
        stream = await self.stream(request, deadline=deadline)
        return HttpResponse(stream.status, stream.headers, await stream.read())

    async def stream(self, request: HttpRequest, *, deadline: float | None = None) -> AsyncByteStream:
        """Send and return when the head of the response is here; close what you get."""
        if request.credential is not None:
            deadline = self.timeout.deadline() if deadline is None else deadline
            if self._respells and request.credential.exact:
                check_spelling(request.url)
            request = await _Exchange(request, self.timeout, deadline).in_time(request.aauthorized)
        exchange = _Exchange(request, self.timeout, deadline)
        with mapped(exchange.place):
            lease = await exchange.in_time(lambda: self._open(request, exchange))
            try:
                return AsyncByteStream(lease, exchange, self._limit)
            except BaseException:
                await lease.finish(complete=False)
                raise

    async def _open(self, request: HttpRequest, exchange: _Exchange) -> AsyncLease | AsyncClientLease:
        return await self._source.send(request, exchange.limits)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _headers(response: httpx.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _closed_early(exchange: _Exchange) -> NetworkError:
    return NetworkError(f"the stream was closed before its end: {exchange.place}")


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(f"{name} must be an integer of 1 or more", param=name)
    return value
