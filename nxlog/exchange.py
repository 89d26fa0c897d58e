"""What travels between ``call`` (which does no I/O) and ``http`` (which does nothing else)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """One POST. Headers, the query and what stands before the host may be secret, so none is in the repr."""

    url: str
    headers: Mapping[str, str]
    content: bytes
    stream: bool = False

    def __repr__(self) -> str:
        scheme, slashes, rest = self.url.partition("?")[0].partition("://")
        host, slash, path = rest.partition("/")
        bare = scheme + slashes + host.rpartition("@")[2] + slash + path
        return f"HttpRequest({bare!r}, {len(self.content)} bytes, stream={self.stream})"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response; header names are lower case, ``content`` is decompressed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
