"""What came back against what was sent: the second half of the gate, for servers that ignore, cut or mask."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from nxlog._json import BROKEN, EMPTY
from nxlog._records import MASKED_AT
from nxlog.alignment import AlignmentKind, spells
from nxlog.delivery_report import alignment_of, counted, records_of, texts
from nxlog.logprobs import CHANNELS
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nxlog.alignment import Alignment
    from nxlog.logprobs import TokenLogprob
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
        records = [*chain.from_iterable(_channels(response))]
        found += _records_against(sent, records, response) if records else _not_delivered(sent, response)
        found += _misaligned(response) if records and not _is_short(found) else ()
        found += _asked_ids(sent, records)
    found += _tokens_against(sent, response)
    return [_addressed(warning, response) for warning in found]


def _asked_ids(sent: ChatRequest, records: list[TokenLogprob]) -> Iterator[ParameterWarning]:
    asked = len(sent.logprob_token_ids or ())
    # Not every server says the ids of its alternatives.
    least = min((token.count_alternatives() for token in records), default=asked) if asked else 0
    if least < asked:
        message = f"requested the logprobs of {asked} ids, and a token has {least} alternatives"
        name = "logprob_token_ids"
        yield _warning(WarningCode.FEWER_ALTERNATIVES, WARNING, message, parameter=name, requested=asked, applied=least)


def _tokens_against(sent: ChatRequest, response: ChatResponse) -> Iterator[ParameterWarning]:
    """Ids, and the prompt."""
    ids, usage = [choice.token_ids for choice in response.choices], response.usage
    if sent.return_token_ids and not all(ids) and _generated(response):
        message = "asked for, and the server answered without all ids (some have them with logprobs only)"
        yield _warning(WarningCode.NOT_DELIVERED, ERROR, message, parameter="return_token_ids", requested=True)
    elif sent.return_token_ids and len(ids) == 1 and usage is not None and usage.completion_tokens is not None:
        yield from _fewer_ids(len(ids[0] or ()), usage.completion_tokens)
    asked = sent.prompt_logprobs
    if asked is not None and response.prompt_logprobs is None:
        message = "asked for, and the server answered without records of the prompt"
        yield _warning(WarningCode.NOT_DELIVERED, ERROR, message, parameter="prompt_logprobs", requested=asked)
    prompt, counted = len(sent.input_ids or ()), None if usage is None else usage.prompt_tokens
    if prompt and counted is not None and counted != prompt:
        message = f"sent a prompt of {prompt} ids, and the server counted {counted} tokens"
        name = "input_ids"
        yield _warning(WarningCode.NOT_DELIVERED, ERROR, message, parameter=name, requested=prompt, applied=counted)


def _fewer_ids(came: int, generated: int) -> Iterator[ParameterWarning]:
    if came < generated:
        message, name = f"{came} ids for {generated} generated tokens", "return_token_ids"
        yield _warning(WarningCode.FEWER_RECORDS, WARNING, message, parameter=name, requested=generated, applied=came)


def _records_against(
    sent: ChatRequest, records: list[TokenLogprob], response: ChatResponse
) -> Iterator[ParameterWarning]:
    values = [token.logprob for token in records if token.logprob is not None]
    odd = [] if _are_plain(values) else values
    yield from _fewer_records(records, response)
    yield from _masked(odd)
    yield from _alternatives(records, sent)
    yield from _missing(len(records) - len(values) + sum(map(math.isnan, odd)), records, response)
    yield from _positive(odd)
    yield from _degenerate(values)


def _are_plain(values: list[float]) -> bool:
    """Whether all are numbers that a logprob can be, as nearly always: then nobody needs to look at each."""
    return math.isfinite(sum(values)) and bool(values) and min(values) > MASKED_AT and max(values) <= ROUNDING


def _channels(response: ChatResponse) -> Iterator[Sequence[TokenLogprob]]:
    for choice in response.choices:
        if choice.logprobs is not None:
            yield from (choice.logprobs.channel(name) or () for name in CHANNELS)


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
    choices, generated = response.choices, counted(response)
    short = 0 if generated is None else generated - len(records)
    if short > 0:
        # A choice that came to its end by itself has a token that says so, which many servers do not list.
        ended = sum(choice.finish_reason in {"stop", "tool_calls"} for choice in choices)
        if short <= ended:
            severity, why = INFO, "; " + ("one is" if short == 1 else "they are") + " usually the end of the turn"
        else:
            severity, why = WARNING, "; the sum of their logprobs is not that of the answer"
        lost = f", so {short} are lost" if severity is WARNING else ""
        message = f"{len(records)} token records for {generated} generated tokens{lost}{why}"
        yield _warning(WarningCode.FEWER_RECORDS, severity, message, requested=generated, applied=len(records))
        return
    silent = [choice.index for choice in choices if not choice.logprobs and _says_something(choice)]
    if silent:
        came = len(choices) - len(silent)
        message = f"no token record for choice {', '.join(map(str, silent))}, of {len(choices)} choices"
        yield _warning(WarningCode.FEWER_RECORDS, WARNING, message, requested=len(choices), applied=came)


def _alternatives(records: list[TokenLogprob], sent: ChatRequest) -> Iterator[ParameterWarning]:
    if not sent.top_logprobs and all(token.raw_top_logprobs == EMPTY for token in records):
        return  # as nearly always where none were asked for
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


def _missing(empty: int, records: list[TokenLogprob], response: ChatResponse) -> Iterator[ParameterWarning]:
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


def _is_short(found: list[ParameterWarning]) -> bool:
    """Whether it was said already that tokens have no record, of which another spelling follows."""
    return any(warning.code is WarningCode.FEWER_RECORDS and warning.severity is WARNING for warning in found)


def _misaligned(response: ChatResponse) -> Iterator[ParameterWarning]:
    """One warning for a reply, of the worst of its channels; ``response.delivery`` has them all."""
    found = [
        (_severity(alignment), choice, name, alignment)
        for choice in response.choices
        for name in CHANNELS
        # Most replies are spelled by their tokens, and then no bytes need to be looked at.
        if (records := records_of(choice, name)) and not spells(records, texts(choice)[name])
        if _severity(alignment := alignment_of(choice, name)) is not None
    ]
    if not found:
        return
    severity, choice, name, alignment = next((entry for entry in found if entry[0] is WARNING), found[0])
    where = f"{name} of choice {choice.index}" if len(response.choices) > 1 else name
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    message = f"the records of {where} are not its text: {alignment}{others}"
    applied = alignment.kind.value
    yield _warning(WarningCode.MISALIGNED, severity or INFO, message, requested="exact", applied=applied)


def _severity(alignment: Alignment) -> WarningSeverity | None:
    kind, text_goes_on = alignment.kind, bool(alignment.written)
    if kind is AlignmentKind.MISMATCH or (kind is AlignmentKind.PREFIX and text_goes_on):
        return WARNING
    if kind in {AlignmentKind.REASONING_INCLUDED, AlignmentKind.PREFIX}:
        return INFO
    # Records behind the end of the text (an end token, tool calls) shift none of the others.
    return INFO if kind is AlignmentKind.STRUCTURAL_TOKENS and text_goes_on else None
