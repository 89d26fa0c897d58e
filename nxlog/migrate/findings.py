"""What a migration says about each place: rewritten, to be done by hand, or not to be seen from here."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """What became of one place in a file."""

    REWRITTEN = "rewritten"
    """The new code is in ``Migration.after``."""
    BY_HAND = "by hand"
    """It asks for logprobs, and rewriting it could change more than that; the reason says what."""
    UNSEEN = "not seen"
    """It may ask for logprobs: what it passes on comes from elsewhere."""
    UNREADABLE = "unreadable"
    """The file is not Python that can be read."""


@dataclass(frozen=True, order=True)
class Finding:
    """One place, and what became of it."""

    line: int
    column: int
    outcome: Outcome
    message: str
    write: str | None = None
    """The code to write instead, where it is done by hand."""


@dataclass(frozen=True)
class Migration:
    """One file before and after; ``after`` is ``before`` where nothing could be rewritten."""

    before: str
    after: str
    findings: tuple[Finding, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the code differs."""
        return self.before != self.after

    @property
    def clean(self) -> bool:
        """Whether nothing is left to do: nothing to rewrite, and nothing to do by hand."""
        return not self.changed and all(finding.outcome is Outcome.UNSEEN for finding in self.findings)


class Refusal(Exception):  # noqa: N818 - it ends an attempt, it reports no error
    """Why something is not rewritten; its text completes "by hand: ..."."""
