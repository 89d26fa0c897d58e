"""What the formats share that keep each turn with its prompt."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from nxlog.export._rows import ExportError, finite
from nxlog.trajectory import PrefixPolicy
from nxlog.turn import Evidence, TurnTokenData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nxlog.trajectory import Trajectory

Untrainable = Literal["raise", "skip"]
"""What to do with a sampled turn that may not be trained on, in a format that trains all it is given."""


class Sampled(NamedTuple):
    """A sampled turn as such a format has it; ``history`` are the turns on its branch before it."""

    turn: TurnTokenData
    prompt_ids: list[int]
    history: Sequence[TurnTokenData]
    reason: str | None

    @property
    def output_ids(self) -> list[int]:
        return [] if self.turn.output_ids is None else self.turn.output_ids.tolist()

    def logprobs(self) -> list[float]:
        """The log-probabilities of a turn that is trained.

        Raises:
            ExportError: one is missing.
        """
        values, ids = self.turn.output_logprobs, self.output_ids
        if values is None or len(values) != len(ids):
            raise ExportError(f"{len(ids)} tokens are trained and have {len(values or ())} log-probabilities")
        return finite(values)


def sampled_turns(trajectory: Trajectory) -> Iterator[Sampled]:
    """The sampled turns whose prompt ids are known."""
    for branch in trajectory.branches(PrefixPolicy.STEPWISE):
        step = branch.steps[-1]
        place = next(i for i, turn in enumerate(branch.turns) if turn is step.turn)
        yield Sampled(step.turn, branch.ids[: step.output_start].tolist(), branch.turns[:place], step.reason)


def trainable_turns(trajectory: Trajectory, untrainable: Untrainable) -> Iterator[Sampled]:
    """The turns for a format that has no mask.

    Raises:
        ExportError: a turn may not be trained on, and was not to be skipped.
    """
    if untrainable == "raise":
        for index, reason in trajectory.untrainable.items():
            raise ExportError(f"turn {index} may not be trained on, and the format has no mask: {reason}")
    yield from (sampled for sampled in sampled_turns(trajectory) if sampled.reason is None)


def read_turn(
    prompt_ids: Iterable[int] | None,
    output_ids: Iterable[int] | None,
    logprobs: Iterable[float | None] | None,
    **more: Any,
) -> TurnTokenData:
    """A sampled turn from a format whose ids are, by its contract, those of the engine. It is not checked yet.

    Raises:
        ExportError: ids and log-probabilities differ in number.
    """
    ids = None if output_ids is None else array("i", output_ids)
    values = None
    if logprobs is not None:
        values = array("d", (math.nan if value is None else value for value in logprobs))
    if ids is not None and values is not None and len(ids) != len(values):
        raise ExportError(f"{len(ids)} ids, but {len(values)} log-probabilities")
    return TurnTokenData(
        role="assistant",
        prompt_ids=None if prompt_ids is None else array("i", prompt_ids),
        output_ids=ids,
        output_logprobs=values,
        evidence=Evidence.WIRE_TEXT if ids is None else Evidence.NATIVE_IDS,
        **more,
    )


def chat_message(turn: TurnTokenData) -> dict[str, Any]:
    """The turn as a message of the chat API."""
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in turn.tool_calls
        ]
    if turn.role == "tool":
        message |= {"tool_call_id": turn.tool_call_id, "name": turn.tool_name}
    return message
