"""Running the flows of whole replies: watched, with retries, within the time; one class waits, one awaits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nxlog._drive import adrive, drive
from nxlog._watch import UNWATCHED, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from nxlog._watch import Observer
    from nxlog.call import Call
    from nxlog.exchange import HttpRequest, HttpResponse, Pause, Sleep
    from nxlog.http import AsyncTransport, SyncTransport
    from nxlog.response import ChatResponse
    from nxlog.retry import RetryPolicy
    from nxlog.timeout import Timeout

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Runner:
    """What a client sends with."""

    transport: SyncTransport
    retries: RetryPolicy
    timeout: Timeout
    telemetry: Observer | None

    def run(
        self,
        flow: Generator[HttpRequest | Pause | Sleep, HttpResponse | None, R],
        call: Call | None = None,
        answer: Callable[[R], ChatResponse] | None = None,
        *,
        each: bool = False,
    ) -> R:
        """Send what the flow yields.

        Args:
            flow: what is to be sent.
            call: whose flow it is; without it nobody hears of it.
            answer: what observers are to see of the result; without it they see nothing of it all.
            each: whether the client's total time is for each request, and not for all of them.
        """
        deadline = None if each else self.timeout.deadline()
        watched = UNWATCHED if call is None else watch(call, self.telemetry, generates=answer is not None)

        def send(request: HttpRequest) -> HttpResponse:
            with watched.attempt(request) as attempt:
                return attempt.answered(self.transport.send(request, deadline=deadline))

        with watched.running():
            result = drive(
                flow,
                lambda request: self.retries.call(lambda: send(request), deadline=deadline),
                deadline=deadline,
            )
        if answer is not None:
            watched.replied(answer(result))
        return result


@dataclass(frozen=True, slots=True)
class AsyncRunner:
    """The same for asyncio and trio."""

    transport: AsyncTransport
    retries: RetryPolicy
    timeout: Timeout
    telemetry: Observer | None

    async def run(
        self,
        flow: Generator[HttpRequest | Pause | Sleep, HttpResponse | None, R],
        call: Call | None = None,
        answer: Callable[[R], ChatResponse] | None = None,
        *,
        each: bool = False,
    ) -> R:
        """Send what the flow yields; arguments as of ``Runner``."""
        deadline = None if each else self.timeout.deadline()
        watched = UNWATCHED if call is None else watch(call, self.telemetry, generates=answer is not None)

        async def send(request: HttpRequest) -> HttpResponse:
            with watched.attempt(request) as attempt:
                return attempt.answered(await self.transport.send(request, deadline=deadline))

        with watched.running():
            result = await adrive(
                flow,
                lambda request: self.retries.acall(lambda: send(request), deadline=deadline),
                deadline=deadline,
            )
        if answer is not None:
            watched.replied(answer(result))
        return result
