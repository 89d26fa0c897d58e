"""Comparing columns of ids. Slices are compared in C; no loop looks at single ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array


def count_shared(a: array[int], b: array[int], start: int = 0) -> int:
    """How many ids at the start of ``a`` are those of ``b`` from ``start`` on. The time is that of the ids shared."""
    low, high, step = 0, min(len(a), len(b) - start), 64
    while low < high:
        end = min(low + step, high)
        if a[low:end] != b[start + low : start + end]:
            return _first_other(a, b, start, low, end)
        low, step = end, 4 * step
    return low


def _first_other(a: array[int], b: array[int], start: int, low: int, high: int) -> int:
    """Where the first difference is, in [low, high). Each half that is compared is half as long as the one before."""
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[start + low : start + middle]:
            low = middle
        else:
            high = middle
    return low


def find(ids: array[int], wanted: array[int]) -> int:
    """Where ``wanted`` first is in ``ids``; -1 where it is not."""
    held, piece = ids.tobytes(), wanted.tobytes()
    at = held.find(piece)
    while at > 0 and at % ids.itemsize:
        at = held.find(piece, at + 1)
    return at // ids.itemsize if at >= 0 else -1
