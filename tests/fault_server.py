"""A server on the loopback interface that answers exactly what a test scripts, faults included.

::

    with FaultServer(response(503), [chunked_head(), chunk(b"data: 1"), RESET]) as server:
        ...  # talk to server.url
    assert server.requests[0].headers["authorization"] == "Bearer key"

A script has one entry for each request, in the order in which the requests arrive; the last entry
answers all further ones. An entry is bytes, a list of steps, or a function from the request to
either. A step is bytes to send, a ``threading.Event`` to wait for, or one of ``SILENCE``, ``RESET``
and ``CLOSE``. After the last step the connection stays open for the next request.
"""

from __future__ import annotations

import contextlib
import gzip
import select
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

PATIENCE = 10.0
"""After this long a test that waits has failed; nothing here waits so long when it passes."""


class Fault(Enum):
    SILENCE = "say nothing until the client hangs up"
    RESET = "end the connection with RST"
    CLOSE = "end the connection with FIN"


SILENCE, RESET, CLOSE = Fault.SILENCE, Fault.RESET, Fault.CLOSE

Step = bytes | threading.Event | Fault


@dataclass(frozen=True)
class Received:
    """A request as it came in; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Entry = bytes | Sequence[Step] | Callable[[Received], "bytes | Sequence[Step]"]


def response(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """A whole response; ``content_type="text/html"`` gives ``Content-Type: text/html``."""
    fields = {"content-type": "application/json", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return head(status, **fields) + body


def head(status: int = 200, **headers: str) -> bytes:
    """A status line and headers, nothing added."""
    lines = [f"HTTP/1.1 {status} Scripted"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunked_head(status: int = 200, content_type: str = "text/event-stream", **headers: str) -> bytes:
    """The head of a stream; ``chunk`` and ``LAST_CHUNK`` follow."""
    return head(status, content_type=content_type, transfer_encoding="chunked", **headers)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def gzipped(body: bytes, status: int = 200) -> bytes:
    """A whole response, compressed."""
    return response(status, gzip.compress(body), content_encoding="gzip")


def refused_url() -> str:
    """The URL of a port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class FaultServer:
    """Serves a script; ``requests`` and ``connections`` tell what happened."""

    def __init__(self, *script: Entry, greeting: bytes = b"") -> None:
        """``greeting`` is what a new connection gets before the client has said anything."""
        self._greeting = greeting
        self.script: list[Entry] = list(script) or [response()]
        self.requests: list[Received] = []
        self.connections = 0
        self._open: dict[socket.socket, threading.Thread] = {}
        self._changed = threading.Condition()
        self._stopping = False

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._wake_out, self._wake_in = socket.socketpair()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, name="fault-server", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping = True
        self._wake_in.close()
        self._acceptor.join(PATIENCE)
        with self._changed:
            left = list(self._open.items())
            for connection, _ in left:
                _shutdown(connection)
        for _, thread in left:
            thread.join(PATIENCE)
        self._listener.close()
        self._wake_out.close()
        assert not self._acceptor.is_alive()
        assert not self._open

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the client causes; it is an error if it never comes."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), f"never: {what}"

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        self.wait_until(lambda: len(self.requests) >= count, f"{count} requests, got {len(self.requests)}")

    def wait_until_deserted(self) -> None:
        """Wait until no client has a connection open."""
        self.wait_until(lambda: not self._open, "all connections closed")

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._changed:
            return len(self._open)

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._wake_out], [], [])
            if self._wake_out in ready:
                return
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._changed:
                self.connections += 1
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                connection.sendall(self._greeting)
                while (request := _read_request(stream)) is not None:
                    with self._changed:
                        entry = self.script[min(len(self.requests), len(self.script) - 1)]
                        self.requests.append(request)
                        self._changed.notify_all()
                    if not self._answer(connection, entry(request) if callable(entry) else entry):
                        break
        except OSError:
            pass  # the client is gone: what the test wants, or what its own side reports
        finally:
            with self._changed:
                del self._open[connection]
                self._changed.notify_all()

    def _answer(self, connection: socket.socket, entry: bytes | Sequence[Step]) -> bool:
        """Play an entry; returns whether the connection is still of use."""
        for step in [entry] if isinstance(entry, bytes) else entry:
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, threading.Event):
                assert step.wait(PATIENCE), "the test never set the event"
            elif step is SILENCE:
                connection.recv(1)
                return False
            elif step is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # makefile() holds the descriptor open, so that close() alone would not send it.
                socket.close(connection.detach())
                return False
            else:
                return False
        return True


def _read_request(stream: object) -> Received | None:
    readline, read = stream.readline, stream.read  # type: ignore[attr-defined]
    line = readline().decode("latin-1").split()
    if len(line) < 3:
        return None
    headers: dict[str, str] = {}
    while field := readline().decode("latin-1").strip():
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    return Received(line[0], line[1], headers, read(int(headers.get("content-length", "0"))))


def _shutdown(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
