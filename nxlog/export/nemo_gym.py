"""NeMo-Gym: items of the Responses API, ids and log-probabilities on the last item of each sampled turn.

Names from nemo-gym 0.4.0, ``nemo_gym/openai_utils.py``, the place of the ids from ``nemo_gym/responses_converter.py``.
An item without ids is not trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from nxlog.export._turns import Sampled, read_turn, sampled_turns
from nxlog.turn import TurnTokenData, TurnToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nxlog.trajectory import Trajectory

Item = dict[str, Any]


class NemoGymItems(TypedDict):
    """A rollout: what was given (``responses_create_params.input``), and all from the first sampled turn on."""

    input: list[Item]
    output: list[Item]


def to_nemo_gym(trajectory: Trajectory) -> NemoGymItems:
    """A trajectory for NeMo-Gym.

    Raises:
        ExportError: a turn is trained and has no log-probability.
    """
    trained = {id(sampled.turn): sampled for sampled in sampled_turns(trajectory) if sampled.reason is None}
    items = NemoGymItems(input=[], output=[])
    for step in trajectory.steps:
        turn = step.turn
        if turn.role == "assistant":
            items["output"] += _sampled(turn, step.index, trained.get(id(turn)))
        else:
            items["output" if items["output"] else "input"].append(_given(turn))
    return items


def _given(turn: TurnTokenData) -> Item:
    if turn.role == "tool":
        return {"type": "function_call_output", "call_id": turn.tool_call_id or "", "output": turn.content or ""}
    return {"type": "message", "role": turn.role, "content": turn.content or ""}


def _sampled(turn: TurnTokenData, number: int, trained: Sampled | None) -> list[Item]:
    items: list[Item] = []
    if turn.reasoning:
        summary = [{"type": "summary_text", "text": turn.reasoning}]
        items.append({"type": "reasoning", "id": f"rs_{number}", "summary": summary})
    if turn.content or not (turn.reasoning or turn.tool_calls):
        text: Item = {"type": "output_text", "text": turn.content or "", "annotations": []}
        message: Item = {"role": "assistant", "content": [text], "status": "completed"}
        items.append({"type": "message", "id": f"msg_{number}"} | message)
    for call in turn.tool_calls:
        function = {"call_id": call.id, "name": call.name, "arguments": call.arguments, "status": "completed"}
        items.append({"type": "function_call", "id": call.id, **function})
    if trained is not None:
        items[-1] |= {
            "prompt_token_ids": trained.prompt_ids,
            "generation_token_ids": trained.output_ids,
            "generation_log_probs": trained.logprobs(),
        }
    return items


def from_nemo_gym(items: Iterable[Mapping[str, Any]]) -> list[TurnTokenData]:
    """The turns that items make. A sampled turn ends with the item that has its ids, or before one that was given.

    Raises:
        ExportError: ids and log-probabilities differ in number.
    """
    return list(_turns(items))


def _turns(items: Iterable[Mapping[str, Any]]) -> Iterator[TurnTokenData]:
    draft = _Draft()
    for item in items:
        kind = item["type"]
        if kind == "function_call_output" or (kind == "message" and item["role"] != "assistant"):
            yield from draft.end()
            yield _read_given(item)
            continue
        draft.add(item)
        if "generation_token_ids" in item:
            yield from draft.end()
    yield from draft.end()


def _read_given(item: Mapping[str, Any]) -> TurnTokenData:
    if item["type"] == "function_call_output":
        return TurnTokenData(role="tool", content=item["output"], tool_call_id=item["call_id"])
    return TurnTokenData(role=item["role"], content=_text(item["content"]))


@dataclass(slots=True)
class _Draft:
    """The items of a sampled turn that has not ended."""

    items: list[Mapping[str, Any]] = field(default_factory=list[Any])

    def add(self, item: Mapping[str, Any]) -> None:
        self.items.append(item)

    def end(self) -> Iterator[TurnTokenData]:
        if not self.items:
            return
        items, self.items = self.items, []
        last = items[-1]
        yield read_turn(
            last.get("prompt_token_ids"),
            last.get("generation_token_ids"),
            last.get("generation_log_probs"),
            content=next((_text(item["content"]) for item in items if item["type"] == "message"), None),
            reasoning=next((_text(item["summary"]) for item in items if item["type"] == "reasoning"), None),
            tool_calls=tuple(
                TurnToolCall(item["call_id"], item["name"], item["arguments"])
                for item in items
                if item["type"] == "function_call"
            ),
        )


def _text(content: str | Iterable[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
