"""The transports against a real server on the loopback interface that plays scripts.

Sockets, httpx and httpcore are real; only what the server says is made up.
"""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from dataclasses import replace
from typing import Any

import pytest

from nxlog.errors import (
    ConnectError,
    DecodeError,
    InvalidRequestError,
    NetworkError,
    ProtocolError,
    ResponseTooLargeError,
    TimeoutError,  # noqa: A004 - ours is what is tested
    TransportError,
)
from nxlog.http.pool import KEEPALIVE
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
    head,
    refused_url,
    response,
)
from tests.http_modes import KEY, MODES, post, run, send

pytestmark = [pytest.mark.network, pytest.mark.parametrize("mode", MODES)]

STREAM = [chunked_head(), chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n"), LAST_CHUNK]


def test_request_and_response_arrive_unchanged(mode: str) -> None:
    body = "ü\u2028".encode() * 50_000
    with FaultServer(response(200, body, x_request_id="req_1")) as server:
        reply = send(mode, post(server.url, body))
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/v1/chat/completions", body)
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "accept-encoding": "gzip, deflate",
        "content-length": str(len(body)),
    }
    assert (reply.status, reply.content) == (200, body)
    assert reply.headers["x-request-id"] == "req_1"
    assert all(name == name.lower() for name in reply.headers)


@pytest.mark.parametrize("status", [201, 204, 301, 307, 400, 401, 404, 429, 500, 503])
def test_every_status_is_the_callers_to_judge(mode: str, status: int) -> None:
    with FaultServer(response(status, b"" if status == 204 else b"why", location="/elsewhere")) as server:
        reply = send(mode, post(server.url))
    assert reply.status == status
    assert reply.headers["location"] == "/elsewhere"
    assert len(server.requests) == 1, "a redirect was followed"


def test_one_connection_serves_many_requests(mode: str) -> None:
    async def body(transport: Any) -> None:
        for _ in range(5):
            await transport.send(post(server.url))
        stream = await transport.stream(post(server.url))
        assert await stream.read() == b"{}"

    with FaultServer(response()) as server:
        run(mode, body)
        server.wait_until_deserted()
    assert (server.connections, len(server.requests)) == (1, 6)


def test_a_connection_the_server_has_closed_is_not_used_again(mode: str) -> None:
    async def body(transport: Any) -> None:
        await transport.send(post(server.url))
        server.wait_until_deserted()
        assert (await transport.send(post(server.url))).content == b"second"

    with FaultServer([response(), CLOSE], response(200, b"second")) as server:
        run(mode, body)
    assert server.connections == 2


def test_stream_yields_pieces_as_they_come(mode: str) -> None:
    go_on = threading.Event()

    async def body(transport: Any) -> None:
        stream = await transport.stream(post(server.url))
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        pieces: list[bytes] = []
        async for piece in stream:
            pieces.append(piece)
            go_on.set()  # the server sends the rest only after the first piece was seen
        assert pieces == [b"data: 1\n\n", b"data: 2\n\n"]
        assert await stream.read() == b""
        await stream.close()
        await stream.close()

    with FaultServer([STREAM[0], STREAM[1], go_on, *STREAM[2:]]) as server:
        run(mode, body)


def test_leaving_a_stream_early_closes_its_connection(mode: str) -> None:
    async def body(transport: Any) -> None:
        stream = await transport.stream(post(server.url))
        async for piece in stream:
            assert piece == b"data: 1\n\n"
            await stream.close()
            break
        server.wait_until_deserted()
        await stream.close()
        with pytest.raises(NetworkError, match="closed before its end"):
            await stream.read()
        assert (await transport.send(post(server.url))).status == 200

    with FaultServer([*STREAM[:3], SILENCE], response()) as server:
        run(mode, body)
        assert server.connections == 2


def test_an_unread_stream_can_be_closed(mode: str) -> None:
    async def body(transport: Any) -> None:
        await (await transport.stream(post(server.url))).close()
        server.wait_until_deserted()

    with FaultServer([chunked_head(), SILENCE]) as server:
        run(mode, body)


def test_closing_the_transport_closes_streams_that_are_open(mode: str) -> None:
    async def body(transport: Any) -> None:
        stream = await transport.stream(post(server.url))
        await transport.aclose()
        server.wait_until_deserted()
        with pytest.raises(TransportError):
            await stream.read()
        with pytest.raises(InvalidRequestError, match="the client is closed"):
            await transport.send(post(server.url))

    with FaultServer([chunked_head(), SILENCE]) as server:
        run(mode, body)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([RESET], NetworkError),
        ([CLOSE], NetworkError),
        ([b"HTTP/1.1 200 OK\r\nContent-", CLOSE], NetworkError),
        ([head(200, content_length="10"), b"12345", CLOSE], NetworkError),
        ([head(200, content_length="10"), b"12345", RESET], NetworkError),
        ([*STREAM[:2], CLOSE], NetworkError),
        ([b"SSH-2.0-OpenSSH_9.7\r\n\r\n", CLOSE], ProtocolError),
        ([head(200, content_length="ten"), CLOSE], ProtocolError),
        ([chunked_head(), b"zz\r\n", CLOSE], ProtocolError),
    ],
)
def test_broken_replies(mode: str, script: list[Any], error: type[TransportError]) -> None:
    with FaultServer(script) as server:
        with pytest.raises(error) as caught:
            send(mode, post(server.url))
        server.wait_until_deserted()
    assert type(caught.value) is error
    assert caught.value.retryable
    assert f"{server.url}/v1/chat/completions" in caught.value.message


def test_what_arrived_before_a_cut_is_delivered(mode: str) -> None:
    async def body(transport: Any) -> None:
        pieces: list[bytes] = []

        async def take_all() -> None:
            async for piece in await transport.stream(post(server.url)):
                pieces.append(piece)

        with pytest.raises(NetworkError):
            await take_all()
        assert pieces == [b"data: 1\n\n"]

    with FaultServer([*STREAM[:2], CLOSE]) as server:
        run(mode, body)


def test_connection_refused(mode: str) -> None:
    with pytest.raises(ConnectError, match=r"could not connect: http://127.0.0.1:\d+/v1/chat/completions"):
        send(mode, post(refused_url()))


def test_tls_to_a_server_without_tls(mode: str) -> None:
    with FaultServer(greeting=response(400)) as server:
        with pytest.raises(ConnectError, match="could not connect: https://"):
            send(mode, post(server.url.replace("http:", "https:")))
        server.wait_until_deserted()


def test_an_unknown_host(mode: str) -> None:
    with pytest.raises(ConnectError):
        send(mode, post("http://nowhere.invalid"))


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com/v1", "http://", "http://[::1", ""])
def test_urls_that_are_none(mode: str, url: str) -> None:
    with pytest.raises(InvalidRequestError, match="base_url") as caught:
        send(mode, post(url))
    assert caught.value.param == "base_url"


# -- time


@pytest.mark.parametrize("script", [[SILENCE], [*STREAM[:2], SILENCE]])
def test_read_limit(mode: str, script: list[Any]) -> None:
    with FaultServer(script) as server:
        with pytest.raises(TimeoutError, match=r"nothing to read in timeout\.read=0\.05 s: http") as caught:
            send(mode, post(server.url), timeout=Timeout(read=0.05))
        server.wait_until_deserted()
    assert caught.value.retryable


@pytest.mark.parametrize(("own", "limit"), [(0.05, 60.0), (60.0, 0.05), (0.05, None)])
def test_a_request_may_wait_for_less(mode: str, own: float, limit: float | None) -> None:
    with FaultServer([SILENCE]) as server:
        with pytest.raises(TimeoutError, match=r"nothing to read in timeout\.read=0\.05 s: http"):
            send(mode, replace(post(server.url), read=own), timeout=Timeout(read=limit))
        server.wait_until_deserted()


@pytest.mark.parametrize("script", [[SILENCE], [*STREAM[:2], SILENCE]])
def test_total_limit(mode: str, script: list[Any]) -> None:
    with FaultServer(script) as server:
        with pytest.raises(TimeoutError, match=r"timeout\.total=0\.1 s") as caught:
            send(mode, post(server.url), timeout=Timeout(total=0.1))
        server.wait_until_deserted()
    assert not caught.value.retryable, "the budget is spent"


def test_total_limit_ends_a_stream_that_never_pauses(mode: str) -> None:
    async def body(transport: Any) -> None:
        stream = await transport.stream(post(server.url))
        with pytest.raises(TimeoutError, match=r"timeout\.total=0\.2 s"):
            await stream.read()
        server.wait_until_deserted()

    def endless(_: Received) -> Any:
        yield chunked_head()
        while True:
            yield chunk(b"data: again\n\n")

    with FaultServer(endless) as server:
        run(mode, body, timeout=Timeout(total=0.2))


def test_a_given_deadline_wins(mode: str) -> None:
    async def body(transport: Any) -> None:
        with pytest.raises(TimeoutError, match="total"):
            await transport.send(post(server.url), deadline=time.monotonic() - 1)

    with FaultServer() as server:
        run(mode, body, timeout=60.0)
    assert server.requests == [], "sent although there was no time left"


def test_pool_limit(mode: str) -> None:
    async def body(transport: Any) -> None:
        stream = await transport.stream(post(server.url))
        with pytest.raises(TimeoutError, match=r"no free connection in timeout\.pool=0\.05 s"):
            await transport.send(post(server.url))
        await stream.close()
        assert (await transport.send(post(server.url))).status == 200

    with FaultServer([chunked_head(), SILENCE], response()) as server:
        run(mode, body, timeout=Timeout(pool=0.05), max_connections=1)


def test_failures_give_their_place_in_the_pool_back(mode: str) -> None:
    async def body(transport: Any) -> None:
        for _ in range(3):
            with pytest.raises(NetworkError):
                await transport.send(post(server.url))
        with pytest.raises(InvalidRequestError):
            await transport.send(post("ftp://x"))
        assert (await transport.send(post(server.url))).status == 200

    with FaultServer([RESET], [CLOSE], [*STREAM[:2], RESET], response()) as server:
        run(mode, body, timeout=Timeout(pool=0.05), max_connections=1)


def test_old_idle_connections_are_closed(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(transport: Any) -> None:
        first = await transport.stream(post(server.url))
        second = await transport.stream(post(server.url))
        await first.read()  # the first to be idle is at the bottom of the stack
        await second.read()
        now = time.monotonic() + KEEPALIVE / 2
        monkeypatch.setattr("nxlog.http.pool.time.monotonic", lambda: now)
        await transport.send(post(server.url))  # takes the second and puts it back, young
        now += KEEPALIVE / 2 + 1
        third = await transport.stream(post(server.url))
        await third.read()
        server.wait_until(lambda: server.open_connections == 1, "the old connection closed")

    with FaultServer(response()) as server:
        run(mode, body)


# -- size and compression


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", lambda body: gzip.compress(body[:7]) + gzip.compress(body[7:]) + b"\0\0"),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("identity", bytes),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_compressed_streams(mode: str, encoding: str, compress: Any, size: int) -> None:
    body = b"".join(b"data: %d\n\n" % number for number in range(300))
    wire = compress(body)
    pieces = [chunk(wire[start : start + size]) for start in range(0, len(wire), size)]
    with FaultServer([chunked_head(content_encoding=encoding), *pieces, LAST_CHUNK]) as server:
        assert send(mode, post(server.url)).content == body


def test_a_large_compressed_reply(mode: str) -> None:
    body = bytes(range(256)) * 40_000
    with FaultServer(gzipped(body)) as server:
        assert send(mode, post(server.url)).content == body


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (response(200, b"not gzip", content_encoding="gzip"), "the body is not valid gzip"),
        (response(200, gzip.compress(b"x" * 999)[:-9], content_encoding="gzip"), "ends in the middle"),
        (response(200, b"???", content_encoding="br"), "'br', which was not offered"),
    ],
)
def test_compression_gone_wrong(mode: str, script: bytes, message: str) -> None:
    with FaultServer(script) as server:
        with pytest.raises(DecodeError, match=message):
            send(mode, post(server.url))
        server.wait_until_deserted()


@pytest.mark.parametrize(
    "script",
    [
        response(200, b"x" * 1001),
        [chunked_head(), chunk(b"x" * 600), chunk(b"x" * 600), LAST_CHUNK],
        gzipped(b"x" * 1001),
        [chunked_head(content_encoding="gzip"), chunk(gzip.compress(bytes(200 << 20))), LAST_CHUNK],
    ],
    ids=["declared", "chunked", "gzip", "bomb"],
)
def test_a_body_larger_than_allowed(mode: str, script: Any) -> None:
    with FaultServer(script) as server:
        with pytest.raises(ResponseTooLargeError, match="max_response_bytes=1000"):
            send(mode, post(server.url), max_response_bytes=1000)
        server.wait_until_deserted()


def test_a_body_as_large_as_allowed(mode: str) -> None:
    with FaultServer(gzipped(b"x" * 1000)) as server:
        assert len(send(mode, post(server.url), max_response_bytes=1000).content) == 1000
