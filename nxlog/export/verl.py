"""verl: the arguments of ``AgentLoopOutput``.

Names from verl 0.9.1, ``verl/experimental/agent_loop/agent_loop.py``. The response is all behind the first prompt:
what the tools said is in it, with mask 0 and log-probability 0.0, since verl makes tensors of the lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from nxlog.export._rows import Row, TrainingRow, halves, make_row, trained_logprobs
from nxlog.trajectory import Branch

if TYPE_CHECKING:
    from collections.abc import Mapping


class VerlOutput(TypedDict):
    """The fields of ``AgentLoopOutput`` that are known here. It also needs ``metrics``."""

    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    response_logprobs: list[float]
    num_turns: int
    reward_score: NotRequired[float]


def to_verl(row: Row, *, reward: float | None = None) -> VerlOutput:
    """A row for verl.

    Raises:
        ExportError: a token is trained and has no log-probability.
    """
    split = row.prompt_length
    output = VerlOutput(
        prompt_ids=row.ids[:split].tolist(),
        response_ids=row.ids[split:].tolist(),
        response_mask=row.loss_mask[split:].tolist(),
        response_logprobs=trained_logprobs(row, fill=0.0)[split:],
        num_turns=len(row.turns) if isinstance(row, Branch) else 0,
    )
    if reward is not None:
        output["reward_score"] = reward
    return output


def from_verl(value: Mapping[str, Any]) -> TrainingRow:
    """The row of an ``AgentLoopOutput``, as a dict. Without ``response_logprobs`` all of them are missing.

    Raises:
        ExportError: the lists differ in length.
    """
    ids, split = halves(value, "prompt_ids", "response_ids")
    logprobs = value.get("response_logprobs") or [None] * (len(ids) - split)
    return make_row(ids, [0] * split + value["response_mask"], [None] * split + list(logprobs), prompt_length=split)
