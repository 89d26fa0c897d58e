"""Replies like those of a hosted model: the same bytes in every run, in the sizes that the scenarios name."""

from __future__ import annotations

import functools
import itertools
import json
import random
from typing import Any, NamedTuple


class Size(NamedTuple):
    """How long a reply is; without alternatives it has no logprobs at all."""

    tokens: int
    alternatives: int | None


SIZES = {"small": Size(20, None), "500x5": Size(500, 5), "4000x20": Size(4000, 20)}

_SYLLABLES = ("an", "ter", "in", "tion", "re", "er", "al", "ing", "con", "pro", "st", "le", "ment", "ly", "un", "ver")
_HEAD: dict[str, Any] = {"id": "chatcmpl-benchmark0000000000000000000", "created": 1760000000, "model": "gpt-4.1"}
_TAIL: dict[str, Any] = {"service_tier": "default", "system_fingerprint": "fp_0000000000"}


@functools.cache
def body(name: str) -> bytes:
    """The JSON of a whole reply."""
    size = SIZES[name]
    records = _records(size)
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": _text(records), "refusal": None, "annotations": []},
        "logprobs": None if size.alternatives is None else {"content": records, "refusal": None},
        "finish_reason": "stop",
    }
    return _json({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _usage(size), **_TAIL})


@functools.cache
def events(name: str) -> list[bytes]:
    """The server-sent events of the same reply, one token each."""
    size = SIZES[name]
    found = [_event({"role": "assistant", "content": ""})]
    for record in _records(size):
        logprobs = None if size.alternatives is None else {"content": [record], "refusal": None}
        found.append(_event({"content": record["token"]}, logprobs))
    found.append(_event({}, finish_reason="stop"))
    found.append(_chunk([], usage=_usage(size)))
    return [*found, b"data: [DONE]\n\n"]


@functools.cache
def _vocabulary() -> tuple[list[str], list[float]]:
    # Few words are frequent and most are rare, some are no ASCII: caches of texts see what they see in practice.
    rng = random.Random(7)
    words = dict.fromkeys([" the", ",", ".", " of", " and", " to", " a", " in", "\n", " is", ' "', "'s", ":", "\n\n"])
    while len(words) < 20_000:
        kind = rng.random()
        if kind < 0.04:
            word = "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(rng.randint(1, 2)))
        elif kind < 0.05:
            word = chr(rng.randrange(0x1F300, 0x1F5FF))
        else:
            word = "".join(rng.choices(_SYLLABLES, k=rng.choice((1, 1, 2, 2, 3))))
            word = f" {word}" if rng.random() < 0.6 else word
        words[word] = None
    weights = [1 / (rank + 3) for rank in range(len(words))]
    return list(words), list(itertools.accumulate(weights))


@functools.cache
def _records(size: Size) -> list[dict[str, Any]]:
    rng = random.Random(size.tokens)
    return [_record(rng, size.alternatives or 0) for _ in range(size.tokens)]


def _record(rng: random.Random, alternatives: int) -> dict[str, Any]:
    words, weights = _vocabulary()
    texts: dict[str, None] = {}
    while len(texts) < max(1, alternatives):
        texts[rng.choices(words, cum_weights=weights)[0]] = None
    # The digits of a float32, as hosted models print them.
    values = sorted((float(f"{-rng.expovariate(0.12):.8g}") for _ in texts), reverse=True)
    tops = [
        {"token": text, "logprob": value, "bytes": list(text.encode())}
        for text, value in zip(texts, values, strict=True)
    ]
    return {**tops[0], "top_logprobs": tops if alternatives else []}


def _text(records: list[dict[str, Any]]) -> str:
    return "".join(record["token"] for record in records)


def _usage(size: Size) -> dict[str, Any]:
    return {
        "prompt_tokens": 19,
        "completion_tokens": size.tokens,
        "total_tokens": 19 + size.tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _event(delta: dict[str, Any], logprobs: dict[str, Any] | None = None, finish_reason: str | None = None) -> bytes:
    return _chunk([{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}])


def _chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    return (
        b"data: " + _json({**_HEAD, "object": "chat.completion.chunk", "choices": choices, **_TAIL, **more}) + b"\n\n"
    )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
