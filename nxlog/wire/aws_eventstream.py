"""``application/vnd.amazon.eventstream``: bytes, cut anywhere, to frames with headers and a payload.

A frame is its length (4 bytes), the length of its headers (4), a CRC of these eight (4), the headers, the payload, and
a CRC of everything before it (4), all numbers big-endian. A header is the length of its name (1), the name, a type (1)
and a value. https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from nxlog.errors import DecodeError, ResponseTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FRAME = 24 * 1024 * 1024
"""Bound on one frame, in bytes; the format knows no larger ones."""

_PRELUDE = struct.Struct(">III")
_CRC_SIZE = 4
_OVERHEAD = _PRELUDE.size + _CRC_SIZE

# How many bytes a value of each type has; bytes (6) and texts (7) begin with their own length.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _TEXT = 6, 7


class Frame(NamedTuple):
    """One message."""

    headers: dict[str, str]
    """Those whose value is a text; the others are about nothing that nxlog reads."""
    payload: bytes


class FrameSplitter:
    """Collects bytes and gives every frame that is complete."""

    __slots__ = ("_limit", "_pending")

    def __init__(self, *, max_frame: int = MAX_FRAME) -> None:
        self._pending = bytearray()
        self._limit = max_frame

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete; errors are raised after the frames that came before them.

        Raises:
            DecodeError: a checksum is wrong, or lengths contradict each other.
            ResponseTooLargeError: a frame exceeds its bound.
        """
        self._pending += data
        while (size := self._size()) is not None and size <= len(self._pending):
            frame = bytes(self._pending[:size])
            del self._pending[:size]
            yield _frame(frame)

    def close(self) -> tuple[Frame, ...]:
        """Nothing: a frame that has not ended is cut."""
        return ()

    def _size(self) -> int | None:
        """The length of the frame that begins here, checked as soon as its prelude is there."""
        if len(self._pending) < _PRELUDE.size:
            return None
        prelude: tuple[int, int, int] = _PRELUDE.unpack_from(self._pending)
        size, headers, checksum = prelude
        if crc32(self._pending[: _PRELUDE.size - _CRC_SIZE]) != checksum:
            raise _broken("the checksum of a frame's lengths is wrong", bytes(self._pending[:80]))
        if size < headers + _OVERHEAD:
            raise _broken("a frame is shorter than what is in it", bytes(self._pending[:80]))
        if size > self._limit:
            raise ResponseTooLargeError(f"one frame of the stream has {size} bytes, the bound is {self._limit}")
        return size


def _broken(why: str, data: bytes) -> DecodeError:
    text = data.decode("utf-8", "replace")
    return DecodeError(f"the stream is not application/vnd.amazon.eventstream: {why}; it has {text!r}", body=text)


def _frame(data: bytes) -> Frame:
    if crc32(data[:-_CRC_SIZE]) != int.from_bytes(data[-_CRC_SIZE:]):
        raise _broken("the checksum of a frame is wrong", data[:80])
    _, size, _ = _PRELUDE.unpack_from(data)
    end = _PRELUDE.size + size
    return Frame(_headers(data[_PRELUDE.size : end]), data[end:-_CRC_SIZE])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end], data[name_end]
            start = name_end + 1
            if kind in (_BYTES, _TEXT):
                (size,) = struct.unpack_from(">H", data, start)
                start += 2
            else:
                size = _SIZES[kind]
            at = start + size
            if at > len(data):
                raise _broken("a header is longer than its place", data[:80])
            if kind == _TEXT:
                found[name.decode("utf-8", "replace")] = data[start:at].decode("utf-8", "replace")
    except (IndexError, KeyError, struct.error):
        raise _broken("a header is cut or of an unknown type", data[:80]) from None
    return found
