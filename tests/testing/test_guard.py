"""No network while the guard stands. What is real: the sockets, the event loops, the resolver."""

from __future__ import annotations

import socket
from typing import NoReturn

import anyio
import anyio.lowlevel
import pytest

from nxlog.testing.guard import no_network
from tests.testing.stream_server import StreamServer

pytestmark = pytest.mark.network


class TouchedError(BaseException):
    pass


def fail(message: str) -> NoReturn:
    raise TouchedError(message)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_connections_are_told_by_name(port: int) -> None:
    with no_network(fail, loopback=False), socket.socket() as sock:
        with pytest.raises(TouchedError, match=r"connection to 127\.0\.0\.1"):
            sock.connect(("127.0.0.1", port))
        with pytest.raises(TouchedError, match=r"connection to 192\.0\.2\.1"):
            sock.connect_ex(("192.0.2.1", 80))
    with no_network(fail, loopback=False), socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(TouchedError):
            sock.sendto(b"x", ("192.0.2.1", 53))
        with pytest.raises(TouchedError):
            sock.sendto(b"x", 0, ("192.0.2.1", 53))


@pytest.mark.parametrize("name", ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"])
def test_names_are_not_looked_up(name: str) -> None:
    arguments = ("example.com", 80) if name == "getaddrinfo" else ("example.com",)
    with no_network(fail, loopback=True), pytest.raises(TouchedError, match=r"look-up of example\.com"):
        getattr(socket, name)(*arguments)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_event_loops_work_and_get_nowhere(backend: str, port: int) -> None:
    async def main() -> None:
        await anyio.lowlevel.checkpoint()
        await anyio.connect_tcp("127.0.0.1", port)

    def told(error: BaseException) -> bool:
        nested = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        return isinstance(error, TouchedError) or any(map(told, nested))

    with no_network(fail, loopback=False), pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of them
        anyio.run(main, backend=backend)
    assert told(caught.value)


def test_this_machine_on_request(port: int) -> None:
    with StreamServer() as server, no_network(fail, loopback=True):
        there = server.url.split(":")[2].removesuffix("/v1")
        socket.create_connection(("localhost", int(there))).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with socket.socket() as sock, pytest.raises(TouchedError):
            sock.connect(("192.0.2.1", 80))


def test_sockets_that_are_no_network_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    before = socket.socket.connect, socket.getaddrinfo, socket.socketpair
    with no_network(fail, loopback=False):
        for sock in socket.socketpair():
            sock.close()
        with socket.socket(socket.AF_UNIX) as sock, pytest.raises(FileNotFoundError):
            sock.connect(str(tmp_path_factory.getbasetemp() / "no"))
    assert (socket.socket.connect, socket.getaddrinfo, socket.socketpair) == before
