"""Where the credentials of requests come from, and what one call has used of them."""

from __future__ import annotations

import importlib
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.to_thread

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.exchange import HttpRequest


class Grant(NamedTuple):
    """What one attempt carries."""

    headers: Mapping[str, str]
    """Names in lower case."""
    secrets: tuple[str, ...]
    """What no text may show."""

    def __repr__(self) -> str:
        return f"<Grant {', '.join(self.headers)}>"


class Source(ABC):
    """Gives the headers of each attempt; safe to share between threads."""

    renewable: bool = False
    """Whether asking again after a 401 can help."""
    exact: bool = False
    """Whether a grant is good for exactly the URL it was asked for."""

    @abstractmethod
    def grant(self, request: HttpRequest) -> Grant:
        """What this attempt carries; may block.

        Raises:
            NxlogError: there is nothing to carry.
        """

    @abstractmethod
    async def agrant(self, request: HttpRequest) -> Grant:
        """The same without blocking the event loop."""

    def reject(self, grant: Grant) -> None:  # noqa: B027 - most sources have nothing to forget
        """The server refused what was granted."""


class RefreshingSource(Source):
    """A source that holds something which expires: one refreshes it, the others wait for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limiter: anyio.CapacityLimiter | None = None

    @abstractmethod
    def ready(self) -> bool:
        """Whether ``present`` can be called as things stand; does not block."""

    @abstractmethod
    def refresh(self) -> None:
        """Make it so; may block, and is called by one thread at a time."""

    @abstractmethod
    def present(self, request: HttpRequest) -> Grant:
        """What is there, for this request; does not block."""

    def grant(self, request: HttpRequest) -> Grant:
        """What this attempt carries."""
        if not self.ready():
            self._refresh()
        return self.present(request)

    async def agrant(self, request: HttpRequest) -> Grant:
        """The same; only a refresh needs a thread."""
        if not self.ready():
            if self._limiter is None:  # made here, because the event loop is not known before
                self._limiter = anyio.CapacityLimiter(1)
            # One thread of ours at a time: those who wait do so without holding a thread that others need.
            await anyio.to_thread.run_sync(self._refresh, limiter=self._limiter, abandon_on_cancel=True)
        return self.present(request)

    def _refresh(self) -> None:
        with self._lock:
            if not self.ready():
                self.refresh()


class CallCredential:
    """One call's use of a source. It remembers what was granted, so that it can be taken out of texts."""

    __slots__ = ("_grants", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._grants: list[Grant] = []

    @property
    def exact(self) -> bool:
        """Whether the headers are good for exactly the URL they are asked for."""
        return self._source.exact

    def headers(self, request: HttpRequest) -> Mapping[str, str]:
        """What an attempt carries; may block."""
        return self._noted(self._source.grant(request))

    async def aheaders(self, request: HttpRequest) -> Mapping[str, str]:
        """The same without blocking the event loop."""
        return self._noted(await self._source.agrant(request))

    def renew(self) -> bool:
        """Tell the source that the server refused the last grant; whether another one may do."""
        if not self._source.renewable or not self._grants:
            return False
        self._source.reject(self._grants[-1])
        return True

    @property
    def secrets(self) -> set[str]:
        """Everything secret that the attempts of this call carried."""
        return {secret for grant in self._grants for secret in grant.secrets}

    def _noted(self, grant: Grant) -> Mapping[str, str]:
        self._grants.append(grant)
        return grant.headers


def checked_key(key: object, *, field: str = "api_key", subject: str = "") -> str | None:
    """The key without surrounding white space, None for an empty one. Its value never gets into the error.

    Args:
        key: what may be one.
        field: where it comes from.
        subject: what the error is about, when that is not the field itself.

    Raises:
        InvalidRequestError: it is not a text that a header can hold.
    """
    if key is None:
        return None
    if not isinstance(key, str):
        raise InvalidRequestError(f"{field}: {subject}must be a string, got {type(key).__name__}", param=field)
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise InvalidRequestError(f"{field}: {subject}holds characters that no HTTP header may hold", param=field)
    return key or None


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"authorization": f"Bearer {token}"}


def import_extra(module: str, extra: str) -> Any:
    """A module of an extra. Its types are too incomplete to be checked against.

    Raises:
        InvalidRequestError: the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InvalidRequestError(
            f'api_key: without one, credentials need an extra: pip install "nxlog[{extra}]"', param="api_key"
        ) from None
