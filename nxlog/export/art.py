"""ART: the columns of a ``TokenizedResult``.

Names from openpipe-art 0.5.18, ``art/preprocessing/tokenize.py``. Its log-probabilities are NaN where there are none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypedDict

from nxlog.export._rows import Row, TrainingRow, make_row, runs, trained_logprobs

if TYPE_CHECKING:
    from collections.abc import Mapping


class ARTResult(TypedDict):
    """The fields of ``TokenizedResult`` that are of tokens; the others are the caller's."""

    token_ids: list[int]
    input_pos: list[int]
    assistant_mask: list[int]
    logprobs: list[float]
    choice_offsets: list[int]
    extra_logprobs: dict[str, list[float]]
    pixel_values: None
    image_grid_thw: None


def to_art(row: Row) -> ARTResult:
    """A row for ART.

    Raises:
        ExportError: a token is trained and has no log-probability.
    """
    return ARTResult(
        token_ids=row.ids.tolist(),
        input_pos=list(range(len(row.ids))),
        assistant_mask=row.loss_mask.tolist(),
        logprobs=trained_logprobs(row, fill=math.nan),
        choice_offsets=[start for trained, start, _ in runs(row.loss_mask) if trained],
        extra_logprobs={},
        pixel_values=None,
        image_grid_thw=None,
    )


def from_art(value: Mapping[str, Any]) -> TrainingRow:
    """The row of a ``TokenizedResult``, as a dict.

    Raises:
        ExportError: the lists differ in length.
    """
    return make_row(value["token_ids"], value["assistant_mask"], value["logprobs"])
