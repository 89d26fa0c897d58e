"""The shapes of ``providers/*.toml`` and ``capabilities/*.toml``.

A provider file says how to reach a provider. A capabilities file says what is true of it: a claim per
parameter, refined per wire and per model rule, each with the evidence it rests on.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nxlog.registry.claims import Claims, Model, Posture, Text
from nxlog.registry.expand import Raw, expand_sources


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


class ModelRule(Model):
    """What differs for some models. Rules are ordered and the first match wins."""

    match: Annotated[Text, AfterValidator(_regex)]
    """Regular expression, searched in the model name without regard to case."""
    note: Text | None = None
    """Why the rule exists."""
    reasoning_default: bool | None = None
    """Whether the model reasons when no effort is given; absent = not known."""
    effort_none: bool | None = None
    """Whether it accepts effort ``none``; absent = not known."""
    posture: Posture | None = None
    """What the server does with an unsupported field, where it differs from the provider's posture."""
    claims: Claims = Claims()
    """What differs from the surface; claims not named here fall back to it."""


class Capabilities(Model):
    """One ``capabilities/<id>.toml``."""

    posture: Posture = Posture.UNKNOWN
    """What the server does with a field that it does not support."""
    reasoning_default: bool | None = None
    """Whether models reason when no effort is given; absent = not known."""
    effort_none: bool | None = None
    """Whether effort ``none`` is accepted; absent = not known."""
    claims: Claims = Claims()
    """What is true of the default wire."""
    wires: dict[str, Claims] = Field(default_factory=dict[str, Claims])
    """What differs on another wire. It is written for that wire and wins over model rules."""
    rules: tuple[ModelRule, ...] = ()
    """What differs for some models; first match wins."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, raw: Any) -> Any:
        return expand_sources(cast("Raw", raw)) if isinstance(raw, dict) else raw

    @model_validator(mode="after")
    def _consistent(self) -> Capabilities:
        check_invariants(self.claims, where="claims")
        for rule in self.rules:
            check_invariants(rule.claims.over(self.claims), where=f"rule {rule.match!r}")
        for name, claims in self.wires.items():
            check_invariants(claims.over(self.claims), where=f"wire {name!r}")
        return self

    def rule_for(self, model: str) -> ModelRule | None:
        """The first rule that matches the model name."""
        return next((rule for rule in self.rules if re.search(rule.match, model, re.IGNORECASE)), None)

    def reasoning(self, name: Literal["reasoning_default", "effort_none"], rule: ModelRule | None) -> bool | None:
        """What is known of a model's reasoning: the rule's word, else that of the file."""
        special: bool | None = None if rule is None else getattr(rule, name)
        general: bool | None = getattr(self, name)
        return general if special is None else special

    def claims_for(self, rule: ModelRule | None, wire: str | None) -> Claims:
        """The surface, then the model rule, then the wire."""
        claims = self.claims if rule is None else rule.claims.over(self.claims)
        special = self.wires.get(wire) if wire is not None else None
        return claims if special is None else special.over(claims)


def check_invariants(claims: Claims, *, where: str) -> None:
    """Streaming log-probabilities imply log-probabilities.

    Raises:
        ValueError: the claims contradict each other.
    """
    if claims.streaming_logprobs.supported and not claims.logprobs.supported:
        raise ValueError(
            f"{where}: streaming_logprobs is {claims.streaming_logprobs.value} while logprobs is "
            f"{claims.logprobs.value}; claim streaming_logprobs = no or unknown there too"
        )


class ProviderKind(enum.StrEnum):
    """What sort of server it is."""

    HOSTED = "hosted"
    """A vendor's own API for its own models."""
    AGGREGATOR = "aggregator"
    """One API in front of many vendors; its model names contain slashes."""
    ENGINE = "engine"
    """A server that the user runs."""
    LOCAL = "local"
    """The engine inside this process."""


class AuthScheme(enum.StrEnum):
    """How the key travels."""

    BEARER = "bearer"
    """``Authorization: Bearer <key>``."""
    HEADER = "header"
    """A header of its own."""
    NONE = "none"
    """No key at all."""


class Auth(Model):
    """How to present the key."""

    scheme: AuthScheme = AuthScheme.BEARER
    """How the key travels."""
    header: Text | None = None
    """Name of the header, for the scheme ``header``."""
    required: bool = True
    """Whether a call without a key must fail before anything is sent."""

    @model_validator(mode="after")
    def _complete(self) -> Auth:
        if (self.scheme is AuthScheme.HEADER) != (self.header is not None):
            raise ValueError("scheme 'header' needs header = '<name>', and only that scheme has one")
        if self.scheme is AuthScheme.NONE and self.required:
            raise ValueError("scheme 'none' needs required = false")
        return self


class Wire(Model):
    """How one wire format is reached at this provider."""

    path: Annotated[Text, StringConstraints(pattern="^/")]
    """Path below the base URL."""
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    """Headers that every request carries."""
    parameters: dict[str, str] = Field(default_factory=dict[str, str])
    """Fields of the request that this provider spells differently: our name to its name."""
    omit: tuple[Text, ...] = ()
    """Fields that the wire would send and this provider must not get."""


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class ProviderFile(Model):
    """One ``providers/<id>.toml``; the id is the name of the file."""

    display_name: Text
    """Name for people."""
    kind: ProviderKind
    """What sort of server it is."""
    docs: Text
    """Address of the documentation."""
    aliases: tuple[Text, ...] = ()
    """Other names for the id."""
    base_url: Text | None = None
    """Where it is; absent = the user must say."""
    key_env: Annotated[tuple[Text, ...], BeforeValidator(_as_tuple)] = ()
    """Environment variables that may hold the key, in order."""
    auth: Auth = Auth()
    """How to present the key."""
    wires: dict[str, Wire] = Field(min_length=1)
    """The wire formats it speaks; the first is the default."""

    @field_validator("docs", "base_url")
    @classmethod
    def _is_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError(f"{info.field_name} must start with https:// or http://")
        if value is not None and "@" in value.split("//", 1)[1].partition("/")[0]:
            raise ValueError(f"{info.field_name} must not hold a user or password; pass api_key instead")
        return None if value is None else value.rstrip("/")


class Provider(ProviderFile):
    """How to reach one provider."""

    id: Annotated[Text, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    """Stable name, the stem of its file."""

    @property
    def default_wire(self) -> str:
        """The first of ``wires``."""
        return next(iter(self.wires))
