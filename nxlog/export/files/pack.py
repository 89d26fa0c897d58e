"""Many rows as few buffers: each column of all rows in one, with offsets."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nxlog.export.files.rows import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class PackedColumn:
    """One column of n rows: row i has ``values[offsets[i]:offsets[i + 1]]``, or no such column where it is absent.

    Attributes:
        values: the values of all rows.
        offsets: n + 1 int32.
        absent: n int8, 1 where the row has no such column.
    """

    values: array[Any]
    offsets: array[int]
    absent: array[int]

    def row(self, index: int) -> array[Any] | None:
        """The column of one row."""
        return None if self.absent[index] else self.values[self.offsets[index] : self.offsets[index + 1]]


def pack(rows: Sequence[Row]) -> dict[str, PackedColumn]:
    """Every column of the rows."""
    return {name: _packed(typecode, [row.columns.get(name) for row in rows]) for name, typecode in COLUMNS.items()}


def _packed(typecode: str, columns: Iterable[array[Any] | None]) -> PackedColumn:
    packed = PackedColumn(array(typecode), array("i", [0]), array("b"))
    for column in columns:
        if column is not None:
            packed.values.extend(column)
        packed.offsets.append(len(packed.values))
        packed.absent.append(column is None)
    return packed


def unpack(heads: Iterable[tuple[str, Any, dict[str, Any]]], columns: dict[str, PackedColumn]) -> Iterator[Row]:
    """The rows again, of their heads (trajectory, kind, data) and their columns."""
    for i, (trajectory, kind, data) in enumerate(heads):
        found = {name: column for name, packed in columns.items() if (column := packed.row(i)) is not None}
        yield Row(trajectory, kind, data, found)
