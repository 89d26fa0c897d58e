"""Rows as lines of JSON."""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING, Any, cast

import msgspec

from nxlog import _json
from nxlog.export.files.append import AppendFile
from nxlog.export.files.rows import COLUMNS, FORMAT, Row
from nxlog.turn_dump import float_column, plain_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_HEAD = {"format": FORMAT}


class JsonlSink:
    """Appends a line for each row. A line that a killed process left unfinished is cut off when the file is opened."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        self._file: AppendFile = AppendFile(path, whole=_whole_lines, sync=sync)
        if not self._file.size:
            self._file.append(_line(_HEAD))

    def write(self, rows: Iterable[Row]) -> None:
        """Append the rows, in one write."""
        self._file.append(b"".join(_line(_object(row)) for row in rows))

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_jsonl(path: Path) -> Iterator[Row]:
    """The rows of a file, without a last line that is not finished.

    Raises:
        ValueError: the file is not one of ours, or a line is broken.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                value = msgspec.json.decode(line)
                if number > 1:
                    yield _row(value)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path.name}, line {number}: {error}") from error
            if number == 1 and value != _HEAD:
                raise ValueError(f"{path.name} does not start with {_HEAD}")


def _line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _object(row: Row) -> dict[str, Any]:
    columns = {
        name: plain_values(column) if column.typecode == "d" else column.tolist()
        for name, column in row.columns.items()
    }
    return {"trajectory": row.trajectory, "kind": row.kind, **_json.json_safe(row.data), **columns}


def _row(value: dict[str, Any]) -> Row:
    columns = {
        name: float_column(values) if typecode == "d" else array("i", values)
        for name, typecode in COLUMNS.items()
        if (values := value.pop(name, None)) is not None
    }
    return Row(value.pop("trajectory"), value.pop("kind"), value, cast("dict[str, array[Any]]", columns))


def _whole_lines(path: Path) -> int:
    """How many bytes of the file are whole lines."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
