"""Whom to ask, and the line that questions go over."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nxlog._address import check_base_url
from nxlog._config import Config
from nxlog.errors import UnknownProviderError
from nxlog.exchange import HttpResponse
from nxlog.probe.answer import Exchange
from nxlog.registry import CUSTOM_ID, Provider, ProviderKind, Registry

if TYPE_CHECKING:
    from nxlog.auth import ApiKey
    from nxlog.call import Target
    from nxlog.exchange import HttpRequest
    from nxlog.http import SyncTransport
    from nxlog.retry import RetryPolicy

ENGINE_ID = "llamacpp"
"""The provider that the embedded engine is probed as: its claims are those of llama.cpp."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A model at its server."""

    provider: Provider
    model: str
    """As it is asked for, without the provider."""
    target: Target
    engine: str | None
    """The embedded engine and its version; None for any other server."""
    config: Config = field(repr=False)
    """What makes a target of another model there."""


def reach(
    name: str,
    *,
    base_url: str | None = None,
    api_key: ApiKey | None = None,
    wire: str | None = None,
    registry: Registry,
) -> Reached:
    """Find the server of ``"provider/model"``; start the embedded engine for ``"local"``.

    Raises:
        NxlogError: there is no such provider, address or wire.
    """
    engine = None
    provider, model = _resolve(registry, name, check_base_url(base_url), wire)
    if provider.kind is ProviderKind.LOCAL and base_url is None:
        from nxlog.local import default_engine  # noqa: PLC0415 - an extra, and it starts a model

        running = default_engine()
        provider, model = registry.provider(ENGINE_ID), running.model
        base_url, api_key = running.base_url, running.api_key
        engine = f"xllamacpp {importlib.metadata.version('xllamacpp')}"
    config = Config(
        provider=None if provider.id == CUSTOM_ID else provider.id,
        base_url=base_url,
        api_key=api_key,
        wire=wire,
        on_unsupported="raise",
        on_unknown="try",
        registry=registry,
        variables=None,
    )
    return Reached(provider=provider, model=model, target=config.target(model), engine=engine, config=config)


class Line:
    """A transport that keeps the last exchange, and as much of a broken one as came.

    Args:
        transport: what sends.
        retries: how often, and how long to wait.
        hang_up: whether to close the connection once the first bytes of an answer are there.
    """

    def __init__(self, transport: SyncTransport, retries: RetryPolicy, *, hang_up: bool = False) -> None:
        self._transport = transport
        self._retries = retries
        self._hang_up = hang_up
        self.last: Exchange | None = None

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and return the whole response."""
        self.last = None
        deadline = self._transport.timeout.deadline()
        stream = self._retries.call(
            lambda: self._transport.stream(request, deadline=deadline), deadline=deadline, discard=lambda s: s.close()
        )
        body = bytearray()
        complete = False
        try:
            for piece in stream:
                body += piece
                if self._hang_up and piece:
                    break
            else:
                complete = True
        finally:
            stream.close()
            self.last = Exchange(
                request=request, status=stream.status, headers=stream.headers, body=bytes(body), complete=complete
            )
        return HttpResponse(stream.status, stream.headers, bytes(body))


def _resolve(registry: Registry, name: str, base_url: str | None, wire: str | None) -> tuple[Provider, str]:
    prefix, _, model = name.partition("/")
    if prefix == CUSTOM_ID and CUSTOM_ID not in registry:
        if base_url is None or not model:
            raise UnknownProviderError(
                "a server that no file describes needs its address and a model: custom/MODEL with base_url",
                provider=prefix,
            )
        return registry.custom(base_url, wire or "openai-chat"), model
    if prefix in registry and registry.provider(prefix).kind is ProviderKind.LOCAL:
        return registry.provider(prefix), model
    return registry.resolve(name)
