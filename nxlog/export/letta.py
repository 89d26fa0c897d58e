"""Letta: the ``turns`` of a response.

Names from letta 0.16.8, ``letta/schemas/letta_response.py``. Whoever reads them trains every assistant turn that
has ids, so a turn that is not trainable keeps its text and not its ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from nxlog.export._rows import ExportError
from nxlog.export._turns import read_turn
from nxlog.turn import TurnTokenData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nxlog.trajectory import Trajectory


_LOGPROBS = "output_token_logprobs"


class LettaTurn(TypedDict):
    """Letta's ``TurnTokenData``."""

    role: Literal["assistant", "tool"]
    output_ids: list[int] | None
    output_token_logprobs: list[list[Any]] | None
    content: str | None
    tool_name: str | None


def to_letta(trajectory: Trajectory) -> list[LettaTurn]:
    """The sampled turns and the tools' results, in order."""
    turns = [step.turn for step in trajectory.steps if step.turn.role in {"assistant", "tool"}]
    return [
        cast("LettaTurn", turn.to_letta() | ({} if turn.trainable else {"output_ids": None, _LOGPROBS: None}))
        for turn in turns
    ]


def from_letta(turns: Iterable[Mapping[str, Any]]) -> list[TurnTokenData]:
    """The turns, without prompt ids unless they have the ``input_ids`` of letta-evals.

    Raises:
        ExportError: log-probabilities are not those of the ids.
    """
    return [_turn(turn) for turn in turns]


def _turn(value: Mapping[str, Any]) -> TurnTokenData:
    if value["role"] != "assistant":
        return TurnTokenData(role=value["role"], content=value["content"], tool_name=value.get("tool_name"))
    ids: list[int] | None = value.get("output_ids")
    entries: list[Any] | None = value.get(_LOGPROBS)
    pairs = None if entries is None else [_pair(entry) for entry in entries]
    for place, (token, (_, other)) in enumerate(zip(ids or (), pairs or (), strict=False)):
        if other not in {None, token}:
            raise ExportError(f"token {place} is {token}, and its log-probability is that of {other}")
    logprobs = None if pairs is None else [logprob for logprob, _ in pairs]
    return read_turn(value.get("input_ids"), ids, logprobs, content=value.get("content"))


def _pair(entry: Any) -> tuple[float | None, int | None]:
    """A log-probability and its id. letta-evals also reads entries that are a number."""
    if isinstance(entry, list):
        listed = cast("list[Any]", entry)
        return listed[0], listed[1]
    return entry, None
