"""Requests and streams over the loopback interface. The CPU time is that of the client's process alone."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import payloads
from harness import OURS, Scenario, Target, optional, timed

from nxlog import AsyncClient, ChatRequest, Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from harness import Sample

    Work = Callable[[], Awaitable[object]]

KEY = "sk-benchmark"
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
MODEL = "gpt-4.1"
MESSAGES = [{"role": "user", "content": "Say something about the weather, briefly."}]
WIDTH = 64
MANY = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)

_orjson = optional("orjson")
_loads: Callable[[bytes | str], Any] = _orjson.loads if _orjson else json.loads
HTTPX = "httpx + orjson" if _orjson else "httpx + json"


_C = TypeVar("_C", bound=Any)


class Peers:
    """The clients of one run, and the event loop of those that need one."""

    def __init__(self, server: str, runner: asyncio.Runner) -> None:
        self.server = server
        self.runner = runner
        self._sync = ExitStack()
        self._async = AsyncExitStack()

    def base_url(self, kind: str, size: str) -> str:
        """Where that reply comes from."""
        return f"{self.server}/{kind}/{size}/v1"

    def run(self, work: Awaitable[object]) -> object:
        """Run something on the loop."""

        async def main() -> object:
            return await work

        return self.runner.run(main())

    def close(self) -> None:
        """Close every client."""
        self._sync.close()
        self.run(self._async.aclose())

    # -- small requests ----------------------------------------------------------------------------------------------

    def sync_askers(self) -> dict[str, Callable[[], object]]:
        """One small request, without an event loop."""
        base_url = self.base_url("whole", "small")
        raw = self._sync.enter_context(httpx.Client(timeout=60))
        ours = self._sync.enter_context(Client(provider="openai", base_url=base_url, api_key=KEY))
        url, body = f"{base_url}/chat/completions", {"model": MODEL, "messages": MESSAGES}
        found: dict[str, Callable[[], object]] = {
            OURS: lambda: ours.chat(model=MODEL, messages=MESSAGES),
            HTTPX: lambda: _loads(raw.post(url, json=body, headers=HEADERS).content),
        }
        if openai := optional("openai"):
            sdk = self._sync.enter_context(openai.OpenAI(api_key=KEY, base_url=base_url))
            found["openai"] = lambda: sdk.chat.completions.create(model=MODEL, messages=MESSAGES)
        return found

    def async_askers(self) -> dict[str, Work]:
        """One small request, on the event loop."""
        base_url = self.base_url("whole", "small")
        ours = self._closing(AsyncClient(provider="openai", base_url=base_url, api_key=KEY))
        found: dict[str, Work] = {
            OURS: lambda: ours.chat(model=MODEL, messages=MESSAGES),
            HTTPX: self._httpx_asker(self._closing(httpx.AsyncClient(timeout=60))),
            "httpx, 1000 kept": self._httpx_asker(self._closing(httpx.AsyncClient(timeout=60, limits=MANY))),
        }
        if openai := optional("openai"):
            sdk = self._closing(openai.AsyncOpenAI(api_key=KEY, base_url=base_url))
            found["openai"] = lambda: sdk.chat.completions.create(model=MODEL, messages=MESSAGES)
        if optional("httpx_aiohttp"):
            fast = self._closing(AsyncClient(provider="openai", base_url=base_url, api_key=KEY, http_client="aiohttp"))
            found["nxlog, aiohttp"] = lambda: fast.chat(model=MODEL, messages=MESSAGES)
        return found

    def _closing(self, client: _C) -> _C:
        self._async.push_async_callback(getattr(client, "aclose", None) or client.close)
        return client

    def _httpx_asker(self, client: httpx.AsyncClient) -> Work:
        url = f"{self.base_url('whole', 'small')}/chat/completions"
        body = {"model": MODEL, "messages": MESSAGES}

        async def ask() -> object:
            return _loads((await client.post(url, json=body, headers=HEADERS)).content)

        return ask

    # -- streams -----------------------------------------------------------------------------------------------------

    def readers(self, kind: str, size: str) -> dict[str, Work]:
        """One stream, read to its end with its token records looked at (their alternatives are not)."""
        base_url = self.base_url(kind, size)
        url, plain = f"{base_url}/chat/completions", self._closing(httpx.AsyncClient(timeout=60))
        ours = self._closing(AsyncClient(provider="openai", base_url=base_url, api_key=KEY))
        request = ChatRequest(model=MODEL, messages=MESSAGES, top_logprobs=payloads.SIZES[size].alternatives)
        found: dict[str, Work] = {
            OURS: lambda: _read_nxlog(ours, request),
            "httpx, bytes only": lambda: _read_bytes(plain, url),
            HTTPX: lambda: _read_lines(plain, url),
        }
        if openai := optional("openai"):
            sdk = self._closing(openai.AsyncOpenAI(api_key=KEY, base_url=base_url))
            found["openai"] = lambda: _read_openai(sdk)
        return found


_STREAMED = {"model": MODEL, "messages": MESSAGES, "stream": True}


async def _read_nxlog(client: AsyncClient, request: ChatRequest) -> float:
    total = 0.0
    async with client.stream(request) as stream:
        async for chunk in stream:
            total += len(chunk.delta)
            for token in chunk.logprobs or ():
                total += token.logprob or 0.0
    return total


async def _read_bytes(client: httpx.AsyncClient, url: str) -> int:
    async with client.stream("POST", url, json=_STREAMED, headers=HEADERS) as response:
        return sum([len(data) async for data in response.aiter_raw()])


async def _read_lines(client: httpx.AsyncClient, url: str) -> float:
    async with client.stream("POST", url, json=_STREAMED, headers=HEADERS) as response:
        return await _sum_of_lines(response.aiter_lines())


async def _read_openai(client: Any) -> float:
    total = 0.0
    async for chunk in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
        for choice in chunk.choices:
            total += len(choice.delta.content or "")
            for token in (choice.logprobs.content if choice.logprobs else None) or ():
                total += token.logprob
    return total


async def _sum_of_lines(lines: AsyncIterator[str]) -> float:
    total = 0.0
    async for line in lines:
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        for choice in _loads(line[6:])["choices"]:
            total += len(choice["delta"].get("content") or "")
            logprobs = choice["logprobs"]
            for token in logprobs["content"] if logprobs else ():
                total += token["logprob"]
    return total


def scenarios(server: str, runner: asyncio.Runner, *, requests: int) -> Iterator[Scenario]:
    """Small requests one after the other and 64 at a time, and streams."""
    peers = Peers(server, runner)
    try:
        yield from _small(peers, requests)
        yield _at_once(peers, requests * 2)
        for kind, size in (("stream", "500x5"), ("stream", "4000x20"), ("paced", "500x5")):
            yield _stream(peers, kind, size)
    finally:
        peers.close()


def _small(peers: Peers, count: int) -> Iterator[Scenario]:
    target = Target("ratio", 1.2, "at most 1.2x")
    asking = peers.sync_askers()
    turns = {name: timed(_times(ask, count), per=count, scale=1e6, by_clock=True) for name, ask in asking.items()}
    yield Scenario("small request, Client", "us", turns, reference=HTTPX, target=target)
    askers = peers.async_askers()
    turns = {name: _async_turn(peers, _at_a_time(ask, count, width=1), count) for name, ask in askers.items()}
    yield Scenario("small request, AsyncClient", "us", turns, reference=HTTPX, target=target)


def _at_once(peers: Peers, count: int) -> Scenario:
    turns = {
        # The connections are opened before the clock starts: httpx closes idle ones after five seconds.
        name: _async_turn(peers, _at_a_time(ask, count), count, before=_at_a_time(ask, WIDTH))
        for name, ask in peers.async_askers().items()
    }
    target = Target("speedup", 10, "at least 10x")
    return Scenario(f"{WIDTH} requests at a time", "us", turns, reference=HTTPX, target=target)


def _stream(peers: Peers, kind: str, size: str) -> Scenario:
    per = payloads.SIZES[size].tokens
    turns = {name: _async_turn(peers, read, per) for name, read in peers.readers(kind, size).items()}
    name = f"one event of a stream {size}" + (", one packet each" if kind == "paced" else "")
    target = Target("extra", 50, "at most 50 us more")
    return Scenario(name, "us", turns, reference="httpx, bytes only", target=target)


def _async_turn(peers: Peers, work: Work, per: int, before: Work | None = None) -> Callable[[], Sample]:
    warm = None if before is None else lambda: peers.run(before())
    return timed(lambda: peers.run(work()), per=per, scale=1e6, before=warm, by_clock=True)


def _times(ask: Callable[[], object], count: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            ask()

    return run


def _at_a_time(ask: Work, count: int, *, width: int = WIDTH) -> Work:
    async def run() -> object:
        rest = iter(range(count))

        async def worker() -> None:
            for _ in rest:
                await ask()

        return await asyncio.gather(*[worker() for _ in range(width)])

    return run
