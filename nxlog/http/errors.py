"""What httpx raises, in the terms of nxlog: one table, one function, one context manager.

A message names the place (scheme, host, port and path) and the limit that ran out. It never holds
a header, a query string or user information, and the httpx error is not chained, because h11 quotes
illegal header values, and a key with a stray newline is one.
"""

from __future__ import annotations

import builtins
import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx

from nxlog.errors import (
    ConnectError,
    DecodeError,
    InvalidRequestError,
    NetworkError,
    NxlogError,
    ProtocolError,
    RedirectError,
    TimeoutError,  # noqa: A004 - nxlog's own; the builtin is builtins.TimeoutError here
    TransportError,
    error_class,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from nxlog.timeout import Timeout

T = TypeVar("T")

_MAX_TEXT = 300

# Looked up along the method resolution order, so that the closest ancestor decides.
_CLASSES: dict[type[Exception], type[NxlogError]] = {
    httpx.HTTPError: TransportError,
    httpx.TimeoutException: TimeoutError,
    httpx.NetworkError: NetworkError,
    httpx.ConnectError: ConnectError,
    httpx.ProxyError: ConnectError,
    httpx.ProtocolError: ProtocolError,
    # Not what the peer did: the request, or the hook or authentication of the user's own client.
    httpx.LocalProtocolError: InvalidRequestError,
    httpx.UnsupportedProtocol: InvalidRequestError,
    httpx.InvalidURL: InvalidRequestError,
    httpx.CookieConflict: InvalidRequestError,
    httpx.StreamError: InvalidRequestError,
    httpx.DecodingError: DecodeError,
    httpx.TooManyRedirects: RedirectError,
    # What the backends of httpx let through.
    OSError: NetworkError,
    anyio.BrokenResourceError: NetworkError,
    anyio.ClosedResourceError: NetworkError,
    anyio.EndOfStream: NetworkError,
}

_PARAM: dict[type[Exception], str] = {
    httpx.LocalProtocolError: "headers",
    httpx.UnsupportedProtocol: "base_url",
    httpx.InvalidURL: "base_url",
    httpx.CookieConflict: "http_client",
    httpx.StreamError: "http_client",
}

_TIMEOUT_KINDS: dict[type[Exception], str] = {
    httpx.ConnectTimeout: "connect",
    httpx.ReadTimeout: "read",
    httpx.WriteTimeout: "write",
    httpx.PoolTimeout: "pool",
}


_OTHER_LOOP = re.compile(r"event loop is closed|attached to a different loop", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes, what it must not reveal, and the limits it runs under."""

    url: str
    headers: Mapping[str, str]
    timeout: Timeout
    limits: Mapping[str, float | None]
    """The limits in force: those of ``timeout``, shrunk to what ``total`` leaves."""

    def __str__(self) -> str:
        return bare_url(self.url)

    def __repr__(self) -> str:
        return f"<Place {self}>"


def bare_url(url: str) -> str:
    """Scheme, host, port and path: a URL without what may be secret.

    >>> bare_url("https://me:secret@api.example.com:8443/v1/chat?key=secret#x")
    'https://api.example.com:8443/v1/chat'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else f"{parts.scheme}:(no host)"


@contextlib.contextmanager
def mapped(place: Place) -> Generator[None]:
    """Raise what httpx raises as an error of nxlog."""
    try:
        yield
    except NxlogError:
        raise
    except Exception as error:
        known = translate(error, place)
        if known is None:
            raise
        raise known from None


def translate(error: Exception, place: Place) -> NxlogError | None:
    """Return the error of nxlog that ``error`` means; None if it is none of httpx's."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return error_class(status)(f"http_client raised for status {status} from {place}", status_code=status)
    if isinstance(error, RuntimeError) and _OTHER_LOOP.search(str(error)):
        return InvalidRequestError(
            "an AsyncClient belongs to the event loop of its first call; make one in each asyncio.run()", param="client"
        )
    kind = _relabeled(error) or _lookup(error, _CLASSES)
    if kind is TimeoutError:
        return expired(place, _lookup(error, _TIMEOUT_KINDS))
    if kind is None:
        if type(error).__module__.partition(".")[0] != "aiohttp":
            return None
        kind = ProtocolError
    text = _clean(error, place)
    if kind is ProtocolError and ("disconnected" in text or "closed connection" in text):
        kind = NetworkError  # httpx counts a peer that hangs up among the protocol errors
    param = _lookup(error, _PARAM) if kind is InvalidRequestError else None
    if param == "headers":
        return kind(f"a request to {place} was refused before it was sent", param=param)
    return kind(f"{_WHAT.get(kind, 'request failed')}: {place}{text}", param=param)


_WHAT: dict[type[NxlogError], str] = {
    ConnectError: "could not connect",
    NetworkError: "the connection broke",
    ProtocolError: "the server does not speak HTTP",
    InvalidRequestError: "cannot send to",
    DecodeError: "the body cannot be decompressed",
    RedirectError: "too many redirects",
}


def expired(place: Place, kind: str | None) -> TimeoutError:
    """The error for a limit that ran out; ``kind`` names it."""
    timeout = place.timeout
    own = getattr(timeout, kind) if kind else None
    total = kind == "total" or (kind is not None and place.limits.get(kind) != own)
    if total and timeout.total is not None:
        error = TimeoutError(f"no complete response in timeout.total={timeout.total:g} s: {place}")
        error.retryable = False  # the budget is spent
        return error
    if own is None:
        return TimeoutError(f"timed out: {place}")
    doing = {
        "connect": "no connection",
        "read": "nothing to read",
        "write": "could not write",
        "pool": "no free connection",
    }[kind or "read"]
    return TimeoutError(f"{doing} in timeout.{kind}={own:g} s: {place}")


def _relabeled(error: Exception) -> type[NxlogError] | None:
    """What a lost connection really is: httpx-aiohttp 0.2 calls it a timeout while connecting."""
    cause = error.__cause__
    if cause is None or not isinstance(error, httpx.ConnectTimeout) or isinstance(cause, builtins.TimeoutError):
        return None
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(cause).__mro__}
    if "aiohttp.ClientConnectorError" in names:
        return ConnectError
    return NetworkError if "aiohttp.ClientConnectionError" in names else None


def _lookup(error: Exception, table: Mapping[type[Exception], T]) -> T | None:
    return next((table[cls] for cls in type(error).__mro__ if cls in table), None)


def _clean(error: Exception, place: Place) -> str:
    """Bound the text of an error and take out everything that may be secret."""
    if type(error).__module__.startswith("aiohttp"):
        return f" ({type(error).__name__})"  # its text quotes the URL in a spelling of its own
    text = str(error).partition("\n")[0].replace(place.url, bare_url(place.url))
    secrets = set(re.split("[ =&:]", f"{' '.join(place.headers.values())} {_hidden_part(place.url)}"))
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 7:  # shorter ones are words such as "Bearer"
            text = text.replace(secret, "***")
    return f" ({text[:_MAX_TEXT]})" if text else ""


def _hidden_part(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return f"{parts.netloc.rpartition('@')[0]} {parts.query} {parts.fragment}"
