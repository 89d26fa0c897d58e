"""Run one test body through the sync transport, and through the async one on asyncio and trio."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from nxlog.exchange import HttpRequest, HttpResponse
from nxlog.http import AsyncTransport, SyncByteStream, SyncTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

T = TypeVar("T")

MODES = ["sync", "asyncio", "trio"]

KEY = "sk-nxlog-secret-0123456789"


def post(url: str, body: bytes = b'{"model":"m"}', **headers: str) -> HttpRequest:
    fields = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    return HttpRequest(f"{url}/v1/chat/completions", fields | headers, body)


class BlockingStream:
    """A ``SyncByteStream`` in the clothes of an async one; it blocks."""

    def __init__(self, stream: SyncByteStream) -> None:
        self._stream = stream
        self.status, self.headers = stream.status, stream.headers

    async def read(self) -> bytes:
        return self._stream.read()

    async def close(self) -> None:
        self._stream.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._stream:
            yield piece


class BlockingTransport:
    """A ``SyncTransport`` in the clothes of an async one; it blocks."""

    def __init__(self, **options: Any) -> None:
        self._transport = SyncTransport(**options)

    async def send(self, request: HttpRequest, **options: Any) -> HttpResponse:
        return self._transport.send(request, **options)

    async def stream(self, request: HttpRequest, **options: Any) -> BlockingStream:
        return BlockingStream(self._transport.stream(request, **options))

    async def aclose(self) -> None:
        self._transport.close()


def run(mode: str, body: Callable[[Any], Awaitable[T]], **options: Any) -> T:
    """Run ``body(transport)``, close the transport, and bring leaks to light."""

    async def main() -> T:
        transport = BlockingTransport(**options) if mode == "sync" else AsyncTransport(**options)
        try:
            return await body(transport)
        finally:
            await transport.aclose()

    try:
        return anyio.run(main, backend="trio" if mode == "trio" else "asyncio")
    finally:
        gc.collect()


def send(mode: str, request: HttpRequest, **options: Any) -> HttpResponse:
    """Send one request with a transport of its own."""

    async def body(transport: Any) -> HttpResponse:
        return await transport.send(request)

    return run(mode, body, **options)
