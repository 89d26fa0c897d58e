"""Token records as columns: buffers for bulk work, and a compact form that lets the reply's text go."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, TypeGuard, cast, overload

import msgspec

from nxlog._json import EMPTY, NULL
from nxlog._record_json import encode_alternatives
from nxlog._records import TokenLogprob, TopLogprob

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_ID = -1
"""Stands in an id column for a record whose id the server did not send."""

_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Columns:
    """One channel as columns. n is the number of token records, m that of all their alternatives.

    The arrays support the buffer protocol: ``numpy.asarray(columns.logprobs)`` copies nothing.

    Attributes:
        tokens: n texts.
        logprobs: n float64, natural logarithms; NaN where the server sent no value.
        token_ids: n int64, -1 where a record has no id; None when no record has one.
        offsets: n + 1 int64; the alternatives of record i are ``[offsets[i]:offsets[i + 1]]``.
        top_tokens: m texts.
        top_logprobs: m float64, NaN where missing.
        top_token_ids: m int64, or None.
    """

    tokens: list[str]
    logprobs: array[float]
    token_ids: array[int] | None
    offsets: array[int]
    top_tokens: list[str]
    top_logprobs: array[float]
    top_token_ids: array[int] | None

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"Columns({len(self.tokens)} tokens, {len(self.top_tokens)} alternatives)"


def _values(records: Iterable[TokenLogprob | TopLogprob]) -> array[float]:
    return array("d", [math.nan if record.logprob is None else record.logprob for record in records])


def _ids(records: Sequence[TokenLogprob | TopLogprob]) -> array[int] | None:
    ids = [record.token_id for record in records]
    if all(token_id is None for token_id in ids):
        return None
    return array("q", [token_id if _fits(token_id) else NO_ID for token_id in ids])


def _fits(token_id: int | None) -> TypeGuard[int]:
    return token_id is not None and -_INT64 <= token_id < _INT64


def columns_of(tokens: Sequence[TokenLogprob]) -> Columns:
    """The columns of one channel; every alternative is decoded once."""
    alternatives = [token.top_logprobs for token in tokens]
    flat = list(chain.from_iterable(alternatives))
    return Columns(
        tokens=[token.token for token in tokens],
        logprobs=_values(tokens),
        token_ids=_ids(tokens),
        offsets=array("q", accumulate(map(len, alternatives), initial=0)),
        top_tokens=[top.token for top in flat],
        top_logprobs=_values(flat),
        top_token_ids=_ids(flat),
    )


class _Side:
    """The records of one level (tokens, or all their alternatives) with every distinct text stored once."""

    __slots__ = ("ids", "odd", "text", "values")

    def __init__(self, records: Sequence[TokenLogprob | TopLogprob], table: dict[tuple[str, bytes], int]) -> None:
        self.text = array("L", [table.setdefault((r.token, bytes(r.raw_bytes)), len(table)) for r in records])
        self.values = _values(records)
        self.ids = _ids(records)
        self.odd = {i: odd for i, record in enumerate(records) if (odd := _odd(record))}

    def fields(self, i: int, table: list[tuple[str, bytes]]) -> dict[str, Any]:
        token, raw_bytes = table[self.text[i]]
        token_id = NO_ID if self.ids is None else self.ids[i]
        return {
            "token": token,
            "logprob": self.values[i],
            "raw_bytes": msgspec.Raw(raw_bytes),
            "raw_token_id": None if token_id == NO_ID else token_id,
            **self.odd.get(i, {}),
        }


def _odd(record: TokenLogprob | TopLogprob) -> dict[str, Any]:
    """What columns cannot say: missing is not NaN, strange ids, and JSON that nxlog does not know."""
    odd: dict[str, Any] = {}
    if record.logprob is None:
        odd["logprob"] = None
    token_id = record.token_id
    if token_id is not None and (token_id == NO_ID or not _fits(token_id)):
        odd["raw_token_id"] = token_id
    if record.raw_source != NULL:
        odd["raw_source"] = record.raw_source.copy()
    if isinstance(record, TokenLogprob) and bytes(record.raw_top_logprobs)[:1] not in b"[{n":
        odd["raw_top_logprobs"] = record.raw_top_logprobs.copy()
    return odd


class CompactTokens(Sequence[TokenLogprob]):
    """A channel's records held as columns; a record is built when it is asked for and equals the original."""

    __slots__ = ("_offsets", "_table", "_tokens", "_tops")

    def __init__(self, tokens: Sequence[TokenLogprob]) -> None:
        table: dict[tuple[str, bytes], int] = {}
        alternatives = [token.top_logprobs for token in tokens]
        self._offsets = array("q", accumulate(map(len, alternatives), initial=0))
        self._tokens = _Side(tokens, table)
        self._tops = _Side(list(chain.from_iterable(alternatives)), table)
        self._table = list(table)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> TokenLogprob: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenLogprob]: ...
    def __getitem__(self, index: int | slice) -> TokenLogprob | list[TokenLogprob]:
        if isinstance(index, slice):
            return [self._record(i) for i in range(*index.indices(len(self)))]
        return self._record(range(len(self))[index])

    def _record(self, i: int) -> TokenLogprob:
        first, last = self._offsets[i], self._offsets[i + 1]
        tops = [TopLogprob(**self._tops.fields(j, self._table)) for j in range(first, last)]
        fields: dict[str, Any] = {"raw_top_logprobs": encode_alternatives(tops) if tops else EMPTY}
        return TokenLogprob(**(fields | self._tokens.fields(i, self._table)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        records = cast("Sequence[object]", other)
        return len(self) == len(records) and all(a == b for a, b in zip(self, records, strict=True))

    def __repr__(self) -> str:
        return f"CompactTokens({len(self)} tokens, {len(self._tops.text)} alternatives)"
