"""Structured warnings: what was asked for and could not be delivered as asked, and why."""

from __future__ import annotations

import enum
import warnings as _warnings
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable


class WarningSeverity(enum.StrEnum):
    """How much a warning matters to the result."""

    INFO = "info"
    """No impact on the text of the answer."""
    WARNING = "warning"
    """The result may differ from what was meant."""
    ERROR = "error"
    """Part of the result is missing or cannot be trusted."""


class WarningSource(enum.StrEnum):
    """Who found it."""

    MANIFEST = "manifest"
    """A claim of the registry, before anything was sent."""
    REQUEST = "request"
    """The request itself."""
    RESPONSE = "response"
    """The reply, compared with what was asked."""
    SERVER = "server"
    """The server said so."""
    LEARNED = "learned"
    """An earlier call of this client."""


class WarningCode(enum.StrEnum):
    """What happened; stable, for programs."""

    # found by the gate, before sending
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_STREAMING = "unsupported_streaming"
    UNKNOWN_SUPPORT = "unknown_support"
    REASONING_CONFLICT = "reasoning_conflict"
    MODE_CONFLICT = "mode_conflict"
    CLAMPED = "clamped"
    TRUNCATED = "truncated"
    OUT_OF_RANGE = "out_of_range"
    EMULATED = "emulated"
    DOWNGRADED = "downgraded"
    MIGRATION = "migration"
    # found in the reply
    REFUSED = "refused"
    NOT_DELIVERED = "not_delivered"
    FEWER_CHOICES = "fewer_choices"
    FEWER_ALTERNATIVES = "fewer_alternatives"
    FEWER_RECORDS = "fewer_records"
    MASKED = "masked"
    MISSING_VALUE = "missing_value"
    MISSING_TOKEN_TEXT = "missing_token_text"  # noqa: S105 - a code, not a secret
    POSITIVE = "positive"
    DEGENERATE = "degenerate"
    MISALIGNED = "misaligned"
    # found in the events of a stream
    EVENTS_LOST = "events_lost"
    EVENTS_REPEATED = "events_repeated"
    CONTRADICTED = "contradicted"
    # of responses that a server stores
    NOT_STORED = "not_stored"
    HISTORY_REWRITTEN = "history_rewritten"
    STALLED = "stalled"
    # found in a conversion to another shape
    NO_PLACE = "no_place"


class ParameterWarning(BaseModel):
    """One requested field that was dropped, changed, refused, ignored or delivered in part.

    Attributes:
        parameter: the field of ``ChatRequest``; ``"logprobs"`` stands for logprobs and top_logprobs together.
        code: what happened.
        severity: how much it matters.
        message: one sentence for people, with both values where a value was changed.
        requested: the value that was asked for.
        applied: the value that was sent or came back; None when the field was dropped.
        provider: provider id.
        model: model name.
        source: who found it.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    parameter: str
    code: WarningCode
    severity: WarningSeverity
    message: str
    requested: Any = None
    applied: Any = None
    provider: str | None = None
    model: str | None = None
    source: WarningSource

    def __hash__(self) -> int:
        # What was asked for may be a dict.
        return hash((self.parameter, self.code, self.message, self.provider, self.model))

    def __str__(self) -> str:
        where = "/".join(part for part in (self.provider, self.model) if part)
        return f"{self.parameter}: {self.message}" + (f" [{where}]" if where else "")


class ParameterWarningCategory(UserWarning):
    """The category under which every ``ParameterWarning`` also goes through ``warnings.warn``.

    Silence it with ``warnings.simplefilter("ignore", nxlog.ParameterWarningCategory)``; the structured
    warnings stay on the result.
    """


def emit(found: Iterable[ParameterWarning], *, stacklevel: int) -> None:
    """Pass each warning to ``warnings.warn`` once, at the caller's line."""
    for warning in found:
        _warnings.warn(str(warning), ParameterWarningCategory, stacklevel=stacklevel + 1)
