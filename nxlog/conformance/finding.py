"""What a check says, and what it looks at."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nxlog.probe.measured import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog.probe.answer import Answer


class Verdict(enum.StrEnum):
    """What became of a rule."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_APPLICABLE = "n/a"
    """The answers cannot tell, or the wire or the server has no such thing and says so."""
    INFO = "info"
    """Either is right, and good to know."""


class Seen(NamedTuple):
    """What a check saw in the answers of these names."""

    verdict: Verdict
    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found."""

    name: str
    rule: str
    verdict: Verdict
    seen: str
    shown_by: tuple[str, ...] = ()
    """Names of the questions."""


class Evidence(Answers):
    """The answers of one run."""

    def __init__(self, answers: Sequence[Answer], *, wire: str) -> None:
        super().__init__(answers)
        self.wire = wire

    def given(self, *names: str) -> list[Answer]:
        """Those of these names that were asked and not refused, whatever came of them."""
        found = [self.get(name) for name in names]
        return [answer for answer in found if answer is not None and not answer.refused]

    def recorded(self, *names: str) -> list[Answer]:
        """Those of these names that have token records."""
        return [answer for answer in self.arrived(*names) if answer.all_records]


def judged(faults: Sequence[tuple[str, str]], tried: Sequence[Answer], *, good: str, untried: str) -> Seen:
    """A failure with each fault and the answer it is in; else a pass, if anything was looked at."""
    if faults:
        return Seen(
            Verdict.FAIL, "; ".join(f"{name}: {what}" for name, what in faults), tuple(name for name, _ in faults)
        )
    if tried:
        return Seen(Verdict.PASS, good, tuple(answer.name for answer in tried))
    return untold(untried)


def untold(why: str) -> Seen:
    """Nothing that can be said."""
    return Seen(Verdict.NOT_APPLICABLE, why)


def plural(count: int, word: str) -> str:
    """A number and what it counts."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
