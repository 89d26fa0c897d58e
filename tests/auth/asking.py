"""One question through either client, on either event loop, to a provider that a test describes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio

from nxlog import AsyncClient, ChatRequest, Client, RetryPolicy
from nxlog.registry import Registry
from tests.fault_server import LAST_CHUNK, FaultServer, chunk, chunked_head, response

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

MODES = ["sync", "asyncio", "trio"]
ASYNC_MODES = MODES[1:]

AT_ONCE = RetryPolicy(first_delay=0.0)

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "x"}])
REPLY = response(200, json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).encode())
UNAUTHORIZED = response(401, b'{"error":{"message":"who are you?"}}')
EVENT = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
STREAMED = [chunked_head(), chunk(f"data: {json.dumps(EVENT)}\n\ndata: [DONE]\n\n".encode()), LAST_CHUNK]

AUTHS: dict[str, dict[str, Any]] = {
    "bearer": {},
    "header": {"scheme": "header", "header": "X-Own-Key"},
    "entra": {"scheme": "header", "header": "api-key", "callback": "bearer"},
    "google": {"scheme": "google"},
    "aws": {"scheme": "aws", "service": "bedrock"},
    "none": {"scheme": "none", "required": False},
}


def registry_of(name: str, **fields: Any) -> Registry:
    """A registry with one made-up provider ``here`` of that way to present a key."""
    table: dict[str, Any] = {
        "display_name": "Here",
        "kind": "hosted",
        "docs": "https://example.org",
        "auth": AUTHS[name],
        "wires": {"openai-chat": {"path": "/chat/completions"}},
    }
    return Registry.builtin().with_(providers={"here": table | fields})


def ask(mode: str, server: FaultServer, auth: str = "bearer", *, stream: bool = False, **options: Any) -> ChatResponse:
    """One call by a client of its own."""
    given = {"provider": "here", "base_url": server.url, "retries": AT_ONCE} | options
    given.setdefault("registry", registry_of(auth))
    if mode == "sync":
        with Client(**given) as client:
            return ask_sync(client, stream=stream)

    async def main() -> ChatResponse:
        async with AsyncClient(**given) as client:
            return await ask_async(client, stream=stream)

    return anyio.run(main, backend=mode)


def ask_sync(client: Client, *, stream: bool = False) -> ChatResponse:
    if not stream:
        return client.chat(REQUEST)
    with client.stream(REQUEST) as chunks:
        list(chunks)
    return chunks.response


async def ask_async(client: AsyncClient, *, stream: bool = False) -> ChatResponse:
    if not stream:
        return await client.chat(REQUEST)
    async with client.stream(REQUEST) as chunks:
        async for _ in chunks:
            pass
    return chunks.response


def sent(server: FaultServer, name: str = "authorization") -> list[str | None]:
    """That header of each request that arrived."""
    return [request.headers.get(name) for request in server.requests]
