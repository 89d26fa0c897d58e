"""A server of ids whose next token depends on all ids before it: who goes on from the right ones samples the same.

It speaks llama.cpp's native format in streams, on loopback.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from tests.fault_server import LAST_CHUNK, FaultServer, Received, chunk, chunked_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fault_server import Entry, Step

STOP = 2
FIRST, COUNT = 36, 60
"""Ids of letters in the tiny vocabulary."""


def next_id(ids: Sequence[int]) -> int:
    """What comes behind them."""
    state = 7
    for token in ids:
        state = (state * 31 + token) % 100_003
    return STOP if state % 17 == 0 else FIRST + state % COUNT


def continuation(prompt: Sequence[int], most: int) -> list[int]:
    """What is sampled behind a prompt."""
    ids = list(prompt)
    while len(ids) < len(prompt) + most and (len(ids) == len(prompt) or ids[-1] != STOP):
        ids.append(next_id(ids))
    return ids[len(prompt) :]


def logprob(token: int) -> float:
    return -token / 64


def events(request: Received, *, most: int | None = None) -> tuple[list[bytes], bytes]:
    """An event for each token, at most so many, and the event at the end."""
    body = json.loads(request.body)
    *sent, end = events_of(continuation(body["prompt"], body.get("n_predict", 8)))
    return sent[:most], end


def events_of(sampled: Sequence[int]) -> list[bytes]:
    """An event for each token, and the event at the end."""
    sent = [
        _event(content=_text(token), tokens=[token], completion_probabilities=[_record(token)]) for token in sampled
    ]
    kind = "eos" if sampled[-1] == STOP else "limit"
    return [*sent, _event(stop=True, stop_type=kind, tokens=[], model="tiny", tokens_predicted=len(sampled))]


def _text(token: int) -> str:
    return "" if token == STOP else chr(token)


def _record(token: int) -> dict[str, Any]:
    text = _text(token)
    other = {"id": token + 1, "token": "?", "bytes": [63], "logprob": -9.0}
    record = {"id": token, "token": text, "bytes": [*text.encode()], "logprob": logprob(token)}
    return {**record, "top_logprobs": [record, other]}


def _event(**fields: Any) -> bytes:
    return chunk(b"data: " + json.dumps({"index": 0, "content": "", "stop": False, **fields}).encode() + b"\n\n")


def whole(request: Received) -> Sequence[Step]:
    """All of the answer."""
    sent, end = events(request)
    return [chunked_head(), *sent, end, LAST_CHUNK]


def broken(after: int, *how: Step) -> Callable[[Received], Sequence[Step]]:
    """So many tokens of the answer, and then something else."""
    return lambda request: [chunked_head(), *events(request, most=after)[0], *how]


def asked(server: FaultServer) -> list[dict[str, Any]]:
    """The bodies of the requests."""
    return [json.loads(request.body) for request in server.requests]


class Crowd:
    """How many requests are answered at a time. Each waits until ``size`` are there, or nobody else comes."""

    def __init__(self, size: int) -> None:
        self.most: int = 0
        self._now: int = 0
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(size)

    def entry(self, answer: Callable[[Received], Sequence[Step]] = whole) -> Entry:
        """An entry of a script that counts."""

        def play(request: Received) -> Sequence[Step]:
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            self._barrier.wait(10)
            with self._lock:
                self._now -= 1
            return answer(request)

        return play
