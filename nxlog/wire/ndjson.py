"""JSON lines: bytes, cut anywhere, to the lines that hold something.

A line ends in a line feed and in nothing else: JSON escapes it inside of texts, but not U+2028 or U+0085, at which
``str.splitlines`` would cut. So the work is done on bytes.
"""

from __future__ import annotations

from nxlog.errors import ResponseTooLargeError
from nxlog.wire.sse import MAX_EVENT


class LineSplitter:
    """Collects bytes and gives every line that is complete, without blank ones."""

    __slots__ = ("_limit", "_pending", "_size")

    def __init__(self, *, max_line: int = MAX_EVENT) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self._limit = max_line

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete.

        Raises:
            ResponseTooLargeError: a line grew beyond the bound.
        """
        self._pending.append(data)
        self._size += len(data)
        found: list[bytes] = []
        if b"\n" in data:
            # Joined only now: a line that arrives in a thousand packets is not copied a thousand times.
            *lines, rest = b"".join(self._pending).split(b"\n")
            self._pending = [rest]
            self._size = len(rest)
            found = [line for line in map(bytes.strip, lines) if line]
        # With lines found the error waits for the next packet, so that they are not lost.
        if self._size > self._limit and not found:
            raise ResponseTooLargeError(f"one line of the stream exceeds {self._limit} bytes")
        return found

    def close(self) -> list[bytes]:
        """A last line whose end never came."""
        line = b"".join(self._pending).strip()
        self._pending = []
        return [line] if line else []
