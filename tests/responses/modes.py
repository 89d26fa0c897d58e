"""Run one test body on ``Client``, and on ``AsyncClient`` with asyncio and with trio."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

import nxlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

T = TypeVar("T")

MODES = ["sync", "asyncio", "trio"]


class Blocking:
    """A sync object in the clothes of an async one: what it returns may be awaited, entered and iterated; it blocks."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.inner, name)
        if name == "responses":
            return Blocking(value)
        return (lambda *args, **options: Blocking(value(*args, **options))) if callable(value) else value

    def __await__(self) -> Generator[Any, None, Any]:
        return self.inner
        yield

    async def __aenter__(self) -> Any:
        return Blocking(self.inner.__enter__())

    async def __aexit__(self, *error: object) -> None:
        self.inner.__exit__(*error)

    def __aiter__(self) -> Blocking:
        return self

    async def __anext__(self) -> Any:
        for value in self.inner:
            return value
        raise StopAsyncIteration


def session_of(client: Any, **options: Any) -> Any:
    """A session of whatever client that is."""
    from nxlog.responses import AsyncResponseSession, ResponseSession  # noqa: PLC0415 - few tests have one

    if isinstance(client, Blocking):
        return Blocking(ResponseSession(client.inner, **options))
    return AsyncResponseSession(client, **options)


def run(mode: str, body: Callable[[Any], Awaitable[T]], **options: Any) -> T:
    """Run ``body(client)``, close the client, and bring leaks to light."""

    async def main() -> T:
        if mode == "sync":
            with nxlog.Client(**options) as client:
                return await body(Blocking(client))
        async with nxlog.AsyncClient(**options) as client:
            return await body(client)

    try:
        return anyio.run(main, backend="trio" if mode == "trio" else "asyncio")
    finally:
        gc.collect()
