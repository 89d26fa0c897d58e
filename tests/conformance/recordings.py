"""Recordings as evidence: what was asked, what came back, in the words in which claims speak of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from nxlog.wire.errors import Refusal, classify_refusal
from tests.conformance.cassettes import CASES, FIXTURES, Case
from tests.conformance.readers import Json, Part, Reader, reader


@dataclass(frozen=True)
class Recording:
    """One cassette."""

    case: Case

    @property
    def reader(self) -> Reader:
        return reader(self.case.wire)

    @property
    def stream(self) -> bool:
        return self.case.stream

    @property
    def messages(self) -> list[Json]:
        return self.asked("messages") or []

    def asked(self, name: str) -> Any:
        fields = self.reader.request(self.case.body)
        return fields.get(name, fields.get("provider_options", {}).get(name))

    @functools.cached_property
    def events(self) -> list[Json]:
        return self.case.events()

    @property
    def failed(self) -> bool:
        return self.case.status >= 400 or any(event.get("error") for event in self.events)

    @property
    def refusal(self) -> Refusal | None:
        """What the server's error says about log-probabilities, if there is an error."""
        return classify_refusal(self.case.reply.decode()) if self.failed else None

    @functools.cached_property
    def parts(self) -> list[Part]:
        """Choices of a whole reply, or of every chunk of a stream."""
        said = self.events[-1:] if self.stream and self.reader.cumulative else self.events
        return [part for event in said for part in self.reader.parts(event)]

    def said(self, key: str) -> str:
        """Everything that the first choice says under a key of its message or delta."""
        return "".join(part.said.get(key, "") for part in self.parts if part.index == 0)

    @property
    def text(self) -> str:
        return self.said("content")

    @property
    def tool_calls(self) -> bool:
        return any(part.tool_calls for part in self.parts)

    @property
    def channels(self) -> set[str]:
        """The keys of the logprobs objects, without regard to what they hold."""
        return {channel for part in self.parts for channel in part.logprobs}

    @functools.cached_property
    def records(self) -> list[Json]:
        """The token records of every choice and channel."""
        return [record for part in self.parts for records in part.logprobs.values() for record in records]

    @property
    def choices(self) -> int:
        return len({part.index for part in self.parts})

    @functools.cached_property
    def _usage(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for event in self.events:
            found |= self.reader.usage(event)
        return found

    @property
    def prompt(self) -> int | None:
        """How many tokens the server says the prompt has."""
        return self._usage.get("prompt")

    @property
    def generated(self) -> int | None:
        """How many tokens the server says it generated."""
        return self._usage.get("generated")

    @property
    def endings(self) -> set[str]:
        return {part.ending for part in self.parts if part.ending}

    def under(self, key: str) -> list[Any]:
        """Every value under a key of an event or a choice; lists are joined."""
        nested = [event["meta_info"] for event in self.events if event.get("meta_info")]
        values = [holder.get(key) for holder in (*self.events, *nested, *self._choices)]
        found: list[Any] = []
        for value in values:
            found += value if isinstance(value, list) else [] if value is None else [value]
        return found

    @property
    def _choices(self) -> list[Json]:
        return [part.own for part in self.parts if not any(part.own is event for event in self.events)]

    @property
    def greedy(self) -> bool:
        """Whether every sampled token is the best one, so that rank and order say nothing."""
        known = [record for record in self.records if record["logprob"] is not None]
        return all(record["logprob"] >= max(_values(record), default=record["logprob"]) for record in known)


def _values(record: Json) -> list[float]:
    return [top["logprob"] for top in record.get("top_logprobs", ())]


_BY_REF = {case.path.relative_to(FIXTURES.parent).as_posix(): case for case in CASES}


def recording(ref: str) -> Recording | None:
    """The cassette that an evidence entry names, if there is one that nxlog can send."""
    return Recording(_BY_REF[ref]) if ref in _BY_REF else None


def sibling(given: Recording, name: str) -> Recording | None:
    """Another cassette of the same provider."""
    return recording(f"fixtures/{given.case.provider}/{name}.yaml")
