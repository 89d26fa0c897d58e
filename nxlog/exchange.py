"""What travels between ``call`` (which does no I/O) and ``http`` (which does nothing else)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Credential(Protocol):
    """What authenticates a request and is not known before it is sent: a token that expires, a signature."""

    @property
    def exact(self) -> bool:
        """Whether the headers are good for exactly this URL, down to its spelling."""
        ...

    def headers(self, request: HttpRequest) -> Mapping[str, str]:
        """Headers for one attempt; may block."""
        ...

    async def aheaders(self, request: HttpRequest) -> Mapping[str, str]:
        """The same without blocking the event loop."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """One request. Headers, the query and what stands before the host may be secret, so none is in the repr."""

    url: str
    headers: Mapping[str, str]
    content: bytes
    stream: bool = False
    credential: Credential | None = None
    """Asked for further headers at every attempt."""
    read: float | None = None
    """Seconds between two pieces of the response, where that is to be less than the client's own limit."""
    method: str = "POST"

    def authorized(self) -> HttpRequest:
        """The request of one attempt; may block."""
        return self if self.credential is None else self._with(self.credential.headers(self))

    async def aauthorized(self) -> HttpRequest:
        """The same without blocking the event loop."""
        return self if self.credential is None else self._with(await self.credential.aheaders(self))

    def _with(self, headers: Mapping[str, str]) -> HttpRequest:
        return replace(self, headers={**self.headers, **headers}, credential=None)

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


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing to send yet: another call is finding out what this one needs to know."""

    event: Any
    """``threading.Event`` or ``anyio.Event``, as the client waits."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing to send for a while: what is waited for is at the server."""

    seconds: float


STREAM_TYPES = (
    "text/event-stream",
    "application/octet-stream",
    "text/plain",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
)


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether the content type can be that of a stream; a missing one can."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return not kind or kind in STREAM_TYPES
