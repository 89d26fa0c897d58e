"""What travels between ``call`` (which does no I/O) and ``http`` (which does nothing else)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """One POST. Headers and the query may hold the key, so neither is in the repr."""

    url: str
    headers: Mapping[str, str]
    content: bytes
    stream: bool = False

    def __repr__(self) -> str:
        return f"HttpRequest({self.url.partition('?')[0]!r}, {len(self.content)} bytes, stream={self.stream})"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response; header names are lower case, ``content`` is decompressed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
