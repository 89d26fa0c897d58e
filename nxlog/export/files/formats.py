"""The formats by suffix. What needs an extra is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

from nxlog.export.files.jsonl import JsonlSink, read_jsonl
from nxlog.export.files.parts import PartSink, read_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from nxlog.export.files.rows import Row

SUFFIXES = (".jsonl", ".arrow", ".parquet", ".npz", ".safetensors")
_EXTRA = {".arrow": "arrow", ".parquet": "arrow", ".npz": "tensors", ".safetensors": "tensors"}


class Sink(Protocol):
    """Where rows go."""

    def write(self, rows: Sequence[Row]) -> None:
        """Take the rows."""

    def flush(self) -> None:
        """Write what waits in memory."""

    def close(self) -> None:
        """Write what waits, and close."""


def open_sink(path: Path, *, part_bytes: int, sync: bool) -> Sink:
    """The sink for a path.

    Raises:
        ValueError: no format has its suffix.
        ImportError: the format's extra is not installed.
    """
    suffix = _suffix(path)
    if suffix == ".jsonl":
        return JsonlSink(path, sync=sync)
    module = _module(suffix)
    if suffix == ".arrow":
        sink: Sink = module.ArrowSink(path, sync=sync)
        return sink
    write_part = getattr(module, f"write_{suffix[1:]}")
    return PartSink(path, write_part, part_bytes=part_bytes, sync=sync)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a path.

    Raises:
        ValueError: no format has its suffix, or the content is not that of the format.
        ImportError: the format's extra is not installed.
    """
    suffix = _suffix(path)
    if suffix == ".jsonl":
        return read_jsonl(path)
    read = getattr(_module(suffix), f"read_{suffix[1:]}")
    rows: Iterator[Row] = read(path) if suffix == ".arrow" else read_parts(path, read)
    return rows


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path.name}: the suffix is none of {', '.join(SUFFIXES)}")
    return path.suffix


def _module(suffix: str) -> ModuleType:
    extra = _EXTRA[suffix]
    try:
        return importlib.import_module(f"nxlog.export.files.{extra}")
    except ImportError as error:
        raise ImportError(f"{suffix} needs the extra {extra!r}: pip install 'nxlog[{extra}]'") from error
