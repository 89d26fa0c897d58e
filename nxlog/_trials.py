"""One call at a time finds out what a server makes of a field of which nothing is known; the others wait for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.verdicts import Place


class Event(Protocol):
    """What ``threading.Event`` and ``anyio.Event`` have in common."""

    def set(self) -> object:
        """Let everybody go on who waits."""
        ...


E = TypeVar("E", bound=Event)


class Trials(Generic[E]):
    """The trials of one client, by place."""

    def __init__(self, make_event: Callable[[], E]) -> None:
        self._make_event = make_event
        self._lock = threading.Lock()
        self._running: dict[Place, E] = {}
        self._settled: set[Place] = set()

    def enter(self, place: Place) -> E | None:
        """None for the one that goes ahead, and once it is known how it ends; else what to wait for."""
        with self._lock:
            if place in self._settled:
                return None
            if (running := self._running.get(place)) is None:
                self._running[place] = self._make_event()
            return running

    def leave(self, place: Place, *, settled: bool) -> None:
        """The one that went ahead is back; unsettled, the next one goes."""
        with self._lock:
            running = self._running.pop(place, None)
            if settled:
                self._settled.add(place)
        if running is not None:
            running.set()
