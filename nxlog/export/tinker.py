"""Tinker: the ids and loss inputs of a ``Datum``.

Names from tinker 0.38.0 and tinker-cookbook 0.6.1, ``tinker_cookbook/rl/data_processing.py``. Position ``i`` predicts
token ``i + 1``: the input lacks the last id, and targets, log-probabilities, advantages and mask lack the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from nxlog.export._rows import ExportError, Row, TrainingRow, make_row, need_prompt, spread, trained_logprobs

if TYPE_CHECKING:
    from collections.abc import Mapping


class TinkerLossInputs(TypedDict):
    """One entry for each input id; ``TensorData`` of int64 for the targets and float32 for the others."""

    target_tokens: list[int]
    logprobs: list[float]
    mask: list[float]
    advantages: NotRequired[list[float]]


class TinkerDatum(TypedDict):
    """What ``Datum`` is made of: ``ModelInput.from_ints(model_input)`` and a ``TensorData`` for each loss input."""

    model_input: list[int]
    loss_fn_inputs: TinkerLossInputs


def to_tinker(row: Row, *, advantage: float | None = None) -> TinkerDatum:
    """A row for Tinker.

    Raises:
        ExportError: a token is trained and has no log-probability, or is the first; or there are less than two.
    """
    need_prompt(row)
    if len(row) < 2:
        raise ExportError(f"{len(row)} ids: there is nothing to predict")
    inputs = TinkerLossInputs(
        target_tokens=row.ids[1:].tolist(),
        logprobs=trained_logprobs(row, fill=0.0)[1:],
        mask=spread(1.0, row)[1:],
    )
    if advantage is not None:
        inputs["advantages"] = spread(advantage, row)[1:]
    return TinkerDatum(model_input=row.ids[:-1].tolist(), loss_fn_inputs=inputs)


def from_tinker(value: Mapping[str, Any]) -> TrainingRow:
    """The row of such a dict.

    Raises:
        ExportError: the lists differ in length.
    """
    inputs = value["loss_fn_inputs"]
    ids = [*value["model_input"][:1], *inputs["target_tokens"]]
    return make_row(ids, [0, *inputs["mask"]], [None, *inputs["logprobs"]])
