"""A probe from end to end: resolve, ask, measure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nxlog._address import fill, url_of
from nxlog.http import SyncTransport
from nxlog.probe.ask import ask_all
from nxlog.probe.measure import measure
from nxlog.probe.reach import Line, reach
from nxlog.registry import CUSTOM_ID, ProviderCapabilities, Registry
from nxlog.retry import RetryPolicy
from nxlog.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.auth import ApiKey
    from nxlog.call import Target
    from nxlog.http import OwnClient
    from nxlog.probe.answer import Answer
    from nxlog.probe.measured import Measurement
    from nxlog.registry import Provider

TIMEOUT = Timeout(total=120.0)
"""Of one question, its repetitions included."""

NO_ADDRESS = "http://localhost/v1"
"""Stands in a cassette where the provider has no address of its own."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a probe asked, what came, and what that shows."""

    provider: Provider
    model: str
    """The model as it was asked for, without the provider."""
    wire: str
    date: str
    """The day, in UTC."""
    engine: str | None
    """The server and its version; None where neither the caller nor the server said."""
    answers: tuple[Answer, ...] = field(repr=False)
    measurement: Measurement = field(repr=False)
    registry: ProviderCapabilities = field(repr=False)
    """What the registry says of the same model on the same wire."""
    url: str
    """Where cassettes say that requests went: the provider's own address, whatever the real one was."""
    stream_url: str
    """The same of streams."""
    secrets: frozenset[str] = field(repr=False)
    """What must not get into a cassette."""

    @property
    def served_model(self) -> str:
        """The model as the server names it."""
        named = (answer.response.model for answer in self.answers if answer.response is not None)
        return next(filter(None, named), self.model)


def probe(
    name: str,
    *,
    base_url: str | None = None,
    api_key: ApiKey | None = None,
    wire: str | None = None,
    engine: str | None = None,
    registry: Registry | None = None,
    timeout: float | Timeout | None = TIMEOUT,
    retries: int | RetryPolicy = 1,
    http_client: OwnClient | None = None,
    tell: Callable[[int, int, Answer], None] | None = None,
) -> Probe:
    """Ask a live endpoint everything, and measure.

    Args:
        name: ``"provider/model"``; ``"local"`` is the embedded engine, ``"custom/model"`` a server that no file
            describes.
        base_url: where the server is, when not at the provider's address.
        api_key: as of ``Client``.
        wire: the wire format, when not the provider's first.
        engine: the server and its version, for the evidence; by default what the server says of itself.
        registry: what to compare with, when not the built-in data with the user's own.
        timeout: of one question.
        retries: how often a question is sent again that the server could not answer just now.
        http_client: an ``httpx.Client`` to send with.
        tell: called after each answer, with its number, the number of all, and the answer.

    Raises:
        NxlogError: the plain question, without log-probabilities, got no answer.
    """
    registry = Registry.default() if registry is None else registry
    there = reach(name, base_url=base_url, api_key=api_key, wire=wire, registry=registry)
    provider, model, target = there.provider, there.model, there.target
    with SyncTransport(timeout=timeout, http_client=http_client) as transport:
        answers = ask_all(target, Line(transport, RetryPolicy.of(retries)), tell=tell)
    return Probe(
        provider=provider,
        model=model,
        wire=target.wire.name,
        date=datetime.now(UTC).date().isoformat(),
        engine=engine or there.engine or fingerprint(provider, answers),
        answers=tuple(answers),
        measurement=measure(answers),
        registry=registry.capabilities(provider.id, model, wire=target.wire.name),
        url=_public_url(provider, target, stream=False),
        stream_url=_public_url(provider, target, stream=True),
        secrets=frozenset(filter(None, {target.secret}.union(*(answer.secrets for answer in answers)))),
    )


def fingerprint(provider: Provider, answers: list[Answer]) -> str | None:
    """The server's version, where its replies name one."""
    for answer in answers:
        found = answer.under("system_fingerprint")
        version = None if found is None else re.search(r"\d+\.\d+[\w.]*", str(found[1][0]))
        if version is not None:
            return f"{provider.display_name} {version[0]}"
    return None


def _public_url(provider: Provider, target: Target, *, stream: bool) -> str:
    """The address as it stands in the provider's file, so that no host and no account of the user's is in it."""
    reach = provider.wires[target.wire.name]
    stand_ins = {name: name.replace("_", "-") for name in provider.variables}
    base_url = NO_ADDRESS
    if provider.base_url is not None and provider.id != CUSTOM_ID:
        base_url = fill(provider.base_url, provider, stand_ins)
    return url_of(base_url, (stream and reach.stream_path) or reach.path, reach, target.model, provider, stand_ins)
