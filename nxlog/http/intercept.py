"""Answers in place of the network, and a copy of what the network says; for ``nxlog.testing`` alone.

It sits at the transports of httpx, below everything else: hooks, authentication and retries of a client run as usual,
be it nxlog's own or the user's. Bodies pass piece by piece, in both directions, as they are on the wire.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

import anyio
import anyio.lowlevel
import httpx

from nxlog.errors import InvalidRequestError
from nxlog.http.origin import import_httpx_aiohttp

if TYPE_CHECKING:
    from collections.abc import Generator

Headers = Sequence[tuple[str, str]]

Step = bytes | float | Callable[[], NoReturn]
"""Of a body: a piece, seconds to wait, or what raises."""


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """A request as it was about to leave the process. Everything in it may be secret."""

    method: str
    url: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back in place of the network's answer."""

    status: int
    headers: Headers
    steps: Sequence[Step]
    reason: str = ""


class Listener(Protocol):
    """Is told of the body of a live answer."""

    def piece(self, data: bytes) -> None:
        """A piece has arrived."""
        ...

    def end(self) -> None:
        """The body came to its end."""
        ...


class Interceptor(Protocol):
    """Decides what becomes of requests; called from any thread."""

    def answer(self, asked: Asked) -> Answer | None:
        """The answer; None lets the request go where it was going."""
        ...

    def listen(self, asked: Asked, status: int, headers: Headers) -> Listener | None:
        """The head of a live answer is here; None when nobody cares for the rest."""
        ...


def break_connection() -> NoReturn:
    """As a step: the peer hangs up in the middle of the body.

    Raises:
        httpx.ReadError: always.
    """
    raise httpx.ReadError("the connection was broken by the script")


@contextlib.contextmanager
def intercepting(interceptor: Interceptor) -> Generator[None]:
    """While it lasts, requests of all httpx clients go through the interceptor. It nests; the inner one is first."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(httpx.HTTPTransport, "handle_request", _sync_handler, interceptor))
        asynchronous = [httpx.AsyncHTTPTransport]
        with contextlib.suppress(InvalidRequestError):  # an extra
            asynchronous.append(import_httpx_aiohttp().AiohttpTransport)
        for transport in asynchronous:
            stack.enter_context(_replaced(transport, "handle_async_request", _async_handler, interceptor))
        yield


def sync_client(interceptor: Interceptor) -> httpx.Client:
    """A client of which every request is answered by the interceptor."""
    return httpx.Client(transport=_Transport(interceptor), trust_env=False)


def async_client(interceptor: Interceptor) -> httpx.AsyncClient:
    """The same for asyncio and trio."""
    return httpx.AsyncClient(transport=_Transport(interceptor), trust_env=False)


class _Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Goes nowhere: what the interceptor does not answer is refused."""

    def __init__(self, interceptor: Interceptor) -> None:
        self._interceptor = interceptor

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answered(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answered(request, await request.aread())

    def _answered(self, request: httpx.Request, body: bytes) -> httpx.Response:
        answer = self._interceptor.answer(_asked(request, body))
        if answer is None:
            raise httpx.ConnectError(f"nothing answers at {request.url.host}", request=request)
        return _response(answer)


@contextlib.contextmanager
def _replaced(
    owner: Any, name: str, build: Callable[[Any, Interceptor], Any], interceptor: Interceptor
) -> Generator[None]:
    real = getattr(owner, name)
    setattr(owner, name, build(real, interceptor))
    try:
        yield
    finally:
        setattr(owner, name, real)


def _sync_handler(
    real: Callable[[Any, httpx.Request], httpx.Response], interceptor: Interceptor
) -> Callable[[Any, httpx.Request], httpx.Response]:
    def handle_request(self: Any, request: httpx.Request) -> httpx.Response:
        asked = _asked(request, request.read())
        answer = interceptor.answer(asked)
        if answer is not None:
            return _response(answer)
        response = real(self, request)
        listener = interceptor.listen(asked, response.status_code, _pairs(response.headers))
        if listener is not None:
            response.stream = _SyncTee(cast("httpx.SyncByteStream", response.stream), listener)
        return response

    return handle_request


def _async_handler(real: Callable[[Any, httpx.Request], Any], interceptor: Interceptor) -> Callable[..., Any]:
    async def handle_async_request(self: Any, request: httpx.Request) -> httpx.Response:
        asked = _asked(request, await request.aread())
        answer = interceptor.answer(asked)
        if answer is not None:
            return _response(answer)
        response: httpx.Response = await real(self, request)
        listener = interceptor.listen(asked, response.status_code, _pairs(response.headers))
        if listener is not None:
            response.stream = _AsyncTee(cast("httpx.AsyncByteStream", response.stream), listener)
        return response

    return handle_async_request


def _asked(request: httpx.Request, body: bytes) -> Asked:
    return Asked(request.method, str(request.url), _pairs(request.headers), body)


def _pairs(headers: httpx.Headers) -> Headers:
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers.raw]


def _response(answer: Answer) -> httpx.Response:
    body = _Scripted(answer.steps)
    extensions: dict[str, Any] = {"network_stream": _Connection(body)}
    if answer.reason:
        extensions["reason_phrase"] = answer.reason.encode("ascii", "replace")
    return httpx.Response(answer.status, headers=list(answer.headers), stream=body, extensions=extensions)


class _Connection:
    """What the pool closes when a body is left in the middle: then it reads on to the end, and there must be one."""

    def __init__(self, body: _Scripted) -> None:
        self._body = body

    async def aclose(self) -> None:
        self._body.steps = iter(())


class _Scripted(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in steps."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps: Iterator[Step] = iter(steps)

    def __iter__(self) -> Iterator[bytes]:
        for step in self.steps:
            if isinstance(step, bytes):
                yield step
            elif isinstance(step, float | int):
                time.sleep(step)
            else:
                step()

    # No generator: one that is left in the middle would be trio's to complain about.
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        for step in self.steps:
            if isinstance(step, bytes):
                return step
            if isinstance(step, float | int):
                await anyio.sleep(step)
            else:
                step()
        raise StopAsyncIteration


class _SyncTee(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, listener: Listener) -> None:
        self._stream = stream
        self._listener = listener

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            self._listener.piece(data)
            yield data
        self._listener.end()

    def close(self) -> None:
        self._stream.close()


class _AsyncTee(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, listener: Listener) -> None:
        self._stream = stream
        self._listener = listener
        self._iterator: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            self._iterator = aiter(self._stream)
        try:
            data = await anext(self._iterator)
        except StopAsyncIteration:
            self._listener.end()
            raise
        self._listener.piece(data)
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()
