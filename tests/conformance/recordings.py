"""Recordings as evidence: what was asked, what came back, in the words in which claims speak of it.

A wire is one entry of ``READERS``, which puts requests and events in the words of openai-chat.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nxlog.wire.errors import Refusal, classify_refusal
from tests.conformance.cassettes import CASES, FIXTURES, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]


def _empty() -> Json:
    return {}


@dataclass(frozen=True)
class Part:
    """What one event says of one choice."""

    own: Json
    """The wire's own object."""
    index: int = 0
    said: Json = field(default_factory=_empty)
    """Text by the key of the message or delta: content, reasoning, ..."""
    logprobs: Json = field(default_factory=_empty)
    """Records by channel; a channel without any is there too."""
    tool_calls: bool = False
    ending: str | None = None


@dataclass(frozen=True)
class Reader:
    """How to read one wire, without nxlog's own parsers."""

    parts: Callable[[Json], Iterator[Part]]
    usage: Callable[[Json], dict[str, int]]
    """``prompt`` and ``generated``, as far as this event counts them."""
    request: Callable[[Json], Json]


def _table(value: Any) -> Json:
    return value or {}


def _chat_parts(event: Json) -> Iterator[Part]:
    for choice in event.get("choices", ()):
        said = _table(choice.get("message") or choice.get("delta"))
        logprobs = _table(choice.get("logprobs"))
        yield Part(
            own=choice,
            index=choice["index"],
            said={key: value for key, value in said.items() if isinstance(value, str)},
            logprobs={channel: records or [] for channel, records in logprobs.items()},
            tool_calls=bool(said.get("tool_calls")),
            ending=choice.get("finish_reason"),
        )


def _chat_usage(event: Json) -> dict[str, int]:
    usage = _table(event.get("usage"))
    return {"prompt": usage["prompt_tokens"], "generated": usage["completion_tokens"]} if usage else {}


def _messages_parts(event: Json) -> Iterator[Part]:
    delta = _table(event.get("delta"))
    blocks = [*event.get("content", ()), *(_table(event.get(key)) for key in ("content_block", "delta"))]
    for block in filter(None, blocks):
        said = {"content": block.get("text", ""), "reasoning": block.get("thinking", "")}
        yield Part(own=block, said=said, tool_calls=block.get("type") == "tool_use")
    yield Part(own=event, ending=event.get("stop_reason") or delta.get("stop_reason"))


def _messages_usage(event: Json) -> dict[str, int]:
    usage = _table(event.get("usage") or _table(event.get("message")).get("usage"))
    found: dict[str, int] = {}
    if "input_tokens" in usage:
        found["prompt"] = usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)
    if "output_tokens" in usage:
        found["generated"] = usage["output_tokens"]
    return found


def _messages_request(body: Json) -> Json:
    system = [{"role": "system", "content": body["system"]}] if "system" in body else []
    return {**body, "messages": system + body["messages"], "stop": body.get("stop_sequences")}


READERS = {
    "openai-chat": Reader(_chat_parts, _chat_usage, lambda body: body),
    "anthropic-messages": Reader(_messages_parts, _messages_usage, _messages_request),
}


@dataclass(frozen=True)
class Recording:
    """One cassette."""

    case: Case

    @property
    def reader(self) -> Reader:
        return READERS[self.case.wire]

    @property
    def stream(self) -> bool:
        return self.case.stream

    @property
    def messages(self) -> list[Json]:
        return self.asked("messages") or []

    def asked(self, name: str) -> Any:
        return self.reader.request(self.case.body).get(name)

    @functools.cached_property
    def events(self) -> list[Json]:
        return [json.loads(self.case.reply)] if self.case.status >= 400 else self.case.events()

    @property
    def failed(self) -> bool:
        return self.case.status >= 400 or any("error" in event for event in self.events)

    @property
    def refusal(self) -> Refusal | None:
        """What the server's error says about log-probabilities, if there is an error."""
        return classify_refusal(self.case.reply) if self.failed else None

    @functools.cached_property
    def parts(self) -> list[Part]:
        """Choices of a whole reply, or of every chunk of a stream."""
        return [part for event in self.events for part in self.reader.parts(event)]

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
        values = [holder.get(key) for holder in (*self.events, *(part.own for part in self.parts))]
        found: list[Any] = []
        for value in values:
            found += value if isinstance(value, list) else [] if value is None else [value]
        return found

    @property
    def greedy(self) -> bool:
        """Whether every sampled token is the best one, so that rank and order say nothing."""
        return all(record["logprob"] >= max(_values(record), default=record["logprob"]) for record in self.records)


def _values(record: Json) -> list[float]:
    return [top["logprob"] for top in record["top_logprobs"]]


_BY_REF = {case.path.relative_to(FIXTURES.parent).as_posix(): case for case in CASES}


def recording(ref: str) -> Recording | None:
    """The cassette that an evidence entry names, if there is one that nxlog can send."""
    return Recording(_BY_REF[ref]) if ref in _BY_REF else None


def sibling(given: Recording, name: str) -> Recording | None:
    """Another cassette of the same provider."""
    return recording(f"fixtures/{given.case.provider}/{name}.yaml")
