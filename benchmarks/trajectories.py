"""Replies with token ids to trajectories in a Parquet file: what it costs, and what stays in memory.

The replies are vLLM's (``return_token_ids``, a record for each token and no alternatives), in conversations of ten
turns whose prompts grow. Run as a script it measures memory, in a process of its own.
"""

from __future__ import annotations

import functools
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import payloads
from harness import OURS, Sample, Scenario, Target, optional, timed

from nxlog import ChatRequest
from nxlog._config import Config
from nxlog.call import chat
from nxlog.exchange import HttpResponse
from nxlog.export.files import open_writer
from nxlog.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nxlog import ChatResponse

SIZE = payloads.Size(4000, 0)
TURNS = 10
"""Of a conversation."""
TOOL = 60
"""Ids between two turns: a tool's result and what the template puts around it."""
END = 151_645, {"token": "<|im_end|>", "logprob": -0.01, "bytes": list(b"<|im_end|>"), "top_logprobs": []}
MEMORY = Path("/proc/self/statm")
MEGABYTE = 1e6


def scenarios(conversations: int) -> Iterator[Scenario]:
    """Time for each turn, and memory."""
    count = conversations * TURNS
    size = sum(map(len, bodies())) / TURNS / MEGABYTE
    turn = {"per": count, "by_clock": True}
    contestants: dict[str, Callable[[], Sample]] = {
        OURS: timed(lambda: stream(conversations), **turn),
        "nxlog, replies decoded before": _from_replies(conversations),
        "json.loads": timed(lambda: _parse(json.loads, conversations), **turn),
    }
    if orjson := optional("orjson"):
        contestants["orjson.loads"] = timed(lambda: _parse(orjson.loads, conversations), **turn)
    yield Scenario(
        f"{count:,} turns x 4,000 tokens to Parquet ({size:.2f} MB each)",
        "ms",
        contestants,
        reference="json.loads",
        target=Target("ratio", 1.0, "below 1.0x, decoding included"),
        rounds=3,
    )
    if not MEMORY.exists():
        return
    yield Scenario(
        "memory that the second 500 of 1,000 turns add",
        "MB",
        {OURS: lambda: Sample(_growth() / MEGABYTE)},
        reference=OURS,
        target=Target("value", 8.0, "flat: at most 8 MB, of 230 MB of replies"),
        rounds=1,
    )


def stream(conversations: int, watch: Callable[[int], None] | None = None) -> None:
    """Replies are decoded, built to turns, checked, appended, and written, one after the other."""
    with tempfile.TemporaryDirectory() as directory, open_writer(Path(directory) / "run.parquet") as out:
        for number in range(conversations):
            trajectory = Trajectory()
            for i, body in enumerate(bodies()):
                turn = decoded(body).turn
                assert turn.trainable, turn.reason
                assert trajectory.add(turn).check.ok
                out.write(trajectory)
                if watch is not None:
                    watch(number * TURNS + i + 1)
            trajectory.finish(reward=1.0)
            out.write(trajectory)


def _from_replies(conversations: int) -> Callable[[], Sample]:
    """The same without the decoding: replies are there, a conversation at a time."""

    def run(replies: list[list[ChatResponse]]) -> None:
        with tempfile.TemporaryDirectory() as directory, open_writer(Path(directory) / "run.parquet") as out:
            for conversation in replies:
                trajectory = Trajectory()
                for reply in conversation:
                    trajectory.add(reply.turn)
                    out.write(trajectory)
                trajectory.finish(reward=1.0)
                out.write(trajectory)

    def turn() -> Sample:
        # As many as memory has room for; the rest is the same again.
        few = min(conversations, 5)
        replies = [[decoded(body) for body in bodies()] for _ in range(few)]
        return timed(lambda: run(replies), per=few * TURNS, by_clock=True)()

    return turn


def _parse(loads: Callable[[bytes], object], conversations: int) -> None:
    for _ in range(conversations):
        for body in bodies():
            loads(body)


def decoded(body: bytes) -> ChatResponse:
    """What ``Client.chat`` does once the body is there."""
    flow = chat(_config().call(_request(), stream=False))
    next(flow)
    try:
        flow.send(HttpResponse(200, {"content-type": "application/json"}, body))
    except StopIteration as stop:
        return stop.value
    raise AssertionError("one response is all that a call needs")


@functools.cache
def bodies() -> list[bytes]:
    """The replies of one conversation."""
    rng = random.Random(17)
    vocabulary = {word: number for number, word in enumerate(payloads._vocabulary()[0])}
    prompt = [rng.randrange(len(vocabulary)) for _ in range(300)]
    found: list[bytes] = []
    for _ in range(TURNS):
        records = rng.sample(payloads._records(SIZE), SIZE.tokens - 1)
        ids = [vocabulary[record["token"]] for record in records]
        # The token that ends the turn is among the records and the ids, not in the text.
        found.append(_reply(prompt, [*ids, END[0]], [*records, END[1]]))
        prompt = [*prompt, *ids, END[0], *(rng.randrange(len(vocabulary)) for _ in range(TOOL))]
    return found


def _reply(prompt: list[int], ids: list[int], records: list[dict[str, Any]]) -> bytes:
    text = "".join(record["token"] for record in records[:-1])
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": None, "audio": None}
    choice: dict[str, Any] = {
        "index": 0,
        "message": message | {"function_call": None, "tool_calls": [], "reasoning": None},
        "logprobs": {"content": records},
        "finish_reason": "stop",
        "stop_reason": None,
        "token_ids": ids,
    }
    usage = {"prompt_tokens": len(prompt), "total_tokens": len(prompt) + len(ids), "completion_tokens": len(ids)}
    head = {"id": "chatcmpl-benchmark", "object": "chat.completion", "created": 1760000000, "model": "policy"}
    return payloads._json({**head, "choices": [choice], "usage": usage, "prompt_token_ids": prompt})


@functools.cache
def _config() -> Config:
    return Config(
        provider="vllm",
        base_url="http://127.0.0.1/v1",
        api_key=None,
        wire=None,
        on_unsupported="warn",
        on_unknown="try",
        registry=None,
        variables=None,
    )


@functools.cache
def _request() -> ChatRequest:
    messages = [{"role": "user", "content": "Say something."}]
    return ChatRequest(model="policy", messages=messages, logprobs=True, return_token_ids=True, temperature=1.0)


@functools.cache
def _growth() -> int:
    script = Path(__file__).resolve()
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    return int(done.stdout)


def _measure() -> int:
    """How much more memory the process has at most in the second half of 1,000 turns than in the first."""
    halves = [0, 0]

    def watch(count: int) -> None:
        # Not the most that the system remembers: that begins with the most of the process that started this one.
        pages = int(MEMORY.read_text(encoding="ascii").split()[1])
        half = (count - 1) * 2 // 1000
        halves[half] = max(halves[half], pages * resource.getpagesize())

    stream(1000 // TURNS, watch)
    return max(0, halves[1] - halves[0])


if __name__ == "__main__":
    sys.stdout.write(str(_measure()))
