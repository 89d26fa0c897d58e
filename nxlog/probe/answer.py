"""One answer of a probe: the exchange as it was, and what nxlog made of it."""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import BadRequestError, StatusError
from nxlog.wire.errors import Refusal, RefusalKind, classify_refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nxlog.errors import NxlogError
    from nxlog.exchange import HttpRequest
    from nxlog.logprobs import TokenLogprob
    from nxlog.probe.questions import Question
    from nxlog.response import ChatResponse


class Outcome(enum.StrEnum):
    """What became of something that was asked for."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The server answered with an error because of it."""
    IGNORED = "ignored"
    """A reply that says something, without what was asked for."""
    FAILED = "failed"
    """No answer, or an error that is not about the question."""
    SILENT = "silent"
    """A reply that says nothing, so that nothing could come with it."""
    NOT_ASKED = "not asked"
    """The wire format has no place for it."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What went over the wire."""

    request: HttpRequest
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one question. Without an exchange nothing was sent, or nothing came back."""

    question: Question
    exchange: Exchange | None = None
    response: ChatResponse | None = None
    error: NxlogError | None = None
    pieces: int = 0
    """Chunks of a stream that carried text."""
    lacking: str | None = None
    """What the wire format has no place for."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What authenticated the request, as far as it is not the key."""

    @property
    def name(self) -> str:
        """The question's name."""
        return self.question.name

    @property
    def arrived(self) -> bool:
        """Whether a reply came that is no error."""
        return self.error is None and self.response is not None

    @cached_property
    def refusal(self) -> Refusal | None:
        """What the server's error says about log-probabilities."""
        if not isinstance(self.error, StatusError):
            return None
        return classify_refusal(self.error.body or self.error.message)

    @property
    def refused(self) -> bool:
        """Whether the error is the server's answer to what was asked, not a fault of the moment."""
        if self.refusal is not None:
            return self.refusal.kind is not RefusalKind.TRANSIENT
        return isinstance(self.error, BadRequestError)

    def outcome(self, *, came: bool) -> Outcome:
        """What became of the thing asked for, of which the reply has something or nothing."""
        if self.lacking is not None:
            return Outcome.NOT_ASKED
        if self.refused:
            return Outcome.REFUSED
        if not self.arrived:
            return Outcome.FAILED
        if came:
            return Outcome.DELIVERED
        return Outcome.IGNORED if self.says_something else Outcome.SILENT

    @property
    def says_something(self) -> bool:
        """Whether the first choice has text, a refusal or a tool call."""
        reply = self.response
        return reply is not None and bool(reply.text or reply.refusal or reply.tool_calls)

    @property
    def text(self) -> str:
        """Text of the first choice."""
        return self.response.text if self.response is not None else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.response.finish_reason if self.response is not None else None

    @property
    def generated(self) -> int | None:
        """How many tokens the server says it generated."""
        usage = self.response.usage if self.response is not None else None
        return usage.completion_tokens if usage is not None else None

    @property
    def records(self) -> Sequence[TokenLogprob]:
        """Token records of the first choice, in its content."""
        logprobs = self.response.logprobs if self.response is not None else None
        return logprobs.content if logprobs is not None else []

    @property
    def all_records(self) -> list[TokenLogprob]:
        """Token records of every choice and channel."""
        found: list[TokenLogprob] = []
        for choice in self.response.choices if self.response is not None else ():
            if choice.logprobs is not None:
                found += [*choice.logprobs.content, *(choice.logprobs.refusal or ())]
                found += choice.logprobs.reasoning or ()
        return found

    @property
    def counts(self) -> list[int]:
        """How many alternatives each record has."""
        return [record.count_alternatives() for record in self.all_records]

    @cached_property
    def events(self) -> list[Any]:
        """The JSON of the reply: one value for a whole reply, one for each event of a stream."""
        if self.exchange is None:
            return []
        # Bytes, because a text would also be cut at characters that a token may contain.
        body = self.exchange.body
        lines = [line.removeprefix(b"data:") for line in body.splitlines()] if self.question.stream else [body]
        return [value for value in map(_parsed, lines) if value is not None]

    def key_of_records(self, *keys: str) -> str | None:
        """The first of the keys that the token records of the reply have."""
        found = (key for event in self.events for key in _keys_beside(event, keys))
        return next(found, None)

    def under(self, *keys: str) -> tuple[str, list[Any]] | None:
        """The first of the keys that has something anywhere in the reply, and what it has."""
        for key in keys:
            values = [value for event in self.events for value in _values(event, key) if value]
            if values:
                return key, values
        return None


RECORD_KEYS = ("logprob", "logProbability", "prob")
"""A JSON object with one of these is a token record."""


def joined(records: Iterable[TokenLogprob]) -> bytes:
    """The bytes of the records in a row; of a record without bytes, those of its text."""
    return b"".join(
        record.token.encode("utf-8", "replace") if record.bytes is None else record.bytes for record in records
    )


def legible(text: str | bytes) -> str:
    """A text as it can be compared: without what servers strip from its ends, and with broken UTF-8 as one mark."""
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return re.sub("\ufffd+", "\ufffd", decoded).strip()


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except ValueError:
        return None


def _keys_beside(value: object, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if any(name in table for name in RECORD_KEYS):
            yield from (key for key in keys if key in table)
        for inner in table.values():
            yield from _keys_beside(inner, keys)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _keys_beside(inner, keys)


def _values(value: object, key: str) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            if name == key:
                yield inner
            else:
                yield from _values(inner, key)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _values(inner, key)
