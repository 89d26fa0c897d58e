"""What a measurement says: claims and traits in the words of the registry, each with the questions that show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nxlog.probe.answer import Answer, Outcome
from nxlog.registry import Posture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nxlog.registry import Requirement

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One claim or trait. ``unknown`` with a note is what was tried and did not tell."""

    value: str = UNKNOWN
    shown_by: tuple[str, ...] = ()
    """Names of the questions."""
    note: str | None = None
    min: int | None = None
    max: int | None = None
    default: int | None = None
    requires: tuple[Requirement, ...] = ()
    posture: Posture | None = None
    json_key: str | None = None
    least_max: int | None = None
    """A number that was delivered, where no limit was met; no field of a claim."""

    @property
    def known(self) -> bool:
        """Whether the value says something."""
        return self.value != UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Everything that was found out."""

    posture: Posture = Posture.UNKNOWN
    claims: Mapping[str, Measured] = field(default_factory=dict[str, Measured])
    traits: Mapping[str, Measured] = field(default_factory=dict[str, Measured])
    remarks: tuple[str, ...] = ()
    """What the registry has no word for."""

    @property
    def all(self) -> dict[str, Measured]:
        """Claims and traits."""
        return {**self.claims, **self.traits}


class Answers:
    """The answers of one probe, by the names of their questions."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._by_name = {answer.name: answer for answer in answers}

    def get(self, name: str) -> Answer | None:
        """The answer of that name; None where it was not asked."""
        found = self._by_name.get(name)
        return None if found is None or found.lacking is not None else found

    def arrived(self, *names: str) -> list[Answer]:
        """Those of that name (all without names) that are replies and no errors."""
        found = [self.get(name) for name in names or self._by_name]
        return [answer for answer in found if answer is not None and answer.arrived]

    def outcomes(self, *names: str) -> dict[str, Outcome]:
        """What became of the token records that the questions of these names ask for."""
        found = ((name, self.get(name)) for name in names)
        return {name: a.outcome(came=bool(a.all_records)) for name, a in found if a is not None}


POSTURES = {Outcome.REFUSED: Posture.REFUSES, Outcome.IGNORED: Posture.IGNORES}
"""What an outcome says of the server's manners."""


def words_of(answer: Answer, limit: int = 160) -> str:
    """The server's own words for its refusal, in one line."""
    text = " ".join(answer.error.message.split()) if answer.error is not None else ""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def denied(answers: Mapping[str, Answer], outcomes: Mapping[str, Outcome]) -> Measured:
    """What is to be said of a thing that no answer has: refused, ignored, or nothing is known."""
    for outcome, posture in POSTURES.items():
        names = tuple(name for name, found in outcomes.items() if found is outcome)
        if names:
            said = words_of(answers[names[0]]) if outcome is Outcome.REFUSED else None
            return Measured(value="no", shown_by=names, posture=posture, note=said)
    return Measured(note=why_not(outcomes))


def why_not(outcomes: Mapping[str, Outcome]) -> str | None:
    """Why nothing is known."""
    if Outcome.FAILED in outcomes.values():
        return "the questions got no answer"
    return "the replies say nothing" if Outcome.SILENT in outcomes.values() else None
