"""Two sets of numbers for the same tokens, compared: only where both describe the same distribution.

A difference between a log-probability of the model's own distribution and one of the distribution after temperature is
no importance ratio, whatever it looks like. So both sides need the same label (``LogprobsData.distribution``).
"""

from __future__ import annotations

import math
import warnings
from array import array
from typing import TYPE_CHECKING, Literal

from nxlog._spelling import spelled_bytes
from nxlog.distribution import Distribution
from nxlog.measures import is_usable
from nxlog.warnings import ParameterWarningCategory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog.logprobs import Channel, LogprobsData, TokenLogprob

__all__ = ["log_ratios", "mean_log_ratio"]


def log_ratios(
    new: LogprobsData,
    old: LogprobsData,
    *,
    channel: Channel = "content",
    on_different: Literal["raise", "warn"] = "raise",
) -> array[float]:
    """``new - old`` for every token; its exponential is the importance ratio.

    A float64 buffer (``numpy.asarray`` copies nothing), NaN where either side has no value or a sentinel. Labels that
    are not known are warned of: ``with_distribution`` says what you know.

    Args:
        new: numbers of the model that is trained or compared.
        old: numbers of the model that sampled the tokens.
        channel: which tokens.
        on_different: what to do where the labels are known and differ: refuse, or warn.

    Raises:
        ValueError: the tokens are not the same, or the distributions are not.
    """
    _check_labels(new, old, on_different)
    return _ratios(new, old, channel)


def mean_log_ratio(
    new: LogprobsData,
    old: LogprobsData,
    *,
    channel: Channel = "content",
    on_different: Literal["raise", "warn"] = "raise",
) -> float | None:
    """The mean of ``log_ratios`` over the tokens that have a value on both sides; None where none has.

    Raises:
        ValueError: the tokens are not the same, or the distributions are not.
    """
    _check_labels(new, old, on_different)
    known = [ratio for ratio in _ratios(new, old, channel) if not math.isnan(ratio)]
    return math.fsum(known) / len(known) if known else None


def _ratios(new: LogprobsData, old: LogprobsData, channel: Channel) -> array[float]:
    left, right = new.channel(channel) or [], old.channel(channel) or []
    _check_tokens(left, right)
    return array("d", [_difference(a, b) for a, b in zip(left, right, strict=True)])


def _check_labels(new: LogprobsData, old: LogprobsData, on_different: Literal["raise", "warn"]) -> None:
    labels = new.distribution, old.distribution
    if Distribution.UNKNOWN in labels:
        message = f"the distributions are {labels[0]} and {labels[1]}: whether the numbers can be compared is not known"
    elif labels[0] is not labels[1]:
        message = f"the numbers are of different distributions: {labels[0]} and {labels[1]}"
        if on_different == "raise":
            raise ValueError(message)
    else:
        return
    warnings.warn(message, ParameterWarningCategory, stacklevel=3)


def _check_tokens(new: Sequence[TokenLogprob], old: Sequence[TokenLogprob]) -> None:
    if len(new) != len(old):
        raise ValueError(f"{len(new)} and {len(old)} token records: these are not the same tokens")
    for position, (a, b) in enumerate(zip(new, old, strict=True)):
        if not _is_same(a, b):
            raise ValueError(f"token {position} is {_named(a)} and {_named(b)}: these are not the same tokens")


def _is_same(a: TokenLogprob, b: TokenLogprob) -> bool:
    if a.token_id is not None and b.token_id is not None:
        return a.token_id == b.token_id
    return spelled_bytes(a) == spelled_bytes(b)


def _named(token: TokenLogprob) -> str:
    return repr(token.token) if token.token_id is None else f"{token.token!r} ({token.token_id})"


def _difference(a: TokenLogprob, b: TokenLogprob) -> float:
    if a.logprob is None or b.logprob is None or not (is_usable(a) and is_usable(b)):
        return math.nan
    return a.logprob - b.logprob
