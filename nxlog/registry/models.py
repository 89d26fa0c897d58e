"""The shapes of ``providers/*.toml`` and ``capabilities/*.toml``.

A provider file says how to reach a provider. A capabilities file says what is true of it: a claim per
parameter, refined per wire and per model rule, each with the evidence it rests on.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Literal, Self, cast

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


def as_tuple(value: Any) -> Any:
    """A single string as a tuple of one."""
    return (value,) if isinstance(value, str) else value


class ModelRule(Model):
    """What differs for some models. Rules are ordered and the first match wins."""

    match: Annotated[Text, AfterValidator(_regex)]
    """Regular expression, searched in the model name without regard to case."""
    example: Text | None = None
    """A model that the rule is about, and that no rule before it matches."""
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
    wires: dict[str, Claims] = Field(default_factory=dict[str, Claims])
    """What differs for these models on another wire; the last word."""


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
        for rule in (None, *self.rules):
            place = "" if rule is None else f"rule {rule.match!r}"
            check_invariants(self.claims_for(rule, None), where=place or "claims")
            for name in self.wires if rule is None else {**self.wires, **rule.wires}:
                check_invariants(self.claims_for(rule, name), where=f"{place} wire {name!r}".strip())
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
        """The surface, then the model rule, then the wire, then what the rule says of the wire."""
        claims = self.claims if rule is None else rule.claims.over(self.claims)
        if wire is not None:
            for special in (self.wires.get(wire), None if rule is None else rule.wires.get(wire)):
                claims = claims if special is None else special.over(claims)
        return claims


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
    GOOGLE = "google"
    """A bearer token of google-auth's default credentials; a key given in place of them is such a token."""
    AWS = "aws"
    """A SigV4 signature by botocore with AWS credentials; a key given in place of them is a bearer key."""
    NONE = "none"
    """No key at all."""


class Auth(Model):
    """How to present the key."""

    scheme: AuthScheme = AuthScheme.BEARER
    """How the key travels."""
    header: Text | None = None
    """Name of the header, for the scheme ``header``."""
    callback: Literal["bearer"] | None = None
    """How a token from a callback travels, where that is not the way of a key (Azure: Entra tokens)."""
    service: Text | None = None
    """Name of the service that is signed for, for the scheme ``aws``."""
    required: bool = True
    """Whether a call without a key must fail before anything is sent."""

    @model_validator(mode="after")
    def _complete(self) -> Auth:
        if (self.scheme is AuthScheme.HEADER) != (self.header is not None):
            raise ValueError("scheme 'header' needs header = '<name>', and only that scheme has one")
        if (self.scheme is AuthScheme.AWS) != (self.service is not None):
            raise ValueError("scheme 'aws' needs service = '<name>', and only that scheme has one")
        if self.scheme is AuthScheme.NONE and self.required:
            raise ValueError("scheme 'none' needs required = false")
        return self


class Variable(Model):
    """A part of an address that differs by account: ``{name}`` in ``base_url`` or in a path."""

    note: Text
    """What it is, in the error for one that is missing."""
    env: Annotated[tuple[Text, ...], BeforeValidator(as_tuple)] = ()
    """Environment variables that may hold it, in order."""
    default: Text | None = None
    """What it is otherwise."""


class Wire(Model):
    """How one wire format is reached at this provider."""

    path: Annotated[Text, StringConstraints(pattern="^/")]
    """Path below the base URL; may hold ``{model}`` and the provider's variables."""
    stream_path: Annotated[Text, StringConstraints(pattern="^/")] | None = None
    """Path of streams, where it differs."""
    strip: Annotated[Text, StringConstraints(pattern="^/")] | None = None
    """End of a base URL that the path does not lie below: ``/v1`` for an engine's native route."""
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    """Headers that every request carries."""
    parameters: dict[str, str] = Field(default_factory=dict[str, str])
    """Fields of the request that this provider spells differently: our name to its name."""
    omit: tuple[Text, ...] = ()
    """Fields that the wire would send and this provider must not get."""


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
    """Where it is, with ``{variables}``; absent = the user must say."""
    base_url_env: Annotated[tuple[Text, ...], BeforeValidator(as_tuple)] = ()
    """Environment variables that may hold another base URL, in order."""
    variables: dict[str, Variable] = Field(default_factory=dict[str, Variable])
    """Parts of the address that differ by account."""
    key_env: Annotated[tuple[Text, ...], BeforeValidator(as_tuple)] = ()
    """Environment variables that may hold the key, in order."""
    auth: Auth = Auth()
    """How to present the key."""
    rendering: Literal["vllm", "llamacpp"] | None = None
    """Whose endpoints for rendering and tokenizing prompts it has; absent = none that are known."""
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

    @model_validator(mode="after")
    def _variables_are_used(self) -> Self:
        paths = [path for wire in self.wires.values() for path in (wire.path, wire.stream_path)]
        used = {name for text in (self.base_url, *paths) if text for name in names_in(text)}
        if odd := used - {"model"} - set(self.variables):
            raise ValueError(f"{{{odd.pop()}}} in an address is not in [variables]")
        if odd := set(self.variables) - used:
            raise ValueError(f"variable {odd.pop()!r} is in no address")
        if self.base_url is not None and "model" in names_in(self.base_url):
            raise ValueError("{model} belongs into a path, not into base_url")
        return self


_NAME = re.compile(r"{([a-z_]+)}")


def names_in(template: str) -> list[str]:
    """The names in braces."""
    return _NAME.findall(template)


class Provider(ProviderFile):
    """How to reach one provider."""

    id: Annotated[Text, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    """Stable name, the stem of its file."""

    @property
    def default_wire(self) -> str:
        """The first of ``wires``."""
        return next(iter(self.wires))
