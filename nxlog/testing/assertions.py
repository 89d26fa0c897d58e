"""Assertions about token log-probabilities, whose messages show the tokens that are to blame.

All logprobs are natural logarithms, as everywhere in nxlog.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from nxlog.alignment import AlignmentKind
from nxlog.measures import is_usable, perplexity
from nxlog.response import ChatResponse
from nxlog.streams import AsyncStream, Stream
from nxlog.warnings import WarningCode, WarningSeverity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nxlog.delivery_report import ChannelDelivery
    from nxlog.logprobs import Channel, LogprobsData, TokenLogprob
    from nxlog.warnings import ParameterWarning

Reply: TypeAlias = ChatResponse | Stream | AsyncStream
Unknown: TypeAlias = Literal["fail", "skip"]

_MOST = 8
_PARAMETERS = frozenset({"logprobs", "top_logprobs", "n"})


def assert_no_loss(reply: Reply, *, allow: Collection[WarningCode | str] = ()) -> None:
    """Everything that was asked for about tokens came back, and the tokens spell the answer.

    Three things are checked: there are token records; no warning says that logprobs, alternatives or choices were
    dropped, clamped, refused, ignored, masked or delivered in part (those of severity ``info`` that only report an end
    token without a record are passed over); and in every channel of every choice the bytes of the records, joined, are
    the text (``response.delivery``). Records that the text omits are no loss: an end token, markers, tool calls,
    reasoning.

    Args:
        reply: a reply, or a stream that was read to its end.
        allow: codes of warnings that are no loss here.

    Raises:
        AssertionError: something is lost; the message says what and where.
    """
    response = _response(reply)
    found = [f"{warning.code}: {warning}" for warning in response.warnings if _is_loss(warning, allow)]
    silent = {choice.index for choice in response.choices if not choice.logprobs}
    found += [f"choice {index} has no token records" for index in sorted(silent)]
    for part in response.delivery.channels:
        if part.choice not in silent and (fault := _misaligned(part)) is not None:
            found.append(f"choice {part.choice}: {fault}")
    if not response.choices:
        found.append("the reply has no choice")
    if found:
        raise AssertionError("\n  ".join([f"log-probabilities were lost in {_named(response)}", *found]))


def assert_confident(
    reply: Reply, *, at_least: float = 0.5, channel: Channel = "content", unknown: Unknown = "fail"
) -> None:
    """Every sampled token had at least this probability: ``min_i exp(logprob_i) >= at_least``.

    The least probability of a token as a signal of doubt is that of Varshney et al., "A Stitch in Time Saves Nine"
    (2023, arXiv:2307.03987). What the numbers describe is the server's distribution: one that was sharpened by a
    temperature below 1 looks more confident than the model is.

    Args:
        reply: a reply, or a stream that was read to its end; its first choice is looked at.
        at_least: a probability, from 0 to 1.
        channel: which tokens.
        unknown: what a token without a value, or with a sentinel in its place, means: ``"fail"``, because nothing
            says that it was likely, or ``"skip"``.

    Raises:
        AssertionError: a token was less likely, or unknown; the message shows them with their alternatives.
        ValueError: ``at_least`` is no probability.
    """
    if not 0 <= at_least <= 1:
        raise ValueError(f"at_least is a probability, from 0 to 1, not {at_least}")
    response = _response(reply)
    records = _records(response, channel)
    doubtful = [
        (position, token)
        for position, token in enumerate(records)
        if ((token.probability or 0.0) < at_least if is_usable(token) else unknown == "fail")
    ]
    if doubtful:
        what = f"{len(doubtful)} of {len(records)} tokens are not as likely as {at_least:g} in {_named(response)}"
        raise AssertionError(_with_tokens(what, doubtful))


def assert_perplexity_below(
    reply: Reply, limit: float, *, channel: Channel = "content", unknown: Unknown = "fail"
) -> None:
    """The perplexity of the answer under its own model is below the limit: ``exp(-(1/N) * sum_i logprob_i) < limit``.

    The formula is that of Jelinek, Mercer, Bahl and Baker, "Perplexity: a measure of the difficulty of speech
    recognition tasks" (1977, JASA 62, S63), with natural logarithms, over the N tokens that have a record: 1 is
    certainty, and a uniform choice between k tokens is k. An end token without a record is not part of it.

    Args:
        reply: a reply, or a stream that was read to its end; its first choice is looked at.
        limit: a number above 1.
        channel: which tokens.
        unknown: what a token without a value, or with a sentinel in its place, means: ``"fail"``, because without it
            there is no perplexity of the answer, or ``"skip"``, which takes the mean over the others.

    Raises:
        AssertionError: it is not below, or cannot be known; the message shows the least likely tokens.
    """
    response = _response(reply)
    records = list(enumerate(_records(response, channel)))
    missing = [(position, token) for position, token in records if not is_usable(token)]
    if missing and unknown == "fail":
        what = (
            f"{len(missing)} of {len(records)} tokens have no logprob, so no perplexity is known of {_named(response)}"
        )
        raise AssertionError(_with_tokens(what, missing))
    known = [(position, token) for position, token in records if is_usable(token)]
    if not known:
        raise AssertionError(f"no token has a logprob in {_named(response)}")
    found = perplexity(token for _, token in known) or math.inf
    if not found < limit:
        least = sorted(known, key=lambda pair: pair[1].logprob or 0.0)
        what = f"perplexity {found:.4g} over {len(known)} tokens is not below {limit:g} in {_named(response)}"
        raise AssertionError(_with_tokens(f"{what}; least likely", least))


def _response(reply: Reply) -> ChatResponse:
    return reply if isinstance(reply, ChatResponse) else reply.response


def _records(response: ChatResponse, channel: Channel) -> Sequence[TokenLogprob]:
    data: LogprobsData | None = response.logprobs
    records = None if data is None else data.channel(channel)
    if not records:
        why = "".join(f"\n  {warning}" for warning in response.warnings)
        raise AssertionError(f"no token record in the channel {channel!r} of {_named(response)}{why}")
    return records


def _named(response: ChatResponse) -> str:
    where = "/".join(part for part in (response.provider, response.model) if part)
    return f"the reply of {where}" if where else "the reply"


def _is_loss(warning: ParameterWarning, allow: Collection[WarningCode | str]) -> bool:
    if warning.parameter not in _PARAMETERS or warning.code in allow:
        return False
    harmless = warning.severity is WarningSeverity.INFO and warning.code is WarningCode.FEWER_RECORDS
    # Whether the records are the text is asked of the report, for every channel.
    return not harmless and warning.code not in {WarningCode.MIGRATION, WarningCode.MISALIGNED}


def _misaligned(part: ChannelDelivery) -> str | None:
    """Where the tokens of a channel stop spelling its text; None where they spell it, or nothing can be said."""
    if not part.records:
        return f"{part.channel} has a text and no token records"
    if part.alignment.is_lossless or part.alignment.kind is AlignmentKind.MERGED:
        return None
    return f"the tokens of {part.channel} do not spell its text: {part.alignment}"


def _with_tokens(what: str, tokens: Sequence[tuple[int, TokenLogprob]]) -> str:
    lines = [f"{what}:", *(_line(position, token) for position, token in tokens[:_MOST])]
    if len(tokens) > _MOST:
        lines.append(f"and {len(tokens) - _MOST} more")
    return "\n  ".join(lines)


def _line(position: int, token: TokenLogprob) -> str:
    said = f"token {position} {token.token!r}: {_value(token)}"
    tops = token.top_logprobs
    known = sorted((top for top in tops if top.probability is not None), key=lambda top: -(top.logprob or 0.0))
    others = [f"{top.token!r} {top.probability:.3g}" for top in known[:3] if top.token != token.token]
    return f"{said}; alternatives {', '.join(others)}" if others else said


def _value(token: TokenLogprob) -> str:
    if token.logprob is None or math.isnan(token.logprob):
        return "no logprob"
    if token.is_masked:
        return f"masked ({token.logprob:g})"
    return f"probability {token.probability:.3g} (logprob {token.logprob:.4g})"
