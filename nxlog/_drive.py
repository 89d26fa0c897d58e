"""The two loops between a flow and what it asks for, such as HTTP requests: one waits, one awaits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from nxlog.errors import NxlogError
from nxlog.exchange import Pause, Sleep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
R = TypeVar("R")


def drive(
    flow: Generator[Asked | Pause | Sleep, Answer | None, R],
    send: Callable[[Asked], Answer],
    *,
    deadline: float | None = None,
) -> R:
    """Send what the flow yields until it returns; a pause ends with its event, at the latest at the deadline."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                step.event.wait(_remaining(deadline))
                step = flow.send(None)
                continue
            if isinstance(step, Sleep):
                time.sleep(_at_most(step.seconds, deadline))
                step = flow.send(None)
                continue
            try:
                response = send(step)
            except NxlogError as error:
                step = flow.throw(error)
            else:
                step = flow.send(response)
    except StopIteration as stop:
        return cast("R", stop.value)
    finally:
        flow.close()


async def adrive(
    flow: Generator[Asked | Pause | Sleep, Answer | None, R],
    send: Callable[[Asked], Awaitable[Answer]],
    *,
    deadline: float | None = None,
) -> R:
    """The same, awaiting."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                with anyio.move_on_after(_remaining(deadline)):
                    await step.event.wait()
                step = flow.send(None)
                continue
            if isinstance(step, Sleep):
                await anyio.sleep(_at_most(step.seconds, deadline))
                step = flow.send(None)
                continue
            try:
                response = await send(step)
            except NxlogError as error:
                step = flow.throw(error)
            else:
                step = flow.send(response)
    except StopIteration as stop:
        return cast("R", stop.value)
    finally:
        flow.close()


def _remaining(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _at_most(seconds: float, deadline: float | None) -> float:
    remaining = _remaining(deadline)
    return seconds if remaining is None else min(seconds, remaining)
