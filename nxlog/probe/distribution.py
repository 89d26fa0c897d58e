"""Which distribution the numbers describe, measured: one prompt, sampled in three ways.

The first token of an answer follows the same text whatever the temperature, so its values can be compared:

- **raw**: they are the same at every temperature, and ``top_p`` leaves them alone;
- **temperature**: the difference between two alternatives is divided by the temperature;
- **processed**: ``top_p`` (or a setting of the server's own) takes alternatives away, masks them, or raises those that
  are left.

A server that ignores the temperature would look like one with raw values, so a temperature above 0 must be seen to
change what is sampled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from nxlog.registry import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.logprobs import TokenLogprob, TopLogprob
    from nxlog.probe.answer import Answer

LEAST_COMMON = 3
"""With fewer alternatives in common nothing is said."""
LEAST_SPREAD = 0.3
"""Alternatives nearer to each other than this, in nats, cannot tell a scaled difference from noise."""
NOISE, RELATIVE_NOISE = 0.02, 0.1
"""What may differ between two requests: in nats, and as a part of the spread. Batches of another size, quantized caches
and mixtures of experts all move values a little; a temperature of 0.3 moves differences by a factor of 3.3."""

First = dict[object, float]
"""The alternatives of one position, by id or text, to their values."""


class Verdict(NamedTuple):
    """What was found, and from which numbers."""

    value: Distribution
    why: str


def measure_distribution(*, warm: Answer, cold: Answer, nucleus: Answer | None, heated: bool | None) -> Verdict:
    """The verdict from the first token of three answers to one prompt.

    Args:
        warm: sampled at temperature 1.
        cold: sampled at another temperature.
        nucleus: sampled at temperature 1 with a ``top_p`` below 1; None where the server takes none.
        heated: whether the temperature is seen to change what is sampled; None where that could not be seen.
    """
    at_1, at_cold = first_token(warm), first_token(cold)
    if at_1 is None or at_cold is None:
        return Verdict(Distribution.UNKNOWN, "no alternatives of the first token at two temperatures")
    for answer in (warm, *([] if nucleus is None else [nucleus])):
        if hidden := _masked(answer):
            return Verdict(Distribution.PROCESSED, f"{hidden} alternatives are masked in {answer.name}")
    cut = None if nucleus is None else _cut(at_1, nucleus)
    if cut is not None:
        return Verdict(Distribution.PROCESSED, cut)
    common = _common(at_1, at_cold)
    if len(common) < LEAST_COMMON:
        return Verdict(Distribution.UNKNOWN, f"{len(common)} alternatives in common, which is too few to tell")
    spread = max(one for one, _ in common) - min(one for one, _ in common)
    if spread < LEAST_SPREAD:
        return Verdict(Distribution.UNKNOWN, f"the alternatives differ by {spread:.2g} nats, which is too little")
    moved = max(abs(one - other) for one, other in common)
    heat: float = cold.question.fields["temperature"]
    same = f"{len(common)} alternatives of the first token at temperature {heat:g} against 1: "
    if moved <= NOISE + RELATIVE_NOISE * spread:
        if heated is not True:
            return Verdict(Distribution.UNKNOWN, f"{same}the same, but the temperature is not seen to do anything")
        return Verdict(Distribution.RAW, f"{same}the largest change is {moved:.2g}, {_kept(nucleus)}")
    ratio = _ratio(common)
    if abs(ratio * heat - 1) <= RELATIVE_NOISE:
        told = f"{same}differences are {ratio:.3g} times as large (1/{heat:g} = {1 / heat:.3g})"
        return Verdict(Distribution.TEMPERATURE, told)
    return Verdict(Distribution.UNKNOWN, f"{same}differences are {ratio:.3g} times as large, which fits nothing")


def heated(greedy: Answer | None, hot: Answer | None) -> bool | None:
    """Whether the temperature changes what is sampled: at 0 the likeliest token always, above 1 not always."""
    if greedy is None or hot is None or not greedy.arrived or not hot.arrived:
        return None
    cool, warm = unlikely(greedy), unlikely(hot)
    if not cool.tested or not warm.tested:
        return None
    return cool.found == 0 and warm.found > 0


class Unlikely(NamedTuple):
    """How many records were looked at, and in how many the sampled token is not the likeliest."""

    tested: int
    found: int


def unlikely(answer: Answer) -> Unlikely:
    """In how many records something likelier than the sampled token is listed."""
    tested = found = 0
    for record in answer.records:
        values = [top.logprob for top in record.top_logprobs if top.logprob is not None]
        if values and record.logprob is not None and not record.is_masked:
            tested += 1
            found += max(values) > record.logprob + NOISE
    return Unlikely(tested, found)


def first_token(answer: Answer) -> First | None:
    """The alternatives of the first token that have a value; None where there are none."""
    if not answer.arrived or not answer.records:
        return None
    tops = answer.records[0].top_logprobs
    # Pieces of a character may all look the same.
    named = [top for top in tops if top.token or top.token_id is not None]
    return {identity(top): top.logprob for top in named if top.logprob is not None and not top.is_masked} or None


def identity(record: TokenLogprob | TopLogprob) -> object:
    """What tells one token from another: the id, else text and bytes."""
    return (record.token, record.bytes) if record.token_id is None else record.token_id


def _masked(answer: Answer) -> int:
    return sum(top.is_masked for record in answer.records for top in record.top_logprobs)


def _common(one: Mapping[object, float], other: Mapping[object, float]) -> list[tuple[float, float]]:
    return [(one[token], other[token]) for token in one.keys() & other.keys()]


def _ratio(common: list[tuple[float, float]]) -> float:
    """How much larger the differences between alternatives are in the second of two lists, by least squares."""
    centers = [math.fsum(values) / len(common) for values in zip(*common, strict=True)]
    products = math.fsum((one - centers[0]) * (other - centers[1]) for one, other in common)
    return products / math.fsum((one - centers[0]) ** 2 for one, _ in common)


def _cut(at_1: First, nucleus: Answer) -> str | None:
    """What ``top_p`` did to the alternatives; None when nothing."""
    within = first_token(nucleus)
    if within is None:
        return None
    if len(within) < len(at_1):
        return f"top_p leaves {len(within)} of {len(at_1)} alternatives of the first token"
    common = _common(at_1, within)
    spread = max(at_1.values()) - min(at_1.values())
    rise = min((other - one for one, other in common), default=0.0)
    if len(common) >= LEAST_COMMON and rise > NOISE + RELATIVE_NOISE * spread:
        return f"top_p raises the alternatives of the first token by {rise:.2g} or more"
    return None


def _kept(nucleus: Answer | None) -> str:
    return "and top_p was not tried" if nucleus is None else "and top_p changes nothing"
