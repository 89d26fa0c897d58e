"""TRL: what a ``rollout_func`` of ``GRPOTrainer`` returns.

Names from TRL 1.16.0, ``trl/trainer/grpo_trainer.py``. Its own tool loop puts 0.0 where ``env_mask`` is 0, and so does
this: older versions make a tensor of the list as it is, which takes no None. TRL corrects for log-probabilities of the
``processed`` distribution; ``require_distribution`` refuses others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from nxlog.export._rows import Row, TrainingRow, make_row, trained_logprobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class TRLRollouts(TypedDict):
    """A list of rows, column by column."""

    prompt_ids: list[list[int]]
    completion_ids: list[list[int]]
    logprobs: list[list[float]]
    env_mask: list[list[int]]


def to_trl(rows: Iterable[Row]) -> TRLRollouts:
    """Rows for TRL, in the order of its prompts.

    Raises:
        ExportError: a token is trained and has no log-probability.
    """
    output = TRLRollouts(prompt_ids=[], completion_ids=[], logprobs=[], env_mask=[])
    for row in rows:
        split = row.prompt_length
        output["prompt_ids"].append(row.ids[:split].tolist())
        output["completion_ids"].append(row.ids[split:].tolist())
        output["logprobs"].append(trained_logprobs(row, fill=0.0)[split:])
        output["env_mask"].append(row.loss_mask[split:].tolist())
    return output


def from_trl(value: Mapping[str, Any]) -> list[TrainingRow]:
    """The rows of what a ``rollout_func`` returned. Without ``env_mask`` the whole completion is trained.

    Raises:
        ExportError: the lists differ in length.
    """
    masks = value.get("env_mask") or [[1] * len(ids) for ids in value["completion_ids"]]
    columns = zip(value["prompt_ids"], value["completion_ids"], masks, value["logprobs"], strict=True)
    return [
        make_row(
            [*prompt, *completion],
            [0] * len(prompt) + mask,
            [None] * len(prompt) + logprobs,
            prompt_length=len(prompt),
        )
        for prompt, completion, mask, logprobs in columns
    ]
