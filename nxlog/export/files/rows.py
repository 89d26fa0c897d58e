"""Trajectories as rows, which every format writes in its own way: their start, each step, their end."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nxlog import _json
from nxlog.trajectory import PrefixCheck, Step, Trajectory
from nxlog.turn import TopColumns, TurnTokenData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FORMAT = "nxlog trajectories 1"
"""Stands in every file. The number changes with what a reader must know."""

RowKind = Literal["start", "step", "end"]
COLUMNS = {
    "context_ids": "i",
    "output_ids": "i",
    "output_logprobs": "d",
    "top_offsets": "i",
    "top_ids": "i",
    "top_logprobs": "d",
}
"""The bulk of a step, with the typecode of each column."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        trajectory: the trajectory's id.
        kind: what the row says.
        data: all but the columns, as JSON values.
        columns: those of ``COLUMNS`` that the step has.
    """

    trajectory: str
    kind: RowKind
    data: dict[str, Any]
    columns: dict[str, array[Any]] = field(default_factory=dict[str, "array[Any]"])

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        turn = self.data.get("turn", {})
        texts = sum(sys.getsizeof(turn.get(name, "")) for name in ("content", "reasoning"))
        return 2048 + texts + sum(len(column) * column.itemsize for column in self.columns.values())


def start_row(trajectory: Trajectory) -> Row:
    """What is known from the start."""
    data = {
        "policy": trajectory.policy.value,
        "realign_limit": trajectory.realign_limit,
        "metadata": trajectory.metadata,
    }
    return Row(trajectory.id, "start", data)


def end_row(trajectory: Trajectory) -> Row:
    """That no step follows, and how it went."""
    data = {"steps": len(trajectory), "reward": trajectory.reward, "metadata": trajectory.metadata}
    return Row(trajectory.id, "end", data)


def step_row(trajectory: str, step: Step) -> Row:
    """A step."""
    turn = step.turn
    columns = {"context_ids": step.context_ids, "output_ids": turn.output_ids, "output_logprobs": turn.output_logprobs}
    if turn.top is not None:
        columns |= {f"top_{part.name}": getattr(turn.top, part.name) for part in fields(TopColumns)}
    rest = replace(turn, output_ids=None, output_logprobs=None, top=None)
    data = {
        "step": step.index,
        "parent": step.parent,
        "position": step.position,
        "check": None if step.check is None else msgspec.to_builtins(step.check),
        "reason": step.reason,
        "turn": rest.dump(),
    }
    return Row(trajectory, "step", data, {name: column for name, column in columns.items() if column is not None})


def step_of(row: Row) -> Step:
    """The step of a row.

    Raises:
        ValueError: the row is not that of a step.
    """
    data, columns = row.data, row.columns
    turn = TurnTokenData.load(data["turn"])
    top = {part.name: columns[name] for part in fields(TopColumns) if (name := f"top_{part.name}") in columns}
    turn = replace(
        turn,
        output_ids=columns.get("output_ids"),
        output_logprobs=columns.get("output_logprobs"),
        top=TopColumns(**top) if top else None,
    )
    check = data["check"]
    return Step(
        data["step"],
        turn,
        None if check is None else msgspec.convert(check, PrefixCheck),
        data["parent"],
        data["position"],
        columns.get("context_ids", array("i")),
    )


def trajectories_of(rows: Iterable[Row], *, decode: Callable[[list[int]], str] | None) -> Iterator[Trajectory]:
    """Trajectories, each when its last row was read, and those without an end last.

    Raises:
        ValueError: a row is missing, doubled or broken.
    """
    open_ones: dict[str, Trajectory] = {}
    for row in rows:
        if row.kind == "start":
            if row.trajectory in open_ones:
                raise ValueError(f"trajectory {row.trajectory} starts twice")
            open_ones[row.trajectory] = Trajectory(id=row.trajectory, decode=decode, **row.data)
            continue
        trajectory = open_ones.get(row.trajectory)
        if trajectory is None:
            raise ValueError(f"trajectory {row.trajectory} has no start")
        if row.kind == "step":
            trajectory.replay(_read_step(row))
        else:
            yield _ended(open_ones.pop(row.trajectory), row)
    yield from open_ones.values()


def _read_step(row: Row) -> Step:
    try:
        return step_of(row)
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise ValueError(f"trajectory {row.trajectory}: a step is broken: {error!r}") from error


def _ended(trajectory: Trajectory, row: Row) -> Trajectory:
    if len(trajectory) != row.data["steps"]:
        raise ValueError(f"trajectory {trajectory.id}: {len(trajectory)} steps of {row.data['steps']}")
    trajectory.metadata = row.data["metadata"]
    trajectory.finish(reward=_json.number(row.data["reward"]))
    return trajectory
