"""prime-rl: the arguments of ``TrainingSample``.

Names from PrimeIntellect-ai/prime-rl:src/prime_rl/transports/rollouts/types.py@a608ad93. There is no split between
prompt and response: all lists have the length of ``token_ids``. The trainer divides the logits by ``temperatures``, so
log-probabilities should be of the ``temperature`` or ``processed`` distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from nxlog.export._rows import Row, TrainingRow, make_row, spread, trained_logprobs, trained_temperatures

if TYPE_CHECKING:
    from collections.abc import Mapping


class PrimeRLSample(TypedDict):
    """The fields of ``TrainingSample`` that are known here."""

    token_ids: list[int]
    mask: list[bool]
    logprobs: list[float]
    temperatures: list[float]
    env_name: str
    advantages: NotRequired[list[float]]


def to_prime_rl(
    row: Row, *, env_name: str, temperature: float | None = None, advantage: float | None = None
) -> PrimeRLSample:
    """A row for prime-rl.

    Args:
        row: the row.
        env_name: the environment it is from.
        temperature: what the server samples with where no temperature was asked for.
        advantage: of all trained tokens; it may be assigned later.

    Raises:
        ExportError: a token is trained and has no log-probability, or no temperature.
    """
    sample = PrimeRLSample(
        token_ids=row.ids.tolist(),
        mask=list(map(bool, row.loss_mask)),
        logprobs=trained_logprobs(row, fill=0.0),
        temperatures=trained_temperatures(row, temperature),
        env_name=env_name,
    )
    if advantage is not None:
        sample["advantages"] = spread(advantage, row)
    return sample


def from_prime_rl(value: Mapping[str, Any]) -> TrainingRow:
    """The row of a ``TrainingSample``, as a dict.

    Raises:
        ExportError: the lists differ in length.
    """
    return make_row(value["token_ids"], value["mask"], value["logprobs"], temperatures=value["temperatures"] or None)
