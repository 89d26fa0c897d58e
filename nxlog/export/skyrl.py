"""SkyRL: a ``GeneratorOutput``.

Names from skyrl 0.3.0, ``skyrl/train/generators/base.py``. Its overlong filter masks whatever did not stop, so a turn
that ends in tool calls is reported as ``stop``, as the engine does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from nxlog.export._rows import ExportError, Row, TrainingRow, make_row, trained_logprobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class SkyRLOutput(TypedDict):
    """The keys of ``GeneratorOutput`` that SkyRL reads; those that are None are the caller's to fill."""

    prompt_token_ids: list[list[int]]
    response_ids: list[list[int]]
    rewards: list[float]
    loss_masks: list[list[int]]
    stop_reasons: list[str] | None
    rollout_metrics: dict[str, Any] | None
    rollout_logprobs: list[list[float]]
    trajectory_ids: list[Any] | None
    is_last_step: list[bool] | None


def to_skyrl(rows: Iterable[Row], *, rewards: Sequence[float]) -> SkyRLOutput:
    """Rows for SkyRL, in the order of its prompts.

    Raises:
        ExportError: a token is trained and has no log-probability, or there is not one reward for each row.
    """
    listed = list(rows)
    if len(listed) != len(rewards):
        raise ExportError(f"{len(listed)} rows, but {len(rewards)} rewards")
    reasons = [row.finish_reason for row in listed]
    return SkyRLOutput(
        prompt_token_ids=[row.ids[: row.prompt_length].tolist() for row in listed],
        response_ids=[row.ids[row.prompt_length :].tolist() for row in listed],
        rewards=list(rewards),
        loss_masks=[row.loss_mask[row.prompt_length :].tolist() for row in listed],
        stop_reasons=None if None in reasons else ["stop" if it == "tool_calls" else str(it) for it in reasons],
        rollout_metrics=None,
        rollout_logprobs=[trained_logprobs(row, fill=0.0)[row.prompt_length :] for row in listed],
        trajectory_ids=None,
        is_last_step=None,
    )


def from_skyrl(value: Mapping[str, Any]) -> list[TrainingRow]:
    """The rows of a ``GeneratorOutput``. Without ``rollout_logprobs`` all of them are missing.

    Raises:
        ExportError: the lists differ in length.
    """
    responses = value["response_ids"]
    logprobs = value.get("rollout_logprobs") or [[None] * len(ids) for ids in responses]
    reasons = value.get("stop_reasons") or [None] * len(responses)
    columns = zip(value["prompt_token_ids"], responses, value["loss_masks"], logprobs, reasons, strict=True)
    return [
        make_row(
            [*prompt, *response],
            [0] * len(prompt) + mask,
            [None] * len(prompt) + values,
            prompt_length=len(prompt),
            finish_reason=reason,
        )
        for prompt, response, mask, values, reason in columns
    ]
