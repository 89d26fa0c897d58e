"""``Branch``: one path through a trajectory, as the columns that a trainer reads."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nxlog.trajectory.step import Step
    from nxlog.turn import TurnTokenData


class Piece(NamedTuple):
    """A step on a path: its ids from ``step.position`` to ``stop``, of which those from ``train_from`` on count."""

    step: Step
    stop: int
    train_from: int


@dataclass(frozen=True, slots=True)
class Span:
    """The ids ``[start:end]`` of a branch.

    Attributes:
        start: the first of them.
        end: the first behind them.
        step: the step they are from.
        sampled: whether the model sampled them; else they are of the prompt.
        trained: whether their ``loss_mask`` is 1.
    """

    start: int
    end: int
    step: int
    sampled: bool
    trained: bool

    def __len__(self) -> int:
        return self.end - self.start


class Branch:
    """One sequence of ids with everything that belongs to them, made when it is asked for.

    A token is trained once: where branches share sampled tokens, ``loss_mask`` is 1 in the first of them only, and
    ``sampled_mask`` in all. The columns have one entry for each id.

    Attributes:
        index: its number among the branches.
        steps: the steps whose output is on it, at least in part, in order.
        turns: their turns (without ``prompt_ids``), with the tools' results and messages between them.
    """

    def __init__(self, index: int, pieces: Iterable[Piece], turns: Sequence[TurnTokenData]) -> None:
        self._pieces: tuple[Piece, ...] = tuple(pieces)
        self.index: int = index
        last = self._pieces[-1]
        self.steps: tuple[Step, ...] = tuple(
            piece.step for piece in self._pieces if piece.stop > piece.step.output_start or piece is last
        )
        self.turns: tuple[TurnTokenData, ...] = tuple(turns)

    def __len__(self) -> int:
        return self._pieces[-1].stop

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The branch cut where the prompt or the output of a step begins, and where training begins."""
        return tuple(span for piece in self._pieces for span in _spans(piece) if len(span))

    @cached_property
    def ids(self) -> array[int]:
        """The ids, int32."""
        ids = array("i")
        for step, stop, _ in self._pieces:
            ids.extend(step.ids(step.position, stop))
        return ids

    @cached_property
    def loss_mask(self) -> array[int]:
        """1 where the token is trained in this branch, int8."""
        return _mask(len(self), (span for span in self.spans if span.trained))

    @cached_property
    def sampled_mask(self) -> array[int]:
        """1 where the model sampled the token, int8."""
        return _mask(len(self), (span for span in self.spans if span.sampled))

    @cached_property
    def logprobs(self) -> array[float]:
        """The log-probability where the token was sampled, float64; NaN elsewhere and where it is missing."""
        column = array("d", [math.nan]) * len(self)
        for step, start, end in self._outputs():
            values = step.turn.output_logprobs
            if values is not None and len(values) == len(step.output_ids):
                column[start:end] = values[start - step.output_start : end - step.output_start]
        return column

    @cached_property
    def temperatures(self) -> array[float]:
        """The temperature at which the token was sampled, float64; NaN elsewhere and where it was not asked for."""
        column = array("d", [math.nan]) * len(self)
        for step, start, end in self._outputs():
            if (temperature := step.turn.sampling.temperature) is not None:
                column[start:end] = array("d", [temperature]) * (end - start)
        return column

    @cached_property
    def version_names(self) -> tuple[str, ...]:
        """The versions of the weights, each once, in order."""
        named = (version.version for step in self.steps for version in step.turn.weight_versions)
        return tuple(dict.fromkeys(named))

    @cached_property
    def versions(self) -> array[int]:
        """Which of ``version_names`` sampled the token, int32; -1 elsewhere and where it is not known."""
        column = array("i", [-1]) * len(self)
        number = {name: i for i, name in enumerate(self.version_names)}
        for step, start, end in self._outputs():
            for version in step.turn.weight_versions:
                first = max(start, step.output_start + version.start)
                last = min(end, step.output_start + version.end)
                if last > first:
                    column[first:last] = array("i", [number[version.version]]) * (last - first)
        return column

    @property
    def prompt_length(self) -> int:
        """How many ids come before the first sampled one."""
        return next((span.start for span in self.spans if span.sampled), len(self))

    @property
    def finish_reason(self) -> str | None:
        """Of the last step."""
        return self.steps[-1].turn.finish_reason

    @property
    def trained_tokens(self) -> int:
        """How many tokens are trained in this branch."""
        return sum(len(span) for span in self.spans if span.trained)

    def _outputs(self) -> Iterable[tuple[Step, int, int]]:
        for step, stop, _ in self._pieces:
            if stop > step.output_start:
                yield step, step.output_start, stop

    def __repr__(self) -> str:
        return f"Branch({self.index}, {len(self)} ids, {self.trained_tokens} trained)"


def _spans(piece: Piece) -> Iterable[Span]:
    step, stop, train_from = piece
    split = min(step.output_start, stop)
    trained = min(max(train_from, split), stop) if step.trainable else stop
    yield Span(step.position, split, step.index, sampled=False, trained=False)
    yield Span(split, trained, step.index, sampled=True, trained=False)
    yield Span(trained, stop, step.index, sampled=True, trained=True)


def _mask(length: int, spans: Iterable[Span]) -> array[int]:
    mask = array("b", bytes(length))
    for span in spans:
        mask[span.start : span.end] = array("b", b"\x01" * len(span))
    return mask
