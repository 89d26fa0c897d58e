"""Alternatives as SGLang sends them with ``return_flat_raw_output_top_logprobs``: two long columns and their shape.

They are lists of numbers, or base64 of arrays. The texts of the tokens are not among them.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct

from nxlog._json import NULL, as_list, integer, loads_anything, raw_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORMATS = {"float32": ("f", 4), "float64": ("d", 8), "int32": ("i", 4), "int64": ("q", 8)}


class FlatAlternatives(Struct, gc=False, kw_only=True):
    """Base of a struct that has them among its fields."""

    output_top_logprobs_val_flat: Raw = NULL
    output_top_logprobs_idx_flat: Raw = NULL
    output_top_logprobs_val_flat_b64: str | None = None
    output_top_logprobs_idx_flat_b64: str | None = None
    output_top_logprobs_val_flat_b64_dtype: str | None = None
    output_top_logprobs_idx_flat_b64_dtype: str | None = None
    output_top_logprobs_shape: Raw = NULL
    output_top_logprobs_null_prefix: int | None = None


def flat_alternatives(columns: FlatAlternatives) -> list[Raw]:
    """The alternatives of every place, as arrays of ``[logprob, id]``; none where there are no such columns."""
    if columns.output_top_logprobs_shape == NULL:
        return []
    shape = [integer(size) for size in as_list(loads_anything(columns.output_top_logprobs_shape))]
    values = _unpacked(columns.output_top_logprobs_val_flat_b64, columns.output_top_logprobs_val_flat_b64_dtype)
    ids = _unpacked(columns.output_top_logprobs_idx_flat_b64, columns.output_top_logprobs_idx_flat_b64_dtype)
    values = as_list(loads_anything(columns.output_top_logprobs_val_flat)) if values is None else values
    ids = as_list(loads_anything(columns.output_top_logprobs_idx_flat)) if ids is None else ids
    width = shape[-1] if shape else None
    if width is None or width < 1 or len(values) != len(ids):
        return []
    pairs = list(zip(values, ids, strict=True))
    # The places before the first one that has alternatives are counted, not listed.
    before = [NULL] * (columns.output_top_logprobs_null_prefix or 0)
    return [*before, *(raw_of(pairs[i : i + width]) for i in range(0, len(pairs), width))]


def _unpacked(text: str | None, dtype: str | None) -> Sequence[Any] | None:
    kind, size = _FORMATS.get(dtype or "", ("", 0))
    if text is None or not kind:
        return None
    try:
        packed = base64.b64decode(text, validate=True)
        return struct.unpack(f"<{len(packed) // size}{kind}", packed)
    except (ValueError, struct.error):  # binascii.Error is a ValueError
        return None
