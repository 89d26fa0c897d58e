"""Recording and playing in a test, and every way to send a request."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from nxlog import AsyncClient, ChatResponse, Client, ParameterWarningCategory
from nxlog.http.intercept import intercepting
from nxlog.testing.scrub import Scrubber
from nxlog.testing.tape import Player, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "nxlog-planted-0123456789abcdefghij"
FIELDS: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Is the sky blue?"}],
    "top_logprobs": 2,
}
WAYS = ["sync", "sync-own", "asyncio", "asyncio-own", "asyncio-aiohttp", "trio", "trio-own"]


@contextmanager
def recording(path: Path, **options: Any) -> Iterator[Recorder]:
    tape = Recorder(path, options.pop("scrubber", None) or Scrubber(), **options)
    with intercepting(tape):
        yield tape
    assert tape.finish() is None


@contextmanager
def playing(path: Path, **options: Any) -> Iterator[Player]:
    tape = Player(path, **options)
    with intercepting(tape):
        yield tape
    assert tape.finish() is None


def ask(way: str, url: str, *, stream: bool = True) -> tuple[list[Any], ChatResponse]:
    """The chunks of a stream and the reply, or no chunks and the reply."""
    options: dict[str, Any] = {"provider": "openai", "base_url": url, "api_key": KEY, "retries": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarningCategory)
        if way.startswith("sync"):
            return ask_sync(way, options, stream)
        return anyio.run(ask_async, way, options, stream, backend=way.partition("-")[0])


def ask_sync(way: str, options: dict[str, Any], stream: bool) -> tuple[list[Any], ChatResponse]:
    with httpx.Client() as own:
        client = Client(**options, http_client=own) if way.endswith("own") else Client(**options)
        with client:
            if not stream:
                return [], client.chat(**FIELDS)
            with client.stream(**FIELDS) as streamed:
                return list(streamed), streamed.response


async def ask_async(way: str, options: dict[str, Any], stream: bool) -> tuple[list[Any], ChatResponse]:
    async with httpx.AsyncClient() as own:
        if way.endswith("own"):
            options["http_client"] = own
        elif way.endswith("aiohttp"):
            options["http_client"] = "aiohttp"
        async with AsyncClient(**options) as client:
            if not stream:
                return [], await client.chat(**FIELDS)
            async with client.stream(**FIELDS) as streamed:
                return [chunk async for chunk in streamed], streamed.response
