"""What a GGUF file says of its tokenizer. The tensors are not touched."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, Any

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)


def read_metadata(path: Path) -> dict[str, Any]:
    """The fields of the header whose names begin with ``tokenizer.``.

    Raises:
        InvalidRequestError: this is no GGUF file of a version that is known, or it is cut short.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(data).fields()
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {error.strerror}", param="path") from None
    except (struct.error, ValueError, OverflowError, MemoryError, KeyError, RecursionError) as error:
        raise InvalidRequestError(f"{path} is no GGUF file, or a damaged one: {error}", param="path") from None


class _Header:
    """Reads from front to back."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def fields(self) -> dict[str, Any]:
        if self._bytes(4) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        (version,) = self._scalars("I", 1)
        if version not in _VERSIONS:
            raise ValueError(f"version {version}")
        _, count = self._scalars("Q", 2)
        found: dict[str, Any] = {}
        for _ in range(count):
            name = self._string()
            value = self._value(self._scalars("I", 1)[0])
            if name.startswith("tokenizer."):
                found[name] = value
        return found

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._scalars(_SCALARS[kind], 1)[0]
        (inner,) = self._scalars("I", 1)
        (count,) = self._scalars("Q", 1)
        if inner in _SCALARS:
            return self._scalars(_SCALARS[inner], count)
        return [self._value(inner) for _ in range(count)]

    def _string(self) -> str:
        return self._bytes(self._scalars("Q", 1)[0]).decode("utf-8", "replace")

    def _scalars(self, code: str, count: int) -> tuple[Any, ...]:
        form = f"<{count}{code}"
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values

    def _bytes(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise ValueError("it ends too early")
        self._at += count
        return piece
