"""``Conversation``: one task on its way, as messages and as a trajectory."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from nxlog.errors import InvalidRequestError
from nxlog.request import describe_errors
from nxlog.rollout.report import Report
from nxlog.turn import ToolCallStatus
from nxlog.turns import turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nxlog.rollout.task import Message, Task
    from nxlog.trajectory import Trajectory
    from nxlog.turn import TurnTokenData


class Conversation:
    """What has been said.

    A trajectory that a run before this one left unfinished is taken up where it is: messages are always made of the
    recorded turns, so that they are the same then.

    Attributes:
        task: how it began.
        trajectory: its turns, those of the task first.
        report: how it goes.
        messages: all of it as messages; not to be changed.
        last: what the model said last, without its ``prompt_ids``; None where it has not spoken.
        replies: the messages since then, or since the start.
        turns: how often the model has spoken.
    """

    def __init__(self, task: Task, trajectory: Trajectory) -> None:
        self.task: Task = task
        self.trajectory: Trajectory = trajectory
        self.report: Report = Report(resumed=len(trajectory) > 0)
        self.messages: list[Message] = list(task.messages)
        self.last: TurnTokenData | None = None
        self.replies: list[Message] = list(task.messages)
        self.turns: int = 0
        recorded = len(trajectory)
        for message in task.messages[recorded:]:
            trajectory.add(_turn(message))
        for step in trajectory.steps[len(task.messages) :]:
            self._said(step.turn)

    @property
    def id(self) -> str:
        """The id of its row."""
        return self.trajectory.id

    def add(self, turn: TurnTokenData) -> None:
        """What the model said."""
        self._said(self.trajectory.add(turn).turn)

    def reply(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """What is said to the model.

        Raises:
            InvalidRequestError: a message is not that of a user or a tool, or has no text.
        """
        for turn in [_reply(message) for message in messages]:
            self._said(self.trajectory.add(turn).turn)

    def _said(self, turn: TurnTokenData) -> None:
        message = message_of(turn)
        self.messages.append(message)
        if turn.role == "assistant":
            self.last, self.replies = turn, []
            self.turns += 1
        else:
            self.replies.append(message)

    @property
    def ids(self) -> tuple[array[int], array[int]]:
        """The prompt and the output of what the model said last; empty where they are not known."""
        steps = self.trajectory.steps
        index = max((step.index for step in steps if step.turn.role == "assistant"), default=None)
        if index is None:
            return array("i"), array("i")
        return self.trajectory.prompt_ids(index) or array("i"), steps[index].output_ids


def _turn(message: Mapping[str, Any]) -> TurnTokenData:
    """A message as a turn: its text, in which parts that are not text are left out."""
    try:
        return turns([message])[0]
    except ValidationError as error:
        raise InvalidRequestError(describe_errors(list(error.errors()))[1], param="messages") from None


def _reply(message: Mapping[str, Any]) -> TurnTokenData:
    turn = _turn(message)
    if turn.role == "assistant" or not isinstance(message.get("content"), str):
        raise InvalidRequestError("what is said to the model is a text, and not the model's", param="messages")
    return turn


def message_of(turn: TurnTokenData) -> Message:
    """A turn as a message, the same each time."""
    if turn.role != "assistant":
        named = {"name": turn.tool_name, "tool_call_id": turn.tool_call_id}
        return {"role": turn.role, "content": turn.content or ""} | {k: v for k, v in named.items() if v is not None}
    content = turn.content or ""
    calls: list[dict[str, Any]] = []
    for call in turn.tool_calls:
        if call.raw is not None and call.status is not ToolCallStatus.OK:
            content = f"{content}\n{call.raw}" if content else call.raw  # as it was written: it is no call
            continue
        function = {"name": call.name, "arguments": call.arguments}
        calls.append({"id": call.id, "type": "function", "function": function})
    return {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {})
