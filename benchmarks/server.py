"""A fake server of prebuilt bytes on the loopback interface, in a process of its own so that its CPU time is not ours.

The path picks the reply: ``/<kind>/<size>/v1/chat/completions`` with kind ``whole``, ``stream`` (all events at once)
or ``paced`` (one event per packet). It prints its port and ends when its stdin closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import payloads

if TYPE_CHECKING:
    from collections.abc import Generator

PACE = 0.001
"""Seconds between two events of a paced stream."""

_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_1\r\nContent-Length: %d\r\n\r\n%b"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class _Replies:
    """The bytes of every reply, built when first asked for."""

    def __init__(self) -> None:
        self._built: dict[str, bytes] = {}

    def get(self, kind: str, size: str) -> bytes:
        path = f"{kind}/{size}"
        if path not in self._built:
            self._built[path] = self._whole(size) if kind == "whole" else self._stream(size)
        return self._built[path]

    def _whole(self, size: str) -> bytes:
        body = payloads.body(size)
        return _WHOLE % (len(body), body)

    def _stream(self, size: str) -> bytes:
        return _STREAM + b"".join(map(_chunked, payloads.events(size))) + _LAST_CHUNK


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class _Connection(asyncio.Protocol):
    """Keep-alive, one request at a time, request bodies with Content-Length or in chunks."""

    def __init__(self, replies: _Replies) -> None:
        self._replies = replies
        self._buffer = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (length := _request_length(self._buffer)) is not None:
            request, self._buffer = self._buffer[:length], self._buffer[length:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        kind, size = request.split(b" ", 2)[1].decode().split("/")[1:3]
        if kind == "paced":
            task = asyncio.get_running_loop().create_task(self._paced(size))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._transport.write(self._replies.get(kind, size))

    async def _paced(self, size: str) -> None:
        self._transport.write(_STREAM)
        for event in payloads.events(size):
            await asyncio.sleep(PACE)
            self._transport.write(_chunked(event))
        self._transport.write(_LAST_CHUNK)


def _request_length(buffer: bytes) -> int | None:
    head, blank, rest = buffer.partition(b"\r\n\r\n")
    if not blank:
        return None
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        end = rest.find(_LAST_CHUNK)
        return None if end < 0 else len(head) + 4 + end + len(_LAST_CHUNK)
    length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    return None if len(rest) < length else len(head) + 4 + length


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    replies = _Replies()
    server = await loop.create_server(lambda: _Connection(replies), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def running() -> Generator[str]:
    """The URL of a server process that lives as long as the block."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).resolve()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        assert process.stdin is not None
        process.stdin.close()


def _main() -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop").install()
    asyncio.run(_serve())


if __name__ == "__main__":
    _main()
