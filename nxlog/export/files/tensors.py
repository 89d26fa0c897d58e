"""Parts as named tensors: ``npz`` and ``safetensors``.

Both hold, of all rows of the part, each column as a tensor and its offsets, and ``rows``: the rest as bytes of JSON.
"""

from __future__ import annotations

import importlib
from array import array
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nxlog import _json
from nxlog.export.files.pack import PackedColumn, pack, unpack
from nxlog.export.files.rows import COLUMNS, FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nxlog.export.files.rows import Row

# These have no types that say everything.
safetensors: Any = importlib.import_module("safetensors.numpy")
savez: Any = np.savez


def write_npz(path: Path, rows: Sequence[Row]) -> None:
    """One whole file."""
    with path.open("wb") as file:  # given a name, NumPy adds a suffix to it
        savez(file, **_tensors(rows))


def read_npz(path: Path) -> Iterator[Row]:
    """The rows of a file."""
    with np.load(path) as tensors:
        return _rows(dict(tensors), path)


def write_safetensors(path: Path, rows: Sequence[Row]) -> None:
    """One whole file."""
    safetensors.save_file(_tensors(rows), path, metadata={"format": FORMAT})


def read_safetensors(path: Path) -> Iterator[Row]:
    """The rows of a file."""
    return _rows(safetensors.load_file(path), path)


def _tensors(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    heads = [[row.trajectory, row.kind, row.data] for row in rows]
    head = _json.dumps({"format": FORMAT, "rows": heads}).encode()
    tensors: dict[str, NDArray[Any]] = {"rows": np.frombuffer(head, np.uint8)}
    for name, column in pack(rows).items():
        tensors[name] = np.asarray(column.values)
        tensors[f"{name}.offsets"] = np.asarray(column.offsets)
        tensors[f"{name}.absent"] = np.asarray(column.absent)
    return tensors


def _rows(tensors: dict[str, NDArray[Any]], path: Path) -> Iterator[Row]:
    head: dict[str, Any] = msgspec.json.decode(tensors["rows"].tobytes()) if "rows" in tensors else {}
    if head.get("format") != FORMAT:
        raise ValueError(f"{path.name} does not say that it holds {FORMAT!r}")
    columns = {
        name: PackedColumn(
            array(typecode, tensors[name].tobytes()),
            array("i", tensors[f"{name}.offsets"].tobytes()),
            array("b", tensors[f"{name}.absent"].tobytes()),
        )
        for name, typecode in COLUMNS.items()
    }
    return unpack(head["rows"], columns)
