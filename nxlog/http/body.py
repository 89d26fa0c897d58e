"""Response bodies: undo the compression piece by piece, and stop at a bound.

No I/O: ``feed`` takes what arrived and returns what it means. Only gzip and deflate are offered to
servers, because their output can be bounded while it is produced: a small bomb never becomes a
large object.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

from nxlog.errors import DecodeError, ResponseTooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCEPT_ENCODING = "gzip, deflate"

_PIECE = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_WBITS_GZIP, _WBITS_ZLIB, _WBITS_RAW = 31, 15, -15


class _Inflater(Protocol):
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class Body:
    """The decompressed body of one response, counted against ``limit`` bytes."""

    __slots__ = ("_encoding", "_inflater", "_limit", "_size", "_status")

    def __init__(self, headers: Mapping[str, str], *, status: int, limit: int) -> None:
        self._limit = limit
        self._status = status
        self._size = 0
        self._inflater: _Inflater | None = None
        encoding = headers.get("content-encoding", "").strip().lower()
        self._encoding = {"x-gzip": "gzip", "identity": ""}.get(encoding, encoding)
        if self._encoding not in ("", "gzip", "deflate"):
            raise DecodeError(
                f"the server sent content-encoding {encoding[:40]!r}, which was not offered to it "
                f"(only {ACCEPT_ENCODING} were)",
                status_code=status,
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise self._too_large()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces that ``data`` decompresses to."""
        if not self._encoding:
            return [self._count(data)] if data else []
        try:
            return self._inflate(data)
        except zlib.error as error:
            raise DecodeError(f"the body is not valid {self._encoding}: {error}", status_code=self._status) from None

    def finish(self) -> None:
        """The body is complete: a compressed one must have come to its end."""
        if self._inflater is not None and not self._inflater.eof:
            raise DecodeError(f"the {self._encoding} body ends in the middle", status_code=self._status)

    def _inflate(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        while data:
            inflater = self._inflater
            if inflater is None:
                inflater = self._inflater = zlib.decompressobj(self._wbits(data[0]))
            elif inflater.eof:
                # gzip allows several members in a row; other bytes after the end are padding.
                if self._encoding != "gzip" or not _GZIP_MAGIC.startswith(data[:2]):
                    break
                inflater = self._inflater = zlib.decompressobj(_WBITS_GZIP)
            piece = inflater.decompress(data, _PIECE)
            if piece:
                pieces.append(self._count(piece))
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if not data and len(piece) == _PIECE:
                # The inflater may hold back output that needs no more input.
                while piece := inflater.decompress(b"", _PIECE):
                    pieces.append(self._count(piece))
        return pieces

    def _wbits(self, first: int) -> int:
        if self._encoding == "gzip":
            return _WBITS_GZIP
        # "deflate" means zlib in the standard and raw deflate from some servers. The low four bits
        # of a zlib stream are 8, which no encoder writes as the start of a raw one.
        return _WBITS_ZLIB if first & 0x0F == 8 else _WBITS_RAW

    def _count(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._size > self._limit:
            raise self._too_large()
        return piece

    def _too_large(self) -> ResponseTooLargeError:
        return ResponseTooLargeError(
            f"the response is larger than max_response_bytes={self._limit}",
            status_code=self._status,
        )
