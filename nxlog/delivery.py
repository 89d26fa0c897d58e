"""What came back against what was sent: the second half of the gate, for servers that ignore, cut or mask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from nxlog._json import BROKEN
from nxlog._records import MASKED_AT
from nxlog.logprobs import CHANNELS
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog.logprobs import LogprobsData, TokenLogprob
    from nxlog.request import ChatRequest
    from nxlog.response import ChatResponse, Choice

INFO, WARNING, ERROR = WarningSeverity.INFO, WarningSeverity.WARNING, WarningSeverity.ERROR

DEGENERATE_FROM = 5
"""Fewer equal values than this are no sign of anything."""

ROUNDING = 1e-6
"""A logprob of a certain token may come out a little above 0 in single precision."""


_Plain = Annotated[float, msgspec.Meta(gt=MASKED_AT)] | None


class _Value(msgspec.Struct, gc=False):
    # Decoding nothing but the values costs less than searching the text for sentinels, and misses none.
    logprob: _Plain = None


# Of records that are objects, or arrays as SGLang has them.
_decode_values = msgspec.json.Decoder(list[_Value | tuple[_Plain, int, str | None]] | None).decode


def check_delivery(sent: ChatRequest, response: ChatResponse) -> list[ParameterWarning]:
    """A warning for every way in which the token records fall short of what was sent.

    Args:
        sent: the request after the gate; without ``logprobs`` there is nothing to check.
        response: the whole reply, or what a stream accumulated to.
    """
    found = list(_fewer_choices(sent, response))
    if sent.logprobs:
        records = [token for choice in response.choices for token in _records(choice.logprobs)]
        found += _records_against(sent, records, response) if records else _not_delivered(sent, response)
    return [_addressed(warning, response) for warning in found]


def _records_against(
    sent: ChatRequest, records: list[TokenLogprob], response: ChatResponse
) -> Iterator[ParameterWarning]:
    values = [token.logprob for token in records if token.logprob is not None]
    yield from _fewer_records(records, response)
    yield from _masked(values)
    yield from _alternatives(records, sent)
    yield from _missing(values, records, response)
    yield from _positive(values)
    yield from _degenerate(values)


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
    if not _generated(response):
        return  # so nothing is missing
    asked = {"logprobs": True} | ({} if sent.top_logprobs is None else {"top_logprobs": sent.top_logprobs})
    message = "asked for, and the server answered without a single token record"
    yield _warning(WarningCode.NOT_DELIVERED, ERROR, message, requested=asked)


def _generated(response: ChatResponse) -> bool:
    usage = response.usage
    if usage is not None and usage.completion_tokens is not None:
        return usage.completion_tokens > 0
    return any(map(_says_something, response.choices))


def _says_something(choice: Choice) -> bool:
    return bool(choice.text or choice.refusal or choice.reasoning or choice.tool_calls)


def _fewer_choices(sent: ChatRequest, response: ChatResponse) -> Iterator[ParameterWarning]:
    asked, came = sent.n or 1, len(response.choices)
    if came < asked and came:
        message = f"requested {asked} choices, {came} came back"
        yield _warning(WarningCode.FEWER_CHOICES, WARNING, message, parameter="n", requested=asked, applied=came)


def _fewer_records(records: list[TokenLogprob], response: ChatResponse) -> Iterator[ParameterWarning]:
    choices, generated = response.choices, _counted(response)
    short = 0 if generated is None else generated - len(records)
    if short > 0:
        # A choice that came to its end by itself has a token that says so, which many servers do not list.
        ended = sum(choice.finish_reason in {"stop", "tool_calls"} for choice in choices)
        if short <= ended:
            severity, why = INFO, "; " + ("one is" if short == 1 else "they are") + " usually the end of the turn"
        else:
            severity, why = WARNING, "; the sum of their logprobs is not that of the answer"
        message = f"{len(records)} token records for {generated} generated tokens{why}"
        yield _warning(WarningCode.FEWER_RECORDS, severity, message, requested=generated, applied=len(records))
        return
    silent = [choice.index for choice in choices if not choice.logprobs and _says_something(choice)]
    if silent:
        came = len(choices) - len(silent)
        message = f"no token record for choice {', '.join(map(str, silent))}, of {len(choices)} choices"
        yield _warning(WarningCode.FEWER_RECORDS, WARNING, message, requested=len(choices), applied=came)


def _counted(response: ChatResponse) -> int | None:
    """How many token records there should be, by the server's own count."""
    usage = response.usage
    if usage is None or usage.completion_tokens is None:
        return None
    # Reasoning is counted, and where the server does not show it there can be no records of it.
    shown = any(choice.logprobs and choice.logprobs.reasoning for choice in response.choices)
    return usage.completion_tokens - (0 if shown else usage.reasoning_tokens or 0)


def _alternatives(records: list[TokenLogprob], sent: ChatRequest) -> Iterator[ParameterWarning]:
    counts: list[int] = []
    masked = 0
    for token in records:
        count, hidden = _count_and_masked(token)
        # The first token of an echoed prompt follows nothing, so it has neither a value nor alternatives.
        counts += [count] if count or token.logprob is not None else []
        masked += hidden
    yield from _fewer_alternatives(counts, sent)
    if masked:
        message = f"{masked} alternatives were masked: their value is a sentinel, not a logprob"
        yield _warning(WarningCode.MASKED, INFO, message, parameter="top_logprobs", applied=masked)


def _count_and_masked(token: TokenLogprob) -> tuple[int, int]:
    try:
        return len(_decode_values(token.raw_top_logprobs) or ()), 0
    except BROKEN:  # a sentinel, a NaN, or no list of records
        tops = token.top_logprobs
        return len(tops), sum(top.is_masked for top in tops)


def _fewer_alternatives(counts: list[int], sent: ChatRequest) -> Iterator[ParameterWarning]:
    asked, least = sent.top_logprobs or 0, min(counts, default=sent.top_logprobs or 0)
    if least >= asked:
        return
    short = sum(count < asked for count in counts)
    message = f"requested {asked} alternatives, {short} of {len(counts)} tokens have fewer, the least {least}"
    yield _warning(
        WarningCode.FEWER_ALTERNATIVES, WARNING, message, parameter="top_logprobs", requested=asked, applied=least
    )


def _masked(values: list[float]) -> Iterator[ParameterWarning]:
    # Counted, because the least of values with a NaN at their start is NaN.
    sampled = sum(value <= MASKED_AT for value in values)
    if sampled:
        message = f"{sampled} of {len(values)} sampled tokens have a sentinel (-9999 or below) instead of a logprob"
        yield _warning(WarningCode.MASKED, WARNING, message, applied=sampled)


def _missing(values: list[float], records: list[TokenLogprob], response: ChatResponse) -> Iterator[ParameterWarning]:
    empty = len(records) - len(values) + sum(map(math.isnan, values))
    if empty:
        message = f"{empty} of {len(records)} token records have no logprob"
        yield _warning(WarningCode.MISSING_VALUE, WARNING, message, applied=empty)
    if response.text and not any(token.token for token in records):
        message = f"none of {len(records)} token records has a text"
        yield _warning(WarningCode.MISSING_TOKEN_TEXT, WARNING, message, applied=len(records))


def _positive(values: list[float]) -> Iterator[ParameterWarning]:
    positive = [value for value in values if value > ROUNDING]
    if positive:
        message = f"{len(positive)} values are above 0 (the largest {max(positive):.4g}), so they are no logprobs"
        yield _warning(WarningCode.POSITIVE, ERROR, message, applied=len(positive))


def _degenerate(values: list[float]) -> Iterator[ParameterWarning]:
    first = values[0] if values else 0.0
    if len(values) >= DEGENERATE_FROM and first > MASKED_AT and values.count(first) == len(values):
        message = f"all {len(values)} logprobs are {first:.4g}: placeholders, or a server that computes none"
        yield _warning(WarningCode.DEGENERATE, WARNING, message, applied=first)
