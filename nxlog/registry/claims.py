"""What can be said about a provider: claims and traits, their vocabularies, and the evidence.

Everything is frozen and forbids unknown keys. The duty of evidence is a validator: a claim that loads
is a claim that may be believed.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    model_validator,
)

from nxlog.distribution import Distribution

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A string that says something; ``""`` and ``" "`` are refused."""

_DATE = re.compile(r"^\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?$")
_COMMIT = re.compile(r"[/@][0-9a-f]{7,40}(/|$)")


class Model(BaseModel):
    """Base of every shape of the registry."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")


class CapabilityStatus(enum.StrEnum):
    """What a claim says. Only ``yes`` and ``partial`` count as supported."""

    YES = "yes"
    NO = "no"
    PARTIAL = "partial"
    UNKNOWN = "unknown"

    @property
    def supported(self) -> bool:
        """Whether a request may rely on it."""
        return self in {CapabilityStatus.YES, CapabilityStatus.PARTIAL}


class Requirement(enum.StrEnum):
    """A condition on the request under which a claim holds."""

    REASONING_OFF = "reasoning-off"
    """The model must not reason: effort none, or not set where the model does not reason by default."""
    NO_TOOLS_IN_STREAM = "no-tools-in-stream"
    """Not together with tools in a stream."""
    UNARY = "unary"
    """Only for whole replies, not for streams."""
    INCLUDE = "include"
    """The request must also name it in ``include``; nxlog's wire does so by itself."""
    TOP_LOGPROBS = "top-logprobs"
    """``top_logprobs`` must be given, and not 0; nxlog asks for one alternative by itself."""


class Posture(enum.StrEnum):
    """What the server does with a field that it does not support."""

    REFUSES = "refuses"
    """An HTTP error, or an error event in a stream."""
    IGNORES = "ignores"
    """A normal reply without what was asked for."""
    RETURNS_FEWER = "returns-fewer"
    """A normal reply with less than what was asked for."""
    UNKNOWN = "unknown"


class EvidenceKind(enum.StrEnum):
    """Where a claim comes from, the most trusted first."""

    CAPTURED = "captured"
    """Our own recording of a live server, kept under ``fixtures/``."""
    THIRD_PARTY_RECORDING = "third_party_recording"
    """Somebody else's recording, at a fixed commit."""
    DOCUMENTED = "documented"
    """The vendor's page, SDK types or source code."""
    REPORTED = "reported"
    """A public issue or report."""
    ASSERTED = "asserted"
    """The user's own word, in a file or an argument of theirs; never in the built-in data."""


def _iso_date(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _check_date(value: str) -> str:
    if not _DATE.match(value):
        raise ValueError(f"{value!r} is not a date; write YYYY-MM-DD, or YYYY-MM when the day is not known")
    return value


Date = Annotated[str, BeforeValidator(_iso_date), AfterValidator(_check_date)]
"""A day, or a month where the day is not known; TOML dates are accepted."""


class Evidence(Model):
    """One reason to believe a claim."""

    kind: EvidenceKind
    """Where it comes from."""
    ref: Text | None = None
    """``captured``: path of the recording under ``fixtures/``."""
    engine: Text | None = None
    """``captured``: the server and its version."""
    url: Text | None = None
    """Address of the page, recording or report."""
    checked: Date | None = None
    """When somebody last looked."""

    @model_validator(mode="after")
    def _complete(self) -> Evidence:
        if self.kind is EvidenceKind.ASSERTED:
            return self
        if self.checked is None:
            raise ValueError("evidence needs checked = <date>")
        if self.kind is EvidenceKind.CAPTURED:
            if not (self.ref and self.ref.startswith("fixtures/") and self.engine):
                raise ValueError("captured evidence needs ref = 'fixtures/...' and engine = '<name> <version>'")
        elif not (self.url and self.url.startswith("https://")):
            raise ValueError(f"{self.kind} evidence needs url = 'https://...'")
        elif self.kind is EvidenceKind.THIRD_PARTY_RECORDING and not _COMMIT.search(self.url):
            raise ValueError("a third-party recording needs a url with the commit in it")
        return self


def _require_evidence(value: str, evidence: tuple[Evidence, ...]) -> None:
    if value != "unknown" and not evidence:
        raise ValueError(f"value {value!r} needs at least one evidence entry; without evidence say 'unknown'")


class Claim(Model):
    """What is true of one parameter, and within which limits."""

    value: CapabilityStatus
    """yes, no, partial or unknown."""
    note: Text | None = None
    """What a reader must know; required for ``partial``."""
    min: int | None = None
    """Smallest value with an effect."""
    max: int | None = None
    """Largest value (of ``top_logprobs``, ``n``) or largest count (of ``stop``); absent = no limit known."""
    default: int | None = None
    """What the server uses when the field is absent, where that is not 0 or nothing."""
    range: tuple[float, float] | None = None
    """Smallest and largest value of a continuous parameter."""
    requires: tuple[Requirement, ...] = ()
    """Conditions on the request; all must hold."""
    posture: Posture | None = None
    """What the server does otherwise, where it differs from the provider's posture."""
    json_key: Text | None = None
    """Name of the response field that carries it, where wires differ."""
    evidence: tuple[Evidence, ...] = ()
    """Reasons, at least one for every value but ``unknown``."""

    @property
    def supported(self) -> bool:
        """Whether the value is ``yes`` or ``partial``."""
        return self.value.supported

    @model_validator(mode="after")
    def _honest(self) -> Claim:
        _require_evidence(self.value, self.evidence)
        if self.value is CapabilityStatus.PARTIAL and self.note is None:
            raise ValueError("a partial claim needs a note that says which part")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"range {list(self.range)} is not ascending")
        limited = any(limit is not None for limit in (self.min, self.max, self.range))
        if limited and self.value is CapabilityStatus.UNKNOWN and self.note is None:
            raise ValueError("a limit on an unknown claim needs a note that says where it comes from")
        return self


class ChosenInTop(enum.StrEnum):
    """Whether the sampled token is among its own alternatives."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"
    NEVER = "never"
    UNKNOWN = "unknown"


class TopSorted(enum.StrEnum):
    """Whether alternatives come in descending order."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class BytesFidelity(enum.StrEnum):
    """What the ``bytes`` of an entry are worth."""

    EXACT = "exact"
    MISSING = "missing"
    UNRELIABLE = "unreliable"
    UNKNOWN = "unknown"


class EntriesPerToken(enum.StrEnum):
    """How entries relate to generated tokens."""

    EXACT = "exact"
    MERGED = "merged"
    """Several tokens share one entry."""
    LOSSY_STREAM = "lossy-stream"
    """Exact in a whole reply, entries missing in a stream."""
    UNKNOWN = "unknown"


V = TypeVar("V", bound=enum.StrEnum)


class Trait(Model, Generic[V]):
    """A property of the numbers themselves, with the same duty of evidence as a claim."""

    value: V
    """One word of the trait's own vocabulary."""
    note: Text | None = None
    """What a reader must know."""
    evidence: tuple[Evidence, ...] = ()
    """Reasons, at least one for every value but ``unknown``."""

    @model_validator(mode="after")
    def _honest(self) -> Trait[V]:
        _require_evidence(self.value, self.evidence)
        return self


_UNKNOWN = Claim(value=CapabilityStatus.UNKNOWN)


class Claims(Model):
    """Everything claimed about one surface. A field that a file leaves out is unknown, or inherited."""

    logprobs: Claim = _UNKNOWN
    """Log-probabilities in a whole reply."""
    streaming_logprobs: Claim = _UNKNOWN
    """Log-probabilities in a stream; implies ``logprobs``."""
    top_logprobs: Claim = _UNKNOWN
    """Alternatives per token; ``min`` and ``max`` bound their number."""
    token_ids: Claim = _UNKNOWN
    """Token ids beside the text."""
    token_ids_in: Claim = _UNKNOWN
    """A prompt of token ids."""
    prompt_logprobs: Claim = _UNKNOWN
    """Log-probabilities of the prompt."""
    logprob_token_ids: Claim = _UNKNOWN
    """Log-probabilities of ids that the request names."""
    stop_token_ids: Claim = _UNKNOWN
    """Ids at which generation ends."""
    reasoning_logprobs: Claim = _UNKNOWN
    """A separate channel for the tokens of the reasoning; partial = mixed into the content."""
    refusal_logprobs: Claim = _UNKNOWN
    """A separate channel for the tokens of a refusal."""
    streaming: Claim = _UNKNOWN
    """Server-sent events instead of a whole reply."""
    system_messages: Claim = _UNKNOWN
    """Messages with the role ``system``."""
    vision: Claim = _UNKNOWN
    """Images in messages."""
    tools: Claim = _UNKNOWN
    """Tools and tool calls."""
    json_mode: Claim = _UNKNOWN
    """``response_format`` of type ``json_object``."""
    json_schema: Claim = _UNKNOWN
    """``response_format`` of type ``json_schema``."""
    reasoning_effort: Claim = _UNKNOWN
    """The ``reasoning_effort`` field."""
    temperature: Claim = _UNKNOWN
    """Sampling temperature."""
    top_p: Claim = _UNKNOWN
    """Nucleus sampling."""
    max_tokens: Claim = _UNKNOWN
    """Bound on the length of the reply, in whatever spelling the provider has."""
    stop: Claim = _UNKNOWN
    """Stop sequences; ``max`` is how many."""
    seed: Claim = _UNKNOWN
    """Seed of the sampler."""
    n: Claim = _UNKNOWN
    """Several choices per request."""
    presence_penalty: Claim = _UNKNOWN
    """Penalty for tokens already present."""
    frequency_penalty: Claim = _UNKNOWN
    """Penalty by how often a token was used."""
    chosen_in_top: Trait[ChosenInTop] = Trait[ChosenInTop](value=ChosenInTop.UNKNOWN)
    """Whether the sampled token is among its own alternatives."""
    top_sorted: Trait[TopSorted] = Trait[TopSorted](value=TopSorted.UNKNOWN)
    """Whether alternatives come in descending order."""
    bytes: Trait[BytesFidelity] = Trait[BytesFidelity](value=BytesFidelity.UNKNOWN)
    """What the ``bytes`` of an entry are worth."""
    entries_per_token: Trait[EntriesPerToken] = Trait[EntriesPerToken](value=EntriesPerToken.UNKNOWN)
    """How entries relate to generated tokens."""
    distribution: Trait[Distribution] = Trait[Distribution](value=Distribution.UNKNOWN)
    """Which distribution the numbers describe."""

    def over(self, base: Claims) -> Claims:
        """These claims where they say something, ``base`` everywhere else."""
        return base.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


CLAIM_NAMES = tuple(name for name, field in Claims.model_fields.items() if field.annotation is Claim)
"""Names of the claims, in the order of the tables."""
TRAIT_NAMES = tuple(name for name in Claims.model_fields if name not in CLAIM_NAMES)
"""Names of the traits, in the order of the tables."""
