"""``response.delivery``: what came back, counted per channel, and whether the records spell the text."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nxlog.alignment import Alignment, AlignmentKind, align, could_merge, count_duplicates
from nxlog.logprobs import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nxlog.logprobs import Channel, TokenLogprob
    from nxlog.response import ChatResponse, Choice

_NOTHING = Alignment(AlignmentKind.UNKNOWN)
_WHOLE = frozenset({AlignmentKind.EXACT, AlignmentKind.MERGED, AlignmentKind.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller asked for, before anything was dropped or lowered."""

    logprobs: bool
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class ChannelDelivery:
    """What came back in one channel of one choice.

    Attributes:
        choice: index of the choice.
        channel: name of the channel.
        requested: whether logprobs were asked for; None where the request is not known.
        records: token records that came back.
        generated: tokens generated in this channel, by the server's count; None where it does not say.
        alternatives_asked: alternatives asked for per token; None where none were, or the request is not known.
        least_alternatives: fewest that a record has; None without records.
        most_alternatives: most that a record has; None without records.
        masked: records whose value is a sentinel.
        masked_alternatives: alternatives whose value is a sentinel.
        missing: records without a value.
        duplicates: records that came more than once for one place in the text.
        alignment: whether the records spell the text of the channel.
    """

    choice: int
    channel: Channel
    requested: bool | None
    records: int
    generated: int | None
    alternatives_asked: int | None
    least_alternatives: int | None
    most_alternatives: int | None
    masked: int
    masked_alternatives: int
    missing: int
    duplicates: int
    alignment: Alignment

    @property
    def lost(self) -> int | None:
        """Generated tokens that have no record; None where the server does not count."""
        return None if self.generated is None else max(0, self.generated - self.records)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What came back against what was asked.

    Attributes:
        requested: whether logprobs were asked for; None where the request is not known (a reply made by hand).
        records: token records in all channels and choices.
        generated: tokens that should have one, by the server's count; None where it does not say.
        channels: every channel that has a text or records, in order of choices.
    """

    requested: bool | None
    records: int
    generated: int | None
    channels: tuple[ChannelDelivery, ...]

    @property
    def lost(self) -> int | None:
        """Generated tokens that have no record, in all; None where the server does not count."""
        return None if self.generated is None else max(0, self.generated - self.records)

    def channel(self, name: Channel = "content", *, choice: int = 0) -> ChannelDelivery | None:
        """One channel of one choice; None where it has neither text nor records."""
        return next((part for part in self.channels if (part.channel, part.choice) == (name, choice)), None)


def report(response: ChatResponse, asked: Asked | None) -> DeliveryReport:
    """The report on a reply."""
    channels = tuple(part for choice in response.choices for part in _channels(choice, response, asked))
    included = any(part.alignment.kind is AlignmentKind.REASONING_INCLUDED for part in channels)
    return DeliveryReport(
        requested=None if asked is None else asked.logprobs,
        records=sum(part.records for part in channels),
        generated=counted(response, included=included),
        channels=channels,
    )


def counted(response: ChatResponse, *, included: bool = False) -> int | None:
    """How many token records there should be, by the server's own count.

    Args:
        response: the reply.
        included: whether the records of the content are those of the reasoning too.
    """
    usage = response.usage
    if usage is None or usage.completion_tokens is None:
        return None
    # Reasoning is counted, and where the server does not show it there can be no records of it.
    shown = included or any(choice.logprobs and choice.logprobs.reasoning for choice in response.choices)
    return usage.completion_tokens - (0 if shown else usage.reasoning_tokens or 0)


def texts(choice: Choice) -> dict[Channel, str]:
    """The texts of a choice by channel."""
    return {"content": choice.text, "refusal": choice.refusal or "", "reasoning": choice.reasoning or ""}


def records_of(choice: Choice, channel: Channel) -> Sequence[TokenLogprob]:
    """The records of one channel, none where there is no such channel."""
    return (choice.logprobs.channel(channel) if choice.logprobs is not None else None) or []


def alignment_of(choice: Choice, channel: Channel) -> Alignment:
    """How the records of one channel compare with its text, whatever the server counted."""
    if channel != "content" and not texts(choice)[channel]:
        return _NOTHING  # a text that the server does not show
    hidden = channel == "content" and not records_of(choice, "reasoning")
    return align(
        records_of(choice, channel),
        texts(choice)[channel],
        reasoning=(choice.reasoning or "") if hidden else "",
        tool_names=[call.function.name for call in choice.tool_calls],
    )


def _channels(choice: Choice, response: ChatResponse, asked: Asked | None) -> Iterator[ChannelDelivery]:
    written = texts(choice)
    aligned: dict[Channel, Alignment] = {
        name: alignment_of(choice, name) for name in CHANNELS if records_of(choice, name) or written[name]
    }
    included = aligned.get("content", _NOTHING).kind is AlignmentKind.REASONING_INCLUDED
    if included:
        aligned.pop("reasoning", None)
    for name, alignment in aligned.items():
        generated = _generated(response, choice, name, included=included, others=len(aligned.keys() - {"reasoning"}))
        yield _channel(choice, name, alignment, generated, asked)


def _channel(
    choice: Choice, name: Channel, alignment: Alignment, generated: int | None, asked: Asked | None
) -> ChannelDelivery:
    records = records_of(choice, name)
    alternatives = [token.top_logprobs for token in records]
    counts = [len(tops) for tops in alternatives]
    ended = choice.finish_reason in {"stop", "tool_calls"}
    short = 0 if generated is None else generated - len(records) - ended
    spelled = alignment.kind is AlignmentKind.EXACT or alignment.is_end_only
    if spelled and could_merge(records, short):
        alignment = replace(alignment, kind=AlignmentKind.MERGED)
    return ChannelDelivery(
        choice=choice.index,
        channel=name,
        requested=None if asked is None else asked.logprobs,
        records=len(records),
        generated=generated,
        alternatives_asked=None if asked is None else asked.top_logprobs,
        least_alternatives=min(counts, default=None),
        most_alternatives=max(counts, default=None),
        masked=sum(token.is_masked for token in records),
        masked_alternatives=sum(top.is_masked for tops in alternatives for top in tops),
        missing=sum(token.logprob is None or math.isnan(token.logprob) for token in records),
        duplicates=0 if alignment.kind in _WHOLE else count_duplicates(records, texts(choice)[name]),
        alignment=alignment,
    )


def _generated(response: ChatResponse, choice: Choice, name: Channel, *, included: bool, others: int) -> int | None:
    """Tokens generated in one channel. Servers count all choices together, and only reasoning apart."""
    usage = response.usage
    if usage is None or usage.completion_tokens is None or len(response.choices) != 1:
        return None
    if name == "reasoning":
        return usage.reasoning_tokens or None
    if others > 1:
        return None
    if included:
        return usage.completion_tokens
    if choice.reasoning and not usage.reasoning_tokens:
        return None  # some of the tokens are those of a reasoning that was not counted
    return usage.completion_tokens - (usage.reasoning_tokens or 0)
