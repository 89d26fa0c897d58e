"""One module for each wire: how to read its exchanges without nxlog's own parsers.

A module has a ``READER``; everything it gives is in the words of openai-chat. It is found by the name of the wire.
"""

from __future__ import annotations

import functools
import importlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    """Records by channel, in openai-chat's keys; a channel without any is there too."""
    tool_calls: bool = False
    ending: str | None = None


def sse(reply: bytes) -> list[Any]:
    """The JSON of every event of a stream."""
    lines = [line[5:].strip() for line in reply.decode().split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


@dataclass(frozen=True)
class Reader:
    """How to read one wire."""

    parts: Callable[[Json], Iterator[Part]]
    """What an event, or the whole reply, says of each choice."""
    usage: Callable[[Json], dict[str, int]]
    """``prompt`` and ``generated``, as far as this event counts them."""
    request: Callable[[Json], Json]
    """The fields of the ``ChatRequest`` that a recorded body is the encoding of, without the model."""
    events: Callable[[bytes], list[Any]] = sse
    """The objects of a stream, each as a whole reply would be read."""
    cumulative: bool = False
    """Whether every event of a stream repeats what came before."""


def options(fields: Json, rest: Json, *, without: Iterable[str] = ()) -> Json:
    """The fields, with what nxlog has no field for as provider options."""
    left = {key: value for key, value in rest.items() if key not in {"model", "stream", *without}}
    return {**{key: value for key, value in fields.items() if value is not None}} | (
        {"provider_options": left} if left else {}
    )


def table(value: Any) -> Json:
    """The value, or an empty table in place of null."""
    return value or {}


@functools.cache
def reader(wire: str) -> Reader:
    """The reader of a wire.

    Raises:
        ModuleNotFoundError: nobody has written one.
    """
    found: Reader = importlib.import_module(f"tests.conformance.readers.{wire.replace('-', '_')}").READER
    return found
