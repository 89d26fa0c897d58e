"""A directory of parts, for formats whose files cannot grow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from nxlog.export.files.rows import Row

_UNFINISHED = ".unfinished"


class PartSink:
    """Gathers rows and writes them as a part when they are many enough. A part has its name only once it is whole.

    Args:
        path: the directory; made where it is missing. Parts that are there stay, the next one gets the next number.
        write_part: writes rows to a file.
        part_bytes: about how much is gathered, and so the most that is in memory and that a killed process loses.
        sync: wait for the disk when a part is written.
    """

    def __init__(
        self, path: Path, write_part: Callable[[Path, Sequence[Row]], None], *, part_bytes: int, sync: bool
    ) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path: Path = path
        self._write_part: Callable[[Path, Sequence[Row]], None] = write_part
        self._part_bytes: int = part_bytes
        self._sync: bool = sync
        self._rows: list[Row] = []
        self._size: int = 0
        self._number: int = max((_number(part) + 1 for part in _parts(path)), default=0)

    def write(self, rows: Iterable[Row]) -> None:
        """Gather the rows."""
        for row in rows:
            self._rows.append(row)
            self._size += row.size
            if self._size >= self._part_bytes:
                self.flush()

    def flush(self) -> None:
        """Write what was gathered as a part."""
        if not self._rows:
            return
        part = self._path / f"part-{self._number:06}{self._path.suffix}"
        unfinished = part.with_name(part.name + _UNFINISHED)
        self._write_part(unfinished, self._rows)
        if self._sync:
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
        unfinished.replace(part)
        self._number += 1
        self._rows, self._size = [], 0

    def close(self) -> None:
        """Write the last part."""
        self.flush()


def read_parts(path: Path, read_part: Callable[[Path], Iterator[Row]]) -> Iterator[Row]:
    """The rows of the parts of a directory, in order, or those of one file."""
    for part in _parts(path) if path.is_dir() else [path]:
        yield from read_part(part)


def _parts(path: Path) -> list[Path]:
    return sorted(path.glob(f"part-*{path.suffix}"), key=_number)


def _number(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))
