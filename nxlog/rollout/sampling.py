"""One turn, asked for until it is whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from nxlog.errors import InvalidRequestError, NxlogError, ServerError
from nxlog.rollout.parts import can_go_on, merged
from nxlog.rollout.pausing import PATIENT, Gate, is_hopeless, is_too_long, pause_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.client import AsyncClient
    from nxlog.request import ChatRequest
    from nxlog.retry import RetryPolicy
    from nxlog.rollout.report import Report
    from nxlog.streams import AsyncStream
    from nxlog.turn import TurnTokenData

_ABORTED = "abort"
"""How a reply ends that a server cut off, to put in new weights or to make room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Asks for turns.

    Attributes:
        client: whom to ask.
        retries: how often a request that failed is sent again, and how long apart.
        max_pause: how many seconds in all a turn waits for a server that says it is paused.
        stop_ids: the tokens that end a turn.
        stream: whether to ask for streams, of which something is left when they break.
        gate: where all wait while the server is paused.
    """

    client: AsyncClient
    retries: RetryPolicy = PATIENT
    max_pause: float = 3600.0
    stop_ids: frozenset[int] = frozenset()
    stream: bool = True
    gate: Gate = field(default_factory=Gate)

    async def sample(
        self, request: ChatRequest, report: Report, *, seed: Callable[[int], int | None] = lambda _: None
    ) -> TurnTokenData:
        """The answer to a request.

        Where the prompt is ids, an answer that breaks off is kept and the next request goes on from there: its prompt
        ends with the ids that were sampled, and it asks for so many fewer.

        Args:
            request: what to ask.
            report: where requests are counted.
            seed: the seed of the n-th request of the turn. Each needs its own: the same one again would draw the same
                numbers for other tokens.

        Raises:
            NxlogError: it is of no use to ask again, or there are no attempts left.
        """
        parts: list[TurnTokenData] = []
        patience = _Patience(self, report)
        while True:
            await self.gate.passed()
            part, error = await self._ask(_rest(request, parts, seed(len(parts))), report)
            if part is not None:
                if whole := self._whole(request, parts, part, error):
                    return whole
                if request.input_ids is not None and can_go_on(part):
                    report.resumed_turns += not parts
                    parts.append(part)
                    patience.failures = 0
                else:
                    report.lost_tokens += len(part.output_ids or ())
            await patience.wait(error)

    async def _ask(self, request: ChatRequest, report: Report) -> tuple[TurnTokenData | None, NxlogError | None]:
        """What came, and what went wrong: a stream that breaks has both."""
        report.requests += 1
        if not self.stream:
            try:
                return (await self.client.chat(request)).turn, None
            except NxlogError as error:
                return None, error
        stream = self.client.stream(request)
        try:
            async with stream:
                async for _ in stream:
                    pass
        except NxlogError as error:
            return _so_far(stream), error
        return stream.response.turn, None

    def _whole(
        self, request: ChatRequest, parts: list[TurnTokenData], part: TurnTokenData, error: NxlogError | None
    ) -> TurnTokenData | None:
        """The turn if it ends with this part."""
        cut_off = part.finish_reason in {None, _ABORTED}
        if error is None and part.finish_reason != _ABORTED:
            return merged([*parts, part])
        ids = part.output_ids
        if not ids or not can_go_on(part):
            return None
        if not cut_off:
            return merged([*parts, part])  # only the end mark of the stream is missing
        if ids[-1] in self.stop_ids:
            return merged([*parts, replace(part, finish_reason="stop", stop_token_included=True)])
        if request.input_ids is not None and _left(request, [*parts, part]) == 0:
            return merged([*parts, replace(part, finish_reason="length")])
        return None


@dataclass(slots=True)
class _Patience:
    """What one turn has put up with."""

    sampler: Sampler
    report: Report
    failures: int = 0
    paused: float = 0.0

    async def wait(self, error: NxlogError | None) -> None:
        """Wait before the next request.

        Args:
            error: what went wrong; None where the server cut the answer off, which is a pause.

        Raises:
            NxlogError: the same, where no further request is worth it.
        """
        retries = self.sampler.retries
        pause = 0.0 if error is None else pause_of(error)
        if error is None or pause is not None:
            pause = pause or retries.first_delay
            self.paused += pause
            if self.paused > self.sampler.max_pause:
                raise error or ServerError(f"the server cut the answer off again and again, for {self.paused:g} s")
            self.report.pauses += 1
            self.sampler.gate.close(pause)
            return
        self.failures += 1
        if is_hopeless(error) or is_too_long(error) or self.failures >= retries.attempts:
            raise error
        self.report.retries += 1
        await anyio.sleep(retries.delay(self.failures))


def _so_far(stream: AsyncStream) -> TurnTokenData | None:
    try:
        turn = stream.response.turn
    except InvalidRequestError:
        return None  # it never began
    return turn if turn.output_ids else None


def _left(request: ChatRequest, parts: list[TurnTokenData]) -> int | None:
    """How many tokens may still be sampled."""
    if request.max_tokens is None:
        return None
    return max(0, request.max_tokens - sum(len(part.output_ids or ()) for part in parts))


def _rest(request: ChatRequest, parts: list[TurnTokenData], seed: int | None) -> ChatRequest:
    """The request for what is missing."""
    changes: dict[str, object] = {} if seed is None else {"seed": seed}
    if parts:
        sampled = [token for part in parts for token in part.output_ids or ()]
        changes["input_ids"] = [*(request.input_ids or ()), *sampled]
        if request.max_tokens is not None:
            changes["max_tokens"] = _left(request, parts)
    return request.model_copy(update=changes) if changes else request
