"""The keys of one client: the one it was given, those of the environment, and those of an account."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from nxlog._address import fill
from nxlog.auth.callback import TokenCallback
from nxlog.auth.credential import bearer, checked_key
from nxlog.errors import InvalidRequestError, MissingKeyError
from nxlog.registry import AuthScheme

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.auth.credential import Source
    from nxlog.registry import Auth, Provider

ApiKey: TypeAlias = str | Callable[[], str]
"""What ``Client(api_key=...)`` takes: a key, or what returns a token."""

AsyncApiKey: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""What ``AsyncClient(api_key=...)`` takes."""


class Presented(NamedTuple):
    """How a provider gets to know who sends."""

    headers: Mapping[str, str]
    """What every request carries."""
    secret: str | None = None
    """The key in them."""
    source: Source | None = None
    """What gives each attempt the rest."""

    def __repr__(self) -> str:
        return "<Presented>"


class Keys:
    """Finds the key, token or signature for a provider."""

    def __init__(self, api_key: object) -> None:
        self._given: str | Callable[[], object] | None = (
            cast("Callable[[], object]", api_key) if callable(api_key) else checked_key(api_key)
        )
        self._sources: dict[str, Source] = {}

    @property
    def given(self) -> bool:
        """Whether the client was given one."""
        return self._given is not None

    def of(self, provider: Provider, variables: Mapping[str, str]) -> Presented:
        """What requests to the provider carry.

        Raises:
            MissingKeyError: it needs a key and there is none.
        """
        auth = provider.auth
        if callable(self._given):
            token_headers = bearer if auth.callback == "bearer" else partial(key_headers, auth)
            return self._from(provider, partial(TokenCallback, self._given, token_headers))
        key = self._given or _key_of_environment(provider)
        if key is not None:
            return Presented(key_headers(auth, key), key)
        if auth.scheme is AuthScheme.GOOGLE:
            return self._from(provider, _google)
        if auth.scheme is AuthScheme.AWS:
            return self._from(provider, partial(_aws, provider, variables))
        if auth.required:
            names = " or ".join(provider.key_env) or "the provider's key"
            raise MissingKeyError(
                f"no key for {provider.id}: set the environment variable {names}, or give Client(api_key=...)",
                provider=provider.id,
                param="api_key",
            )
        return Presented({})

    def _from(self, provider: Provider, build: Callable[[], Source]) -> Presented:
        # One for all models of the provider, so that they share a token.
        source = self._sources.get(provider.id)
        if source is None:
            source = self._sources.setdefault(provider.id, build())
        return Presented({}, source=source)


def key_headers(auth: Auth, key: str) -> dict[str, str]:
    """The key in the provider's own way."""
    if auth.scheme is AuthScheme.HEADER and auth.header is not None:
        return {auth.header.lower(): key}
    return bearer(key)


def _key_of_environment(provider: Provider) -> str | None:
    if provider.auth.scheme is AuthScheme.NONE:
        return None
    found = (checked_key(os.environ.get(name), field=name) for name in provider.key_env)
    return next(filter(None, found), None)


def _google() -> Source:
    from nxlog.auth.google import GoogleSource  # noqa: PLC0415 - few need it

    return GoogleSource()


def _aws(provider: Provider, variables: Mapping[str, str]) -> Source:
    from nxlog.auth.aws import AwsSource  # noqa: PLC0415 - few need it

    try:
        default = fill("{region}", provider, variables) if "region" in provider.variables else None
    except InvalidRequestError:  # no value: the host or botocore's configuration may have one
        default = None
    return AwsSource(provider.auth.service or "", region=variables.get("region"), default=default)
