"""Many requests at a time, cancellation, and the aiohttp transport; real sockets on loopback."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from nxlog.errors import (
    ConnectError,
    InvalidRequestError,
    NetworkError,
    ResponseTooLargeError,
    TimeoutError,  # noqa: A004 - ours is what is tested
    TransportError,
)
from nxlog.http import AsyncTransport, SyncTransport, origin
from nxlog.timeout import Timeout
from tests.fault_server import (
    CLOSE,
    LAST_CHUNK,
    RESET,
    SILENCE,
    FaultServer,
    Received,
    chunk,
    chunked_head,
    gzipped,
    refused_url,
    response,
)
from tests.http_modes import KEY, post, run, send

pytestmark = pytest.mark.network

STREAM = [chunked_head(), chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n"), LAST_CHUNK]


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [4, 64])
async def test_tasks_share_connections(limit: int) -> None:
    replies: list[bytes] = []

    async def ask(transport: AsyncTransport) -> None:
        for _ in range(4):
            replies.append((await transport.send(post(server.url))).content)

    with FaultServer(response(200, b"yes")) as server:
        async with AsyncTransport(max_connections=limit) as transport, anyio.create_task_group() as group:
            for _ in range(32):
                group.start_soon(ask, transport)
        server.wait_until_deserted()
    assert replies == [b"yes"] * 128
    assert server.connections <= min(limit, 32)


def test_threads_share_connections() -> None:
    with FaultServer(response(200, b"yes")) as server:
        with SyncTransport(max_connections=4) as transport, ThreadPoolExecutor(16) as threads:
            replies = list(threads.map(lambda _: transport.send(post(server.url)).content, range(128)))
        server.wait_until_deserted()
    assert replies == [b"yes"] * 128
    assert server.connections <= 4


@pytest.mark.anyio
@pytest.mark.parametrize("script", [[SILENCE], [*STREAM[:2], SILENCE]])
async def test_cancelling_closes_the_connection(script: list[Any]) -> None:
    async with AsyncTransport(max_connections=1, timeout=Timeout(pool=0.05)) as transport:
        with FaultServer(script, response()) as server:
            async with anyio.create_task_group() as group:
                group.start_soon(transport.send, post(server.url))
                await anyio.to_thread.run_sync(server.wait_for_requests, 1)
                group.cancel_scope.cancel()
            server.wait_until_deserted()
            gc.collect()
            assert (await transport.send(post(server.url))).status == 200, "the place in the pool is lost"


@pytest.mark.anyio
async def test_cancelling_a_wait_for_a_connection_loses_nothing() -> None:
    async with AsyncTransport(max_connections=1, timeout=Timeout(pool=0.05)) as transport:
        with FaultServer(STREAM, response()) as server:
            stream = await transport.stream(post(server.url))
            with anyio.move_on_after(0.01):
                await transport.send(post(server.url))
            assert await stream.read() == b"data: 1\n\ndata: 2\n\n"
            assert (await transport.send(post(server.url))).status == 200
    assert len(server.requests) == 2


@pytest.mark.anyio
async def test_no_cancel_scope_is_held_between_pieces() -> None:
    """A stream under a deadline may be read in a different task than the one that opened it."""
    pieces: list[bytes] = []

    async def take(stream: Any) -> None:
        pieces.append(await anext(stream))

    async with AsyncTransport(timeout=60.0) as transport:
        with FaultServer(STREAM) as server:
            stream = await transport.stream(post(server.url))
            for _ in range(2):
                async with anyio.create_task_group() as group:
                    group.start_soon(take, stream)
            await stream.read()
    assert b"".join(pieces) == b"data: 1\n\ndata: 2\n\n"


def test_the_sync_limits_shrink_again_when_the_body_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore takes the read limit of a body when its first read starts; see ``Timeout.total``."""
    clock = time.monotonic
    late = 0.0
    monkeypatch.setattr("nxlog.http.transport.time.monotonic", lambda: clock() + late)

    def answer(_: Received) -> bytes:
        nonlocal late
        late = 40.0
        return response()

    with FaultServer(answer) as server, SyncTransport(timeout=Timeout(total=60.0)) as transport:
        stream = transport.stream(post(server.url))
        assert stream._exchange.limits["read"] is not None
        assert stream._exchange.limits["read"] <= 20.0
        assert stream.read() == b"{}"


def test_a_second_client_loads_no_certificates() -> None:
    contexts = {id(origin.ssl_context()) for _ in range(3)}
    assert len(contexts) == 1
    # Plain HTTP needs none at all, and what it has instead trusts nobody.
    assert origin._context_for(("http", "127.0.0.1", 80)).cert_store_stats()["x509"] == 0
    assert origin._context_for(("https", "127.0.0.1", 443)) is origin.ssl_context()


def test_nothing_leaks_when_the_interpreter_checks() -> None:
    """A fresh interpreter whose warnings are errors reports sockets and generators that were left open."""
    program = """
import anyio, sys
sys.path[:0] = sys.argv[1:]
from nxlog.http import AsyncTransport
from tests.fault_server import SILENCE, FaultServer, chunk, chunked_head
from tests.http_modes import post

async def main():
    with FaultServer([chunked_head(), chunk(b"1"), SILENCE]) as server:
        async with AsyncTransport() as transport:
            stream = await transport.stream(post(server.url))
            await anext(stream)
            await stream.close()
            with anyio.move_on_after(0.05):
                await transport.send(post(server.url))

for backend in ("asyncio", "trio"):
    anyio.run(main, backend=backend)
"""
    command = [sys.executable, "-W", "error", "-c", program, *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- aiohttp


def test_aiohttp_whole_and_stream() -> None:
    async def body(transport: Any) -> None:
        assert (await transport.send(post(server.url))).content == b"whole"
        stream = await transport.stream(post(server.url))
        assert b"".join([piece async for piece in stream]) == b"data: 1\n\ndata: 2\n\n"
        stream = await transport.stream(post(server.url))
        assert await anext(stream) == b"data: 1\n\n"
        await stream.close()
        await anyio.to_thread.run_sync(server.wait_until_deserted)  # aiohttp closes when the loop turns

    with FaultServer(gzipped(b"whole"), STREAM, [*STREAM[:2], SILENCE]) as server:
        run("asyncio", body, http_client="aiohttp")
    request = server.requests[0]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "gzip, deflate"
    assert request.body == b'{"model":"m"}'
    assert "transfer-encoding" not in request.headers
    assert server.connections == 1, "not reused"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([RESET], NetworkError),
        ([CLOSE], NetworkError),
        ([*STREAM[:2], CLOSE], NetworkError),
        ([b"SSH-2.0-OpenSSH_9.7\r\n\r\n", CLOSE], TransportError),
        ([SILENCE], TimeoutError),
        ([*STREAM[:2], SILENCE], TimeoutError),
        (response(200, b"x" * 1001), ResponseTooLargeError),
    ],
)
def test_aiohttp_faults(script: Any, error: type[Exception]) -> None:
    with FaultServer(script) as server:
        options = {"timeout": Timeout(read=0.05), "max_response_bytes": 1000}
        with pytest.raises(error):
            send("asyncio", post(server.url), http_client="aiohttp", **options)
        server.wait_until_deserted()


def test_aiohttp_refused() -> None:
    with pytest.raises(ConnectError, match="could not connect"):
        send("asyncio", post(refused_url()), http_client="aiohttp")


def test_aiohttp_uses_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert send("asyncio", post("http://api.invalid"), http_client="aiohttp").status == 200
    assert proxy.requests[0].target == "http://api.invalid/v1/chat/completions"


def test_aiohttp_needs_asyncio() -> None:
    with pytest.raises(InvalidRequestError, match="asyncio only"):
        send("trio", post("http://127.0.0.1:9"), http_client="aiohttp")


def test_aiohttp_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    with pytest.raises(InvalidRequestError, match=r'pip install "nxlog\[aiohttp\]"'):
        AsyncTransport(http_client="aiohttp")


def test_aiohttp_is_not_for_the_sync_client() -> None:
    with pytest.raises(InvalidRequestError, match="for AsyncClient"):
        SyncTransport(http_client="aiohttp")  # type: ignore[arg-type]
