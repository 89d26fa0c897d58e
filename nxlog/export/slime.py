"""slime: what ``Sample.from_dict`` takes.

Names from THUDM/slime:slime/utils/types.py@0d234f3e. ``loss_mask`` and ``rollout_log_probs`` have the length of the
response, which is all behind the first prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from nxlog.export._rows import Row, TrainingRow, make_row, trained_logprobs

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUS = {"stop": "completed", "tool_calls": "completed", "length": "truncated", "abort": "aborted"}
_REASON = {"completed": "stop", "truncated": "length", "aborted": "abort"}


class SlimeSample(TypedDict):
    """The fields of ``Sample`` that are known here."""

    tokens: list[int]
    response_length: int
    loss_mask: list[int]
    rollout_log_probs: list[float]
    weight_versions: list[str]
    status: str
    reward: NotRequired[float]


def to_slime(row: Row, *, reward: float | None = None) -> SlimeSample:
    """A row for slime. Its status is ``pending`` where nobody said why it ended, ``failed`` where that has no name.

    Raises:
        ExportError: a token is trained and has no log-probability.
    """
    split, reason = row.prompt_length, row.finish_reason
    sample = SlimeSample(
        tokens=row.ids.tolist(),
        response_length=len(row.ids) - split,
        loss_mask=row.loss_mask[split:].tolist(),
        rollout_log_probs=trained_logprobs(row, fill=0.0)[split:],
        weight_versions=list(row.version_names),
        status="pending" if reason is None else _STATUS.get(reason, "failed"),
    )
    if reward is not None:
        sample["reward"] = reward
    return sample


def from_slime(value: Mapping[str, Any]) -> TrainingRow:
    """The row of a ``Sample``, as ``Sample.to_dict`` gives it. Without a mask the whole response is trained.

    Raises:
        ExportError: the lists differ in length.
    """
    length = value["response_length"]
    split = len(value["tokens"]) - length
    mask = value.get("loss_mask") or [1] * length
    logprobs = value.get("rollout_log_probs") or [None] * length
    return make_row(
        value["tokens"],
        [0] * split + mask,
        [None] * split + list(logprobs),
        version_names=value.get("weight_versions", ()),
        prompt_length=split,
        finish_reason=_REASON.get(value["status"]),
    )
