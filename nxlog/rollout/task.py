"""What is to be rolled out, and the names that rows have in files: made of what is asked, so that they never change."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from nxlog.errors import InvalidRequestError
from nxlog.rendering.messages import as_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TaskLike: TypeAlias = "str | Sequence[Mapping[str, Any]] | Mapping[str, Any] | Task"
Message: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class Task:
    """How a conversation begins.

    Attributes:
        messages: what is said before the model speaks.
        metadata: what else is known, as JSON values; it is kept with the trajectory.
        request: fields of the requests of this conversation alone.
    """

    messages: list[Message]
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    request: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, value: TaskLike) -> Task:
        """What a user may write: a prompt, messages, or a row of a data set.

        A row has ``messages`` or a ``prompt`` (a text or messages), may have ``request``, and all else is metadata.

        Raises:
            InvalidRequestError: it is none of them.
        """
        if isinstance(value, Task):
            return value
        if isinstance(value, str):
            return cls([{"role": "user", "content": value}])
        if not isinstance(value, dict):
            return cls(_messages(value))
        row = dict(cast("Mapping[str, Any]", value))
        found = [row.pop(name) for name in ("messages", "prompt") if name in row]
        if len(found) != 1:
            raise InvalidRequestError("a task has 'messages' or a 'prompt'", param="tasks")
        request = row.pop("request", {})
        begin = cls.of(found[0]).messages if isinstance(found[0], str) else _messages(found[0])
        return cls(begin, row, request)


def _messages(value: object) -> list[Message]:
    messages: list[Any] = [*cast("list[Any]", value)] if isinstance(value, list | tuple) else []
    if not messages or not all(isinstance(message, dict) and "role" in message for message in messages):
        raise InvalidRequestError("a task is a text, a list of messages, or a row with one of them", param="tasks")
    return [dict(message) for message in messages]


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` parts of a job, ``index`` from 0. Who is in it depends on the task alone, not on its place.

    >>> Shard.of("0/4")
    Shard(index=0, count=4)
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise InvalidRequestError(f"shard {self.index}/{self.count}: the first is 0/{self.count}", param="shard")

    @classmethod
    def of(cls, value: Shard | str | tuple[int, int] | None) -> Shard:
        """A shard from ``"i/n"``, ``(i, n)``, or None for the whole job.

        Raises:
            InvalidRequestError: there is no such shard.
        """
        if value is None:
            return cls()
        if isinstance(value, Shard):
            return value
        try:
            index, count = value.split("/") if isinstance(value, str) else value
            return cls(int(index), int(count))
        except (TypeError, ValueError):
            raise InvalidRequestError(f"shard: {value!r} is not 'i/n'", param="shard") from None

    def has(self, digest: str) -> bool:
        """Whether the tasks with this digest are in it: all or none, so that they share what a server caches."""
        return int(digest[:16], 16) % self.count == self.index


def digest(*values: object) -> str:
    """A name made of JSON values and models: the same on every machine, whatever the order of the keys."""
    text = msgspec.json.encode(values, order="deterministic", enc_hook=as_dict)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def rows(tasks: Iterable[TaskLike], settings: Mapping[str, Any], shard: Shard) -> Iterator[tuple[str, Task]]:
    """The tasks of a shard with the ids of their rows, as they are needed.

    An id is made of the task and of the settings. The same task more than once is as many rows, which are numbered.
    """
    seen: Counter[str] = Counter()
    for value in tasks:
        task = Task.of(value)
        content = digest(task.messages, task.metadata, task.request)
        if not shard.has(content):
            continue
        name = digest(content, dict(settings))
        yield f"{name}-{seen[name]}", task
        seen[name] += 1
