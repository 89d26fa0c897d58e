"""The binary frames in which AWS streams events."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from zlib import crc32

from documented_parts import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from documented_parts import Json

_TEXT = 7


def frames(events: Iterable[tuple[str, Json]]) -> bytes:
    """The events by type and payload, one frame each."""
    return b"".join(_frame(kind, dumps(payload).encode()) for kind, payload in events)


def _frame(kind: str, payload: bytes) -> bytes:
    names = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(_header(name, value) for name, value in names.items())
    start = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    body = start + struct.pack(">I", crc32(start)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + struct.pack(">BH", _TEXT, len(value)) + value.encode()
