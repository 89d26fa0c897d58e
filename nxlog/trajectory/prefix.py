"""Whether the prompt of a turn goes on from the tokens of the turns before it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from nxlog.errors import NxlogError


class PrefixVerdict(enum.StrEnum):
    """How the prompt of a turn compares with the ids of the branch so far."""

    CLEAN = "clean"
    """It is them, or there are none yet."""
    EXTEND = "extend"
    """It begins with them and goes on: a tool's result, the next message, the template's own tokens."""
    REALIGN = "realign"
    """It departs from them within the last turn's output, and not by much: that output came back in other tokens."""
    FORK = "fork"
    """It departs from them before that, or by more: the history is another."""


class PrefixCause(enum.StrEnum):
    """Why a prompt departs from the ids before it, as far as ids and texts show."""

    TEMPLATE = "template"
    """The template wrote something differently: around what was sampled, or white space or tool calls in it."""
    RETOKENIZATION = "retokenization"
    """The same text in other tokens."""
    STOP_TOKEN = "stop_token"  # noqa: S105 - no secret
    """The token or text that ended the turn is missing, or is another."""
    STRIPPED_REASONING = "stripped_reasoning"
    """The reasoning is gone and the answer is there."""
    OTHER = "other"
    """None of them: the history was edited, cut or is that of another conversation, or nothing tells."""


class PrefixPolicy(enum.StrEnum):
    """What becomes of a turn whose prompt departs from the ids before it."""

    RAISE = "raise"
    """``Trajectory.add`` raises ``PrefixError`` and keeps the trajectory as it was."""
    FORK = "fork"
    """It starts a branch. The other one stays a sample of its own."""
    REALIGN = "realign"
    """Where the verdict is ``realign``, the branch takes over the ids of the prompt, masked, in place of the sampled
    ones that they replace; any other departure starts a branch."""
    STEPWISE = "stepwise"
    """Every turn is a sample of its own, with its prompt, whether the prompt departs or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixCheck:
    """The comparison for one turn.

    Attributes:
        verdict: how prompt and branch compare.
        position: how many ids they share from the start.
        dropped: ids of the branch behind that, which the prompt does not have.
        added: ids of the prompt behind that.
        cause: why the prompt departs; None where it does not.
        expected_ids: the first of the dropped ids.
        found_ids: the first of the added ids, where the prompt departs.
        expected: the dropped ids as text, with a few shared ones before them; None without a decoder.
        found: the added ids as text, with the same ones before them.
    """

    verdict: PrefixVerdict
    position: int
    added: int
    dropped: int = 0
    cause: PrefixCause | None = None
    expected_ids: tuple[int, ...] = ()
    found_ids: tuple[int, ...] = ()
    expected: str | None = None
    found: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the prompt goes on from the ids before it."""
        return self.verdict in {PrefixVerdict.CLEAN, PrefixVerdict.EXTEND}

    def __str__(self) -> str:
        if self.ok:
            return f"{self.verdict}: {self.position} ids shared, {self.added} added"
        expected = self.expected_ids if self.expected is None else repr(self.expected)
        found = self.found_ids if self.found is None else repr(self.found)
        return f"{self.verdict} at id {self.position} ({self.cause}): expected {expected}, found {found}"


class PrefixError(NxlogError):
    """A prompt departs from the ids before it, and the policy is ``raise``. ``check`` says where and why."""

    def __init__(self, check: PrefixCheck) -> None:
        super().__init__(str(check))
        self.check: PrefixCheck = check

    def __reduce__(self) -> tuple[Any, ...]:
        return PrefixError, (self.check,)
