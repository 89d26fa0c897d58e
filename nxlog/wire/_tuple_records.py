"""Token records from SGLang's arrays: ``[logprob, id, text]`` for each token, the alternatives in arrays beside them.

The alternatives stay slices of the reply until somebody looks.
"""

from __future__ import annotations

from itertools import chain, repeat, zip_longest
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from nxlog._json import BROKEN, EMPTY, NULL, as_list, loads_anything, raw_of, split
from nxlog._records import TokenLogprob, decode_alternatives, decode_tokens
from nxlog._tuples import decode_triples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def items_of(array: Raw) -> list[Raw]:
    """The items of a JSON array, not decoded; none for anything else."""
    if array == NULL:
        return []
    try:
        return split(array)
    except BROKEN:
        return [raw_of(item) for item in as_list(loads_anything(array))]


def array_of(items: Iterable[Raw]) -> Raw:
    """The JSON array of these items."""
    return Raw(b"[" + b",".join(map(bytes, items)) + b"]")


def decode_records(tokens: Raw, alternatives: Iterable[Raw]) -> list[TokenLogprob]:
    """A record for each token, with the alternatives of its place; never raises for what a server sent."""
    padded = chain(alternatives, repeat(EMPTY))
    try:
        triples = decode_triples(tokens)
    except BROKEN:
        records = zip(decode_tokens(tokens), padded, strict=False)
        return [msgspec.structs.replace(record, raw_top_logprobs=tops) for record, tops in records]
    return [
        TokenLogprob(token.token or "", token.logprob, raw_token_id=token.token_id, raw_top_logprobs=tops)
        for token, tops in zip(triples, padded, strict=False)
    ]


def unite(ranked: Sequence[Raw], asked: Sequence[Raw]) -> Sequence[Raw]:
    """The alternatives of every place: the most probable ones, then those that were asked for by their ids."""
    if not ranked or not asked:
        return ranked or asked
    return [_united(*place) for place in zip_longest(ranked, asked, fillvalue=EMPTY)]


def _united(ranked: Raw, asked: Raw) -> Raw:
    there = {top.token_id for top in decode_alternatives(ranked)}
    others = zip(items_of(asked), decode_alternatives(asked), strict=True)
    return array_of([*items_of(ranked), *(item for item, top in others if top.token_id not in there)])
