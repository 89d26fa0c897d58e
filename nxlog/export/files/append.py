"""A file that grows by whole pieces."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class AppendFile:
    """Every piece goes to the operating system at once, so that the process can be killed and the piece is kept.

    Args:
        path: the file; made where it is missing.
        whole: how many bytes of an existing file are whole pieces. The rest, which a killed process left, is cut off.
        sync: wait for the disk too, so that the machine can fail and the piece is kept.
    """

    def __init__(self, path: Path, *, whole: Callable[[Path], int], sync: bool) -> None:
        self.size: int = whole(path) if path.exists() else 0
        self._file = path.open("ab", buffering=0)
        if self._file.tell() != self.size:
            self._file.truncate(self.size)
        self._sync: bool = sync

    def append(self, piece: bytes | memoryview) -> None:
        """Write a piece at the end."""
        rest = memoryview(piece)
        self.size += len(rest)
        while rest:
            rest = rest[self._file.write(rest) :]
        if self._sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
