"""strands-sglang: the arguments of ``Rollout``.

Names from strands-sglang 0.4.3, ``strands_sglang/rollout.py``. A log-probability that there is none of is None, the
first one always: nothing comes before that token. A segment is output where it is trained, as its ``loss_mask`` is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from nxlog.export._rows import Row, TrainingRow, make_row, need_prompt, runs, trained_logprobs

if TYPE_CHECKING:
    from collections.abc import Mapping


class StrandsRollout(TypedDict):
    """The fields of ``Rollout`` that are known here."""

    token_ids: list[int]
    loss_mask: list[int]
    logprobs: list[float | None]
    segment_info: list[tuple[bool, int]]


def to_strands(row: Row) -> StrandsRollout:
    """A row for strands-sglang.

    Raises:
        ExportError: a token is trained and has no log-probability, or is the first.
    """
    need_prompt(row)
    return StrandsRollout(
        token_ids=row.ids.tolist(),
        loss_mask=row.loss_mask.tolist(),
        logprobs=trained_logprobs(row, fill=None),
        segment_info=[(trained, end - start) for trained, start, end in runs(row.loss_mask)],
    )


def from_strands(value: Mapping[str, Any]) -> TrainingRow:
    """The row of a ``Rollout``, as a dict.

    Raises:
        ExportError: the lists differ in length.
    """
    return make_row(value["token_ids"], value["loss_mask"], value["logprobs"])
