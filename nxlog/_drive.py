"""The two loops between a call's generator and the transport: one waits, one awaits."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from nxlog.errors import NxlogError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from nxlog.exchange import HttpRequest, HttpResponse

R = TypeVar("R")


def drive(flow: Generator[HttpRequest, HttpResponse, R], send: Callable[[HttpRequest], HttpResponse]) -> R:
    """Send what the flow yields until it returns."""
    try:
        request = next(flow)
        while True:
            try:
                response = send(request)
            except NxlogError as error:
                request = flow.throw(error)
            else:
                request = flow.send(response)
    except StopIteration as stop:
        return cast("R", stop.value)


async def adrive(
    flow: Generator[HttpRequest, HttpResponse, R], send: Callable[[HttpRequest], Awaitable[HttpResponse]]
) -> R:
    """The same, awaiting."""
    try:
        request = next(flow)
        while True:
            try:
                response = await send(request)
            except NxlogError as error:
                request = flow.throw(error)
            else:
                request = flow.send(response)
    except StopIteration as stop:
        return cast("R", stop.value)
