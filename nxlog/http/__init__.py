"""HTTP: the only package that knows httpx. Everything else hands it an ``HttpRequest``."""

from __future__ import annotations

from nxlog.http.client import OwnAsyncClient, OwnClient
from nxlog.http.transport import AsyncByteStream, AsyncTransport, SyncByteStream, SyncTransport

__all__ = ["AsyncByteStream", "AsyncTransport", "OwnAsyncClient", "OwnClient", "SyncByteStream", "SyncTransport"]
