"""Where trajectories go while they grow, and what a run before this one left there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from nxlog.errors import InvalidRequestError
from nxlog.export.files import open_writer, read_trajectories
from nxlog.rollout.report import KEY, RolloutResult
from nxlog.trajectory import Trajectory

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from nxlog.rollout.task import Shard
    from nxlog.trajectory import PrefixPolicy

    Decode = Callable[[list[int]], str]

_GROWING = (".jsonl", ".arrow")
"""Formats of files that grow turn by turn. The others gather many turns before they write."""


class Store(Protocol):
    """Keeps trajectories."""

    def has(self, row: str) -> bool:
        """Whether the row has ended."""
        ...

    def open(self, row: str) -> Trajectory:
        """The trajectory of a row: as it was left, or a new one."""
        ...

    def write(self, trajectory: Trajectory) -> None:
        """Keep what is new."""
        ...

    def close(self) -> None:
        """Nothing more is written."""
        ...


class MemoryStore:
    """Keeps the finished ones in memory."""

    def __init__(self, *, policy: PrefixPolicy, decode: Decode | None) -> None:
        self.trajectories: list[Trajectory] = []
        self._policy: PrefixPolicy = policy
        self._decode: Decode | None = decode

    def has(self, row: str) -> bool:
        """Nothing was before."""
        del row
        return False

    def open(self, row: str) -> Trajectory:
        """A new trajectory."""
        return Trajectory(id=row, policy=self._policy, decode=self._decode)

    def write(self, trajectory: Trajectory) -> None:
        """Keep it when it is finished."""
        if trajectory.finished:
            self.trajectories.append(trajectory)

    def close(self) -> None:
        """Nothing to close."""


class FileStore:
    """Keeps them in a file that only grows. Each turn is handed to the operating system when it is there.

    Raises:
        InvalidRequestError: the format does not grow, or another run has the file.
        ValueError: the file is not one of ours.
    """

    def __init__(self, path: Path, *, policy: PrefixPolicy, decode: Decode | None) -> None:
        if path.suffix not in _GROWING:
            raise InvalidRequestError(f"{path.name}: a rollout writes {' or '.join(_GROWING)}", param="path")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock: BinaryIO = _locked(path)
        self._policy: PrefixPolicy = policy
        self._decode: Decode | None = decode
        self._ended: set[str] = set()
        self._left: dict[str, Trajectory] = {}
        try:
            for trajectory in read_trajectories(path, decode=decode) if path.stat().st_size else ():
                if trajectory.finished:
                    self._ended.add(trajectory.id)
                else:
                    self._left[trajectory.id] = trajectory
            self._writer = open_writer(path)
        except BaseException:
            self._lock.close()
            raise

    def has(self, row: str) -> bool:
        """Whether the row has ended."""
        return row in self._ended

    def open(self, row: str) -> Trajectory:
        """The trajectory as a run before this one left it, or a new one."""
        trajectory = self._left.pop(row, None)
        if trajectory is None:
            return Trajectory(id=row, policy=self._policy, decode=self._decode)
        self._writer.resume(trajectory)
        return trajectory

    def write(self, trajectory: Trajectory) -> None:
        """Append what is new."""
        self._writer.write(trajectory)

    def close(self) -> None:
        """Close the file, and let others have it."""
        self._writer.close()
        self._lock.close()


def _locked(path: Path) -> BinaryIO:
    """The file, open and ours alone: two runs would write their rows twice. A killed process lets go of it."""
    file = path.open("ab")
    try:
        fcntl = importlib.import_module("fcntl")
    except ImportError:  # Windows has no such locks; there nobody looks after it
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise InvalidRequestError(f"{path}: another run is writing to it", param="path") from None
    return file


def shard_path(path: str | os.PathLike[str], shard: Shard) -> Path:
    """The file of a shard.

    >>> from nxlog.rollout.task import Shard
    >>> shard_path("run.jsonl", Shard()).name, shard_path("run.jsonl", Shard(3, 16)).name
    ('run.jsonl', 'run-00003-of-00016.jsonl')
    """
    whole = Path(path)
    if shard.count == 1:
        return whole
    return whole.with_name(f"{whole.stem}-{shard.index:05}-of-{shard.count:05}{whole.suffix}")


def read_rollouts(path: str | os.PathLike[str]) -> Iterator[RolloutResult]:
    """The conversations of a file that have ended, as it is now.

    Raises:
        ValueError: the file is not one of ours.
    """
    for trajectory in read_trajectories(path):
        if trajectory.finished and KEY in trajectory.metadata:
            yield RolloutResult.of(trajectory)
