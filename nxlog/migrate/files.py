"""Files: which ones, how they are read, and how they are written so that none is ever half written."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}
_ENVIRONMENT = "pyvenv.cfg"
"""The file at the root of every virtual environment, whatever it is called."""


class UnreadableError(Exception):
    """A file that cannot be read as Python source, and why."""


@dataclass(frozen=True)
class Source:
    """One file as it was read."""

    path: Path
    text: str
    encoding: str

    def encode(self, text: str) -> bytes:
        """The bytes of a text in the file's encoding, with its byte order mark where it had one."""
        return text.encode(self.encoding)


def python_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and every ``*.py`` below the directories named, each once.

    Hidden directories, virtual environments and installed packages are passed over, links to directories not followed.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _below(path) if path.is_dir() else [path]:
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                yield file


def _below(directory: Path) -> Iterator[Path]:
    for root, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if not _is_skipped(Path(root, name)))
        for name in sorted(files):
            file = Path(root, name)
            if name.endswith(".py") and file.is_file() and not file.is_symlink():
                yield file


def _is_skipped(directory: Path) -> bool:
    name = directory.name
    return name.startswith(".") or name in _SKIPPED or (directory / _ENVIRONMENT).exists()


def read(path: Path) -> Source:
    """Read a file in the encoding that it declares; its line endings stay as they are.

    Raises:
        UnreadableError: it is not text in that encoding, or cannot be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"cannot be opened: {error.strerror}") from error
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UnreadableError(f"is not text in its encoding: {error}") from error
    return Source(path, text, encoding)


def write(source: Source, text: str) -> None:
    """Put a new text in the place of a file, all of it or nothing; its permissions stay.

    Raises:
        OSError: it cannot be written, or has changed since it was read.
    """
    # Through a link, the file it leads to is replaced, not the link.
    path = source.path.resolve()
    if path.read_bytes() != source.encode(source.text):
        raise OSError("it has changed since it was read")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(source.encode(text))
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, name)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
