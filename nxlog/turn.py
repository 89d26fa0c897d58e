"""``TurnTokenData``: one turn of a conversation as it was sampled, for training.

Ids, log-probabilities and texts of the turn with what is known about them: from which distribution, by which weights,
on which evidence, and whether they belong together. It holds what a server said and nothing else; a turn that was not
checked, or did not pass, is not trainable and says why.
"""

from __future__ import annotations

import enum
import math
from array import array
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from nxlog.distribution import Distribution, DistributionSource

if TYPE_CHECKING:
    from typing import Self

    from nxlog.usage import Usage

TurnRole = Literal["system", "user", "assistant", "tool"]


class Evidence(enum.StrEnum):
    """Where the ids of a turn are from."""

    NATIVE_IDS = "native_ids"
    """The server sent the ids that it sampled."""
    WIRE_TEXT = "wire_text"
    """It sent texts only, so there are no ids."""
    RETOKENIZED = "retokenized"
    """The ids are those of the text, tokenized once more. They need not be those that were sampled."""


class ToolCallStatus(enum.StrEnum):
    """How the text of a tool call was understood."""

    OK = "ok"
    INVALID_JSON = "invalid_json"
    UNCLOSED_BLOCK = "unclosed_block"
    UNKNOWN_TOOL = "unknown_tool"


@dataclass(frozen=True, slots=True)
class TurnToolCall:
    """A tool call that the model wrote.

    Attributes:
        id: what its result answers to.
        name: the function.
        arguments: JSON text as the model wrote it; ``""`` where none was understood, never an invented ``{}``.
        status: how it was understood.
        raw: the text it was read from, markup included; None where a server parsed it and kept that.
    """

    id: str
    name: str
    arguments: str
    status: ToolCallStatus = ToolCallStatus.OK
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens were sampled, as it was asked for. None: not asked for, so the server's default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class WeightVersion:
    """The weights that sampled the output tokens from ``start`` up to ``end``, which is not among them."""

    version: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TurnPart:
    """The output tokens from ``start`` up to ``end``, one reply of several that a turn came in.

    Attributes:
        start: the first of them.
        end: the first behind them.
        finish_reason: why the reply ended; None where it broke off.
        request_id: the server's id of the reply.
    """

    start: int
    end: int
    finish_reason: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class TopColumns:
    """The alternatives of n tokens, m in all: those of token i are ``[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: n + 1 int32.
        ids: m int32; -1 where the server named no id.
        logprobs: m float64, NaN where missing.
    """

    offsets: array[int]
    ids: array[int]
    logprobs: array[float]

    def __eq__(self, other: object) -> bool:
        return _same(self, other) if isinstance(other, TopColumns) else NotImplemented


class CheckCode(enum.StrEnum):
    """What is wrong with a turn."""

    NO_IDS = "no_ids"
    """There are no output ids."""
    NOT_NATIVE = "not_native"
    """The ids are not those that the server sampled."""
    NO_LOGPROBS = "no_logprobs"
    """There are no log-probabilities."""
    COUNT = "count"
    """Ids, log-probabilities, records or the server's count differ in number."""
    IDENTITY = "identity"
    """A record is that of another token than the id in its place."""
    ID_RANGE = "id_range"
    """An id is negative, or none."""
    MISSING = "missing_logprob"
    """A token has no log-probability: null on the wire."""
    NOT_FINITE = "not_finite"
    """A log-probability is infinite."""
    POSITIVE = "positive_logprob"
    """A log-probability is above 0, which none can be."""
    SENTINEL = "sentinel"
    """A log-probability is a marker (-9999, -3.4e38, ...), not a measurement."""
    TEXT = "text"
    """What the tokens spell is not the text."""
    SPANS = "spans"
    """The tokens of the reasoning or of a tool call cannot be told from the others."""
    STOP_TOKEN = "stop_token"  # noqa: S105 - no secret
    """The turn came to its end, and the token that ended it is not among the ids."""


@dataclass(frozen=True, slots=True)
class TurnFinding:
    """One thing that is wrong.

    Attributes:
        code: what it is.
        message: the same in words, with the values.
        position: the first output token it concerns; None where it is about all of them.
    """

    code: CheckCode
    message: str
    position: int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class TurnCheck:
    """What was found when a turn was checked; ``TurnCheck()`` says that nothing is wrong."""

    findings: tuple[TurnFinding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def codes(self) -> tuple[CheckCode, ...]:
        """The codes, each once, in the order of the findings."""
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    def __str__(self) -> str:
        return "; ".join(map(str, self.findings)) or "nothing is wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTokenData:
    """One turn. All that has a default is what nobody said.

    Attributes:
        role: who speaks. Only an ``assistant`` turn was sampled.
        prompt_ids: ids of all that came before, as the server saw it.
        output_ids: ids of what was sampled, the stop token included where the server sends it.
        output_logprobs: natural logarithm for each of them; NaN where it is missing, never 0.0.
        top: alternatives of each of them.
        finish_reason: ``stop``, ``length``, ``tool_calls``, ``content_filter``, ``abort``, or the server's own word.
        stop_reason: the stop text or the stop token's id that ended the turn, where the server names it.
        stop_token_included: whether the token that ended the turn is the last of the ids; None where that is not known.
        content: the text of the answer, of the tool's result, or of the message.
        reasoning: the text of the reasoning.
        tool_calls: the tool calls of the turn.
        tool_name: the tool whose result this is.
        tool_call_id: the call whose result this is.
        sampling: how the tokens were sampled.
        distribution: which distribution ``output_logprobs`` describe.
        distribution_source: who says so.
        weight_versions: the weights that sampled them, in spans.
        parts: the replies that the turn came in, where it was interrupted and went on.
        usage: the server's counts, of all choices of the reply.
        request_id: the server's id of the reply.
        provider: the provider.
        model: the model that served the request.
        endpoint: the address it was sent to.
        evidence: where the ids are from.
        checks: what was found when the turn was checked; None where it was not.
    """

    role: TurnRole
    prompt_ids: array[int] | None = None
    output_ids: array[int] | None = None
    output_logprobs: array[float] | None = None
    top: TopColumns | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    stop_token_included: bool | None = None
    content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[TurnToolCall, ...] = ()
    tool_name: str | None = None
    tool_call_id: str | None = None
    sampling: Sampling = Sampling()
    distribution: Distribution = Distribution.UNKNOWN
    distribution_source: DistributionSource = DistributionSource.NOBODY
    weight_versions: tuple[WeightVersion, ...] = ()
    parts: tuple[TurnPart, ...] = ()
    usage: Usage | None = None
    request_id: str | None = None
    provider: str = ""
    model: str = ""
    endpoint: str | None = None
    evidence: Evidence = Evidence.WIRE_TEXT
    checks: TurnCheck | None = None

    @property
    def trainable(self) -> bool:
        """Whether the turn was sampled, its ids are those that were sampled, and nothing is wrong with them."""
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why the turn is not trainable; None when it is."""
        if self.role != "assistant":
            return f"a {self.role} turn was not sampled"
        if self.evidence is not Evidence.NATIVE_IDS:
            return f"evidence is {self.evidence.value}: the ids that were sampled are not known"
        if not self.output_ids:
            return "there are no output ids"
        if self.checks is None:
            return "the turn was not checked"
        return None if self.checks.ok else str(self.checks)

    def to_letta(self) -> dict[str, Any]:
        """The five fields of Letta's turns; ``output_token_logprobs`` are ``[logprob, id, None]``, None for missing."""
        assistant = self.role == "assistant"
        return {
            "role": self.role,
            "output_ids": self.output_ids.tolist() if assistant and self.output_ids is not None else None,
            "output_token_logprobs": _triples(self.output_logprobs, self.output_ids) if assistant else None,
            "content": self.content,
            "tool_name": self.tool_name,
        }

    def dump(self) -> dict[str, Any]:
        """The turn as a dict ready for JSON, without what nobody said. ``load`` reads it back as an equal turn."""
        from nxlog.turn_dump import dump_turn  # noqa: PLC0415 - it knows the types above

        return dump_turn(self)

    @classmethod
    def load(cls, value: dict[str, Any]) -> Self:
        """A turn from what ``dump`` gave.

        Raises:
            ValueError: the value is not that of a turn.
        """
        from nxlog.turn_dump import load_turn  # noqa: PLC0415 - as above

        return load_turn(cls, value)

    def __eq__(self, other: object) -> bool:
        return _same(self, other) if isinstance(other, TurnTokenData) else NotImplemented

    def __repr__(self) -> str:
        size = "no ids" if self.output_ids is None else f"{len(self.output_ids)} ids"
        return f"TurnTokenData({self.role}, {size}, {self.finish_reason}, {self.reason or 'trainable'})"


def _triples(logprobs: array[float] | None, ids: array[int] | None) -> list[list[Any]] | None:
    if logprobs is None or ids is None or len(logprobs) != len(ids):
        return None  # no pairs, where it is not known what belongs together
    return [[None if math.isnan(value) else value, token, None] for value, token in zip(logprobs, ids, strict=True)]


def _same(a: TurnTokenData | TopColumns, b: object) -> bool:
    return all(_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))


def _equal(a: object, b: object) -> bool:
    # NaN is a value here: a column that misses the same values is the same column.
    if isinstance(a, array) and isinstance(b, array):
        return a.typecode == b.typecode and a.tobytes() == b.tobytes()
    return a == b
