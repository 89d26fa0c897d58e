"""How far a run is, on a terminal (needs ``nxlog[rl]``)."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(slots=True)
class Tally:
    """What a run has done so far.

    Attributes:
        done: conversations that ended.
        skipped: those that a run before this one ended.
        failed: those that were given up, for the next run to take up.
        turns: how often the model spoke.
        tokens: how many tokens it sampled.
        retries: requests that failed and were sent again.
        pauses: how often the server asked to wait.
    """

    done: int = 0
    skipped: int = 0
    failed: int = 0
    turns: int = 0
    tokens: int = 0
    retries: int = 0
    pauses: int = 0

    def __str__(self) -> str:
        parts = [f"{self.turns} turns", f"{self.tokens} tokens"]
        rare = {"retries": self.retries, "pauses": self.pauses, "failed": self.failed}
        return ", ".join(parts + [f"{count} {name}" for name, count in rare.items() if count])


class Show(Protocol):
    """Shows a tally."""

    def __call__(self, tally: Tally) -> None:
        """Show it as it is now."""
        ...


@contextlib.contextmanager
def progress_bar(total: int | None, *, wanted: bool | None) -> Generator[Show]:
    """A bar on stderr while the block runs.

    Args:
        total: how many conversations there are, where that is known.
        wanted: None shows it where stderr is a terminal and rich is installed.

    Raises:
        ImportError: it is wanted, and rich is not installed.
    """
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield _nothing
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        if wanted:
            raise ImportError("a progress bar needs rich: pip install 'nxlog[rl]'") from None
        yield _nothing
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=total)

        def show(tally: Tally) -> None:
            progress.update(bar, completed=tally.done + tally.skipped + tally.failed, description=str(tally))

        yield show


def _nothing(tally: Tally) -> None:
    del tally
