"""Writing trajectories while they grow."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from nxlog.export.files.formats import open_sink
from nxlog.export.files.rows import end_row, start_row, step_row

if TYPE_CHECKING:
    import os
    from typing import Self

    from nxlog.export.files.formats import Sink
    from nxlog.trajectory import Trajectory


class _Written:
    """How much of a trajectory is in the file. Forgotten when the trajectory is."""

    __slots__ = ("ended", "started", "steps", "trajectory")

    def __init__(self, trajectory: weakref.ref[Trajectory]) -> None:
        self.trajectory: weakref.ref[Trajectory] = trajectory
        self.started: bool = False
        self.steps: int = 0
        self.ended: bool = False


class TrajectoryWriter:
    """Writes trajectories to one file or directory; made by ``open_writer``. For one thread at a time.

    Memory does not grow with what was written: the writer knows only trajectories that are still in use.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink = sink
        self._written: dict[int, _Written] = {}

    def write(self, trajectory: Trajectory) -> int:
        """Write what is new since the last call, and that the trajectory is finished where it is.

        Returns:
            How many turns were new.
        """
        state = self._state(trajectory)
        rows = [] if state.started else [start_row(trajectory)]
        new = trajectory.steps[state.steps :]
        rows += [step_row(trajectory.id, step) for step in new]
        if trajectory.finished and not state.ended:
            rows.append(end_row(trajectory))
        if rows:
            self._sink.write(rows)
        state.started, state.steps, state.ended = True, len(trajectory), trajectory.finished
        return len(new)

    def resume(self, trajectory: Trajectory) -> None:
        """Say that a trajectory, as it is now, is in the file: it was read from there."""
        state = self._state(trajectory)
        state.started, state.steps, state.ended = True, len(trajectory), trajectory.finished

    def _state(self, trajectory: Trajectory) -> _Written:
        key = id(trajectory)
        state = self._written.get(key)
        if state is None:
            forget = self._written.pop
            state = _Written(weakref.ref(trajectory, lambda _: forget(key, None)))
            self._written[key] = state
        return state

    def flush(self) -> None:
        """Write the part that is being gathered, where the format has parts."""
        self._sink.flush()

    def close(self) -> None:
        """Write what is left, and close."""
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


def open_writer(path: str | os.PathLike[str], *, part_bytes: int = 16_000_000, sync: bool = False) -> TrajectoryWriter:
    """Open a file, or a directory of parts, to write trajectories behind those that are there.

    Args:
        path: where to; the suffix says the format.
        part_bytes: about how much a part holds, where the format has parts: the most that is in memory, and that is
            lost when the process is killed.
        sync: wait for the disk at every write, so that also the machine may fail.

    Raises:
        ValueError: no format has the suffix, or the file is not one of ours.
        ImportError: the format's extra is not installed.
    """
    return TrajectoryWriter(open_sink(Path(path), part_bytes=part_bytes, sync=sync))
