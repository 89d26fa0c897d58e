"""What a client that keeps texts would have lost: counted on trajectories whose ids are known.

Such a client sees what a model wrote, not which tokens it sampled. To train, it tokenizes the texts; to go on, it has
the conversation rendered anew.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nxlog.rollout.conversation import message_of
from nxlog.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nxlog.rendering import Renderer
    from nxlog.rollout.report import RolloutResult
    from nxlog.rollout.task import Message
    from nxlog.turn import TurnTokenData


@dataclass(slots=True)
class TextDrift:
    """Counts over trajectories.

    Attributes:
        turns: sampled turns that were looked at.
        retokenized: those whose text has other ids than were sampled.
        retokenized_tokens: sampled tokens in them from the first other one on.
        prompts: prompts of turns that follow others.
        breaks: those that, rendered anew, do not begin with the ids of the conversation before.
        broken_tokens: ids of the conversation before, in them, from the first other one on.
        causes: why they do not, as far as ids and texts show, with the number of each.
    """

    turns: int = 0
    retokenized: int = 0
    retokenized_tokens: int = 0
    prompts: int = 0
    breaks: int = 0
    broken_tokens: int = 0
    causes: Counter[str] = field(default_factory=Counter[str])


def text_drift(
    results: Iterable[RolloutResult], renderer: Renderer, *, tools: Sequence[object] | None = None
) -> TextDrift:
    """Count what would have been lost in conversations that were run with this renderer.

    Args:
        results: of a rollout with ids.
        renderer: the model's.
        tools: what the model could call, as in the requests.
    """
    drift = TextDrift()
    for result in results:
        _count(result.trajectory, renderer, tools, drift)
    return drift


def _count(trajectory: Trajectory, renderer: Renderer, tools: Sequence[object] | None, drift: TextDrift) -> None:
    messages: list[Message] = []
    last: TurnTokenData | None = None
    for index in range(len(trajectory)):
        turn = trajectory.turn(index)
        if turn.role == "assistant" and turn.output_ids and turn.prompt_ids is not None:
            _count_text(turn.output_ids, renderer, drift)
            if last is not None:
                prompt = renderer.render(messages, tools=tools).token_ids
                _count_prompt(last, replace(turn, prompt_ids=prompt), renderer, drift)
            last = turn
        messages.append(message_of(turn))


def _count_text(sampled: array[int], renderer: Renderer, drift: TextDrift) -> None:
    drift.turns += 1
    spoken = array("i", [token for token in sampled if token not in renderer.stop_ids])
    again = renderer.encode(renderer.decode(spoken))
    if again != spoken:
        drift.retokenized += 1
        shared = next((at for at, (a, b) in enumerate(zip(spoken, again, strict=False)) if a != b), len(again))
        drift.retokenized_tokens += max(0, len(spoken) - shared)


def _count_prompt(last: TurnTokenData, turn: TurnTokenData, renderer: Renderer, drift: TextDrift) -> None:
    drift.prompts += 1
    check = Trajectory([last, turn], decode=renderer.decode).steps[1].check
    if check is None or check.ok:
        return
    drift.breaks += 1
    drift.broken_tokens += check.dropped
    drift.causes[str(check.cause)] += 1
