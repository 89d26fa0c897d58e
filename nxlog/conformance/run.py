"""The kit from end to end: ask, hang up, ask several things at once, check."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nxlog.conformance import questions
from nxlog.conformance.checks import check
from nxlog.conformance.finding import Finding, Verdict
from nxlog.errors import ResponseError
from nxlog.http import SyncTransport
from nxlog.probe.ask import Asker, ask, blank
from nxlog.probe.reach import Line, reach
from nxlog.probe.run import TIMEOUT, fingerprint
from nxlog.registry import Registry
from nxlog.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nxlog.auth import ApiKey
    from nxlog.http import OwnClient
    from nxlog.probe.answer import Answer
    from nxlog.probe.questions import Question
    from nxlog.probe.reach import Reached
    from nxlog.timeout import Timeout


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """What was asked of whom, and which rules are kept."""

    provider: str
    model: str
    wire: str
    date: str
    """The day, in UTC."""
    engine: str | None
    """The server and its version; None where it did not say."""
    findings: tuple[Finding, ...]
    answers: tuple[Answer, ...] = field(repr=False)

    @property
    def failed(self) -> list[Finding]:
        """The rules that are broken."""
        return [finding for finding in self.findings if finding.verdict is Verdict.FAIL]


def conformance(
    name: str,
    *,
    base_url: str | None = None,
    api_key: ApiKey | None = None,
    wire: str | None = None,
    registry: Registry | None = None,
    timeout: float | Timeout | None = TIMEOUT,
    retries: int | RetryPolicy = 1,
    http_client: OwnClient | None = None,
    tell: Callable[[Answer], None] | None = None,
) -> Conformance:
    """Ask a live server, and check the rules.

    Args:
        name: ``"provider/model"``; ``"local"`` is the embedded engine, ``"custom/model"`` a server that no file
            describes.
        base_url: where the server is, when not at the provider's address.
        api_key: as of ``Client``.
        wire: the wire format, when not the provider's first.
        registry: where providers are looked up, when not in the built-in data with the user's own.
        timeout: of one question.
        retries: how often a question is sent again that the server could not answer just now.
        http_client: an ``httpx.Client`` to send with.
        tell: called after each answer.

    Raises:
        NxlogError: the plain question, without log-probabilities, got no answer at all.
    """
    there = reach(
        name,
        base_url=base_url,
        api_key=api_key,
        wire=wire,
        registry=Registry.default() if registry is None else registry,
    )
    answers: list[Answer] = []
    with SyncTransport(timeout=timeout, http_client=http_client) as transport:
        for answer in _ask(there, transport, RetryPolicy.of(retries)):
            answers.append(answer)
            if tell is not None:
                tell(answer)
    spoken = there.target.wire.name
    return Conformance(
        provider=there.provider.id,
        model=there.model,
        wire=spoken,
        date=datetime.now(UTC).date().isoformat(),
        engine=there.engine or fingerprint(there.provider, answers),
        findings=tuple(check(answers, wire=spoken)),
        answers=tuple(answers),
    )


def _ask(there: Reached, transport: SyncTransport, retries: RetryPolicy) -> Iterator[Answer]:
    target = blank(there.target)
    wire, lacks = target.wire.name, target.lacks
    line = Line(transport, retries)
    asker = Asker(target, line)
    for question in questions.borrowed(wire, lacks):
        answer = asker.ask(question)
        if question.name == "plain":
            answer = asker.make_room(answer)
            # A reply that cannot be read is a finding; no reply is none.
            if answer.error is not None and not isinstance(answer.error, ResponseError):
                raise answer.error
        yield answer
    yield asker.ask(questions.call_stream(wire, lacks))
    wrong = questions.wrong_field(wire)
    if wrong is not None:
        yield ask(wrong, target, line)
    yield ask(questions.UNKNOWN_MODEL, blank(there.config.target(questions.NO_MODEL)), line)
    yield ask(asker.fitted(questions.HANG_UP.without(lacks)), target, Line(transport, retries, hang_up=True))
    yield asker.ask(questions.AFTERWARDS.without(lacks))
    for question in questions.alone():
        yield asker.ask(question.without(lacks))

    def one(question: Question) -> Answer:
        return ask(question, target, Line(transport, retries))

    fitted = [asker.fitted(question.without(lacks)) for question in questions.together()]
    with ThreadPoolExecutor(len(fitted)) as pool:
        yield from pool.map(one, fitted)


def as_json(found: Conformance) -> dict[str, Any]:
    """Everything as JSON can hold it."""
    return {
        "provider": found.provider,
        "model": found.model,
        "wire": found.wire,
        "engine": found.engine,
        "date": found.date,
        "passed": not found.failed,
        "checks": [
            {
                "name": finding.name,
                "rule": finding.rule,
                "verdict": finding.verdict.value,
                "seen": finding.seen,
                "shown_by": list(finding.shown_by),
            }
            for finding in found.findings
        ],
    }
