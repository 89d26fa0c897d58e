"""What a probe says: the capability entry as TOML, the differences from the registry, everything as JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from nxlog.probe.answer import Answer, Outcome
from nxlog.probe.cassette import file_name
from nxlog.probe.measured import UNKNOWN, Measured, words_of
from nxlog.registry import CLAIM_NAMES, Posture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nxlog.probe.questions import Question
    from nxlog.probe.run import Probe
    from nxlog.registry import Requirement

NONE = "none"
LIMITS = ("min", "max", "default")


class Difference(NamedTuple):
    """One thing that the registry says otherwise, or does not say."""

    name: str
    """The claim or trait, and which part of it."""
    registry: str
    measured: str
    shown_by: tuple[str, ...]

    @property
    def contradicts(self) -> bool:
        """Whether the registry says something that is not so.

        It says nothing where it knows nothing, and ``partial`` where it depends on a server's settings.
        """
        return self.registry not in {UNKNOWN, NONE} and (self.registry, self.measured) != ("partial", "yes")


def differences(found: Probe) -> list[Difference]:
    """Where the registry says something else than what was measured. What is not known now contradicts nothing."""
    known = found.registry.claims
    differing: list[Difference] = []
    for name, measured in found.measurement.all.items():
        if known is None or not measured.known:
            continue
        stated = getattr(known, name)
        if stated.value != measured.value:
            differing.append(Difference(name, str(stated.value), str(measured.value), measured.shown_by))
        elif name in CLAIM_NAMES:
            differing += _details(name, stated, measured)
    return differing


def _details(name: str, stated: Any, measured: Measured) -> Iterator[Difference]:
    for limit in ("min", "default"):
        ours, theirs = getattr(measured, limit), getattr(stated, limit)
        # No minimum is the same as 0.
        if (ours or 0) != (theirs or 0) and (limit == "min" or ours is not None):
            yield Difference(f"{name}.{limit}", _word(theirs), _word(ours), measured.shown_by)
    if measured.max is not None and measured.max != stated.max:
        yield Difference(f"{name}.max", _word(stated.max), str(measured.max), measured.shown_by)
    elif measured.least_max is not None and stated.max is not None and stated.max < measured.least_max:
        yield Difference(f"{name}.max", str(stated.max), f"at least {measured.least_max}", measured.shown_by)
    missing = [rule for rule in measured.requires if rule not in stated.requires]
    if missing:
        yield Difference(f"{name}.requires", _list(stated.requires), _list(measured.requires), measured.shown_by)
    if measured.json_key is not None and stated.json_key not in {None, measured.json_key}:
        yield Difference(f"{name}.json_key", stated.json_key, measured.json_key, measured.shown_by)


def _word(value: object) -> str:
    return NONE if value is None else str(value)


def _list(rules: Iterable[Requirement]) -> str:
    return ", ".join(rule.value for rule in rules) or NONE


# -- the entry -------------------------------------------------------------------------------------------------------


def entry(found: Probe, *, recorded: bool) -> str:
    """The text of a capabilities file. With cassettes, each claim names those that show it; without, it is your word.

    Args:
        found: the probe.
        recorded: whether the cassettes were written.
    """
    lines = ["#:schema ./.schema.json", *(f"# {_one_line(line)}" for line in _head(found, recorded=recorded))]
    general = found.wire == found.provider.default_wire
    if general and found.measurement.posture is not Posture.UNKNOWN:
        lines.append(f"posture = {_toml(found.measurement.posture.value)}")
    table = "claims" if general else f"wires.{found.wire}"
    used: dict[str, None] = {}
    for name, measured in found.measurement.all.items():
        if measured.known or measured.note:
            lines += ["", f"[{table}.{name}]", *_fields(measured, recorded=recorded)]
            used |= dict.fromkeys(measured.shown_by if measured.known else ())
    if recorded and used:
        engine = found.engine or f"{found.provider.display_name}, version not known"
        lines += ["", "[sources]", *(_source(found, name, engine) for name in used)]
    return "\n".join(lines) + "\n"


def _head(found: Probe, *, recorded: bool) -> Iterator[str]:
    served = "" if found.served_model == found.model else f" (served as {found.served_model})"
    yield f"Measured by nxlog probe on {found.date}: {found.provider.id}/{found.model}{served}, wire {found.wire}."
    if found.engine is not None:
        yield f"Server: {found.engine}."
    yield from (f"Seen: {remark}." for remark in found.measurement.remarks)
    if not recorded:
        yield "Nothing was recorded, so the claims are without evidence: they count as your word (asserted)."


def _fields(measured: Measured, *, recorded: bool) -> Iterator[str]:
    yield f"value = {_toml(str(measured.value))}"
    for name in LIMITS:
        value = getattr(measured, name)
        if value is not None and measured.known:
            yield f"{name} = {value}"
    if measured.requires:
        yield f"requires = {_toml([rule.value for rule in measured.requires])}"
    if measured.posture is not None:
        yield f"posture = {_toml(measured.posture.value)}"
    if measured.json_key is not None:
        yield f"json_key = {_toml(measured.json_key)}"
    if measured.note:
        yield f"note = {_toml(measured.note)}"
    if recorded and measured.known:
        yield f"evidence = {_toml(list(measured.shown_by))}"


def _source(found: Probe, name: str, engine: str) -> str:
    ref = f"fixtures/{found.provider.id}/{file_name(name)}"
    told = f'kind = "captured", ref = {_toml(ref)}, engine = {_toml(engine)}, checked = {_toml(found.date)}'
    return f"{name} = {{ {told} }}"


def _toml(value: str | list[str]) -> str:
    # A JSON text is a TOML text, but for one control character; those that no terminal should get are escaped too.
    return _CONTROL.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _one_line(text: str) -> str:
    return _CONTROL.sub(_escaped, " ".join(text.split()))


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04X}"


# -- answers in a few words ------------------------------------------------------------------------------------------


def asked(question: Question) -> str:
    """What a question asks for, in a few words."""
    told = ["stream"] if question.stream else []
    for name, value in question.special.items():
        if name in {"tools", "response_format"} or (name == "temperature" and not value):
            continue  # the question is named after the first two, and 0 is the rule
        if name == "logprobs" and "top_logprobs" in question.special:
            continue
        options = value.items() if name == "provider_options" else [(name, value)]
        told += [key if inner is True else f"{key} {inner}" for key, inner in options]
    return ", ".join(told) or "no log-probabilities"


def came(answer: Answer) -> str:
    """What came of one question, in a few words."""
    if answer.lacking is not None:
        return f"not asked: the wire has no field for {answer.lacking}"
    if answer.error is not None:
        return f"{'refused' if answer.refused else 'failed'}: {words_of(answer)}"
    reply = answer.response
    if reply is None or not reply.choices:
        return "nothing"
    return ", ".join(_parts(answer))


def _parts(answer: Answer) -> Iterator[str]:
    generated = answer.generated
    if answer.question.special.get("logprobs"):
        records, counts = len(answer.all_records), sorted(set(answer.counts))
        yield f"{_count(records, 'record')}" + ("" if generated is None else f" for {_count(generated, 'token')}")
        if counts:
            least, most = counts[0], counts[-1]
            yield _count(most, "alternative") if least == most else f"{least} to {most} alternatives"
    elif generated is not None:
        yield _count(generated, "token")
    if answer.question.stream:
        yield f"text in {_count(answer.pieces, 'piece')}"
    reply = answer.response
    if reply is not None and reply.tool_calls:
        yield "a tool call"
    if reply is not None and len(reply.choices) > 1:
        yield f"{len(reply.choices)} choices"
    yield f"finished by {answer.finish_reason}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def as_json(found: Probe, *, cassettes: dict[str, str]) -> dict[str, Any]:
    """Everything, for programs.

    Args:
        found: the probe.
        cassettes: the files that were written, by question.
    """
    return {
        "provider": found.provider.id,
        "model": found.model,
        "served_model": found.served_model,
        "wire": found.wire,
        "engine": found.engine,
        "date": found.date,
        "questions": [_answer_json(answer, cassettes.get(answer.name)) for answer in found.answers],
        "posture": found.measurement.posture.value,
        "claims": {name: _measured_json(measured) for name, measured in found.measurement.claims.items()},
        "traits": {name: _measured_json(measured) for name, measured in found.measurement.traits.items()},
        "remarks": list(found.measurement.remarks),
        "differences": [{**item._asdict(), "contradicts": item.contradicts} for item in differences(found)],
        "entry": entry(found, recorded=bool(cassettes)),
    }


def _answer_json(answer: Answer, cassette: str | None) -> dict[str, Any]:
    outcome = answer.outcome(came=True)
    return {
        "name": answer.name,
        "stream": answer.question.stream,
        "asked": answer.question.special,
        "outcome": "answered" if outcome is Outcome.DELIVERED else outcome.value,
        "status": answer.exchange.status if answer.exchange is not None else None,
        "records": len(answer.all_records),
        "generated": answer.generated,
        "finish_reason": answer.finish_reason,
        "came": came(answer),
        "cassette": cassette,
    }


def _measured_json(measured: Measured) -> dict[str, Any]:
    fields = {name: getattr(measured, name) for name in ("note", *LIMITS, "json_key")}
    fields |= {"posture": measured.posture and measured.posture.value}
    fields |= {"requires": [rule.value for rule in measured.requires] or None}
    kept = {name: value for name, value in fields.items() if value is not None}
    return {"value": str(measured.value), **kept, "shown_by": list(measured.shown_by)}
