"""The numbers of a stream's events: whether one is missing, or comes again."""

from __future__ import annotations

from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource


class Numbers:
    """Counts the events of one stream, over any number of connections.

    Attributes:
        last: the highest number so far; None before the first one, and where the server does not count.
    """

    def __init__(self, last: int | None = None) -> None:
        self.last: int | None = last
        self._seen: dict[int, int] = {}
        self._known = -1 if last is None else last
        self._first_missing: int | None = None
        self._lost = 0
        self._repeated = 0

    def resume(self) -> None:
        """The next events come over another connection: what came before is no news, and no mistake."""
        self._known = -1 if self.last is None else self.last

    def take(self, number: int | None, payload: bytes) -> bool:
        """Whether an event is new."""
        if number is None:
            return True
        if number <= self._known:
            return False
        again, self._seen[number] = self._seen.get(number), hash(payload)
        if self.last is not None and number <= self.last:
            self._repeated += 1
            # The same number for something else is a mistake in counting, and the event is kept.
            return again != self._seen[number]
        if self.last is not None and number > self.last + 1:
            self._first_missing = self.last + 1 if self._first_missing is None else self._first_missing
            self._lost += number - self.last - 1
        self.last = number
        return True

    def warnings(self) -> list[ParameterWarning]:
        """What was wrong with the numbers."""
        found: list[ParameterWarning] = []
        if self._lost:
            place = f"from number {self._first_missing} on"
            message = f"{self._lost} events of the stream are missing, {place}, with what only they had"
            found.append(_warning(WarningCode.EVENTS_LOST, message, self._lost))
        if self._repeated:
            message = f"{self._repeated} events of the stream came with a number that was there before"
            found.append(_warning(WarningCode.EVENTS_REPEATED, message, self._repeated))
        return found


def _warning(code: WarningCode, message: str, count: int) -> ParameterWarning:
    return ParameterWarning(
        parameter="stream",
        code=code,
        severity=WarningSeverity.WARNING,
        message=message,
        applied=count,
        source=WarningSource.RESPONSE,
    )
