"""rLLM: what ``Trajectory.from_dict`` takes, with a ``Step`` for each turn.

Names from rllm-org/rllm:rllm/agents/agent.py@1da00850. A step has no mask: all of it is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from nxlog.export._turns import Sampled, Untrainable, chat_message, read_turn, trainable_turns
from nxlog.turn import TurnTokenData, WeightVersion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.trajectory import Trajectory


class RLLMStep(TypedDict):
    """rLLM's ``Step``."""

    prompt_ids: list[int]
    response_ids: list[int]
    logprobs: list[float]
    chat_completions: list[dict[str, Any]]
    observation: Any
    thought: str
    action: Any
    model_response: str
    model_output: None
    info: dict[str, Any]
    reward: float
    done: bool
    mc_return: float
    advantage: float | None
    weight_version: int | None


class RLLMTrajectory(TypedDict):
    """rLLM's ``Trajectory``."""

    uid: str
    name: str
    task: Any
    steps: list[RLLMStep]
    reward: float | None
    info: dict[str, Any]


def to_rllm(
    trajectory: Trajectory, *, name: str = "default_traj_name", task: Any = None, untrainable: Untrainable = "raise"
) -> RLLMTrajectory:
    """A trajectory for rLLM.

    Args:
        trajectory: the trajectory.
        name: groups trajectories of one role.
        task: what was to be done.
        untrainable: what to do with a turn that may not be trained on.

    Raises:
        ExportError: a turn may not be trained on and was not to be skipped, or a log-probability is missing.
    """
    turns = list(trainable_turns(trajectory, untrainable))
    return RLLMTrajectory(
        uid=trajectory.id,
        name=name,
        task=task,
        steps=[_step(sampled, last=sampled is turns[-1]) for sampled in turns],
        reward=trajectory.reward,
        info={},
    )


def _step(sampled: Sampled, *, last: bool) -> RLLMStep:
    turn = sampled.turn
    return RLLMStep(
        prompt_ids=sampled.prompt_ids,
        response_ids=sampled.output_ids,
        logprobs=sampled.logprobs(),
        chat_completions=[chat_message(said) for said in (*sampled.history, turn)],
        observation=None,
        thought=turn.reasoning or "",
        action=None,
        model_response=turn.content or "",
        model_output=None,
        info={},
        reward=0.0,
        done=last,
        mc_return=0.0,
        advantage=None,
        weight_version=_version(turn),
    )


def _version(turn: TurnTokenData) -> int | None:
    """The oldest weights of the turn, which is what staleness is counted from; None where they have no number."""
    name = turn.weight_versions[0].version if turn.weight_versions else ""
    return int(name) if name.isdecimal() else None


def from_rllm(value: Mapping[str, Any]) -> list[TurnTokenData]:
    """The sampled turns of a ``Trajectory``, as ``to_dict`` gives it.

    Raises:
        ExportError: ids and log-probabilities differ in number.
    """
    return [_turn(step) for step in value["steps"]]


def _turn(step: Mapping[str, Any]) -> TurnTokenData:
    version, ids = step.get("weight_version"), step["response_ids"]
    return read_turn(
        step["prompt_ids"],
        ids,
        step["logprobs"] or None,
        content=step["model_response"],
        reasoning=step["thought"] or None,
        weight_versions=() if version is None else (WeightVersion(str(version), 0, len(ids)),),
    )
