"""The items of a JSON array that arrives in pieces, cut anywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nxlog.errors import ResponseTooLargeError
from nxlog.wire.sse import MAX_EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator

# A whole string, so that braces inside of it do not count; else a brace, or the start of a string still to end.
_MARK = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}"]', re.DOTALL)


class ObjectSplitter:
    """Collects bytes and gives every object that stands in the array, or alone."""

    __slots__ = ("_at", "_depth", "_limit", "_pending")

    def __init__(self, *, max_item: int = MAX_EVENT) -> None:
        self._pending = bytearray()
        self._at = 0
        self._depth = 0
        self._limit = max_item

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that these bytes complete.

        Raises:
            ResponseTooLargeError: an object grew beyond the bound.
        """
        self._pending += data
        found = list(self._objects())
        # With objects found the error waits for the next packet, so that they are not lost.
        if len(self._pending) > self._limit and not found:
            raise ResponseTooLargeError(f"one item of the stream exceeds {self._limit} bytes")
        return found

    def close(self) -> list[bytes]:
        """Nothing: an object that has not ended is cut."""
        return []

    def _objects(self) -> Iterator[bytes]:
        start = 0
        for mark in _MARK.finditer(self._pending, self._at):
            if mark[0] == b'"':
                self._at = mark.start()
                break
            self._at = mark.end()
            if mark[0] == b"{":
                start = start if self._depth else mark.start()
                self._depth += 1
            elif mark[0] == b"}" and self._depth:
                self._depth -= 1
                if not self._depth:
                    yield bytes(self._pending[start : mark.end()])
                    start = mark.end()
        # What is before the object that is open, or after the last, is done with.
        done = start if self._depth else self._at
        del self._pending[:done]
        self._at -= done
