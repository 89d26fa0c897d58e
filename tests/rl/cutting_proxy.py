"""A proxy on loopback that cuts connections while a server answers on them."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence


class CuttingProxy:
    """Passes bytes on; the connections in turn are cut behind so many bytes of answers.

    Args:
        port: of the server.
        limits: bytes, again and again from the first.
    """

    def __init__(self, port: int, limits: Sequence[int]) -> None:
        self.cut: int = 0
        self._port: int = port
        self._limits = itertools.cycle(limits)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if select.select([self._listener], [], [], 0.05)[0]:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client, next(self._limits)))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket, limit: int) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server, contextlib.suppress(OSError):
            while not self._closed.is_set():
                for ready in select.select([client, server], [], [], 0.05)[0]:
                    data = ready.recv(4096)
                    if not data:
                        return
                    if ready is client:
                        server.sendall(data)
                        continue
                    client.sendall(data[:limit])
                    limit -= len(data)
                    if limit <= 0:
                        self.cut += 1
                        return
