"""From answers to claims. Every rule is pure, and says which questions show what it found."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nxlog.probe.answer import Answer, Outcome, joined, legible
from nxlog.probe.distribution import heated
from nxlog.probe.measured import Answers, Measured, denied, words_of
from nxlog.probe.questions import ID_OPTIONS, PROMPT_OPTIONS, SCHEMA
from nxlog.registry import Posture, Requirement
from nxlog.wire.errors import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable

YES, PARTIAL, NO = "yes", "partial", "no"

WHOLE = ("logprobs", "top1", "top5", "top20")
STREAMED = ("stream", "emoji_stream")

TOPS = {"top0": 0, "top1": 1, "top5": 5, "top20": 20, "top21": 21}
"""The questions about the number of alternatives, and the number that each asks for."""


def logprobs(seen: Answers) -> Measured:
    """Records in a whole reply, and under which conditions."""
    outcomes = seen.outcomes(*WHOLE)
    shown = _names(outcomes, Outcome.DELIVERED)
    if not shown:
        return denied(_by_name(seen, outcomes), outcomes)
    requires: list[Requirement] = []
    if outcomes.get("logprobs") in {Outcome.IGNORED, Outcome.REFUSED}:
        requires.append(Requirement.TOP_LOGPROBS)
        shown = ("logprobs", *shown)
    thinking = seen.get("reasoning")
    if thinking is not None and thinking.refusal is not None and thinking.refusal.kind is RefusalKind.UNSUPPORTED:
        requires.append(Requirement.REASONING_OFF)
        shown = (*shown, "reasoning")
    for answer in seen.arrived(*WHOLE):
        if answer.records and not _covers(answer):
            note = "the records are not those of the text"
            return Measured(value=PARTIAL, shown_by=shown, note=note, requires=tuple(requires))
    return Measured(value=YES, shown_by=shown, requires=tuple(requires))


def streaming_logprobs(seen: Answers) -> Measured:
    """Records in a stream, and whether all of them."""
    outcomes = seen.outcomes(*STREAMED)
    shown = _names(outcomes, Outcome.DELIVERED)
    if not shown:
        return denied(_by_name(seen, outcomes), outcomes)
    requires: tuple[Requirement, ...] = ()
    tools_stream = seen.get("tools_stream")
    if tools_stream is not None and tools_stream.refusal is not None and tools_stream.refused:
        requires, shown = (Requirement.NO_TOOLS_IN_STREAM,), (*shown, "tools_stream")
    short = [
        f"{len(answer.all_records)} of {answer.generated} tokens in {answer.name}"
        for answer in seen.arrived(*STREAMED)
        if len(answer.all_records) < (answer.generated or 0)
    ]
    if short or requires:
        told = (["records are missing: " + ", ".join(short)] if short else []) + (
            ["refused together with tools"] if requires else []
        )
        posture = Posture.REFUSES if requires else None
        return Measured(value=PARTIAL, shown_by=shown, requires=requires, posture=posture, note="; ".join(told))
    return Measured(value=YES, shown_by=shown)


def top_logprobs(seen: Answers) -> Measured:
    """The number of alternatives: from when on, up to where, and what comes without a number."""
    given = {name: answer for name in TOPS if (answer := seen.get(name)) is not None}
    outcomes = seen.outcomes(*given)
    full = tuple(name for name in given if TOPS[name] and _full(given[name], TOPS[name]))
    if not full:
        asked = {name: outcome for name, outcome in outcomes.items() if TOPS[name]}
        if Outcome.DELIVERED in asked.values():
            return _without_alternatives(given, asked)
        return denied(given, asked)
    found = Measured(value=YES, shown_by=full, min=0)
    found = _least(found, outcomes, lowest=min(TOPS[name] for name in full))
    found = _most(found, given, outcomes, highest=max(TOPS[name] for name in full))
    alone = seen.get("logprobs")
    if alone is not None and alone.arrived and len(set(alone.counts)) == 1 and alone.counts[0]:
        found = replace(found, default=alone.counts[0], shown_by=(*found.shown_by, "logprobs"))
    return found


def _full(answer: Answer, asked: int) -> bool:
    return answer.arrived and bool(answer.counts) and min(answer.counts) >= asked


def _without_alternatives(given: dict[str, Answer], asked: dict[str, Outcome]) -> Measured:
    """Records came, with fewer alternatives than asked for, or with none."""
    shown = _names(asked, Outcome.DELIVERED)
    most = max(max(given[name].counts) for name in shown)
    if most == 0:
        return Measured(value=NO, shown_by=shown, posture=Posture.IGNORES, note="records come without alternatives")
    note = f"fewer alternatives than asked for: at most {most}"
    return Measured(value=PARTIAL, shown_by=shown, max=most, posture=Posture.RETURNS_FEWER, note=note)


def _least(found: Measured, outcomes: dict[str, Outcome], *, lowest: int) -> Measured:
    """What 0 does: records without alternatives, or no records at all."""
    zero = outcomes.get("top0")
    if zero is Outcome.DELIVERED:
        return replace(found, shown_by=("top0", *found.shown_by))
    if zero in {Outcome.IGNORED, Outcome.REFUSED}:
        how = "switches log-probabilities off" if zero is Outcome.IGNORED else "is refused"
        posture = Posture.IGNORES if zero is Outcome.IGNORED else Posture.REFUSES
        shown, least = ("top0", *found.shown_by), 1 if lowest == 1 else None
        return replace(found, min=least, shown_by=shown, posture=posture, note=f"0 {how}")
    return replace(found, min=None)


def _most(found: Measured, given: dict[str, Answer], outcomes: dict[str, Outcome], *, highest: int) -> Measured:
    """The largest number: what the server names when it refuses one, or what it stops at."""
    for name in ("top5", "top20", "top21"):
        answer = given.get(name)
        if answer is None or TOPS[name] < highest or name in found.shown_by:
            continue
        limit = answer.refusal.limit if answer.refusal is not None else None
        if outcomes[name] is Outcome.REFUSED and (limit is not None or TOPS[name] == highest + 1):
            shown, most = (*found.shown_by, name), highest if limit is None else limit
            return replace(found, max=most, shown_by=shown, posture=found.posture or Posture.REFUSES)
        if outcomes[name] is Outcome.DELIVERED:
            most = min(answer.counts)
            note = _join(found.note, f"{TOPS[name]} asked for, {most} came")
            shown = (*found.shown_by, name)
            return replace(found, max=most, shown_by=shown, note=note, posture=found.posture or Posture.RETURNS_FEWER)
        if outcomes[name] in {Outcome.REFUSED, Outcome.IGNORED}:
            between = f"between {highest} and {TOPS[name] - 1}: {TOPS[name]} is {outcomes[name].value}"
            note = _join(found.note, f"the maximum is {between}")
            return replace(found, note=note, shown_by=(*found.shown_by, name), least_max=highest)
    return replace(found, least_max=highest, note=_join(found.note, f"no maximum met: {highest} alternatives came"))


def token_ids(seen: Answers) -> Measured:
    """Ids beside the records, or in a list of their own when asked for."""
    for answer in seen.arrived("top1", "top5", "stream"):
        records = answer.all_records
        if records and all(record.token_id is not None for record in records):
            key = answer.key_of_records("id", "token_id", "tokenId")
            return Measured(value=YES, shown_by=(answer.name,), json_key=key, note="one beside each record")
    asked = seen.get("token_ids")
    if asked is None:
        return Measured()
    found = asked.under("token_ids", "response_token_ids", "output_ids", "tokens") if asked.arrived else None
    if found is not None and all(isinstance(id_, int) for id_ in found[1][0]):
        keys = _options(ID_OPTIONS, asked)
        return Measured(value=YES, shown_by=("token_ids",), json_key=found[0], note=f"with {keys}")
    return _no_such_key(asked, _options(ID_OPTIONS, asked))


def prompt_logprobs(seen: Answers) -> Measured:
    """Log-probabilities of the prompt, by the keys that engines have for them."""
    asked = seen.get("prompt_logprobs")
    if asked is None:
        return Measured()
    found = asked.under("prompt_logprobs", "input_token_logprobs") if asked.arrived else None
    keys = _options(PROMPT_OPTIONS, asked)
    if found is not None and isinstance(found[1][0], list):
        return Measured(value=YES, shown_by=("prompt_logprobs",), json_key=found[0], note=f"with {keys}")
    return _no_such_key(asked, keys)


def _no_such_key(asked: Answer, keys: str) -> Measured:
    """Another key may exist, so that this is no ``no``."""
    outcome = asked.outcome(came=False)
    told = f": {words_of(asked)}" if outcome is Outcome.REFUSED else ""
    return Measured(note=f"{keys} is {outcome.value}{told}")


def reasoning_logprobs(seen: Answers) -> Measured:
    """Whether the tokens of the reasoning have a channel of their own."""
    for answer in seen.arrived("reasoning"):
        reply = answer.response
        if reply is None or not reply.reasoning:
            return Measured(note="no reasoning in the reply")
        if reply.logprobs is not None and reply.logprobs.reasoning:
            return Measured(value=YES, shown_by=("reasoning",))
        if legible(reply.reasoning) in legible(joined(answer.records)):
            return Measured(value=PARTIAL, shown_by=("reasoning",), note="mixed into the content")
        return Measured(value=NO, shown_by=("reasoning",), note="the reasoning has no records")
    return Measured()


def reasoning_effort(seen: Answers) -> Measured:
    """Only reasoning that comes shows that the field does something."""
    answer = seen.get("reasoning")
    if answer is None:
        return Measured()
    if answer.refused and answer.refusal is None:
        return Measured(value=NO, shown_by=("reasoning",), posture=Posture.REFUSES, note=words_of(answer))
    return Measured(note="accepted; whether it does anything is not seen" if answer.arrived else None)


def streaming(seen: Answers) -> Measured:
    """A stream has its text in several chunks."""
    found = seen.get("plain_stream")
    if found is None:
        return Measured()
    if found.arrived and found.pieces > 1:
        return Measured(value=YES, shown_by=("plain_stream",))
    if found.refused:
        return Measured(value=NO, shown_by=("plain_stream",), posture=Posture.REFUSES, note=words_of(found))
    return Measured(note="the stream has its text in one piece" if found.arrived else words_of(found))


def tools(seen: Answers) -> Measured:
    """A call that comes back."""
    answer = seen.get("tools")
    if answer is None:
        return Measured()
    if answer.refused:
        return Measured(value=NO, shown_by=("tools",), posture=Posture.REFUSES, note=words_of(answer))
    if not answer.arrived:
        return Measured(note=words_of(answer))
    if answer.response is None or not answer.response.tool_calls:
        return Measured(note="accepted, and no call came back")
    tokens = f"{len(answer.all_records)} records for {answer.generated} tokens of a call"
    return Measured(value=YES, shown_by=("tools",), note=tokens)


def json_schema(seen: Answers) -> Measured:
    """An answer of the schema's shape, which no model would give by itself; and what the grammar does to the values."""
    answer = seen.get("json_schema")
    if answer is None:
        return Measured()
    if answer.refused:
        return Measured(value=NO, shown_by=("json_schema",), posture=Posture.REFUSES, note=words_of(answer))
    if not answer.arrived or answer.finish_reason == "length":
        return Measured(note="the answer was cut off" if answer.arrived else words_of(answer))
    if _fits(answer.text):
        return Measured(value=YES, shown_by=("json_schema",), note=masks(answer))
    return Measured(value=NO, shown_by=("json_schema",), posture=Posture.IGNORES, note="the answer has another shape")


def _fits(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value in [{"verdict": word} for word in SCHEMA["properties"]["verdict"]["enum"]]


def masks(answer: Answer) -> str | None:
    """What the grammar does to the values: masks with a sentinel, or none."""
    tops = [top for record in answer.all_records for top in record.top_logprobs]
    values = {top.logprob for top in tops if top.is_masked and top.logprob is not None}
    if values:
        count = sum(top.is_masked for top in tops)
        return f"{count} of {len(tops)} alternatives are masked, as {' and '.join(map(repr, sorted(values)))}"
    outside = sum(record.logprob is not None and record.logprob < -1 for record in answer.all_records)
    return f"no value is masked; {outside} sampled tokens are unlikely without the grammar" if outside else None


def n(seen: Answers) -> Measured:
    """Several choices, and what the server counts of them."""
    answer = seen.get("n2")
    if answer is None:
        return Measured()
    if answer.refused and answer.refusal is None:
        return Measured(value=NO, shown_by=("n2",), posture=Posture.REFUSES, note=words_of(answer))
    if not answer.arrived or answer.response is None:
        return Measured(note=words_of(answer))
    choices = answer.response.choices
    if len(choices) < 2:
        return Measured(value=NO, shown_by=("n2",), posture=Posture.IGNORES, note=f"{len(choices)} choice came")
    first, every = len(answer.records), len(answer.all_records)
    if answer.generated is not None and answer.generated == first < every:
        return Measured(value=PARTIAL, shown_by=("n2",), note="usage counts one choice only")
    counts = "usage counts all choices" if answer.generated is not None and answer.generated >= every > 0 else None
    return Measured(value=YES, shown_by=("n2",), note=counts)


def temperature(seen: Answers) -> Measured:
    """It changes what is sampled."""
    cold = seen.get("cold")
    if cold is not None and cold.refused and cold.refusal is None:
        return Measured(value=NO, shown_by=("cold",), posture=Posture.REFUSES, note=words_of(cold))
    if heated(seen.get("greedy"), seen.get("hot")):
        return Measured(value=YES, shown_by=("hot",), note="at 0 (greedy) only the likeliest tokens are sampled")
    return Measured()


def max_tokens(seen: Answers) -> Measured:
    """The answer is cut off where it was to be."""
    for answer in seen.arrived("greedy", "hot", "warm"):
        if answer.finish_reason == "length" and answer.generated == answer.question.fields["max_tokens"]:
            return Measured(value=YES, shown_by=(answer.name,))
    return Measured()


CLAIM_RULES: dict[str, Callable[[Answers], Measured]] = {
    rule.__name__: rule
    for rule in (
        logprobs,
        streaming_logprobs,
        top_logprobs,
        token_ids,
        prompt_logprobs,
        reasoning_logprobs,
        streaming,
        tools,
        json_schema,
        reasoning_effort,
        temperature,
        max_tokens,
        n,
    )
}
"""What is measured of each claim; the others are not asked about."""


def _names(outcomes: dict[str, Outcome], wanted: Outcome) -> tuple[str, ...]:
    return tuple(name for name, outcome in outcomes.items() if outcome is wanted)


def _by_name(seen: Answers, names: dict[str, Outcome]) -> dict[str, Answer]:
    return {name: answer for name in names if (answer := seen.get(name)) is not None}


def _covers(answer: Answer) -> bool:
    """Whether the text is made of the records."""
    return legible(answer.text) in legible(joined(answer.records))


def _options(table: dict[str, dict[str, Any]], asked: Answer) -> str:
    given: dict[str, Any] = asked.question.fields["provider_options"]
    keys = next((options for options in table.values() if options == given), given)
    return ", ".join(keys)


def _join(*notes: str | None) -> str:
    return "; ".join(note for note in notes if note)
