"""What stands between the transports and the server: proxies, recorders, the user's own client.

The servers, proxies and clients are real, on the loopback interface.
"""

from __future__ import annotations

import gc
from typing import Any

import httpx
import pytest
import vcr

from nxlog.errors import (
    ConnectError,
    InvalidRequestError,
    TimeoutError,  # noqa: A004 - ours is what is tested
)
from nxlog.http import AsyncTransport, SyncTransport
from nxlog.timeout import Timeout
from tests.fault_server import LAST_CHUNK, SILENCE, FaultServer, chunk, chunked_head, gzipped, response
from tests.http_modes import KEY, MODES, post, run, send

pytestmark = [pytest.mark.network, pytest.mark.parametrize("mode", MODES)]

STREAM = [chunked_head(), chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n"), LAST_CHUNK]


# -- proxies


def test_proxy_of_the_environment(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(response(), response(407)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pass@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
        assert send(mode, post("http://api.invalid")).status == 200
        with pytest.raises(ConnectError, match="407"):
            send(mode, post("https://api.invalid"))
    plain, tunnel = proxy.requests
    assert (plain.method, plain.target) == ("POST", "http://api.invalid/v1/chat/completions")
    assert plain.headers["proxy-authorization"] == "Basic bWU6cGFzcw=="
    assert (tunnel.method, tunnel.target) == ("CONNECT", "api.invalid:443")
    assert "authorization" not in tunnel.headers, "the key goes to the server, not to the proxy"


def test_no_proxy(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(response()) as server, FaultServer(response(502)) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert send(mode, post(server.url)).status == 502, "loopback is no exception"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert send(mode, post(server.url)).status == 200


@pytest.mark.parametrize("proxy", ["gopher://me:pass@proxy:70", "http://me:pass@:bad"])
def test_a_proxy_that_cannot_be_used(mode: str, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(InvalidRequestError, match="HTTP_PROXY") as caught:
        send(mode, post("http://api.invalid"))
    assert "pass" not in str(caught.value)


def test_user_information_in_the_url_becomes_a_header(mode: str) -> None:
    with FaultServer() as server:
        url = server.url.replace("http://", "http://me:p%40ss@")
        request = post(url)
        send(mode, type(request)(request.url, {}, b"{}"))
        send(mode, request)
    assert server.requests[0].headers["authorization"] == "Basic bWU6cEBzcw=="
    assert server.requests[1].headers["authorization"] == f"Bearer {KEY}"


# -- recorders


def test_vcrpy_records_and_replays(mode: str, tmp_path: Any) -> None:
    async def body(transport: Any) -> tuple[bytes, bytes]:
        whole = await transport.send(post(server.url))
        stream = await transport.stream(post(server.url))
        return whole.content, await stream.read()

    cassette = str(tmp_path / "cassette.yaml")
    with FaultServer(gzipped(b"whole"), STREAM) as server:
        with vcr.use_cassette(cassette, record_mode="once"):
            recorded = run(mode, body)
        with vcr.use_cassette(cassette, record_mode="none", allow_playback_repeats=False) as tape:
            assert run(mode, body) == recorded == (b"whole", b"data: 1\n\ndata: 2\n\n")
            assert tape.play_count == 2
    assert len(server.requests) == 2


# -- the user's own client


def own_client(mode: str, **options: Any) -> Any:
    return (httpx.Client if mode == "sync" else httpx.AsyncClient)(**options)


async def close_client(client: Any) -> None:
    if isinstance(client, httpx.Client):
        client.close()
    else:
        await client.aclose()


def test_own_client_is_used_and_left_open(mode: str) -> None:
    client = own_client(mode, headers={"X-Mine": "1"}, follow_redirects=True, timeout=0.001)

    async def body(transport: Any) -> None:
        assert (await transport.send(post(server.url))).status == 302
        stream = await transport.stream(post(server.url))
        assert [piece async for piece in stream] == [b"data: 1\n\n", b"data: 2\n\n"]
        stream = await transport.stream(post(server.url))
        async for piece in stream:
            assert piece == b"data: 1\n\n"
            await stream.close()
            break
        del stream
        gc.collect()  # trio complains of generators that it finds unfinished here
        with pytest.raises(TimeoutError, match=r"timeout\.read=0\.05 s"):
            await transport.send(post(server.url))
        await transport.aclose()
        assert not client.is_closed
        await close_client(client)
        with pytest.raises(InvalidRequestError, match="http_client is closed"):
            await transport.send(post(server.url))

    script = [response(302, location="/x"), STREAM, [*STREAM[:2], SILENCE], [SILENCE]]
    with FaultServer(*script) as server:
        run(mode, body, http_client=client, timeout=Timeout(read=0.05))
        server.wait_until_deserted()
    assert server.requests[0].headers["x-mine"] == "1"
    assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_own_client_whose_hook_reads_the_reply(mode: str) -> None:
    def read(reply: httpx.Response) -> None:
        reply.read()

    async def aread(reply: httpx.Response) -> None:
        await reply.aread()

    client = own_client(mode, event_hooks={"response": [read if mode == "sync" else aread]})

    async def body(transport: Any) -> None:
        assert (await transport.send(post(server.url))).content == b"read by a hook"
        await close_client(client)

    with FaultServer(response(200, b"read by a hook")) as server:
        run(mode, body, http_client=client)


def test_wrong_kinds_of_client(mode: str) -> None:
    transport = SyncTransport if mode == "sync" else AsyncTransport
    right, wrong = ("Client", "AsyncClient") if mode == "sync" else ("AsyncClient", "Client")
    other = httpx.AsyncClient() if mode == "sync" else httpx.Client()
    with pytest.raises(InvalidRequestError) as caught:
        transport(http_client=other)  # type: ignore[arg-type]
    assert caught.value.param == "http_client"
    assert f"must be an httpx.{right}, not httpx.{wrong}" in caught.value.message
    with pytest.raises(InvalidRequestError, match=r"not builtins\.object: leave it out"):
        transport(http_client=object())  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="aiohttp"):
        transport(http_client="requests")  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["max_connections", "max_response_bytes"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "9"])
def test_wrong_options(mode: str, option: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        (SyncTransport if mode == "sync" else AsyncTransport)(**{option: value})
    assert caught.value.param == option
