"""What came back against what was sent: the second half of the gate, for servers that ignore, cut or mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nxlog.logprobs import CHANNELS
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nxlog.logprobs import LogprobsData, TokenLogprob
    from nxlog.request import ChatRequest
    from nxlog.response import ChatResponse

INFO, WARNING, ERROR = WarningSeverity.INFO, WarningSeverity.WARNING, WarningSeverity.ERROR

DEGENERATE_FROM = 5
"""Fewer equal values than this are no sign of anything."""

# A reply without one of these byte sequences has no masked value: -9999, -1.27e+30, -3.4e38, written out, -Infinity.
_SENTINEL_MARKS = (b"-9999", b"e+", b"E+", b"e3", b"E3", b"00000000000000000000", b"Infinity")


def check_delivery(sent: ChatRequest, response: ChatResponse) -> list[ParameterWarning]:
    """A warning for every way in which the token records fall short of what was sent.

    Args:
        sent: the request after the gate; without ``logprobs`` there is nothing to check.
        response: the whole reply, or what a stream accumulated to.
    """
    if not sent.logprobs:
        return []
    records = [token for choice in response.choices for token in _records(choice.logprobs)]
    if not records:
        return list(_not_delivered(sent, response))
    found = [
        *_fewer_records(records, response),
        *_fewer_alternatives(records, sent),
        *_masked(records),
        *_missing(records, response),
        *_positive(records),
        *_degenerate(records),
    ]
    return [_addressed(warning, response) for warning in found]


def _records(data: LogprobsData | None) -> Iterator[TokenLogprob]:
    if data is not None:
        for name in CHANNELS:
            yield from data.channel(name) or ()


def _warning(
    code: WarningCode,
    severity: WarningSeverity,
    message: str,
    *,
    parameter: str = "logprobs",
    requested: Any = None,
    applied: Any = None,
) -> ParameterWarning:
    return ParameterWarning(
        parameter=parameter,
        code=code,
        severity=severity,
        message=message,
        requested=requested,
        applied=applied,
        source=WarningSource.RESPONSE,
    )


def _addressed(warning: ParameterWarning, response: ChatResponse) -> ParameterWarning:
    return warning.model_copy(update={"provider": response.provider or None, "model": response.model or None})


def _not_delivered(sent: ChatRequest, response: ChatResponse) -> Iterator[ParameterWarning]:
    if response.usage is not None and response.usage.completion_tokens == 0:
        return  # nothing was generated, so nothing is missing
    asked = {"logprobs": True} | ({} if sent.top_logprobs is None else {"top_logprobs": sent.top_logprobs})
    message = "asked for, and the server answered without a single token record"
    yield _addressed(_warning(WarningCode.NOT_DELIVERED, ERROR, message, requested=asked), response)


def _fewer_records(records: list[TokenLogprob], response: ChatResponse) -> Iterator[ParameterWarning]:
    usage = response.usage
    if usage is None or usage.completion_tokens is None:
        return
    generated = usage.completion_tokens
    hidden = usage.reasoning_tokens or 0
    if hidden and not any(choice.logprobs and choice.logprobs.reasoning for choice in response.choices):
        generated -= hidden
    short = generated - len(records)
    if short <= 0:
        return
    if short == 1 and len(response.choices) == 1 and response.choices[0].finish_reason in {"stop", "tool_calls"}:
        severity, why = INFO, "; one is usually the token that ends the turn"
    else:
        severity, why = WARNING, "; the sum of their logprobs is not that of the answer"
    message = f"{len(records)} token records for {generated} generated tokens{why}"
    yield _warning(WarningCode.FEWER_RECORDS, severity, message, requested=generated, applied=len(records))


def _fewer_alternatives(records: list[TokenLogprob], sent: ChatRequest) -> Iterator[ParameterWarning]:
    asked = sent.top_logprobs or 0
    if not asked:
        return
    counts = [token.count_alternatives() for token in records]
    least = min(counts)
    if least >= asked:
        return
    short = sum(count < asked for count in counts)
    message = f"requested {asked} alternatives, {short} of {len(counts)} tokens have fewer, the least {least}"
    yield _warning(
        WarningCode.FEWER_ALTERNATIVES, WARNING, message, parameter="top_logprobs", requested=asked, applied=least
    )


def _masked(records: list[TokenLogprob]) -> Iterator[ParameterWarning]:
    sampled = sum(token.is_masked for token in records)
    if sampled:
        message = f"{sampled} of {len(records)} sampled tokens have a sentinel (-9999 or below) instead of a logprob"
        yield _warning(WarningCode.MASKED, WARNING, message, applied=sampled)
    alternatives = sum(top.is_masked for token in records if _suspicious(token) for top in token.top_logprobs)
    if alternatives:
        message = f"{alternatives} alternatives were masked: their value is a sentinel, not a logprob"
        yield _warning(WarningCode.MASKED, INFO, message, parameter="top_logprobs", applied=alternatives)


def _suspicious(token: TokenLogprob) -> bool:
    # Looking costs a tenth of decoding, and nearly every reply has none.
    raw = bytes(token.raw_top_logprobs)
    return any(mark in raw for mark in _SENTINEL_MARKS)


def _missing(records: list[TokenLogprob], response: ChatResponse) -> Iterator[ParameterWarning]:
    empty = sum(token.logprob is None or math.isnan(token.logprob) for token in records)
    if empty:
        message = f"{empty} of {len(records)} token records have no logprob"
        yield _warning(WarningCode.MISSING_VALUE, WARNING, message, applied=empty)
    if response.text and not any(token.token for token in records):
        message = f"none of {len(records)} token records has a text"
        yield _warning(WarningCode.MISSING_TOKEN_TEXT, WARNING, message, applied=len(records))


def _positive(records: list[TokenLogprob]) -> Iterator[ParameterWarning]:
    values = [value for value in _values(records) if value > 0]
    if values:
        message = f"{len(values)} values are above 0 (the largest {max(values):.4g}), so they are no logprobs"
        yield _warning(WarningCode.POSITIVE, ERROR, message, applied=len(values))


def _degenerate(records: list[TokenLogprob]) -> Iterator[ParameterWarning]:
    values = list(_values(records))
    if len(values) >= DEGENERATE_FROM and len(set(values)) == 1:
        message = f"all {len(values)} logprobs are {values[0]:.4g}: placeholders, or a server that computes none"
        yield _warning(WarningCode.DEGENERATE, WARNING, message, applied=values[0])


def _values(records: Iterable[TokenLogprob]) -> Iterator[float]:
    return (token.logprob for token in records if token.logprob is not None)
