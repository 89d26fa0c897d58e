"""Token records that a server repeats when an answer is complete, made one with those of its chunks."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from nxlog._json import NULL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog._records import TokenLogprob

ROUNDED = 1e-6
"""OpenAI rounds the values of its closing lists to six decimals."""


class Closing(NamedTuple):
    """What a closing list adds to the records of the chunks."""

    trailing: list[TokenLogprob]
    """Records that follow those of the chunks, and can still be delivered as if they had come in one."""
    whole: list[TokenLogprob] | None
    """All records, where those already delivered lack something; None where they do not."""


def close(given: Sequence[TokenLogprob], closing: Sequence[TokenLogprob]) -> Closing:
    """What the closing list knows that the chunks did not say.

    The values of the chunks are kept, because closing lists may be rounded. A closing list that does not hold every
    record of the chunks, in their order, is about something else or is shortened, and says nothing.
    """
    matched = _match(given, closing)
    if matched is None:
        return Closing([], None)
    # Alternatives are taken over only whole, and only from a server that does not round.
    exact = all(mine is None or mine.logprob == theirs.logprob for mine, theirs in zip(matched, closing, strict=True))
    whole = [
        theirs if mine is None else _complete(mine, theirs, exact=exact)
        for mine, theirs in zip(matched, closing, strict=True)
    ]
    in_order = all(mine is not None for mine in matched[: len(given)])
    trailing = whole[len(given) :] if in_order else []
    delivered = [*given, *trailing]
    if all(mine is record for mine, record in zip_longest(delivered, whole)):
        return Closing(trailing, None)
    return Closing(trailing, whole)


def is_about(given: Sequence[TokenLogprob], closing: Sequence[TokenLogprob]) -> bool:
    """Whether the closing list holds every record of the chunks, in their order."""
    return _match(given, closing) is not None


def _match(given: Sequence[TokenLogprob], closing: Sequence[TokenLogprob]) -> list[TokenLogprob | None] | None:
    """For each record of the closing list the one of the chunks that it repeats."""
    matched: list[TokenLogprob | None] = []
    position = 0
    for record in closing:
        mine = given[position] if position < len(given) else None
        if mine is not None and _repeats(record, mine):
            matched.append(mine)
            position += 1
        else:
            matched.append(None)
    return matched if position == len(given) else None


def _repeats(record: TokenLogprob, mine: TokenLogprob) -> bool:
    if record.token != mine.token:
        return False
    a, b = record.logprob, mine.logprob
    if a is None or b is None:
        return a is b
    return a == b or abs(a - b) <= ROUNDED or (math.isnan(a) and math.isnan(b))


def _complete(mine: TokenLogprob, theirs: TokenLogprob, *, exact: bool) -> TokenLogprob:
    changes: dict[str, msgspec.Raw] = {}
    if mine.raw_bytes == NULL and theirs.raw_bytes != NULL:
        changes["raw_bytes"] = theirs.raw_bytes
    fuller = exact and _has_bytes(theirs) and not _has_bytes(mine)
    if fuller and mine.count_alternatives() == theirs.count_alternatives():
        changes["raw_top_logprobs"] = theirs.raw_top_logprobs
    return msgspec.structs.replace(mine, **changes) if changes else mine


def _has_bytes(record: TokenLogprob) -> bool:
    # Inside a token's text the quotes would be escaped.
    return b'"bytes":' in bytes(record.raw_top_logprobs)
