"""Answers to tool calls. What goes wrong is an answer too: the model reads what it did wrong."""

from __future__ import annotations

import inspect
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio.to_thread
import msgspec

from nxlog.rendering import tool_result_text
from nxlog.turn import ToolCallStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nxlog.rollout.report import Report
    from nxlog.turn import TurnToolCall

ToolFunction: TypeAlias = "Callable[..., object]"
Tools: TypeAlias = "Mapping[str, ToolFunction] | ToolFunction"

_log = logging.getLogger("nxlog.rollout")


async def call(function: Callable[..., object], *args: Any, limiter: anyio.CapacityLimiter, **kwargs: Any) -> object:
    """What a function of the user's returns. One that is not async runs in a thread, so that nobody waits for it."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 - objects with an async __call__
        found = function(*args, **kwargs)
    else:
        found = await anyio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=limiter)
    if not inspect.isawaitable(found):
        return found
    result: object = await found
    return result


class ToolBox:
    """The functions that a model may call.

    Args:
        tools: functions by name, which take the arguments of the call; or one function, which takes the call.
        limiter: how many of them run in threads at a time.
    """

    def __init__(self, tools: Tools, limiter: anyio.CapacityLimiter) -> None:
        self._tools: Tools = tools
        self._limiter: anyio.CapacityLimiter = limiter

    async def answer(self, wanted: TurnToolCall, report: Report) -> str:
        """The text that the model reads as the result."""
        report.tool_calls += 1
        try:
            return tool_result_text(await self._result(wanted))
        except _BadCallError as error:
            report.tool_errors += 1
            return f"Error: {error}"
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to read
            report.tool_errors += 1
            _log.warning("tool %s raised", wanted.name, exc_info=True)
            return f"Error: {type(error).__name__}: {error}"

    async def _result(self, wanted: TurnToolCall) -> object:
        if wanted.status is not ToolCallStatus.OK:
            raise _BadCallError(_WRONG[wanted.status])
        if callable(self._tools):
            return await call(self._tools, wanted, limiter=self._limiter)
        function = self._tools.get(wanted.name)
        if function is None:
            raise _BadCallError(f"there is no tool {wanted.name!r}; there are: {', '.join(self._tools)}")
        return await call(function, limiter=self._limiter, **_arguments(wanted))


class _BadCallError(Exception):
    """Its text is what the model reads."""


_WRONG = {
    ToolCallStatus.INVALID_JSON: "the arguments are not a JSON object",
    ToolCallStatus.UNCLOSED_BLOCK: "the call has no end",
    ToolCallStatus.UNKNOWN_TOOL: "there is no such tool",
}


def _arguments(wanted: TurnToolCall) -> dict[str, Any]:
    try:
        value: object = msgspec.json.decode(wanted.arguments or "{}")
    except ValueError:
        raise _BadCallError(_WRONG[ToolCallStatus.INVALID_JSON]) from None
    if not isinstance(value, dict):
        raise _BadCallError(_WRONG[ToolCallStatus.INVALID_JSON])
    return cast("dict[str, Any]", value)
