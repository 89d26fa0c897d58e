"""A turn in its place: what it adds to the ids before it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nxlog.trajectory.prefix import PrefixCheck
    from nxlog.turn import TurnTokenData

ROOT = -1
"""Stands for the parent of a step whose prompt shares nothing with what is there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a trajectory.

    Steps share what they have in common: a step holds the ids that its prompt adds to those of its parent, and its
    output. Positions are counted from the start of the branch, in which the step has ``[position:end]``.

    Attributes:
        index: its number in the trajectory, from 0.
        turn: the turn without its ``prompt_ids``; ``Trajectory.turn`` gives it with them.
        check: the comparison of its prompt with the ids before; None where it has no prompt ids.
        parent: the step whose ids the prompt goes on from, -1 for none; None where the turn has no prompt ids, or was
            not sampled.
        position: how many of the first ids of the prompt are those of the parent's branch.
        context_ids: the ids of the prompt behind them. They were not sampled.
    """

    index: int
    turn: TurnTokenData
    check: PrefixCheck | None = None
    parent: int | None = None
    position: int = 0
    context_ids: array[int] = field(default_factory=lambda: array("i"))

    @property
    def output_ids(self) -> array[int]:
        """The sampled ids, empty where there are none."""
        return array("i") if self.turn.output_ids is None else self.turn.output_ids

    @property
    def output_start(self) -> int:
        """Where the output begins."""
        return self.position + len(self.context_ids)

    @property
    def end(self) -> int:
        """Where the output ends."""
        return self.position + len(self.context_ids) + len(self.output_ids)

    @property
    def trainable(self) -> bool:
        """Whether the output may be trained on."""
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why the output may not be trained on; None when it may."""
        if self.turn.reason is None and self.parent is None:
            return "there are no prompt ids: what the model saw is not known"
        return self.turn.reason

    def ids(self, start: int, stop: int) -> array[int]:
        """The step's own ids between two positions of the branch."""
        split = self.output_start
        if start >= split:
            return self.output_ids[start - split : stop - split]
        if stop <= split:
            return self.context_ids[start - self.position : stop - self.position]
        return self.context_ids[start - self.position :] + self.output_ids[: stop - split]
