"""Checks of token records: all of them, their bytes, their numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nxlog.conformance import raw
from nxlog.conformance.finding import Evidence, Seen, Verdict, judged, plural, untold
from nxlog.probe.answer import Outcome, joined, legible
from nxlog.probe.distribution import identity
from nxlog.probe.measured import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog.logprobs import TokenLogprob
    from nxlog.probe.answer import Answer

ASKED = ("logprobs", "top5", "stream", "emoji", "emoji_stream")
"""Ask for records of the text, and nothing else."""
ALL = (*ASKED, "hot", "n2", "tools", "tools_stream")
BYTES = ("top5", "emoji", "stream", "emoji_stream")
ALTERNATIVES = 5
"""What the questions ``top5``, ``stream``, ``emoji`` and ``emoji_stream`` ask for."""
ROUNDING = 1e-6
"""A probability of 1 may come out of a sum that much too large."""

_NO_RECORDS = "no records came"


def records_come(seen: Evidence) -> Seen:
    """Who asks for log-probabilities gets them or an error, never a reply without a word about them."""
    outcomes = seen.outcomes(*ASKED)
    faults = [(name, "asked for, and no records came") for name, what in outcomes.items() if what is Outcome.IGNORED]
    refused = [answer for name in outcomes if (answer := seen.get(name)) is not None and answer.refused]
    came = seen.recorded(*ASKED)
    if refused and not came and not faults:
        return untold(f"refused: {words_of(refused[0])}")
    return judged(faults, came, good=f"in {plural(len(came), 'answer')}", untried="no reply tells")


def not_asked(seen: Evidence) -> Seen:
    """Who does not ask for log-probabilities gets none."""
    if seen.wire == "tgi":
        return untold("the wire cannot leave them out of its streams")
    tried = seen.arrived("plain", "plain_stream")
    counts = [(answer.name, max(raw.count_any(answer), len(answer.all_records))) for answer in tried]
    faults = [(name, f"{plural(count, 'record')} that nobody asked for") for name, count in counts if count]
    return judged(faults, tried, good="none without asking", untried="no reply tells")


def records_arrive(seen: Evidence) -> Seen:
    """Every record in the raw JSON reaches the user, and none that is not there."""
    tried: list[Answer] = []
    faults: list[tuple[str, str]] = []
    total = 0
    for answer in seen.arrived(*ALL):
        sent, found = raw.count(answer, seen.wire), len(answer.all_records)
        if not sent and not found:
            continue
        if sent is not None:
            tried.append(answer)
            total += sent
            if sent != found:
                faults.append((answer.name, f"{plural(sent, 'record')} in the JSON, {found} that can be read"))
    return judged(
        faults,
        tried,
        good=f"{plural(total, 'record')} counted in the JSON, and as many read",
        untried=f"the records of {seen.wire} are not counted by themselves" if seen.recorded(*ALL) else _NO_RECORDS,
    )


def bytes_join(seen: Evidence) -> Seen:
    """The bytes of the tokens in a row are the text, with the end of the turn or without."""
    given = [answer for answer in seen.recorded(*BYTES) if answer.text and not _reasons(answer)]
    tried = [answer for answer in given if all(record.bytes is not None for record in answer.records)]
    faults = [
        (answer.name, f"{_short(joined(answer.records))} is not the text {_short(answer.text.encode())}")
        for answer in tried
        if not _joins(answer)
    ]
    return judged(
        faults,
        tried,
        good=f"in {plural(len(tried), 'answer')}",
        untried="records have no bytes" if given else _NO_RECORDS,
    )


def _joins(answer: Answer) -> bool:
    rows = [legible(joined(part)) for part in (answer.records, answer.records[:-1])]
    if answer.finish_reason == "length":
        # The last character may have been cut in two.
        rows += [row.rstrip("\ufffd").rstrip() for row in rows]
    return legible(answer.text) in rows


def _reasons(answer: Answer) -> bool:
    return answer.response is not None and bool(answer.response.reasoning)


def _short(data: bytes, limit: int = 48) -> str:
    return repr(data if len(data) <= limit else data[: limit - 1] + b"...")


def records_and_usage(seen: Evidence) -> Seen:
    """As many records as the server counts tokens; the one that ends the turn may be missing."""
    tried = [answer for answer in seen.recorded(*ASKED) if answer.generated is not None]
    faults: list[tuple[str, str]] = []
    for answer in tried:
        count, tokens = len(answer.all_records), answer.generated or 0
        usage = answer.response.usage if answer.response is not None else None
        # Servers count what was thought, and few give records of it.
        unseen = (usage.reasoning_tokens or 0) if usage is not None else 0
        if not tokens - unseen - 1 <= count <= tokens:
            faults.append((answer.name, f"{plural(count, 'record')} for {plural(tokens, 'token')}"))
    untried = "the server does not count its tokens" if seen.recorded(*ASKED) else _NO_RECORDS
    return judged(faults, tried, good=f"in {plural(len(tried), 'answer')}", untried=untried)


def no_positive(seen: Evidence) -> Seen:
    """No logarithm of a probability is above 0."""
    tried = seen.recorded(*ALL)
    faults: list[tuple[str, str]] = []
    for answer in tried:
        above = [value for record in answer.all_records for value in _values(record) if value > ROUNDING]
        if above:
            faults.append((answer.name, f"{plural(len(above), 'value')} above 0, the largest {max(above):g}"))
    return judged(faults, tried, good=f"in {plural(len(tried), 'answer')}", untried=_NO_RECORDS)


def _values(record: TokenLogprob) -> Iterator[float]:
    for one in (record, *record.top_logprobs):
        if one.logprob is not None and not math.isnan(one.logprob):
            yield one.logprob


def alternatives(seen: Evidence) -> Seen:
    """As many alternatives as were asked for; the sampled token may be one more."""
    tried = seen.recorded(*BYTES)
    faults: list[tuple[str, str]] = []
    for answer in tried:
        least, most = min(answer.counts), max(answer.counts)
        if least < ALTERNATIVES or most > ALTERNATIVES + 1:
            several = f"{least} to {most}" if least != most else f"{least}"
            faults.append((answer.name, f"{several} alternatives, asked for {ALTERNATIVES}"))
    return judged(faults, tried, good=f"{ALTERNATIVES} asked for, {ALTERNATIVES} given", untried=_NO_RECORDS)


def no_alternatives(seen: Evidence) -> Seen:
    """``top_logprobs`` 0 gives records without alternatives, except for the sampled token itself."""
    answer = seen.get("top0")
    if answer is None or not answer.arrived:
        return untold("the wire has no place for it" if answer is None else f"refused: {words_of(answer)}")
    if not seen.recorded("logprobs", "top5"):
        return untold(_NO_RECORDS)
    if not answer.all_records:
        return Seen(Verdict.FAIL, "top0: no records", ("top0",))
    others = [sum(identity(top) != identity(record) for top in record.top_logprobs) for record in answer.all_records]
    faults = [("top0", f"up to {plural(max(others), 'alternative')}")] if any(others) else []
    return judged(faults, [answer], good=f"{plural(len(others), 'record')}, no alternatives", untried="")


def sampled_among(seen: Evidence) -> Seen:
    """Whether the sampled token is among its alternatives; no rule, but clients differ in what they expect."""
    rows = [record for answer in seen.recorded("hot") for record in answer.all_records if record.top_logprobs]
    if not rows:
        return untold("no records with alternatives at a high temperature")
    inside = sum(identity(record) in {identity(top) for top in record.top_logprobs} for record in rows)
    return Seen(Verdict.INFO, f"in {inside} of {plural(len(rows), 'record')} at a high temperature", ("hot",))


def whole_characters(seen: Evidence) -> Seen:
    """A token that is a piece of a character has its bytes; its text is a mark that says nothing."""
    tried = seen.recorded("emoji", "emoji_stream", "hot", "top5", "stream")
    broken: list[tuple[str, str]] = []
    pieces = 0
    for answer in tried:
        split = [record for record in answer.all_records if "\ufffd" in record.token]
        pieces += len(split)
        bare = sum(not record.bytes for record in split)
        if bare:
            broken.append((answer.name, f"{plural(bare, 'broken token')} without bytes"))
    good = f"{plural(pieces, 'broken token')}, all with bytes" if pieces else "no token is broken"
    return judged(broken, tried, good=good, untried=_NO_RECORDS)
