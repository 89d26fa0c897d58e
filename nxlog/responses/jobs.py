"""Background responses as flows, without I/O: wait for the end, cancel, and what to do about a stream that fell silent.

A flow yields what is to be sent, or a ``Sleep``, and is sent the answer; ``ask`` makes the flow of one GET.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nxlog import errors
from nxlog.errors import BadRequestError, InvalidRequestError, NxlogError
from nxlog.exchange import Sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any

    from nxlog.responses.reply import ResponsesReply

Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class Poll:
    """How often a background response is asked after.

    Attributes:
        first_delay: seconds before it is asked after for the second time.
        factor: what each further delay grows by.
        max_delay: bound of a delay.
        failures: how many questions in a row may fail for a reason that may pass, such as a lost connection; each has
            the client's retries.
    """

    first_delay: float = 0.5
    factor: float = 1.5
    max_delay: float = 10.0
    failures: int = 5

    def __post_init__(self) -> None:
        if not (self.first_delay >= 0 and self.factor >= 1 and self.max_delay >= 0):
            raise InvalidRequestError("poll: delays are 0 or more seconds, and factor is 1 or more", param="poll")
        if self.failures < 0:
            raise InvalidRequestError("poll: failures must be 0 or more", param="poll")

    def delays(self) -> Iterator[float]:
        """Seconds between one question and the next, without end."""
        delay = self.first_delay
        while True:
            yield min(delay, self.max_delay)
            delay = min(delay * self.factor, self.max_delay)


def wait(
    ask: Callable[[], Generator[Asked, Any, ResponsesReply]],
    poll: Poll,
    *,
    timeout: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Asked | Sleep, Any, ResponsesReply]:
    """Ask until the response is over, however it ended.

    Raises:
        TimeoutError: it is not over after ``timeout`` seconds; it goes on at the server.
        NxlogError: a question failed for a reason that does not pass, or too many failed in a row.
    """
    deadline = None if timeout is None else clock() + timeout
    failed = 0
    for delay in poll.delays():
        status = "unknown"
        try:
            reply = yield from ask()
        except NxlogError as error:
            failed += 1
            if not error.retryable or failed > poll.failures:
                raise
        else:
            if not reply.is_running:
                return reply
            failed, status = 0, str(reply.status)
        left = delay if deadline is None else deadline - clock()
        if left <= 0:
            raise errors.TimeoutError(
                f"the status of the response is {status} after {timeout:g} s; it goes on at the server: wait() again, "
                "or cancel() it",
                param="timeout",
            )
        yield Sleep(min(delay, left))
    raise AssertionError("delays have no end")


def cancel(
    send: Callable[[], Generator[Asked, Any, ResponsesReply]],
    ask: Callable[[], Generator[Asked, Any, ResponsesReply]],
) -> Generator[Asked, Any, ResponsesReply]:
    """Cancel; where it came too late, the response in which it ended, as OpenAI answers.

    vLLM and SGLang refuse to cancel what is over, a response that is cancelled included, with the same 400 as one that
    was never in the background.

    Raises:
        BadRequestError: the server refuses although the response is not over.
    """
    try:
        return (yield from send())
    except BadRequestError as error:
        if error.param != "response_id":
            raise
        reply = yield from ask()
        if reply.is_running:
            raise
        return reply
