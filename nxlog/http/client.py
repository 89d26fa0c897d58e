"""The user's own httpx client in place of our connections; it is used and never closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import httpx

from nxlog.errors import InvalidRequestError
from nxlog.http.origin import header_list, target_of
from nxlog.http.pool import break_off

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nxlog.exchange import HttpRequest
    from nxlog.http.pool import Limits


OwnClient: TypeAlias = httpx.Client
"""What ``Client(http_client=...)`` takes."""

OwnAsyncClient: TypeAlias = httpx.AsyncClient | Literal["aiohttp"]
"""What ``AsyncClient(http_client=...)`` takes."""


class SyncClientLease:
    """A response of the user's client."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response

    def chunks(self) -> Iterator[bytes]:
        """The body as it is on the wire, or whole if a hook of the client has read it."""
        if self.response.is_stream_consumed:
            return iter([self.response.content])
        return self.response.iter_raw()

    def finish(self, *, complete: bool) -> None:  # noqa: ARG002 - httpx knows it
        """Give the connection back to the client."""
        self.response.close()


class SyncClientSource:
    """Sends through an ``httpx.Client``."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def send(self, request: HttpRequest, limits: Limits) -> SyncClientLease:
        """Send the request; the lease holds the response head."""
        built = _build(self._client, request, limits)
        return SyncClientLease(self._client.send(built, stream=True, follow_redirects=False))

    def close(self) -> None:
        """Nothing: the client is the user's."""


class AsyncClientLease:
    """A response of the user's client."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks: AsyncIterator[bytes] | None = None

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it is on the wire, or whole if a hook of the client has read it."""
        if self.response.is_stream_consumed:
            return _once(self.response.content)
        self._chunks = self.response.aiter_raw()
        return self._chunks

    async def finish(self, *, complete: bool) -> None:
        """Give the connection back to the client, or close it if it is in the middle."""
        if not complete:
            await break_off(self.response, self._chunks)
        await self.response.aclose()


class AsyncClientSource:
    """Sends through an ``httpx.AsyncClient``."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, request: HttpRequest, limits: Limits) -> AsyncClientLease:
        """Send the request; the lease holds the response head."""
        built = _build(self._client, request, limits)
        return AsyncClientLease(await self._client.send(built, stream=True, follow_redirects=False))

    async def aclose(self) -> None:
        """Nothing: the client is the user's."""


def check_client(client: object, wanted: type[httpx.Client | httpx.AsyncClient]) -> None:
    """Refuse what is not the kind of httpx client that is wanted."""
    if isinstance(client, wanted):
        return
    if isinstance(client, str):
        allowed = '"aiohttp" is for AsyncClient' if wanted is httpx.Client else 'the only name is "aiohttp"'
        raise InvalidRequestError(f"http_client={client!r}: {allowed}", param="http_client")
    found = f"{type(client).__module__}.{type(client).__qualname__}"
    if wanted is httpx.Client and isinstance(client, httpx.AsyncClient):
        fix = "give Client an httpx.Client, or use AsyncClient"
    elif wanted is httpx.AsyncClient and isinstance(client, httpx.Client):
        fix = "give AsyncClient an httpx.AsyncClient, or use Client"
    else:
        fix = "leave it out, or build one with httpx"
    raise InvalidRequestError(
        f"http_client must be an httpx.{wanted.__name__}, not {found}: {fix}", param="http_client"
    )


def _build(client: httpx.Client | httpx.AsyncClient, request: HttpRequest, limits: Limits) -> httpx.Request:
    if client.is_closed:
        raise InvalidRequestError("http_client is closed; make a new one", param="http_client")
    target = target_of(request.url)
    return client.build_request(
        request.method,
        target.url,
        headers=header_list(request, target),
        content=request.content,
        extensions={"timeout": limits},
    )


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
