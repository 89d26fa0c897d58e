"""What is said of a conversation, and of a whole run."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from nxlog.trajectory import Trajectory

KEY = "rollout"
"""Where the metadata of a trajectory has its report."""


class Ended(enum.StrEnum):
    """Why a conversation ended."""

    DONE = "done"
    """Nothing was left to answer: the model called no tool, or the environment said nothing."""
    MAX_TURNS = "max_turns"
    """The model wanted to go on and had no turn left."""
    CONTEXT_LENGTH = "context_length"
    """What was said no longer fits the model."""


@dataclass(slots=True)
class Report:
    """How a conversation went. The counts are those of the process that ended it.

    Attributes:
        ended: why it ended.
        turns: how often the model spoke.
        tokens: how many tokens it sampled.
        requests: how many requests were sent for that.
        retries: how many of them failed and were sent again.
        pauses: how often the server asked to wait.
        resumed_turns: turns that broke off and went on where they had.
        lost_tokens: sampled tokens that were thrown away, because a turn that broke off had to start over.
        tool_calls: calls that were made.
        tool_errors: calls that raised, or could not be made.
        rendered_anew: turns whose prompt is not proven to go on from the ids before it, each with the reason.
        resumed: whether a run before this one began it.
        seconds: how long it took.
    """

    ended: Ended | None = None
    turns: int = 0
    tokens: int = 0
    requests: int = 0
    retries: int = 0
    pauses: int = 0
    resumed_turns: int = 0
    lost_tokens: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    rendered_anew: dict[str, str] = field(default_factory=dict[str, str])
    resumed: bool = False
    seconds: float = 0.0

    def dump(self) -> dict[str, Any]:
        """The report as a dict ready for JSON."""
        dumped: dict[str, Any] = msgspec.to_builtins(self)
        return dumped

    @classmethod
    def load(cls, value: object) -> Report:
        """A report from what ``dump`` gave.

        Raises:
            ValueError: the value is not that of a report.
        """
        return msgspec.convert(value, cls)


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """A conversation that has ended.

    Attributes:
        trajectory: its turns; ``trajectory.id`` is the id of its row.
        report: how it went.
    """

    trajectory: Trajectory
    report: Report

    @classmethod
    def of(cls, trajectory: Trajectory) -> RolloutResult:
        """The result that a finished trajectory is.

        Raises:
            ValueError: no rollout finished it.
        """
        if KEY not in trajectory.metadata:
            raise ValueError(f"trajectory {trajectory.id} was not finished by a rollout")
        return cls(trajectory, Report.load(trajectory.metadata[KEY]))
