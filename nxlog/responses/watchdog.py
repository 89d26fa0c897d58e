"""What to do about a stream that breaks or falls silent, without I/O.

Streams of vLLM never end once their response is cancelled, nor when they are asked for events beyond the last one; any
connection may break. A response made in the background is at the server all the same, so the server is asked how it
stands.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from nxlog.errors import IncompleteStreamError, InvalidRequestError, NxlogError, TransportError
from nxlog.exchange import Sleep
from nxlog.responses.jobs import Poll, wait
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from nxlog.responses.reply import ResponsesReply

Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class Watchdog:
    """How long the stream of a background response may say nothing.

    Attributes:
        idle: seconds of silence after which the server is asked how the response stands; None: as long as the client's
            read timeout.
        patience: seconds without a new event after which the stream is given up although the response is said to go
            on; None: never.
        poll: the pauses between further attempts, and between questions for a response whose events cannot be had.
    """

    idle: float | None = 20.0
    patience: float | None = 600.0
    poll: Poll = field(default_factory=Poll)

    def __post_init__(self) -> None:
        for name, value in (("idle", self.idle), ("patience", self.patience)):
            if value is not None and not value > 0:
                raise InvalidRequestError(f"watchdog: {name} must be more than 0 seconds, or None", param="watchdog")


DEFAULT_WATCHDOG = Watchdog()


class Recovery:
    """The troubles of one stream."""

    def __init__(self, watchdog: Watchdog, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._watchdog = watchdog
        self._clock = clock
        # Since the last event: how many connections ended, when the first did, and how long to wait until the next.
        self._failures = 0
        self._since = 0.0
        self._delays = watchdog.poll.delays()

    def progress(self) -> None:
        """An event came."""
        self._failures = 0

    def after(
        self, failure: NxlogError, ask: Callable[[], Generator[Asked, Any, ResponsesReply]]
    ) -> Generator[Asked | Sleep, Any, ResponsesReply | None]:
        """Find out how the response stands. None: connect again, behind the last event. A reply: it is over.

        Args:
            failure: why there are no more events: the connection, silence, or the answer to the attempt to reconnect.
            ask: makes the flow of one GET.

        Raises:
            NxlogError: the failure itself, when the server does not know the response, or patience is at its end.
        """
        self._failures += 1
        if self._failures == 1:
            self._since = self._clock()
            self._delays = self._watchdog.poll.delays()
        else:
            yield from self._pause(failure)
        reply = yield from self._asked(failure, ask)
        if not reply.is_running:
            # Behind the last event that came there may be others, in full precision; a cancelled response's would hang.
            return None if self._failures == 1 and reply.status != "cancelled" else reply
        if isinstance(failure, TransportError | IncompleteStreamError):
            return None
        # The server has the response but not its events.
        return (yield from wait(ask, self._watchdog.poll, timeout=self._patience, clock=self._clock))

    def _asked(
        self, failure: NxlogError, ask: Callable[[], Generator[Asked, Any, ResponsesReply]]
    ) -> Generator[Asked | Sleep, Any, ResponsesReply]:
        """The response as it stands, asked for until there is an answer: what broke the stream may last."""
        while True:
            try:
                return (yield from ask())
            except NxlogError as error:
                if not error.retryable:
                    raise failure from error
            yield from self._pause(failure)

    def _pause(self, failure: NxlogError) -> Generator[Sleep]:
        patience = self._patience
        if patience is not None and patience <= 0:
            raise failure
        yield Sleep(next(self._delays))

    @property
    def _patience(self) -> float | None:
        patience = self._watchdog.patience
        return None if patience is None else self._since + patience - self._clock()


def stalled(failure: NxlogError, reply: ResponsesReply) -> ParameterWarning:
    """The warning for a stream that ended with what the server said when it was asked."""
    lost = reply.status == "cancelled"
    message = f"the stream brought no end ({failure.message}); the server says the response is {reply.status}"
    return ParameterWarning(
        parameter="stream",
        code=WarningCode.STALLED,
        severity=WarningSeverity.WARNING if lost else WarningSeverity.INFO,
        message=f"{message}; the answer ends where it was cancelled" if lost else f"{message}; the rest is from there",
        provider=reply.provider,
        model=reply.model,
        source=WarningSource.RESPONSE,
    )
