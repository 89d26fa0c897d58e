"""From answers to traits, the properties of the numbers; and what the registry has no word for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nxlog.probe.answer import Answer, Outcome, joined, legible
from nxlog.probe.distribution import heated, identity, measure_distribution, unlikely
from nxlog.probe.measured import Answers, Measured
from nxlog.registry import BytesFidelity, ChosenInTop, Distribution, EntriesPerToken, TopSorted

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.logprobs import TokenLogprob

CHANCE = 0.05
"""What may be chance at most for something to be called ``always``."""


def chosen_in_top(seen: Answers) -> Measured:
    """Whether the sampled token is among its alternatives; answers of the likeliest tokens alone do not tell.

    ``always`` needs more than a row of lists that have it: a server that lists the likeliest tokens has every sampled
    token in its list by chance with the product of what the lists add up to, and that must be small.
    """
    inside = outside = 0
    chance = 1.0
    shown: list[str] = []
    for answer in seen.arrived("hot", "json_schema", "emoji"):
        if not unlikely(answer).found:
            continue
        for record in answer.all_records:
            tops = record.top_logprobs
            if not tops or not record.token:
                continue
            within = identity(record) in {identity(top) for top in tops}
            inside, outside = inside + within, outside + (not within)
            chance *= min(1.0, math.fsum(top.probability or 0.0 for top in tops if not top.is_masked))
        if inside or outside:
            shown.append(answer.name)
    names = tuple(shown)
    if outside and inside:
        note = f"missing in {outside} of {inside + outside} records"
        return Measured(value=ChosenInTop.SOMETIMES, shown_by=names, note=note)
    if outside:
        return Measured(value=ChosenInTop.NEVER, shown_by=names)
    if inside and chance <= CHANCE:
        return Measured(value=ChosenInTop.ALWAYS, shown_by=names, note=f"in {inside} of {inside} records")
    return Measured(note=f"in {inside} of {inside} records, which may be chance" if inside else None)


def top_sorted(seen: Answers) -> Measured:
    """Order shows only where something else than the likeliest token was sampled."""
    rows = [(record, _values(record)) for answer in seen.arrived("hot") for record in answer.records]
    rows = [(record, values) for record, values in rows if len(values) > 1]
    unsorted = [record for record, values in rows if values != sorted(values, reverse=True)]
    if unsorted:
        first = sum(identity(record.top_logprobs[0]) == identity(record) for record in unsorted)
        where = "the sampled token comes first" if first == len(unsorted) else "in no order that is seen"
        note = f"{where}; {len(unsorted)} of {len(rows)} lists are not in descending order"
        return Measured(value=TopSorted.NO, shown_by=("hot",), note=note)
    if rows and unlikely(seen.arrived("hot")[0]).found:
        return Measured(value=TopSorted.YES, shown_by=("hot",))
    return Measured(note="only the likeliest tokens were sampled" if rows else None)


def _values(record: TokenLogprob) -> list[float]:
    return [top.logprob for top in record.top_logprobs if top.logprob is not None]


def bytes_(seen: Answers) -> Measured:
    """Joined, the bytes are the text, with the record of the end of the turn or without; only emoji can tell."""
    given = [(answer, list(answer.records)) for answer in seen.arrived("emoji", "top5")]
    given = [(answer, records) for answer, records in given if records]
    names = tuple(answer.name for answer, _ in given)
    if given and all(record.bytes is None for _, records in given for record in records):
        return Measured(value=BytesFidelity.MISSING, shown_by=names)
    for answer, records in given:
        if not answer.text.isascii():
            exact = legible(answer.text) in {legible(joined(part)) for part in (records, records[:-1])}
            pieces = sum(record.bytes == b"" for record in records[:-1])
            note = f"{pieces} pieces of characters have none; the last piece has them all" if pieces else None
            if exact:
                return Measured(value=BytesFidelity.EXACT, shown_by=(answer.name,), note=note)
            return Measured(value=BytesFidelity.UNRELIABLE, shown_by=(answer.name,), note="they are not the text's")
    return Measured(note="the model did not say anything outside ASCII" if given else None)


def entries_per_token(seen: Answers) -> Measured:
    """Records against the server's own count of tokens, in whole replies and in streams."""
    whole = _short(seen, "top5", "emoji")
    streamed = _short(seen, "stream", "emoji_stream")
    if not whole:
        return Measured(note="the server does not count its tokens, or there are no records")
    names = tuple(whole)
    emoji = seen.get("emoji")
    if emoji is not None and whole.get("emoji", 0) > 1 and not emoji.text.isascii():
        note = f"the tokens of one character share a record: {len(emoji.records)} records for {emoji.generated} tokens"
        return Measured(value=EntriesPerToken.MERGED, shown_by=("emoji",), note=note)
    if any(missing > 1 for missing in whole.values()):
        return Measured(note="records are missing in whole replies")
    lost = {name: missing for name, missing in streamed.items() if missing > max(whole.values())}
    if lost:
        note = "missing in streams: " + ", ".join(f"{missing} in {name}" for name, missing in lost.items())
        return Measured(value=EntriesPerToken.LOSSY_STREAM, shown_by=(*names, *lost), note=note)
    return Measured(value=EntriesPerToken.EXACT, shown_by=(*names, *streamed))


def _short(seen: Answers, *names: str) -> dict[str, int]:
    """How many records are missing in each of the answers that can tell."""
    found = [answer for answer in seen.arrived(*names) if answer.all_records and answer.generated is not None]
    return {answer.name: (answer.generated or 0) - len(answer.all_records) for answer in found}


def distribution(seen: Answers) -> Measured:
    """Which distribution the numbers describe; see ``nxlog.probe.distribution``."""
    warm, cold, nucleus = seen.get("warm"), seen.get("cold"), seen.get("nucleus")
    if warm is None or cold is None:
        return Measured()
    tried = nucleus is not None and nucleus.arrived
    value, why = measure_distribution(
        warm=warm, cold=cold, nucleus=nucleus if tried else None, heated=heated(seen.get("greedy"), seen.get("hot"))
    )
    if value is Distribution.UNKNOWN:
        return Measured(note=why)
    names = ("warm", "cold", *(("nucleus",) if tried else ()))
    return Measured(value=value, shown_by=names, note=why)


TRAIT_RULES: dict[str, Callable[[Answers], Measured]] = {
    "chosen_in_top": chosen_in_top,
    "top_sorted": top_sorted,
    "bytes": bytes_,
    "entries_per_token": entries_per_token,
    "distribution": distribution,
}
"""What is measured of each trait."""

# -- what the registry has no word for -------------------------------------------------------------------------------


def remarks(seen: Answers) -> list[str]:
    """Findings in words, each with the questions that show it."""
    found = [_end_of_turn(seen, "whole replies", "top5"), _end_of_turn(seen, "streams", "stream")]
    found.append(_minus_one(seen))
    found.append(_tools_stream(seen))
    return [text for text in found if text]


def end_recorded(answer: Answer) -> bool | None:
    """Whether the token that ends the turn has a record; None where the answer cannot tell."""
    records = list(answer.records)
    if answer.finish_reason != "stop" or not records or not answer.text:
        return None
    text = legible(answer.text)
    if legible(joined(records[:-1])) == text:
        return True
    return False if legible(joined(records)) == text else None


def _end_of_turn(seen: Answers, where: str, name: str) -> str | None:
    for answer in seen.arrived(name):
        recorded = end_recorded(answer)
        if recorded is not None:
            last = answer.records[-1]
            shown = repr(last.token) if last.token_id is None else f"{last.token!r} with id {last.token_id}"
            how = f"has a record, {shown}" if recorded else "has no record"
            return f"in {where} the token that ends the turn {how} ({name})"
    return None


def _minus_one(seen: Answers) -> str | None:
    answer = seen.get("top_minus1")
    if answer is None:
        return None
    outcome = answer.outcome(came=bool(answer.all_records))
    if outcome is Outcome.DELIVERED:
        return f"top_logprobs -1 gives {max(answer.counts)} alternatives (top_minus1)"
    if outcome is Outcome.IGNORED:
        return "top_logprobs -1 switches log-probabilities off (top_minus1)"
    return "top_logprobs -1 is refused (top_minus1)" if outcome is Outcome.REFUSED else None


def _tools_stream(seen: Answers) -> str | None:
    for answer in seen.arrived("tools_stream"):
        if answer.response is not None and answer.response.tool_calls:
            return f"{len(answer.all_records)} records for {answer.generated} tokens of a streamed call (tools_stream)"
    return None
