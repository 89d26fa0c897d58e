"""What is decided once per URL or origin: the parsed URL, the proxy, the certificates."""

from __future__ import annotations

import base64
import functools
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx

from nxlog.errors import InvalidRequestError
from nxlog.http.body import ACCEPT_ENCODING
from nxlog.http.errors import bare_url

if TYPE_CHECKING:
    from nxlog.exchange import HttpRequest

KEEPALIVE = 60.0
"""Seconds after which an idle connection is not used again; many servers drop theirs by then."""

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE)

Origin = tuple[str, str, int | None]
"""Scheme, host and port (None for the scheme's own)."""


class Target(NamedTuple):
    """A URL, parsed once."""

    url: httpx.URL
    origin: Origin
    host: bytes
    headers: dict[bytes, tuple[bytes, bytes]]


@functools.lru_cache(maxsize=256)
def target_of(url: str) -> Target:
    """Parse the URL of a request."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidRequestError(
            f"base_url must start with http:// or https:// and name a host, not {bare_url(url)}",
            param="base_url",
        )
    headers = {b"accept-encoding": (b"Accept-Encoding", ACCEPT_ENCODING.encode())}
    if parsed.userinfo:
        user = f"{parsed.username}:{parsed.password}".encode()
        headers[b"authorization"] = (b"Authorization", b"Basic " + base64.b64encode(user))
    bare = parsed.copy_with(userinfo=b"", fragment=None)
    return Target(bare, (bare.scheme, bare.host, bare.port), bare.netloc, headers)


def header_list(request: HttpRequest, target: Target) -> list[tuple[bytes, bytes]]:
    """The headers to send, checked: h11 quotes what it refuses, and that may be the key."""
    headers = target.headers.copy()
    for name, value in request.headers.items():
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            raise InvalidRequestError(
                f"the value of the header {name!r} holds a space at an end, a line break or "
                "another character that HTTP does not allow (a key copied with its newline?)",
                param="headers",
            )
        if not (name.isascii() and name.isprintable() and name) or " " in name or ":" in name:
            raise InvalidRequestError("a header name is not valid in HTTP", param="headers")
        encoded = name.encode()
        headers[encoded.lower()] = (encoded, value.encode())
    return list(headers.values())


def build_request(request: HttpRequest, target: Target, limits: dict[str, Any]) -> httpx.Request:
    """Build what an httpx transport takes.

    ``stream=`` instead of ``content=`` spares the guessing of headers that are known here.
    ``limits`` is kept, not copied, by httpcore: to shrink the read limit later, change it.
    """
    headers = header_list(request, target)
    headers.insert(0, (b"Host", target.host))
    if request.content or request.method == "POST":
        headers.append((b"Content-Length", b"%d" % len(request.content)))
    return httpx.Request(
        request.method,
        target.url,
        headers=headers,
        stream=httpx.ByteStream(request.content),
        extensions={"timeout": limits},
    )


@functools.cache
def ssl_context() -> ssl.SSLContext:
    """The one context of the process, because loading the certificates takes 20 ms."""
    return httpx.create_ssl_context()


@functools.cache
def _trust_nobody() -> ssl.SSLContext:
    """What plain HTTP gets instead: it loads nothing, and fails closed if ever used."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _context_for(origin: Origin) -> ssl.SSLContext:
    return ssl_context() if origin[0] == "https" else _trust_nobody()


def proxy_for(origin: Origin) -> httpx.Proxy | None:
    """The proxy the environment names for an origin (``HTTPS_PROXY``, ``NO_PROXY`` and so on)."""
    scheme, host, port = origin
    proxies = getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url or proxy_bypass(host if port is None else f"{host}:{port}"):
        return None
    try:
        return httpx.Proxy(url if "://" in url else f"http://{url}")
    except (ValueError, httpx.InvalidURL):
        raise _bad_proxy(scheme) from None


def sync_transport(origin: Origin) -> httpx.BaseTransport:
    """A transport for one connection to ``origin``, through the proxy of the environment."""
    proxy = proxy_for(origin)
    try:
        return httpx.HTTPTransport(verify=_context_for(origin), limits=_ONE, proxy=proxy)
    except (ImportError, ValueError):
        raise _bad_proxy(origin[0]) from None


def async_transport(origin: Origin) -> httpx.AsyncBaseTransport:
    """A transport for one connection to ``origin``, through the proxy of the environment."""
    proxy = proxy_for(origin)
    try:
        return httpx.AsyncHTTPTransport(verify=_context_for(origin), limits=_ONE, proxy=proxy)
    except (ImportError, ValueError):
        raise _bad_proxy(origin[0]) from None


def aiohttp_transport(origin: Origin) -> httpx.AsyncBaseTransport:
    """A transport for all connections to ``origin``: aiohttp keeps them, asyncio only."""
    httpx_aiohttp = import_httpx_aiohttp()
    try:
        import asyncio  # noqa: PLC0415 - sync users never need it

        asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidRequestError(
            'http_client="aiohttp" runs on asyncio only; leave http_client out on trio',
            param="http_client",
        ) from None
    transport: httpx.AsyncBaseTransport = httpx_aiohttp.AiohttpTransport(
        verify=_context_for(origin),
        limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEPALIVE),
        proxy=proxy_for(origin),
    )
    return transport


def import_httpx_aiohttp() -> Any:
    """Import the extra, or say how to install it."""
    try:
        import httpx_aiohttp  # noqa: PLC0415 - an extra
    except ImportError:
        raise InvalidRequestError(
            'http_client="aiohttp" needs an extra: pip install "nxlog[aiohttp]"',
            param="http_client",
        ) from None
    return httpx_aiohttp


def check_spelling(url: str) -> None:
    """Refuse a URL that aiohttp would send in another spelling: ``%3A`` as a colon.

    Raises:
        InvalidRequestError: it would, and then a signature does not hold.
    """
    import yarl  # noqa: PLC0415 - comes with aiohttp

    if str(yarl.URL(url)) != url:
        raise InvalidRequestError(
            'http_client="aiohttp" would change the escapes in the path, and the signature would not hold; '
            "leave http_client out",
            param="http_client",
        )


def _bad_proxy(scheme: str) -> InvalidRequestError:
    # The value is not shown: a proxy URL often holds a password.
    return InvalidRequestError(
        f"the proxy for {scheme} in the environment ({scheme.upper()}_PROXY or ALL_PROXY) cannot be "
        "used: it must be http://, https:// or socks5://, and socks5 needs httpx[socks]",
        param="http_client",
    )
