"""Where a prompt goes on in the steps that are there: a tree, in which branches share what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nxlog.trajectory._cause import find_cause
from nxlog.trajectory._ids import count_shared
from nxlog.trajectory.prefix import PrefixCause, PrefixCheck, PrefixVerdict
from nxlog.trajectory.step import ROOT, Step

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence

_LEAD = 8
"""Ids before the break that are decoded with it: a piece of a character, or a word's first piece, says little alone."""
_SHOWN = 16
"""Ids behind the break that a check shows."""


class Place(NamedTuple):
    """The step that a prompt goes on from, and how many ids they share from the start of the branch."""

    parent: int
    position: int


class Tree:
    """The steps of a trajectory that have ids."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps: Sequence[Step] = steps
        self._children: dict[int, list[int]] = {}

    def add(self, step: Step) -> None:
        """Hang up a step that has ids."""
        if step.parent is not None:
            self._children.setdefault(step.parent, []).append(step.index)

    def children(self, step: int) -> list[int]:
        """The steps that go on from this one, in order; from its end or from within it."""
        return self._children.get(step, [])

    def next(self, place: Place) -> Step | None:
        """The latest step that goes on from just there."""
        found = [self._steps[index] for index in self.children(place.parent)]
        return next((step for step in reversed(found) if step.position == place.position), None)

    def is_end(self, step: Step) -> bool:
        """Whether nothing goes on from the end of a step."""
        return self.next(Place(step.index, step.end)) is None

    def path(self, step: int) -> list[Step]:
        """The steps from the first one to this one."""
        found: list[Step] = []
        parent: int | None = step
        while parent is not None and parent != ROOT:
            found.append(self._steps[parent])
            parent = self._steps[parent].parent
        return found[::-1]

    def locate(self, prompt: array[int]) -> Place:
        """The longest start of the prompt that is there. Each id of the prompt is looked at about once."""
        best, rank = Place(ROOT, 0), (0, False, ROOT)
        waiting = list(self.children(ROOT))
        while waiting:
            step = self._steps[waiting.pop()]
            reached = step.position + self._shared(step, prompt)
            # Of steps that share as much, the one whose end it is and that nothing goes on from yet, then the latest.
            mine = (reached, reached == step.end and self.is_end(step), step.index)
            if reached > step.position and mine > rank:
                best, rank = Place(step.index, reached), mine
            if reached < len(prompt):
                waiting += [child for child in self.children(step.index) if self._steps[child].position <= reached]
        return best

    @staticmethod
    def _shared(step: Step, prompt: array[int]) -> int:
        shared = count_shared(step.context_ids, prompt, step.position)
        if shared < len(step.context_ids):
            return shared
        return shared + count_shared(step.output_ids, prompt, step.output_start)

    def examine(
        self, prompt: array[int], *, realign_limit: int, decode: Callable[[list[int]], str] | None
    ) -> tuple[PrefixCheck, Place]:
        """Compare a prompt with what is there."""
        place = self.locate(prompt)
        added = len(prompt) - place.position
        step = None if place.parent == ROOT else self._steps[place.parent]
        ends = step is not None and step.end == place.position
        left = self.next(place) if step is None or ends else step
        if left is None:  # nothing is there yet, or the end of a branch
            verdict = PrefixVerdict.EXTEND if added and step is not None else PrefixVerdict.CLEAN
            return PrefixCheck(verdict=verdict, position=place.position, added=added), place
        dropped = self._end_of_branch(left) - place.position
        in_last_output = left is step and left.output_start <= place.position and self.is_end(left)
        realigned = in_last_output and bool(added) and dropped <= realign_limit
        before = prompt[max(0, place.position - _LEAD) : place.position]
        expected = left.ids(place.position, place.position + _SHOWN)
        found = prompt[place.position : place.position + _SHOWN]
        check = PrefixCheck(
            verdict=PrefixVerdict.REALIGN if realigned else PrefixVerdict.FORK,
            position=place.position,
            added=added,
            dropped=dropped,
            cause=find_cause(left, prompt, place.position, decode) if added else PrefixCause.OTHER,
            expected_ids=tuple(expected),
            found_ids=tuple(found),
            expected=None if decode is None else decode((before + expected).tolist()),
            found=None if decode is None else decode((before + found).tolist()),
        )
        return check, place

    def _end_of_branch(self, step: Step) -> int:
        while (following := self.next(Place(step.index, step.end))) is not None:
            step = following
        return step.end
