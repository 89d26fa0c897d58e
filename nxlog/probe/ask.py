"""Asking: each question goes the way of any call, except that no claim changes it and no refusal is given in to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nxlog._drive import drive
from nxlog.call import Call, Policy, StreamReader, chat, not_a_stream, open_stream
from nxlog.errors import NxlogError, UnsupportedParameterError
from nxlog.exchange import is_stream
from nxlog.probe.answer import Answer, Exchange
from nxlog.probe.questions import ROOM, Question, questions_for
from nxlog.registry import Claims, ProviderCapabilities
from nxlog.request import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from nxlog.call import Target
    from nxlog.exchange import HttpRequest, HttpResponse

    class Line(Protocol):
        """Where requests go. ``last`` is what went over it last, also when ``send`` raised."""

        last: Exchange | None

        def send(self, request: HttpRequest) -> HttpResponse:
            """Send, and return the whole response, also that of a stream."""
            ...


# Raising instead of dropping is what keeps every field: with all claims unknown, only the wire format objects.
_NO_GIVING_IN = Policy(on_unsupported="raise", on_unknown="try")


def blank(target: Target) -> Target:
    """The target as if nothing were known of it."""
    unknown = ProviderCapabilities(provider=target.provider, model=target.model, claims=Claims())
    return replace(target, capabilities=unknown)


def ask_all(target: Target, line: Line, *, tell: Callable[[int, int, Answer], None] | None = None) -> list[Answer]:
    """Ask every question in turn. A question that fails does not keep the others from being asked.

    Args:
        target: whom to ask.
        line: where the requests go.
        tell: called after each answer, with its number, the number of all, and the answer.

    Raises:
        NxlogError: the plain question got no answer, so that nothing can be learned.
    """
    asker = Asker(blank(target), line)
    questions = questions_for(target.wire.name, target.lacks)
    answers: list[Answer] = []
    for question in questions:
        answer = asker.ask(question)
        if question.name == "plain":
            answer = asker.make_room(answer)
            if answer.error is not None:
                raise answer.error
        answers.append(answer)
        if tell is not None:
            tell(len(answers), len(questions), answer)
    return answers


class Asker:
    """Remembers what the server has refused and how long the model thinks, so that it is found out once."""

    def __init__(self, target: Target, line: Line) -> None:
        self._target = target
        self._line = line
        self._refused: set[str] = set()
        self._accepted: set[str] = set()
        self._room = 0

    def ask(self, question: Question) -> Answer:
        """Ask; again without one of its optional fields where the server refuses the question with it."""
        question = self.fitted(question)
        answer = self._asked(question)
        if answer.refused and answer.refusal is None:  # one that speaks of logprobs is an answer
            for names in self._fewer(question):
                second = self._asked(question.without(names))
                if second.arrived:
                    self._refused.update(names)
                    return second
        return answer

    def fitted(self, question: Question) -> Question:
        """The question without what was refused, and with as much room as the model needs."""
        return question.without(self._refused).with_room(self._room)

    def _asked(self, question: Question) -> Answer:
        answer = ask(question, self._target, self._line)
        if answer.arrived:
            self._accepted.update(question.fields)
        return answer

    def _fewer(self, question: Question) -> Iterator[tuple[str, ...]]:
        """Which optional fields to leave out: each that was never accepted, then all of those."""
        given = tuple(name for name in question.optional if name in question.fields and name not in self._accepted)
        yield from ((name,) for name in given)
        if len(given) > 1:
            yield given

    def make_room(self, plain: Answer) -> Answer:
        """The plain question once more with a longer answer, where the model had not begun to answer it."""
        if not plain.arrived or plain.says_something:
            return plain
        self._room = ROOM
        return ask(plain.question.with_room(ROOM), self._target, self._line)


def ask(question: Question, target: Target, line: Line) -> Answer:
    """One question; what goes wrong is part of the answer."""
    missing = next((name for name in question.needs if name in target.lacks), None)
    if missing is not None:
        return Answer(question=question, lacking=missing)
    line.last = None
    try:
        call = _call(question, target)
    except UnsupportedParameterError as error:
        return Answer(question=question, lacking=error.param or "it")
    try:
        answer = _streamed(question, call, line) if question.stream else _whole(question, call, line)
    except NxlogError as error:
        answer = Answer(question=question, error=error)
    used = frozenset(call.credential.secrets) if call.credential is not None else frozenset[str]()
    return replace(answer, exchange=line.last, secrets=used)


def _call(question: Question, target: Target) -> Call:
    call = Call(target, _NO_GIVING_IN, question.request(target.model), question.stream)
    if question.unchecked:
        given = {name: getattr(call.sent, name) for name in call.sent.model_fields_set}
        call.sent = ChatRequest.model_construct(None, **given, **question.unchecked)
    return call


def _whole(question: Question, call: Call, line: Line) -> Answer:
    return Answer(question=question, response=drive(chat(call), line.send))


def _streamed(question: Question, call: Call, line: Line) -> Answer:
    def send(request: HttpRequest) -> HttpResponse:
        response = line.send(request)
        if response.status < 300 and not is_stream(response.headers):
            raise not_a_stream(response, call)
        return response

    broken: NxlogError | None = None
    try:
        reader = drive(open_stream(call), send)
    except NxlogError as error:
        # What came before the break is worth reading.
        if line.last is None or line.last.complete or line.last.status >= 300:
            raise
        reader, broken = StreamReader(call), error
    pieces = 0
    try:
        for chunk in reader.feed(line.last.body if line.last is not None else b""):
            pieces += bool(chunk.delta)
        if broken is None:
            pieces += sum(bool(chunk.delta) for chunk in reader.close())
    except NxlogError as error:
        broken = error
    return Answer(question=question, response=reader.response, error=broken, pieces=pieces)
