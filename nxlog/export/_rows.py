"""What the flat formats share: one sequence of ids with a mask and log-probabilities."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from nxlog.distribution import Distribution
from nxlog.errors import NxlogError
from nxlog.trajectory import Branch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_Fill = TypeVar("_Fill", float, None)


class ExportError(NxlogError):
    """A format cannot hold this without saying what is not so."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRow:
    """A sequence as it was read from a trainer's format, in the columns of a ``Branch``.

    Attributes:
        ids: the ids, int32.
        loss_mask: 1 where the token is trained, int8.
        logprobs: the log-probability where the token is trained, float64; NaN elsewhere and where it is missing.
        temperatures: the temperature where the token is trained and the format has it, float64; NaN elsewhere.
        version_names: versions of the weights, where the format has them.
        prompt_length: how many ids the format calls the prompt, or come before the first trained one.
        finish_reason: where the format has it.
    """

    ids: array[int]
    loss_mask: array[int]
    logprobs: array[float]
    temperatures: array[float]
    version_names: tuple[str, ...] = ()
    prompt_length: int = 0
    finish_reason: str | None = None

    @classmethod
    def of(cls, row: Row) -> TrainingRow:
        """What a format that holds everything would give back for a branch."""
        return make_row(
            row.ids,
            row.loss_mask,
            row.logprobs,
            temperatures=row.temperatures,
            version_names=row.version_names,
            prompt_length=row.prompt_length,
            finish_reason=row.finish_reason,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrainingRow):
            return NotImplemented
        # NaN is a value here: a column that misses the same values is the same column.
        return all(_value(getattr(self, field.name)) == _value(getattr(other, field.name)) for field in fields(self))

    def __repr__(self) -> str:
        return f"TrainingRow({len(self)} ids, {sum(self.loss_mask)} trained)"


Row: TypeAlias = Branch | TrainingRow
"""What a flat format is made of: a branch, or what was read back from another format."""


def _value(value: Any) -> Any:
    return value.tobytes() if isinstance(value, array) else value


def make_row(
    ids: Iterable[int],
    mask: Iterable[int],
    logprobs: Iterable[float | None],
    *,
    temperatures: Iterable[float] | None = None,
    version_names: Iterable[str] = (),
    prompt_length: int | None = None,
    finish_reason: str | None = None,
) -> TrainingRow:
    """A row from lists that have one entry for each id. What stands where nothing is trained is a filler: NaN here.

    Raises:
        ExportError: the lists differ in length.
    """
    tokens, flags = array("i", ids), array("b", map(bool, mask))
    values = array("d", (math.nan if value is None else value for value in logprobs))
    degrees = array("d", [math.nan]) * len(tokens) if temperatures is None else array("d", temperatures)
    if not len(tokens) == len(flags) == len(values) == len(degrees):
        counts = f"{len(flags)} of the mask, {len(values)} log-probabilities, {len(degrees)} temperatures"
        raise ExportError(f"{len(tokens)} ids, but {counts}")
    for trained, start, end in runs(flags):
        if not trained:
            values[start:end] = degrees[start:end] = array("d", [math.nan]) * (end - start)
    if prompt_length is None:
        prompt_length = next((start for trained, start, _ in runs(flags) if trained), len(tokens))
    return TrainingRow(tokens, flags, values, degrees, tuple(version_names), prompt_length, finish_reason)


def runs(mask: array[int]) -> Iterator[tuple[bool, int, int]]:
    """The mask as pieces of equal value: the value, where it begins and where it ends."""
    data, start = mask.tobytes(), 0
    while start < len(data):
        end = data.find(b"\x00" if data[start] else b"\x01", start)
        end = len(data) if end < 0 else end
        yield bool(data[start]), start, end
        start = end


def trained_logprobs(row: Row, *, fill: _Fill) -> list[float | _Fill]:
    """The log-probability of each token that is trained, and the format's own filler for all others.

    Raises:
        ExportError: a token is trained and its log-probability is missing or infinite.
    """
    column: list[float | _Fill] = [fill] * len(row.ids)
    for trained, start, end in runs(row.loss_mask):
        if trained:
            column[start:end] = finite(row.logprobs[start:end], start)
    return column


def finite(values: Sequence[float], position: int = 0) -> list[float]:
    """The values of tokens that are trained.

    Raises:
        ExportError: one of them is missing or infinite.
    """
    if not math.isfinite(sum(values)):
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                what = "no log-probability" if math.isnan(value) else f"a log-probability of {value}"
                raise ExportError(f"token {position + offset} is trained and has {what}")
    return list(values)


def trained_temperatures(row: Row, default: float | None) -> list[float]:
    """A temperature for each id: that of the token if it is trained, else that of the next one that is.

    Trainers scale logits with them, some at the token and some one before it, so each gap takes what follows it.

    Raises:
        ExportError: a token is trained, nobody asked for a temperature, and there is no default.
    """
    column = [1.0] * len(row.ids)
    following = 1.0 if default is None else default
    for trained, start, end in reversed(list(runs(row.loss_mask))):
        if trained:
            column[start:end] = known = _known_temperatures(row.temperatures[start:end], start, default)
            following = known[0]
        else:
            column[start:end] = [following] * (end - start)
    return column


def _known_temperatures(values: Sequence[float], position: int, default: float | None) -> list[float]:
    known: list[float] = []
    for offset, value in enumerate(values):
        if not math.isnan(value):
            known.append(value)
        elif default is not None:
            known.append(default)
        else:
            raise ExportError(f"token {position + offset} is trained, and its temperature is not known: give one")
    return known


def spread(value: float, row: Row) -> list[float]:
    """The value where a token is trained, 0.0 elsewhere."""
    return [value if trained else 0.0 for trained in row.loss_mask]


def need_prompt(row: Row) -> None:
    """Refuse a row that begins with a trained token.

    Raises:
        ExportError: the first token is trained, and there is nothing that it could be predicted from.
    """
    if row.loss_mask and row.loss_mask[0]:
        raise ExportError("the first token is trained: there is no prompt that it was sampled after")


def halves(value: Mapping[str, Any], prompt: str, response: str) -> tuple[list[int], int]:
    """The ids of a format that keeps prompt and response apart, and how many are the prompt."""
    return [*value[prompt], *value[response]], len(value[prompt])


def require_distribution(branch: Branch, *wanted: Distribution | str) -> None:
    """Refuse a branch whose log-probabilities describe another distribution than the trainer takes them for.

    No format carries the label, so this is the last place where it is known. ``raw`` passes for ``temperature`` where
    the temperature that was asked for is 1.

    Raises:
        ExportError: the label of a trained turn is none of those.
    """
    labels = {Distribution(label) for label in wanted}
    trained = {span.step for span in branch.spans if span.trained}
    for step in branch.steps:
        found, same = step.turn.distribution, {Distribution.RAW, Distribution.TEMPERATURE}
        if step.index not in trained or found in labels:
            continue
        if found in same and labels & same and step.turn.sampling.temperature == 1.0:
            continue
        names = " or ".join(sorted(label.value for label in labels))
        raise ExportError(f"turn {step.index} has log-probabilities of the {found.value} distribution, not {names}")
