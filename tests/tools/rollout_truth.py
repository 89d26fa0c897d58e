"""Fifty conversations of two turns with a tool, and what another forward pass of the same weights makes of them.

``python -m tests.tools.rollout_truth BASE_URL MODEL FOLDER`` runs them on a vLLM (``--enable-scale-out``) that serves
the weights in FOLDER as 32-bit floats, scores every trainable turn again with torch and transformers on those weights,
and counts what a client that keeps texts would have lost. While ids are sent the server is paused several times and
aborts what it is answering (its environment must have ``VLLM_SERVER_DEV_MODE=1``). The output is in docs/rollout.md.
The tests do the same with llama.cpp and NumPy.
"""

from __future__ import annotations

import argparse
import math
import operator
import re
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from nxlog import AsyncClient
from nxlog.distribution import Distribution
from nxlog.rendering import load
from nxlog.rollout import Conversation, Rollout, read_rollouts, rollout, text_drift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nxlog.rendering import Renderer
    from nxlog.rollout import RolloutResult

CONVERSATIONS = 50
_SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
QUESTIONS = [f"What is {7 * i + 3} {'+-*'[i % 3]} {i + 2}? Think, then say the number." for i in range(CONVERSATIONS)]


def calculator(question: str) -> int:
    """The tool."""
    found = re.search(r"(\d+) ([-+*]) (\d+)", question)
    assert found
    return _SIGNS[found[2]](int(found[1]), int(found[3]))


def consult(conversation: Conversation) -> list[dict[str, Any]] | None:
    """Behind the first answer the calculator says what is right. So small a model calls no tool by itself."""
    if conversation.turns > 1:
        return None
    result = calculator(conversation.task.messages[-1]["content"])
    return [{"role": "tool", "tool_call_id": "call_0", "name": "calculator", "content": f"{{'result': {result}}}"}]


@dataclass
class Rescored:
    """What another forward pass says of the trainable turns.

    Attributes:
        turns: how many there are.
        tokens: how many tokens were sampled in them.
        raw: how many of these are said to be of the raw distribution, at temperature 1.
        worst: the largest difference of a log-probability.
        worst_ratio: how far an importance ratio is from 1 at most, among the raw ones.
        untrainable: reasons why others are not trainable.
    """

    turns: int = 0
    tokens: int = 0
    raw: int = 0
    worst: float = 0.0
    worst_ratio: float = 0.0
    untrainable: list[str] = field(default_factory=list)


def rescore(results: Iterable[RolloutResult], score: Callable[[Sequence[int], int], Sequence[float]]) -> Rescored:
    """Compare every trainable turn with ``score(ids, start)``: the log-probabilities of the ids from ``start`` on."""
    found = Rescored()
    for result in results:
        trajectory = result.trajectory
        found.untrainable += trajectory.untrainable.values()
        for step in trajectory.steps:
            turn = trajectory.turn(step.index)
            if not step.trainable:
                continue
            assert turn.prompt_ids is not None
            assert turn.output_ids is not None
            assert turn.output_logprobs is not None
            truth = score([*turn.prompt_ids, *turn.output_ids], len(turn.prompt_ids))
            pairs = list(zip(truth, turn.output_logprobs, strict=True))
            found.turns += 1
            found.tokens += len(pairs)
            found.worst = max(found.worst, *(abs(true - said) for true, said in pairs))
            if turn.distribution is Distribution.RAW and turn.sampling.temperature == 1.0:
                found.raw += len(pairs)
                found.worst_ratio = max(found.worst_ratio, *(abs(math.exp(true - said) - 1) for true, said in pairs))
    return found


async def run(client: AsyncClient, model: str, renderer: Renderer | None, **options: Any) -> Rollout:
    """The conversations: with ids, or without a renderer with messages."""
    request = {"model": model, "temperature": 1.0, "max_tokens": 48, "seed": 11, **options.pop("request", {})}
    return await rollout(
        client, QUESTIONS, request=request, environment=consult, renderer=renderer, max_turns=2, **options
    )


# -- by hand, on vLLM ------------------------------------------------------------------------------------------------


def torch_scorer(folder: str) -> Callable[[Sequence[int], int], Sequence[float]]:
    """Log-probabilities by transformers, at temperature 1 and before any filter."""
    import torch  # noqa: PLC0415 - of the server under test, not of the project
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def score(ids: Sequence[int], start: int) -> Sequence[float]:
        with torch.no_grad():
            rows = model(torch.tensor([ids])).logits[0, start - 1 : -1].double().log_softmax(-1)
        return rows.gather(1, torch.tensor(ids[start:])[:, None])[:, 0].tolist()

    return score


async def _ask(base_url: str, model: str, renderer: Renderer, ids: str, messages: str) -> None:
    by_ids = AsyncClient(provider="vllm", base_url=base_url, wire="vllm-generate", retries=0)
    async with by_ids as client, anyio.create_task_group() as group:
        group.start_soon(_pause, base_url.removesuffix("/v1"))
        await run(client, model, renderer, path=ids, concurrency=8)
        group.cancel_scope.cancel()
    async with AsyncClient(provider="vllm", base_url=base_url, retries=0) as client:
        await run(client, model, None, path=messages, concurrency=8)


async def _pause(server: str) -> None:
    """Pause the server again and again, as if it got new weights."""
    while True:
        await anyio.sleep(10)
        with anyio.CancelScope(shield=True):
            for path in ("/pause?mode=abort", "/resume"):
                await anyio.to_thread.run_sync(_post, server + path)
                await anyio.sleep(2)


def _post(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60).close()


def _tell(title: str, path: str, score: Callable[[Sequence[int], int], Sequence[float]]) -> None:
    found = rescore(read_rollouts(path), score)
    checks = [step.check for result in read_rollouts(path) for step in result.trajectory.steps if step.check]
    later = [check for check in checks if check.position]
    print(f"{title}: {found.turns} trainable turns, {len(found.untrainable)} others")
    parts = [step.turn.parts for result in read_rollouts(path) for step in result.trajectory.steps if step.turn.parts]
    print(f"  turns that the server aborted and that went on: {len(parts)}")
    print(f"  scored again: {found.tokens} tokens, largest difference {found.worst:.1e}")
    print(f"  raw at temperature 1: {found.raw} tokens, importance ratios at most {found.worst_ratio:.1e} from 1")
    print(f"  prompts that depart from the ids before them: {sum(not check.ok for check in later)} of {len(later)}")


def main() -> None:
    """Run, score, count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--ids", default="rollout-ids.jsonl")
    parser.add_argument("--messages", default="rollout-messages.jsonl")
    given = parser.parse_args()
    renderer = load(given.folder)
    anyio.run(_ask, given.base_url, given.model, renderer, given.ids, given.messages)
    score = torch_scorer(given.folder)
    _tell("sent as ids", given.ids, score)
    _tell("sent as messages", given.messages, score)
    drift = text_drift(read_rollouts(given.ids), renderer)
    print("the first run, had only its texts been kept:")
    print(f"  turns with other ids: {drift.retokenized} of {drift.turns}, {drift.retokenized_tokens} tokens")
    print(f"  prompts that depart: {drift.breaks} of {drift.prompts}, {drift.broken_tokens} ids, {dict(drift.causes)}")


if __name__ == "__main__":
    main()
