"""Checks of a server's manners: how it says no, and how it treats several requests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nxlog.conformance.finding import Evidence, Seen, Verdict, judged, plural, untold
from nxlog.conformance.questions import NO_MODEL, WORDS
from nxlog.errors import StatusError
from nxlog.probe.answer import legible
from nxlog.probe.distribution import identity
from nxlog.probe.measured import words_of

if TYPE_CHECKING:
    from nxlog.probe.answer import Answer

_MESSAGE_KEYS = ("message", "msg", "detail", "details", "error", "errors", "reason", "title")


def error_body(seen: Evidence) -> Seen:
    """A request that cannot be answered is refused with a 4xx and a message."""
    answer = seen.get("wrong_field")
    if answer is None or answer.exchange is None:
        return untold("not asked" if answer is None else words_of(answer))
    fault = _error_fault(answer, "a conversation that is none")
    return judged([fault] if fault else [], [answer], good=_error_shown(answer), untried="")


def unknown_model(seen: Evidence) -> Seen:
    """A model that is not there is an error, or the reply names the model that answered in its place."""
    answer = seen.get("unknown_model")
    if answer is None or answer.exchange is None:
        return untold("not asked" if answer is None else words_of(answer))
    request = answer.exchange.request
    if NO_MODEL not in request.url and NO_MODEL.encode() not in request.content:
        return untold("the wire names no model")
    if answer.response is not None and answer.error is None:
        named = answer.response.model
        if named in {"", NO_MODEL}:
            return Seen(Verdict.FAIL, "unknown_model: answered as if it were there", (answer.name,))
        return Seen(Verdict.PASS, f"{named} answered, and says so", (answer.name,))
    fault = _error_fault(answer, "an unknown model")
    return judged([fault] if fault else [], [answer], good=_error_shown(answer), untried="")


def _error_fault(answer: Answer, what: str) -> tuple[str, str] | None:
    status = answer.exchange.status if answer.exchange is not None else 0
    if not 400 <= status < 500:
        return answer.name, f"{what} gives HTTP {status}"
    if not _has_message(answer):
        return answer.name, f"HTTP {status} without a message in its JSON"
    return None


def _error_shown(answer: Answer) -> str:
    status = answer.exchange.status if answer.exchange is not None else 0
    said = words_of(answer, 100)
    return said if said.startswith("HTTP ") else f"HTTP {status}: {said}"


def _has_message(answer: Answer) -> bool:
    return any(
        isinstance(value, str) and value.strip()
        for key in _MESSAGE_KEYS
        if (found := answer.under(key)) is not None
        for value in found[1]
    )


def choice_indexes(seen: Evidence) -> Seen:
    """Two choices have the indexes 0 and 1."""
    answer = seen.get("n2")
    if answer is None:
        return untold("the wire has no place for it")
    if answer.refused or answer.response is None:
        return untold(f"refused: {words_of(answer)}" if answer.error is not None else "no reply")
    indexes = _raw_indexes(answer)
    if indexes is None:
        indexes = [choice.index for choice in answer.response.choices]
    if sorted(map(str, indexes)) != ["0", "1"]:
        shown = ", ".join(map(str, indexes)) or "none"
        return Seen(Verdict.FAIL, f"n2: {plural(len(indexes), 'choice')}, indexes {shown}", ("n2",))
    return Seen(Verdict.PASS, "2 choices, indexes 0 and 1", ("n2",))


def _raw_indexes(answer: Answer) -> list[Any] | None:
    for event in _tables(answer.events):
        if isinstance(event.get("choices"), list):
            return [one.get("index") for one in _tables(event["choices"])]
    return None


def hang_up(seen: Evidence) -> Seen:
    """A client that closes the connection in the middle of a stream does not harm the next one."""
    left, after = seen.get("hang_up"), seen.get("afterwards")
    if left is None or after is None:
        return untold("not asked")
    if left.exchange is None or isinstance(left.error, StatusError):
        return untold(f"no stream: {words_of(left)}")
    if left.exchange.complete or left.error is None:
        return untold("the whole stream came at once")
    plain = seen.arrived("plain")
    if not plain:
        return untold("the plain question has no answer before either")
    if not after.arrived:
        return Seen(Verdict.FAIL, f"afterwards: {words_of(after)}", ("hang_up", "afterwards"))
    settled = all(one.question.fields.get("temperature") == 0 for one in (*plain, after))
    same = settled and legible(plain[0].text) == legible(after.text)
    good = f"hung up after {plural(len(left.exchange.body), 'byte')}; the next request was answered"
    return Seen(Verdict.PASS, good + (" as before" if same else ""), ("hang_up", "afterwards"))


def no_mixing(seen: Evidence) -> Seen:
    """Streams at the same time are each the answer to their own question."""
    alone = {word: seen.arrived(f"alone_{word}") for word in WORDS}
    beside = {word: seen.get(f"together_{word}") for word in WORDS}
    tried = [answer for answer in beside.values() if answer is not None and not answer.refused]
    if not tried or not all(alone.values()):
        return untold("the questions got no answer one by one")
    texts = {word: legible(answers[0].text) for word, answers in alone.items()}
    if len(set(texts.values())) < len(texts):
        return untold("different questions have the same answer")
    faults = [
        (answer.name, fault)
        for word, answer in beside.items()
        if answer is not None and not answer.refused and (fault := _mixed(answer, alone[word][0], texts))
    ]
    good = f"{plural(len(tried), 'stream')} at once"
    same = sum(legible(answer.text) == texts[answer.name.partition("_")[2]] for answer in tried)
    return judged(faults, tried, good=f"{good}, {same} word for word as alone", untried="")


def _mixed(answer: Answer, alone: Answer, texts: dict[str, str]) -> str | None:
    if answer.error is not None:
        return words_of(answer)
    text = legible(answer.text)
    other = next((one for one, said in texts.items() if text == said), None)
    if other is not None and text != legible(alone.text):
        return f"has the answer about {other}"
    ids = [str(event["id"]) for event in _tables(answer.events) if "id" in event]
    if 1 < len(set(ids)) < len(ids):  # some servers give every chunk an id of its own
        return f"{len(set(ids))} different ids in one stream"
    return None if _may_begin(answer, alone) else "begins in a way that was not likely alone"


def _may_begin(answer: Answer, alone: Answer) -> bool:
    """Whether the first token is one of those that were likely alone: numbers differ a little in a larger batch."""
    if not answer.records or not alone.records or answer.question.fields.get("temperature") != 0:
        return True  # nothing can be said
    first = alone.records[0]
    likely = {identity(first), *map(identity, first.top_logprobs)}
    return identity(answer.records[0]) in likely


def _tables(values: list[Any]) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", value) for value in values if isinstance(value, dict)]
