"""Interleaved rounds, medians, and the table: contestants take turns, so a slow spell of the machine meets them all."""

from __future__ import annotations

import contextlib
import gc
import importlib
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

OURS = "nxlog"
"""The name of the contestant that targets are about."""

NEAR = 1.25
"""What the target table calls "near" is read as at most this many times the number."""


@dataclass(frozen=True)
class Sample:
    """What one turn took: CPU time of this process, and by the clock where that says more."""

    value: float
    wall: float | None = None


@dataclass(frozen=True)
class Target:
    """A line of docs/decisions/speed.md.

    Attributes:
        kind: ``ratio`` is nxlog over the reference, ``speedup`` the reference over nxlog, ``extra`` nxlog minus the
            reference, ``value`` nxlog alone.
        limit: the most that is allowed; for a speedup the least.
        text: how the table shows it.
    """

    kind: Literal["ratio", "speedup", "extra", "value"]
    limit: float
    text: str


@dataclass(frozen=True)
class Scenario:
    """One thing to do, by several contestants.

    Attributes:
        name: what is done.
        unit: of the samples.
        contestants: name to one turn. A name that starts with ``nxlog`` is one of ours.
        reference: the contestant that the others are compared with.
        target: None where nothing is promised.
        rounds: how many rounds make sense, where that is fewer than asked for.
    """

    name: str
    unit: str
    contestants: dict[str, Callable[[], Sample]]
    reference: str
    target: Target | None = None
    rounds: int | None = None


@dataclass
class Result:
    """The medians of a scenario."""

    scenario: Scenario
    medians: dict[str, float] = field(default_factory=dict[str, float])
    walls: dict[str, float] = field(default_factory=dict[str, float])

    def ratio(self, name: str) -> float | None:
        """How many times the reference; None when the reference did not run."""
        reference = self.medians.get(self.scenario.reference)
        return None if not reference else self.medians[name] / reference

    def achieved(self) -> float | None:
        """The number that the target speaks of."""
        target, ours = self.scenario.target, self.medians.get(OURS)
        if target is None or ours is None:
            return None
        if target.kind == "value":
            return ours
        reference = self.medians.get(self.scenario.reference)
        if reference is None:
            return None
        return {"ratio": ours / reference, "speedup": reference / ours, "extra": ours - reference}[target.kind]

    def verdict(self) -> str:
        """``MET``, ``NOT MET``, or nothing where nothing is promised."""
        target, achieved = self.scenario.target, self.achieved()
        if target is None:
            return ""
        if achieved is None:
            return "not measured"
        met = achieved >= target.limit if target.kind == "speedup" else achieved <= target.limit
        return "MET" if met else "NOT MET"


def optional(name: str) -> Any:
    """A module of the ``bench`` extra, or None: its contestants are then left out."""
    with contextlib.suppress(ImportError):
        return importlib.import_module(name)
    return None


def timed(
    run: Callable[[], object],
    *,
    per: float = 1,
    scale: float = 1e3,
    before: Callable[[], object] | None = None,
    by_clock: bool = False,
) -> Callable[[], Sample]:
    """A turn that takes the CPU time of ``run`` for each of ``per`` operations; scale 1e3 gives milliseconds."""

    def turn() -> Sample:
        if before is not None:
            before()
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        result = run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        del result  # freeing is the next one's business, not part of the turn
        return Sample(cpu / per * scale, wall / per * scale if by_clock else None)

    return turn


def measure(scenario: Scenario, rounds: int) -> Result:
    """Run the contestants in turn; round 0 warms them up and is thrown away."""
    rounds = min(rounds, scenario.rounds or rounds)
    # Payloads and modules are out of the collector's sight: who makes many objects pays for those alone.
    gc.collect()
    gc.freeze()
    samples: dict[str, list[Sample]] = {name: [] for name in scenario.contestants}
    for number in range(rounds + 1):
        for name, turn in scenario.contestants.items():
            sample = turn()
            if number:
                samples[name].append(sample)
    result = Result(scenario)
    for name, taken in samples.items():
        result.medians[name] = statistics.median(sample.value for sample in taken)
        walls = [sample.wall for sample in taken if sample.wall is not None]
        if walls:
            result.walls[name] = statistics.median(walls)
    return result


def table_of_targets(results: Iterable[Result]) -> Iterator[str]:
    """The promises, as Markdown."""
    yield "| what | nxlog | compared with | result | target | |"
    yield "|---|---|---|---|---|---|"
    for result in results:
        scenario, target = result.scenario, result.scenario.target
        if target is None:
            continue
        ours = _number(result.medians.get(OURS), scenario.unit)
        reference = result.medians.get(scenario.reference)
        other = "" if target.kind == "value" else f"{scenario.reference} {_number(reference, scenario.unit)}"
        unit = "x" if target.kind in {"ratio", "speedup"} else scenario.unit
        achieved = _number(result.achieved(), unit)
        yield f"| {scenario.name} | {ours} | {other} | {achieved} | {target.text} | {result.verdict()} |"


def table_of_contestants(results: Iterable[Result]) -> Iterator[str]:
    """Everything that was measured, as Markdown."""
    yield "| what | who | median | x of the reference | by the clock |"
    yield "|---|---|---|---|---|"
    for result in results:
        scenario = result.scenario
        for name, median in result.medians.items():
            ratio = "(reference)" if name == scenario.reference else _number(result.ratio(name), "x")
            wall = _number(result.walls[name], scenario.unit) if name in result.walls else ""
            yield f"| {scenario.name} | {name} | {_number(median, scenario.unit)} | {ratio} | {wall} |"


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    digits = 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}{unit if unit == 'x' else f' {unit}'}"
