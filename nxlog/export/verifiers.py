"""verifiers: the ``nodes`` and ``calls`` of a ``Trace``, and the steps of the versions before it.

Names from verifiers 0.4.0, ``verifiers/v1/graph.py`` and ``trace.py``; those of steps from verifiers 0.1.9,
``verifiers/types.py``. Each branch becomes a chain of nodes of its own. What the template and the tools added stands on
the node of the turn that follows, mask False: which of it belongs to which message is not known.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING, Any, TypedDict

from nxlog.export._rows import ExportError, TrainingRow, make_row, trained_logprobs
from nxlog.export._turns import read_turn, sampled_turns
from nxlog.turn import Evidence, TurnTokenData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nxlog.trajectory import Branch, Trajectory


class VerifiersNode(TypedDict):
    """The fields of ``MessageNode`` that are known here."""

    parent: int | None
    message: dict[str, Any]
    sampled: bool
    token_ids: list[int]
    mask: list[bool]
    logprobs: list[float]


class VerifiersCall(TypedDict):
    """The fields of ``ModelCall`` that are known here."""

    node: int
    model: str
    finish_reason: str | None


class VerifiersTrace(TypedDict):
    """The fields of ``Trace`` that are of tokens; ``task`` and ``agent`` are the caller's."""

    nodes: list[VerifiersNode]
    calls: list[VerifiersCall]


class VerifiersStepTokens(TypedDict):
    """``TrajectoryStepTokens`` of verifiers before 0.2."""

    prompt_ids: list[int]
    prompt_mask: list[int]
    completion_ids: list[int]
    completion_mask: list[int]
    completion_logprobs: list[float]
    overlong_prompt: bool
    is_truncated: bool


def to_verifiers(branches: Iterable[Branch]) -> VerifiersTrace:
    """Branches for verifiers, one training sample each.

    Raises:
        ExportError: a token is trained and has no log-probability.
    """
    trace, called = VerifiersTrace(nodes=[], calls=[]), set[int]()
    for branch in branches:
        steps = {id(step.turn): step for step in branch.steps}
        values = trained_logprobs(branch, fill=math.nan)
        parent: int | None = None
        for turn, start, end in _pieces(branch):
            number = len(trace["nodes"])
            trace["nodes"].append(_node(branch, values[start:end], turn, parent, start))
            step = steps.get(id(turn))
            if step is not None and step.index not in called:
                called.add(step.index)
                reason = turn.finish_reason if turn.finish_reason in {"stop", "length", "tool_calls"} else None
                trace["calls"].append(VerifiersCall(node=number, model=turn.model, finish_reason=reason))
            parent = number
    return trace


def _pieces(branch: Branch) -> Iterator[tuple[TurnTokenData, int, int]]:
    """The turns of a branch, each with the ids that it ends; only sampled turns have some."""
    ends: dict[int, int] = {}
    for span in branch.spans:
        if span.sampled:
            ends[span.step] = span.end
    ends[branch.steps[-1].index] = len(branch)
    stops = {id(step.turn): ends.get(step.index) for step in branch.steps}
    start = 0
    for turn in branch.turns:
        end = stops.get(id(turn)) or start
        yield turn, start, end
        start = end


def _node(branch: Branch, logprobs: list[float], turn: TurnTokenData, parent: int | None, start: int) -> VerifiersNode:
    end = start + len(logprobs)
    mask = list(map(bool, branch.loss_mask[start:end]))
    return VerifiersNode(
        parent=parent,
        message=_message(turn),
        sampled=turn.role == "assistant",
        token_ids=branch.ids[start:end].tolist(),
        mask=mask,
        logprobs=list(compress(logprobs, mask)),
    )


def _message(turn: TurnTokenData) -> dict[str, Any]:
    if turn.role == "tool":
        content, call = turn.content or "", turn.tool_call_id or ""
        return {"role": "tool", "content": content, "tool_call_id": call, "name": turn.tool_name}
    if turn.role != "assistant":
        return {"role": turn.role, "content": turn.content or ""}
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in turn.tool_calls]
    message = {"role": "assistant", "content": turn.content, "reasoning_content": turn.reasoning}
    return message | {"tool_calls": calls or None}


def from_verifiers(trace: Mapping[str, Any]) -> list[TrainingRow]:
    """The rows of a ``Trace``, as a dict: one for each node that is nobody's parent.

    Raises:
        ExportError: the lists of a node differ in length.
    """
    nodes = trace["nodes"]
    parents = {node["parent"] for node in nodes}
    return [_row(nodes, number) for number in range(len(nodes)) if number not in parents]


def _row(nodes: list[Mapping[str, Any]], last: int | None) -> TrainingRow:
    path: list[Mapping[str, Any]] = []
    while last is not None:
        path.append(nodes[last])
        last = nodes[last]["parent"]
    ids: list[int] = []
    mask: list[bool] = []
    logprobs: list[float | None] = []
    for node in reversed(path):
        if sum(node["mask"]) != len(node["logprobs"]):
            raise ExportError(f"{sum(node['mask'])} tokens are trained, but {len(node['logprobs'])} log-probabilities")
        values = iter(node["logprobs"])
        ids += node["token_ids"]
        mask += node["mask"]
        logprobs += [next(values) if trained else None for trained in node["mask"]]
    return make_row(ids, mask, logprobs)


def to_verifiers_steps(trajectory: Trajectory) -> list[VerifiersStepTokens]:
    """The ``tokens`` of each step for verifiers before 0.2, every step with its whole prompt.

    Raises:
        ExportError: a turn is trained and has no log-probability.
    """
    steps: list[VerifiersStepTokens] = []
    for sampled in sampled_turns(trajectory):
        trained, size = sampled.reason is None, len(sampled.output_ids)
        steps.append(
            VerifiersStepTokens(
                prompt_ids=sampled.prompt_ids,
                prompt_mask=[0] * len(sampled.prompt_ids),
                completion_ids=sampled.output_ids,
                completion_mask=[int(trained)] * size,
                completion_logprobs=sampled.logprobs() if trained else [0.0] * size,
                overlong_prompt=False,
                is_truncated=sampled.turn.finish_reason == "length",
            )
        )
    return steps


def from_verifiers_steps(steps: Iterable[Mapping[str, Any]]) -> list[TurnTokenData]:
    """The sampled turns of such steps. One whose completion is masked is not said to have native ids.

    Raises:
        ExportError: ids and log-probabilities differ in number.
    """
    return [_turn(step) for step in steps]


def _turn(step: Mapping[str, Any]) -> TurnTokenData:
    trained = any(step["completion_mask"])
    logprobs = step["completion_logprobs"] if trained else None
    reason = "length" if step["is_truncated"] else None
    turn = read_turn(step["prompt_ids"], step["completion_ids"], logprobs, finish_reason=reason)
    return turn if trained else replace(turn, evidence=Evidence.WIRE_TEXT)
