"""agent-lightning: a ``Triplet`` for each turn.

Names from agentlightning 0.3.0, ``agentlightning/adapter/triplet.py``; its readers take ``logprob`` of each entry of
``logprobs``. A triplet has no mask: all of the response is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, cast

from nxlog.export._turns import Untrainable, chat_message, read_turn, trainable_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nxlog.trajectory import Trajectory
    from nxlog.turn import TurnTokenData


class TripletPrompt(TypedDict):
    """What the model saw."""

    token_ids: list[int]
    raw_content: list[dict[str, Any]]
    image_urls: list[str]


class TripletResponse(TypedDict):
    """What it sampled."""

    token_ids: list[int]
    raw_content: list[dict[str, Any]]
    logprobs: list[dict[str, float]]


class AgentLightningTriplet(TypedDict):
    """agent-lightning's ``Triplet``."""

    prompt: TripletPrompt
    response: TripletResponse
    reward: float | None
    metadata: dict[str, Any]


def to_agent_lightning(trajectory: Trajectory, *, untrainable: Untrainable = "raise") -> list[AgentLightningTriplet]:
    """The triplets of a trajectory; its reward is that of the last one.

    Raises:
        ExportError: a turn may not be trained on and was not to be skipped, or a log-probability is missing.
    """
    triplets = [
        AgentLightningTriplet(
            prompt=TripletPrompt(
                token_ids=sampled.prompt_ids, raw_content=[*map(chat_message, sampled.history)], image_urls=[]
            ),
            response=TripletResponse(
                token_ids=sampled.output_ids,
                raw_content=[chat_message(sampled.turn)],
                logprobs=[{"logprob": value} for value in sampled.logprobs()],
            ),
            reward=None,
            metadata={"response_id": sampled.turn.request_id},
        )
        for sampled in trainable_turns(trajectory, untrainable)
    ]
    if triplets:
        triplets[-1]["reward"] = trajectory.reward
    return triplets


def from_agent_lightning(triplets: Iterable[Mapping[str, Any]]) -> list[TurnTokenData]:
    """The sampled turns of triplets. Log-probabilities may be numbers or entries.

    Raises:
        ExportError: ids and log-probabilities differ in number.
    """
    return [_turn(triplet) for triplet in triplets]


def _turn(triplet: Mapping[str, Any]) -> TurnTokenData:
    response: dict[str, Any] = triplet["response"]
    entries: list[Any] | None = response.get("logprobs")
    said: list[dict[str, Any]] = response.get("raw_content") or [{}]
    return read_turn(
        triplet["prompt"]["token_ids"],
        response["token_ids"],
        None if entries is None else [_number(entry) for entry in entries],
        content=said[0].get("content"),
        request_id=triplet["metadata"].get("response_id"),
    )


def _number(entry: Any) -> float | None:
    value: float | None = cast("dict[str, Any]", entry)["logprob"] if isinstance(entry, dict) else entry
    return value
