"""Measures of confidence and uncertainty that stay true where records are missing, masked, unsorted or cut short.

Everything is in nats and natural logarithms. A measure that cannot be known is None; nothing is filled in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nxlog.logprobs import TokenLogprob, TopLogprob

__all__ = ["distinct", "entropy", "is_usable", "margin", "mass", "perplexity", "sequence_logprob"]


def is_usable(record: TokenLogprob | TopLogprob) -> bool:
    """Whether the logprob is a measured number: there, finite, and not the mark of a masked token."""
    return record.logprob is not None and math.isfinite(record.logprob) and not record.is_masked


def sequence_logprob(tokens: Iterable[TokenLogprob]) -> float | None:
    """The logprob of all tokens together: the sum of theirs.

    Args:
        tokens: the records of an answer, such as a ``LogprobsData``; ``choice.tokens("content")`` where the server
            lists reasoning among them. Whether they are all of it says ``response.delivery``.

    Returns:
        None without tokens, and where one has no usable value.
    """
    values = [token.logprob if is_usable(token) else None for token in tokens]
    known = [value for value in values if value is not None]
    return math.fsum(known) if known and len(known) == len(values) else None


def perplexity(tokens: Iterable[TokenLogprob]) -> float | None:
    """``exp(-(1/N) * sum_i logprob_i)``: 1 is certainty, and a uniform choice between k tokens is k.

    Jelinek, Mercer, Bahl and Baker, "Perplexity: a measure of the difficulty of speech recognition tasks" (1977,
    JASA 62, S63). None as of ``sequence_logprob``.
    """
    records = list(tokens)
    total = sequence_logprob(records)
    if total is None:
        return None
    mean = -total / len(records)
    return math.exp(mean) if mean < 700 else math.inf


def distinct(token: TokenLogprob) -> list[TokenLogprob | TopLogprob]:
    """The sampled token and its alternatives, each once, whether or not the server lists it among them."""
    others = [top for top in token.top_logprobs if not _is_same(top, token)]
    return [token, *others]


def margin(token: TokenLogprob) -> float | None:
    """The probability of the likeliest token less that of the second likeliest.

    Alternatives need not be sorted. vLLM puts the sampled token first, and one of the likeliest less behind it, so the
    second likeliest is sure to be listed only with two others beside the sampled one: ask for three.

    Returns:
        None where the two likeliest are not known: fewer than two others, or no values.
    """
    records = distinct(token)
    if len(records) < 3:
        return None
    known = sorted((record.probability or 0.0 for record in records if is_usable(record)), reverse=True)
    return known[0] - known[1] if len(known) > 1 else None


def entropy(token: TokenLogprob, vocabulary: int) -> tuple[float, float]:
    """Bounds of the entropy at a position, in nats: ``-sum_i p_i ln p_i`` over the vocabulary.

    The alternatives are a part of the distribution. What they leave over is at least as uncertain as one more token,
    and at most spread evenly over the rest of the vocabulary.

    Args:
        token: a record with alternatives.
        vocabulary: how many tokens the model has.

    Raises:
        ValueError: the vocabulary is smaller than what the record lists.
    """
    seen = [record.probability or 0.0 for record in distinct(token) if is_usable(record)]
    if vocabulary < len(seen):
        raise ValueError(f"vocabulary: {vocabulary} tokens are fewer than the {len(seen)} that the record lists")
    rest, unseen = max(0.0, 1.0 - math.fsum(seen)), vocabulary - len(seen)
    least = -math.fsum(p * math.log(p) for p in (*seen, rest) if p > 0)
    return least, least + (rest * math.log(unseen) if unseen else 0.0)


def mass(token: TokenLogprob, words: Collection[str]) -> float:
    """The probability of all listed tokens that are one of the words, whatever their case and the space around them.

    A lower bound: spellings that the server did not list are not in it.

    Args:
        token: a record with alternatives.
        words: such as ``{"yes"}``; more for several spellings.
    """
    if isinstance(words, str):
        raise TypeError("words: a collection of words, got str; write {'yes'}")
    wanted = {word.strip().casefold() for word in words}
    return math.fsum(
        record.probability or 0.0
        for record in distinct(token)
        if is_usable(record) and record.token.strip().casefold() in wanted
    )


def _is_same(top: TopLogprob, token: TokenLogprob) -> bool:
    if top.token_id is not None and token.token_id is not None:
        return top.token_id == token.token_id
    # By text alone the pieces of characters would be one token: servers send them as "" or as a replacement character.
    return (top.token, top.logprob) == (token.token, token.logprob)
