"""When to send again: one policy for sync and async, built on tenacity.

An attempt is retried when no complete response arrived (a ``TransportError`` that is ``retryable``)
or when the server asks for it by status: 408, 409 (a lock that others hold), 429, 500, 502, 503,
504 and 529 (overloaded), unless it says ``x-should-retry: false``; ``true`` asks for it with any
error status. What wraps the attempt decides how far it reaches: a whole reply, or a stream up to
its head. A stream that has begun is never sent again.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import anyio

from nxlog.errors import InvalidRequestError, TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import UnionType

    from tenacity import RetryCallState

RETRY_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed."""


class Head(Protocol):
    """What a response says before its body."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case."""
        ...


ResponseT = TypeVar("ResponseT", bound=Head)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """How many seconds the server asks to wait; None if it does not say.

    Args:
        headers: of the response, names in lower case. ``retry-after-ms`` wins over ``retry-after``,
            whose date is compared with the server's own ``date``, so that clocks need not agree.
        now: seconds since the epoch, for a server without ``date``.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after-ms": "250"}), retry_after({})
    (7.0, 0.25, None)
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or value is None:
        return seconds
    until = _timestamp(value)
    if until is None:
        return None
    server_now = _timestamp(headers.get("date"))
    if server_now is None:
        server_now = time.time() if now is None else now
    return max(0.0, until - server_now)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long apart a request is sent.

    Attributes:
        attempts: how often at most, the first one included.
        first_delay: seconds before the second attempt, when the server does not say.
        factor: what each further delay grows by.
        max_delay: bound of a delay. A server that asks for longer gets no further attempt: its
            response is returned at once.
        jitter: each delay is multiplied by a random number between these two. What the server asks
            for is kept exactly.
    """

    attempts: int = 3
    first_delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: tuple[float, float] = (0.5, 1.5)

    def __post_init__(self) -> None:
        _check("attempts", self.attempts, int, "an int of 1 or more")
        if self.attempts < 1:
            raise InvalidRequestError("attempts must be 1 or more", param="retries")
        _check("jitter", self.jitter, tuple, "a tuple (low, high)")
        if len(self.jitter) != 2:  # pyright: ignore[reportUnnecessaryComparison] - callers without types
            raise _wrong("jitter", "a tuple (low, high)", f"{len(self.jitter)} values")
        for name in ("first_delay", "factor", "max_delay"):
            _check_delay(name, getattr(self, name))
        for number in self.jitter:
            _check_delay("jitter", number)
        if self.jitter[0] > self.jitter[1]:
            raise InvalidRequestError("jitter must be (low, high)", param="retries")

    @classmethod
    def of(cls, value: int | RetryPolicy | None) -> RetryPolicy:
        """Read what a user may write: a policy, a number of retries (0 for none), or the default.

        >>> RetryPolicy.of(0).attempts, RetryPolicy.of(5).attempts, RetryPolicy.of(None).attempts
        (1, 6, 3)
        """
        if value is None:
            return cls()
        if isinstance(value, RetryPolicy):
            return value
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
            raise InvalidRequestError(
                f"retries must be a number of 0 or more, or a RetryPolicy, not {value!r}",
                param="retries",
            )
        return cls(attempts=value + 1)

    def call(
        self,
        fn: Callable[[], ResponseT],
        *,
        deadline: float | None = None,
        discard: Callable[[ResponseT], object] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> ResponseT:
        """Call ``fn`` until it succeeds or there is no attempt or time left.

        The last response is returned whatever its status; the last error is raised.

        Args:
            fn: one attempt.
            deadline: on the clock of ``time.monotonic``; no sleep goes beyond it.
            discard: what to do with a response that is not the last, such as closing it.
            sleep: for tests.
        """
        first = _First[ResponseT]()
        try:
            first.response = fn()
        except TransportError as error:
            first.error = error
        if not self._again(first.response, first.error):
            return first.replay()

        def attempt() -> ResponseT:
            return first.replay() if first.pending else fn()

        def before_sleep(state: RetryCallState) -> None:
            response = _outcome(state)[0]
            if discard is not None and response is not None:
                discard(response)

        from tenacity import Retrying  # noqa: PLC0415 - most calls never get here

        return Retrying(**self._options(deadline), sleep=sleep, before_sleep=before_sleep)(attempt)

    async def acall(
        self,
        fn: Callable[[], Awaitable[ResponseT]],
        *,
        deadline: float | None = None,
        discard: Callable[[ResponseT], Awaitable[object]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> ResponseT:
        """The same as ``call`` for asyncio and trio."""
        first = _First[ResponseT]()
        try:
            first.response = await fn()
        except TransportError as error:
            first.error = error
        if not self._again(first.response, first.error):
            return first.replay()

        async def attempt() -> ResponseT:
            return first.replay() if first.pending else await fn()

        async def before_sleep(state: RetryCallState) -> None:
            response = _outcome(state)[0]
            if discard is not None and response is not None:
                await discard(response)

        from tenacity import AsyncRetrying  # noqa: PLC0415 - most calls never get here

        retrying = AsyncRetrying(**self._options(deadline), sleep=sleep, before_sleep=before_sleep)
        return await retrying(attempt)

    def _again(self, response: Head | None, error: BaseException | None) -> bool:
        if self.attempts == 1:
            return False
        if response is None:
            return isinstance(error, TransportError) and error.retryable
        wish = response.headers.get("x-should-retry") if response.status >= 400 else None
        return response.status in RETRY_STATUSES if wish not in ("true", "false") else wish == "true"

    def delay(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait behind an attempt, from 1; infinity where no further one is to be made.

        Args:
            attempt: the number of the attempt that failed.
            asked: how long the server asked to wait.
        """
        if asked is not None:
            return asked if asked <= self.max_delay else math.inf
        # The exponent is bounded so that a long policy does not overflow a float.
        delay = min(self.max_delay, self.first_delay * self.factor ** min(attempt - 1, 64))
        return min(self.max_delay, delay * random.uniform(*self.jitter))  # noqa: S311 - not a secret

    def _options(self, deadline: float | None) -> dict[str, Any]:
        """The policy in tenacity's words, the same for sync and async."""

        def again(state: RetryCallState) -> bool:
            return self._again(*_outcome(state))

        def wait(state: RetryCallState) -> float:
            response = _outcome(state)[0]
            return self.delay(state.attempt_number, None if response is None else retry_after(response.headers))

        def stop(state: RetryCallState) -> bool:
            pause = state.upcoming_sleep
            too_late = deadline is not None and time.monotonic() + pause >= deadline
            return state.attempt_number >= self.attempts or pause == math.inf or too_late

        def last(state: RetryCallState) -> Any:
            response, error = _outcome(state)
            if error is not None:
                raise error
            return response

        return {"retry": again, "wait": wait, "stop": stop, "retry_error_callback": last}


def _check(name: str, value: object, kind: type | UnionType, rule: str) -> None:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise _wrong(name, rule, type(value).__name__)


def _check_delay(name: str, value: object) -> None:
    _check(name, value, int | float, "made of numbers" if name == "jitter" else "a number")
    if not 0 <= cast("float", value) < math.inf:
        raise InvalidRequestError("delays must be finite and not negative", param="retries")


def _wrong(name: str, rule: str, got: str) -> InvalidRequestError:
    return InvalidRequestError(f"retries: {name} must be {rule}, got {got}", param="retries")


class _First(Generic[ResponseT]):
    """How the first attempt went. tenacity is told only when that is not the end of it."""

    __slots__ = ("error", "pending", "response")

    def __init__(self) -> None:
        self.pending = True
        self.response: ResponseT | None = None
        self.error: TransportError | None = None

    def replay(self) -> ResponseT:
        """Return or raise what the first attempt did, and forget it."""
        self.pending = False
        response, error = self.response, self.error
        self.response = self.error = None
        if response is None:
            raise error or AssertionError("an attempt has a response or an error")
        return response


def _outcome(state: RetryCallState) -> tuple[Any, BaseException | None]:
    outcome = state.outcome
    if outcome is None:
        return None, None
    error = outcome.exception()
    return (None, error) if error is not None else (outcome.result(), None)


def _seconds(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None


def _timestamp(value: str | None) -> float | None:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - few servers send dates

    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):  # the latter for a number that no date holds
        return None
    # A date with the zone -0000 comes back naive; it is UTC.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
