"""Rows as Arrow record batches: an IPC stream that can be appended to, and parts of a Parquet data set."""

from __future__ import annotations

import importlib
from array import array
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from nxlog import _json
from nxlog.export.files.append import AppendFile
from nxlog.export.files.pack import PackedColumn, pack, unpack
from nxlog.export.files.rows import COLUMNS, FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from nxlog.export.files.rows import Row

# pyarrow has no types.
pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")

_T = TypeVar("_T")
_TYPES = {"i": pa.int32(), "d": pa.float64()}
_HEADS = {"trajectory": pa.string(), "kind": pa.string(), "step": pa.int32(), "role": pa.string()}
SCHEMA: Any = pa.schema(
    [
        *_HEADS.items(),
        ("trainable", pa.bool_()),
        ("data", pa.string()),
        *((name, pa.list_(_TYPES[typecode])) for name, typecode in COLUMNS.items()),
    ],
    metadata={"format": FORMAT},
)
"""``step``, ``role`` and ``trainable`` are for queries; ``data`` has all that is not in a column, as JSON."""


class ArrowSink:
    """Appends a record batch for each call, without the mark at the end that a stream may have and need not."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        self._file: AppendFile = AppendFile(path, whole=_whole_messages, sync=sync)
        if not self._file.size:
            self._file.append(memoryview(SCHEMA.serialize()))

    def write(self, rows: Sequence[Row]) -> None:
        """Append the rows, in one write."""
        self._file.append(memoryview(batch_of(rows).serialize()))

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_arrow(path: Path) -> Iterator[Row]:
    """The rows of a file, without a last batch that is not whole; one batch in memory at a time.

    Raises:
        ValueError: the file is not one of ours.
    """
    with pa.OSFile(str(path)) as file:
        stream = _next(lambda: pa.ipc.open_stream(file), file, path)
        if stream is None:
            return
        _check(stream.schema, path)
        while (batch := _next(stream.read_next_batch, file, path)) is not None:
            yield from rows_of(batch)


def _next(read: Callable[[], _T], file: Any, path: Path) -> _T | None:
    """What is read next; None at the end, or where a killed process left something unfinished there."""
    try:
        return read()
    except StopIteration:
        return None
    except (OSError, pa.ArrowInvalid) as error:
        # Whoever needs more than there is has read to the end. Anything else is not ours to cut off.
        if file.tell() < file.size():
            raise ValueError(f"{path.name} is broken before byte {file.tell()}: {error}") from error
        return None


def _whole_messages(path: Path) -> int:
    """How many bytes of the file are whole messages."""
    whole = 0
    with pa.OSFile(str(path)) as file:
        messages = pa.ipc.MessageReader.open_stream(file)
        while _next(messages.read_next_message, file, path) is not None:
            whole = file.tell()
    return whole


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """One whole file."""
    # Ids and log-probabilities hardly repeat: dictionaries and statistics of them cost time and tell nothing.
    pq.write_table(
        pa.Table.from_batches([batch_of(rows)]),
        path,
        compression="zstd",
        use_dictionary=[*_HEADS],
        use_byte_stream_split=[f"{name}.list.element" for name, typecode in COLUMNS.items() if typecode == "d"],
        write_statistics=[*_HEADS, "trainable"],
    )


def read_parquet(path: Path) -> Iterator[Row]:
    """The rows of a file, one group of them in memory at a time.

    Raises:
        ValueError: the file is not one of ours.
    """
    with pq.ParquetFile(path) as file:
        _check(file.schema_arrow, path)
        for batch in file.iter_batches(batch_size=64):
            yield from rows_of(batch)


def _check(schema: Any, path: Path) -> None:
    metadata: dict[bytes, bytes] = schema.metadata or {}
    if metadata.get(b"format") != FORMAT.encode():
        raise ValueError(f"{path.name} does not say that it holds {FORMAT!r}")


def batch_of(rows: Sequence[Row]) -> Any:
    """The rows as a record batch. The columns are not copied again once they are joined."""
    heads = [
        [row.trajectory for row in rows],
        [row.kind for row in rows],
        [row.data.get("step") for row in rows],
        [row.data.get("turn", {}).get("role") for row in rows],
    ]
    arrays = [pa.array(head, kind) for head, kind in zip(heads, _HEADS.values(), strict=True)]
    arrays.append(pa.array([row.data["reason"] is None if row.kind == "step" else None for row in rows], pa.bool_()))
    arrays.append(pa.array([_json.dumps(row.data) for row in rows], pa.string()))
    arrays += [_list_array(column) for column in pack(rows).values()]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _list_array(column: PackedColumn) -> Any:
    values, kind = column.values, _TYPES[column.values.typecode]
    return pa.ListArray.from_arrays(
        _flat(column.offsets, pa.int32()),
        _flat(values, kind),
        mask=_flat(column.absent, pa.int8()).cast(pa.bool_()),
    )


def _flat(values: array[Any], kind: Any) -> Any:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def rows_of(batch: Any) -> Iterator[Row]:
    """The rows of a record batch."""
    names = [*_HEADS][:2]
    heads: Iterable[Any] = zip(
        *(batch.column(name).to_pylist() for name in names),
        map(msgspec.json.decode, batch.column("data").to_pylist()),
        strict=True,
    )
    return unpack(heads, {name: _column(batch.column(name), typecode) for name, typecode in COLUMNS.items()})


def _column(column: Any, typecode: str) -> PackedColumn:
    flat, offsets = column.flatten(), array("i", column.offsets.to_pylist())
    values: array[Any] = array(typecode)
    buffer = memoryview(flat.buffers()[1] or b"")
    values.frombytes(buffer[flat.offset * values.itemsize : (flat.offset + len(flat)) * values.itemsize])
    offsets = array("i", [offset - offsets[0] for offset in offsets])
    return PackedColumn(values, offsets, array("b", column.is_null().to_pylist()))
