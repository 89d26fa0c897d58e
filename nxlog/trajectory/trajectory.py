"""``Trajectory``: an append-only record of turns, and the branches that can be trained on."""

from __future__ import annotations

import uuid
from array import array
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from nxlog.trajectory._tree import Tree
from nxlog.trajectory.branch import Branch, Piece
from nxlog.trajectory.prefix import PrefixError, PrefixPolicy, PrefixVerdict
from nxlog.trajectory.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nxlog.turn import TurnTokenData


class Trajectory:
    """The turns of one conversation, in order.

    Each sampled turn that has prompt ids is compared with the ids before it. Its ids are kept once, however many turns
    and branches share them, so that time and memory grow with the number of ids that were received. The record does
    not depend on the policy, except that ``raise`` refuses turns: ``branches`` cuts it by any of them.

    Attributes:
        id: its name, in files too.
        policy: what becomes of turns whose prompt departs from the ids before it.
        realign_limit: how many ids at the end of an output may come back as others and be called ``realign``.
        decode: ids to text, for causes and the texts of checks; a tokenizer's ``decode``.
        metadata: what else is to be kept, as JSON values.
        reward: set by ``finish``.
        finished: whether ``finish`` was called. No turn can be added then.
    """

    def __init__(
        self,
        turns: Iterable[TurnTokenData] = (),
        *,
        id: str | None = None,  # noqa: A002 - its name
        policy: PrefixPolicy | str = PrefixPolicy.FORK,
        realign_limit: int = 1024,
        decode: Callable[[list[int]], str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.id: str = uuid.uuid4().hex if id is None else id
        self.policy: PrefixPolicy = PrefixPolicy(policy)
        self.realign_limit: int = realign_limit
        self.decode: Callable[[list[int]], str] | None = decode
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.reward: float | None = None
        self.finished: bool = False
        self._steps: list[Step] = []
        self._tree: Tree = Tree(self._steps)
        for turn in turns:
            self.add(turn)

    def add(self, turn: TurnTokenData) -> Step:
        """Append a turn: a message, what a model sampled, or the result of a tool.

        Raises:
            PrefixError: the policy is ``raise``, and the turn's prompt departs from the ids before it.
            ValueError: the trajectory is finished, or the ids are no int32 arrays.
        """
        if self.finished:
            raise ValueError(f"trajectory {self.id} is finished")
        _require_int32(turn)
        index = len(self._steps)
        if turn.role != "assistant" or turn.prompt_ids is None:
            return self._append(Step(index, turn))
        check, place = self._tree.examine(turn.prompt_ids, realign_limit=self.realign_limit, decode=self.decode)
        if self.policy is PrefixPolicy.RAISE and not check.ok:
            raise PrefixError(check)
        context = turn.prompt_ids[place.position :]
        return self._append(Step(index, replace(turn, prompt_ids=None), check, *place, context_ids=context))

    def replay(self, step: Step) -> Step:
        """Append a step that was recorded before. Its prompt is not compared again.

        Raises:
            ValueError: it is not the one that comes next.
        """
        if step.index != len(self._steps) or (step.parent is not None and step.parent >= step.index):
            raise ValueError(f"trajectory {self.id}: step {step.index} does not follow {len(self._steps)} steps")
        return self._append(step)

    def _append(self, step: Step) -> Step:
        self._steps.append(step)
        self._tree.add(step)
        return step

    def finish(self, *, reward: float | None = None, **metadata: Any) -> None:
        """Say that no turn will follow, and how it went."""
        self.metadata.update(metadata)
        self.reward = reward
        self.finished = True

    @property
    def steps(self) -> Sequence[Step]:
        """The turns in their places."""
        return self._steps

    def __len__(self) -> int:
        return len(self._steps)

    def turn(self, index: int) -> TurnTokenData:
        """The turn as it was added, with its prompt ids."""
        step = self._steps[index]
        if step.parent is None:
            return step.turn
        return replace(step.turn, prompt_ids=self.prompt_ids(index))

    def prompt_ids(self, index: int) -> array[int] | None:
        """The whole prompt of a turn; None where it is not known."""
        step = self._steps[index]
        return None if step.parent is None else self._ids(step, step.output_start)

    @property
    def ids(self) -> array[int]:
        """All ids up to the end of the last sampled turn that has them: where the next prompt should go on."""
        last = next((step for step in reversed(self._steps) if step.parent is not None), None)
        return array("i") if last is None else self._ids(last, last.end)

    def _ids(self, step: Step, stop: int) -> array[int]:
        ids = array("i")
        for part, end in self._pieces(step):
            ids.extend(part.ids(part.position, min(end, stop)))
        return ids

    def _pieces(self, last: Step) -> list[tuple[Step, int]]:
        """The steps on the path to one, each with the position at which the next one takes over."""
        path = self._tree.path(last.index)
        return list(zip(path, [*(step.position for step in path[1:]), last.end], strict=True))

    @property
    def untrainable(self) -> dict[int, str]:
        """The sampled turns that may not be trained on, each with the reason."""
        sampled = (step for step in self._steps if step.turn.role == "assistant")
        return {step.index: step.reason for step in sampled if step.reason is not None}

    def branches(self, policy: PrefixPolicy | str | None = None) -> list[Branch]:
        """The sequences that the turns make under a policy, that of the trajectory unless another is given.

        Every id of a trainable output is trained in one branch, unless ``realign`` replaced it.
        """
        chosen = self.policy if policy is None else PrefixPolicy(policy)
        ends = [step for step in self._steps if step.parent is not None and self._is_sample(step, chosen)]
        trained: dict[int, int] = {}
        branches: list[Branch] = []
        for number, last in enumerate(ends):
            pieces: list[Piece] = []
            for step, stop in self._pieces(last):
                since = max(step.output_start, trained.get(step.index, 0))
                if chosen is PrefixPolicy.STEPWISE:
                    since = step.output_start if step is last else stop
                pieces.append(Piece(step, stop, since))
                trained[step.index] = max(since, stop)
            branches.append(Branch(number, pieces, self._turns(pieces)))
        return branches

    def _is_sample(self, step: Step, policy: PrefixPolicy) -> bool:
        if policy is PrefixPolicy.STEPWISE:
            return True
        if not self._tree.is_end(step):
            return False
        checks = (self._steps[child].check for child in self._tree.children(step.index))
        replaced = any(check is not None and check.verdict is PrefixVerdict.REALIGN for check in checks)
        return policy is not PrefixPolicy.REALIGN or not replaced

    def _turns(self, pieces: Sequence[Piece]) -> list[TurnTokenData]:
        """The turns of the pieces, with those between them that have no ids of their own."""
        found: list[TurnTokenData] = []
        for piece in pieces:
            step = piece.step
            found += reversed(self._beside(range(step.index - 1, -1, -1)))
            if piece.stop > step.output_start or piece is pieces[-1]:
                found.append(step.turn)
        return found + self._beside(range(pieces[-1].step.index + 1, len(self._steps)))

    def _beside(self, indexes: range) -> list[TurnTokenData]:
        steps = map(self._steps.__getitem__, indexes)
        return [step.turn for step in takewhile(lambda step: step.parent is None, steps)]

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Trajectory) else NotImplemented

    def _value(self) -> tuple[Any, ...]:
        return self.id, self.policy, self.realign_limit, self.metadata, self.reward, self.finished, self._steps

    def __repr__(self) -> str:
        state = "finished" if self.finished else "open"
        return f"Trajectory({self.id!r}, {len(self)} turns, {state}, {self.policy})"


def _require_int32(turn: TurnTokenData) -> None:
    # A list or an array of other items is never equal to one of these, so every prompt would seem to depart.
    for name in ("prompt_ids", "output_ids"):
        ids: object = getattr(turn, name)
        typecode = "i" if ids is None else getattr(ids, "typecode", None)
        if typecode != "i":
            raise ValueError(f"{name}: expected array('i'), got {type(ids).__name__}")
