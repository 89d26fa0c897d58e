"""What servers have shown of themselves: refusals, limits, and fields that they ignore, remembered for a while.

A verdict is about one provider, address, model and mode, and never stronger than what the user says in a registry of
their own. It saves the next call the request that is refused anyway.
"""

from __future__ import annotations

import enum
import json
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HOUR = 3600.0
STRIKES = 3
"""Replies without a record after which a server is taken to ignore the field."""

_VERSION = 1


class VerdictKind(enum.StrEnum):
    """What a server does with logprobs."""

    REFUSED = "refused"
    """It answers with an error."""
    LIMITED = "limited"
    """It takes fewer alternatives than asked; ``limit`` is how many."""
    IGNORED = "ignored"
    """It answers as if they had not been asked for."""


class Place(NamedTuple):
    """What a verdict is about."""

    provider: str
    url: str
    """Address without query, user and password."""
    model: str
    """The served model, as far as replies say it."""
    mode: str
    """``whole`` or ``stream``, with ``+tools`` and ``+reasoning``."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that a server has shown."""

    kind: VerdictKind
    message: str
    """In the server's own words, where it has some."""
    learned: float
    """When, in seconds since 1970."""
    limit: int | None = None
    """Most alternatives, for ``limited``."""


def bare(url: str) -> str:
    """The address without query, user and password, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Verdicts:
    """Verdicts by place, for all clients that share the object; safe to use from several threads.

    Args:
        path: a JSON file to share them with other processes; it is read when it changes and written when something
            is learned. It holds no keys and no texts of requests.
        ttl: seconds after which a verdict is forgotten, so that a server may mend its ways.

    Raises:
        InvalidRequestError: the file is there and is no file of verdicts.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, ttl: float = HOUR, clock: Callable[[], float] = time.time
    ) -> None:
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not ttl > 0:  # pyright: ignore
            raise InvalidRequestError(
                f"ttl: must be a number of seconds above 0, got {type(ttl).__name__}", param="ttl"
            )
        self.ttl: float = float(ttl)
        self._path = None if path is None else Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[Place, Verdict] = {}
        self._strikes: dict[Place, int] = {}
        self._served: dict[Place, str] = {}
        self._seen: int | None = None
        self._refresh()

    def __len__(self) -> int:
        with self._lock:
            return sum(map(self._alive, self._found.values()))

    def __repr__(self) -> str:
        return f"Verdicts({len(self)})"

    def get(self, place: Place) -> Verdict | None:
        """The verdict that holds for a request, by the model that was served for it the last time."""
        if not self._found and self._path is None:
            return None
        with self._lock:
            self._refresh()
            served = self._served.get(place)
            verdict = self._found.get(place) or (served and self._found.get(place._replace(model=served)))
            return verdict if verdict and self._alive(verdict) else None

    def refused(self, place: Place, message: str) -> None:
        """The server refused logprobs."""
        self._learn(place, Verdict(VerdictKind.REFUSED, message, self._clock()))

    def limited(self, place: Place, limit: int, message: str) -> None:
        """The server named the most alternatives that it takes."""
        self._learn(place, Verdict(VerdictKind.LIMITED, message, self._clock(), limit))

    def served(self, place: Place, model: str) -> None:
        """A reply came from this model, whatever was asked for."""
        with self._lock:
            self._serve(place, model)

    def delivered(self, place: Place, served: str) -> None:
        """Records came: what was counted against this model is forgotten."""
        with self._lock:
            self._strikes.pop(self._serve(place, served), None)

    def ignored(self, place: Place, served: str) -> None:
        """A reply came without a record; the third in a row makes a verdict."""
        with self._lock:
            key = self._serve(place, served)
            self._strikes[key] = strikes = self._strikes.get(key, 0) + 1
        if strikes >= STRIKES:
            message = f"{strikes} replies in a row came without a single token record"
            self._learn(key, Verdict(VerdictKind.IGNORED, message, self._clock()))

    def forget(self, place: Place | None = None) -> None:
        """Forget one verdict, or all; what other processes have learned stays in the file."""
        with self._lock:
            for table in (self._found, self._strikes, self._served):
                if place is None:
                    table.clear()
                else:
                    table.pop(place, None)

    def _serve(self, place: Place, served: str) -> Place:
        if not served or served == place.model:
            self._served.pop(place, None)
            return place
        self._served[place] = served
        return place._replace(model=served)

    def _alive(self, verdict: Verdict) -> bool:
        return self._clock() - verdict.learned < self.ttl

    def _learn(self, place: Place, verdict: Verdict) -> None:
        with self._lock:
            self._strikes.pop(place, None)
            self._found[place] = verdict
            if self._path is not None:
                self._refresh()
                self._write(self._path)

    # -- as JSON ---------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Everything that still holds, for another process or a later day."""
        with self._lock:
            return self._dumped()

    def update(self, text: str | bytes) -> Self:
        """Take over what ``to_json`` gave; of two verdicts about one place the later one stays.

        Raises:
            InvalidRequestError: this is something else.
        """
        found = _loaded(text)
        with self._lock:
            self._merge(found)
        return self

    def _merge(self, found: Mapping[Place, Verdict]) -> None:
        for place, verdict in found.items():
            mine = self._found.get(place)
            if mine is None or mine.learned < verdict.learned:
                self._found[place] = verdict

    def _dumped(self) -> str:
        entries = [
            {**place._asdict(), "kind": v.kind, "message": v.message, "learned": v.learned, "limit": v.limit}
            for place, v in sorted(self._found.items())
            if self._alive(v)
        ]
        return json.dumps({"version": _VERSION, "verdicts": entries}, indent=1) + "\n"

    def _refresh(self) -> None:
        """Read the file if another process has written it since."""
        if self._path is None:
            return
        try:
            seen = self._path.stat().st_mtime_ns
        except OSError:
            return
        if seen != self._seen:
            self._merge(_loaded(self._path.read_bytes()))
            self._seen = seen

    def _write(self, path: Path) -> None:
        import tempfile  # noqa: PLC0415 - costs an import of nxlog more than it costs a write

        # Two processes at once: the later file wins whole, and what it lacks is learned once more.
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self._dumped())
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        self._seen = path.stat().st_mtime_ns


def _loaded(text: str | bytes) -> dict[Place, Verdict]:
    try:
        document = json.loads(text)
        entries = cast("list[dict[str, Any]]", document["verdicts"] if document["version"] == _VERSION else [])
        return dict(_entry(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InvalidRequestError(
            f"verdicts: not what Verdicts.to_json() writes ({type(problem).__name__}: {problem})", param="verdicts"
        ) from None


def _entry(entry: dict[str, Any]) -> tuple[Place, Verdict]:
    place = Place(*(str(entry[name]) for name in Place._fields))
    limit = entry.get("limit")
    verdict = Verdict(VerdictKind(entry["kind"]), str(entry["message"]), float(entry["learned"]))
    return place, verdict if limit is None else replace(verdict, limit=int(limit))
