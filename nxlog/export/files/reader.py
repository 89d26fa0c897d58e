"""Reading trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nxlog.export.files.formats import read_rows
from nxlog.export.files.rows import trajectories_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from nxlog.trajectory import Trajectory


def read_trajectories(
    path: str | os.PathLike[str], *, decode: Callable[[list[int]], str] | None = None
) -> Iterator[Trajectory]:
    """The trajectories of a file or a directory of parts, equal to those that were written.

    Each is there when its last row was read, so only those that were written at the same time are in memory together.
    Those that were not finished come last; turns can be added to them (see ``TrajectoryWriter.resume``).

    Args:
        path: where they are; the suffix says the format.
        decode: for the checks of turns that are added.

    Raises:
        ValueError: no format has the suffix, or the content is not whole and in order.
        ImportError: the format's extra is not installed.
    """
    yield from trajectories_of(read_rows(Path(path)), decode=decode)
