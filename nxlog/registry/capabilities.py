"""What the rest of nxlog and its users ask: can this model, here, do that?

``ProviderCapabilities`` is the answer for one provider, model and wire; ``CapabilityManifest`` is the
answer for everything, fit to be published: values and limits, without evidence and without notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from nxlog.distribution import Distribution
from nxlog.registry.claims import (
    CLAIM_NAMES,
    CapabilityStatus,
    Claim,
    Claims,
    EvidenceKind,
    Model,
    Posture,
    Requirement,
    Trait,
)
from nxlog.registry.models import ProviderKind  # noqa: TC001 - pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog.registry.claims import Evidence
    from nxlog.registry.models import Capabilities, ModelRule, Provider

MANIFEST_VERSION: Literal["capability-manifest-v2"] = "capability-manifest-v2"
"""Version of the shape of the public manifest."""


class ProviderCapabilities(Model):
    """What one model at one provider can do. Only ``yes`` and ``partial`` claims count as supported."""

    provider: str = ""
    """Provider id."""
    model: str = ""
    """Model name, without the provider's prefix."""
    wire: str | None = None
    """Wire format the answer is for; None = the provider's default."""
    supports_logprobs: bool = False
    """Log-probabilities in a whole reply."""
    supports_streaming_logprobs: bool = False
    """Log-probabilities in a stream; implies ``supports_logprobs``."""
    supports_system_messages: bool = True
    """Messages with the role ``system``."""
    supports_streaming: bool = False
    """Streams."""
    supports_vision: bool = False
    """Images in messages."""
    supports_tools: bool = False
    """Tools and tool calls."""
    supports_json_mode: bool = False
    """Replies in JSON."""
    supports_json_schema: bool = False
    """Replies that follow a JSON schema."""
    supports_seed: bool = False
    """A seed for the sampler."""
    supports_presence_penalty: bool = False
    """The presence penalty."""
    supports_frequency_penalty: bool = False
    """The frequency penalty."""
    supports_n: bool = False
    """Several choices per request."""
    supports_reasoning_effort: bool = False
    """The ``reasoning_effort`` field."""
    supports_token_ids: bool = False
    """Token ids beside the text."""
    supports_token_ids_in: bool = False
    """A prompt of token ids."""
    supports_prompt_logprobs: bool = False
    """Log-probabilities of the prompt."""
    supports_logprob_token_ids: bool = False
    """Log-probabilities of ids that the request names."""
    supports_stop_token_ids: bool = False
    """Ids at which generation ends."""
    max_top_logprobs: int | None = None
    """Most alternatives per token; None = no limit known, or no log-probabilities."""
    min_top_logprobs: int = 0
    """Fewest alternatives that can be asked for; below it the server sends no log-probabilities."""
    max_stop_sequences: int | None = None
    """Most stop sequences; None = no limit known."""
    penalty_range: tuple[float, float] | None = None
    """Smallest and largest penalty; None = not known."""
    distribution: Distribution = Distribution.UNKNOWN
    """Which distribution the numbers describe."""
    posture: Posture = Posture.UNKNOWN
    """What the server does with a field that it does not support."""
    reasoning_default: bool | None = None
    """Whether the model reasons when no effort is given; None = not known."""
    effort_none: bool | None = None
    """Whether it accepts effort ``none``; None = not known."""
    rule: str | None = None
    """The model rule that applied, by its regular expression."""
    note: str | None = None
    """Why that rule exists."""
    claims: Claims | None = Field(default=None, repr=False, exclude=True)
    """The claims behind the booleans."""

    @model_validator(mode="after")
    def _streaming_implies_unary(self) -> Self:
        if self.supports_streaming_logprobs and not self.supports_logprobs:
            raise ValueError("supports_streaming_logprobs=True needs supports_logprobs=True")
        return self

    def claim(self, name: str) -> Claim:
        """The claim of that name, with its value, limits, requirements and note.

        Without claims behind it (an object made by hand) the answer follows from the booleans.

        Raises:
            KeyError: there is no claim of that name.
        """
        if name not in CLAIM_NAMES:
            raise KeyError(f"no claim {name!r}; there are {', '.join(CLAIM_NAMES)}")
        if self.claims is not None:
            claim: Claim = getattr(self.claims, name)
            return claim
        given = getattr(self, f"supports_{name}", None)
        if name == "top_logprobs":
            given = self.supports_logprobs
        return Claim.model_construct(
            value=CapabilityStatus.UNKNOWN if given is None else _STATUS[bool(given)], **self._limits(name)
        )

    def _limits(self, name: str) -> dict[str, Any]:
        if name == "top_logprobs":
            return {"min": self.min_top_logprobs, "max": self.max_top_logprobs}
        if name == "stop":
            return {"max": self.max_stop_sequences}
        if name.endswith("_penalty"):
            return {"range": self.penalty_range}
        return {}


_STATUS = {True: CapabilityStatus.YES, False: CapabilityStatus.NO}


def derive(provider: str, model: str, capabilities: Capabilities, *, wire: str | None) -> ProviderCapabilities:
    """The answer for one model: surface, then the first rule that matches, then the wire."""
    rule = capabilities.rule_for(model)
    claims = capabilities.claims_for(rule, wire)
    return ProviderCapabilities(
        provider=provider,
        model=model,
        wire=wire,
        **{f"supports_{name}": getattr(claims, name).supported for name in _BOOLEANS},
        # A system message is part of the conversation: it is doubted only on evidence.
        supports_system_messages=claims.system_messages.value is not CapabilityStatus.NO,
        max_top_logprobs=_max_top(claims),
        min_top_logprobs=claims.top_logprobs.min or 0,
        max_stop_sequences=claims.stop.max,
        penalty_range=claims.presence_penalty.range or claims.frequency_penalty.range,
        distribution=claims.distribution.value,
        posture=(rule and rule.posture) or capabilities.posture,
        reasoning_default=capabilities.reasoning("reasoning_default", rule),
        effort_none=capabilities.reasoning("effort_none", rule),
        rule=rule.match if rule else None,
        note=rule.note if rule else None,
        claims=claims,
    )


_BOOLEANS = tuple(
    name
    for name in CLAIM_NAMES
    if name != "system_messages" and f"supports_{name}" in ProviderCapabilities.model_fields
)


def _max_top(claims: Claims) -> int | None:
    if claims.top_logprobs.value is CapabilityStatus.NO:
        return 0 if claims.logprobs.supported else None
    return claims.top_logprobs.max if claims.logprobs.value is not CapabilityStatus.NO else None


PUBLIC_NAMES: dict[str, str | None] = {
    "vision_input": "vision",
    "tool_calling": "tools",
    "thinking_blocks": None,
    "json_schema_strict": "json_schema",
    "json_schema_best_effort": "json_mode",
    "embeddings": None,
    "rerank": None,
}
"""Names that manifests of this version share beside our own (``streaming_logprobs`` and ``json_mode`` are both), and
the claim that each is about; None where nxlog claims nothing."""


class ManifestCapabilities(Model):
    """Values and limits of one surface or model rule."""

    capabilities: dict[str, CapabilityStatus]
    """Claim name to value, ``logprobs`` and ``streaming_logprobs`` among them, and the public names of
    ``PUBLIC_NAMES``."""
    requires: dict[str, tuple[Requirement, ...]]
    """Conditions under which a claim holds; claims without conditions are left out."""
    max_top_logprobs: int | None
    """Most alternatives per token; None = no limit known, or no log-probabilities."""
    min_top_logprobs: int
    """Fewest alternatives that can be asked for."""
    max_stop_sequences: int | None
    """Most stop sequences; None = no limit known."""
    penalty_range: tuple[float, float] | None
    """Smallest and largest penalty; None = not known."""
    distribution: Distribution
    """Which distribution the numbers describe."""
    reasoning_default: bool | None
    """Whether the model reasons when no effort is given; None = not known."""
    effort_none: bool | None
    """Whether it accepts effort ``none``; None = not known."""


class ManifestRule(ManifestCapabilities):
    """What holds for models whose name matches; first match wins."""

    match: str
    """Regular expression, searched in the model name without regard to case."""


class ManifestProvider(ManifestCapabilities):
    """One provider: its surface, and what differs per model."""

    name: str
    """Provider id."""
    display_name: str
    """Name for people."""
    kind: ProviderKind
    """What sort of server it is."""
    last_reviewed_on: str | None
    """Latest date on which a claim was checked."""
    provider_status: EvidenceKind | Literal["unknown"]
    """The best evidence for what is said of log-probabilities."""
    models: tuple[ManifestRule, ...]
    """Model rules in order."""


class CapabilityManifest(Model):
    """The public form of the registry: generated, versioned, without evidence and notes."""

    schema_version: Literal["capability-manifest-v2"] = MANIFEST_VERSION
    """Version of this shape."""
    providers: tuple[ManifestProvider, ...]
    """Every provider, by id."""


def manifest_provider(provider: Provider, capabilities: Capabilities) -> ManifestProvider:
    """The manifest's entry for one provider."""
    return ManifestProvider(
        name=provider.id,
        display_name=provider.display_name,
        kind=provider.kind,
        last_reviewed_on=last_reviewed(capabilities),
        provider_status=evidence_level(capabilities.claims.logprobs) or "unknown",
        models=tuple(ManifestRule(match=rule.match, **_public(capabilities, rule)) for rule in capabilities.rules),
        **_public(capabilities, None),
    )


def _public(capabilities: Capabilities, rule: ModelRule | None) -> dict[str, Any]:
    claims = capabilities.claims_for(rule, None)
    named: dict[str, Claim] = {name: getattr(claims, name) for name in CLAIM_NAMES}
    return {
        "capabilities": {name: claim.value for name, claim in named.items()}
        | {name: CapabilityStatus.UNKNOWN if key is None else named[key].value for name, key in PUBLIC_NAMES.items()},
        "requires": {name: claim.requires for name, claim in named.items() if claim.requires},
        "max_top_logprobs": _max_top(claims),
        "min_top_logprobs": claims.top_logprobs.min or 0,
        "max_stop_sequences": claims.stop.max,
        "penalty_range": claims.presence_penalty.range or claims.frequency_penalty.range,
        "distribution": claims.distribution.value,
        "reasoning_default": capabilities.reasoning("reasoning_default", rule),
        "effort_none": capabilities.reasoning("effort_none", rule),
    }


def all_claims(capabilities: Capabilities) -> list[Claims]:
    """Every table of claims in one file: surface, wires, rules, wires of rules."""
    rules = [table for rule in capabilities.rules for table in (rule.claims, *rule.wires.values())]
    return [capabilities.claims, *capabilities.wires.values(), *rules]


def evidence_level(claim: Claim | Trait[Any]) -> EvidenceKind | None:
    """The most trusted kind of evidence that a claim has."""
    found = {entry.kind for entry in claim.evidence}
    return next((kind for kind in EvidenceKind if kind in found), None)


def evidence_of(capabilities: Capabilities) -> Iterator[Evidence]:
    """Every evidence entry of a file, once for each claim that rests on it."""
    for table in all_claims(capabilities):
        for name in table.model_fields_set:
            yield from getattr(table, name).evidence


def last_reviewed(capabilities: Capabilities) -> str | None:
    """The latest date on which a claim of the file was checked."""
    return max((entry.checked for entry in evidence_of(capabilities) if entry.checked), default=None)
