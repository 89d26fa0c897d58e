"""Turns of a real server against the model's own weights.

Real here: llama.cpp with a tiny model over loopback, nxlog's client, ids in and ids out, and a forward pass of the same
weights in NumPy. Conversations have two turns with a tool's result between them; the second prompt is the ids of the
first turn and those of the result, so that no text is tokenized twice.
"""

from __future__ import annotations

import json
import math
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import Client, Distribution, TurnTokenData
from nxlog.local import LocalEngine
from tests.tools.numpy_llama import NumpyLlama
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")]

TOLERANCE = 1e-4
CONVERSATIONS = 12


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[LocalEngine]:
    with LocalEngine(tiny, f32_kv=True) as running:
        yield running


def tokenized(engine: LocalEngine, text: str) -> list[int]:
    url = engine.base_url.removesuffix("/v1") + "/tokenize"
    headers = {"authorization": f"Bearer {engine.api_key}", "content-type": "application/json"}
    body = json.dumps({"content": text}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as reply:
        return json.load(reply)["tokens"]


def sampled(client: Client, prompt: list[int], *, stream: bool, **sampling: Any) -> TurnTokenData:
    fields = {"model": "tiny", "input_ids": prompt, "logprobs": True, "return_token_ids": True, "max_tokens": 6}
    if not stream:
        return client.chat(**fields, **sampling).turn
    with client.stream(**fields, **sampling) as chunks:
        list(chunks)
    return chunks.response.turn


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_trainable_turn_is_what_the_model_says(tiny: Path, engine: LocalEngine, stream: bool) -> None:
    truth, result = NumpyLlama(tiny), tokenized(engine, " The tool says 42.")
    turns: list[TurnTokenData] = []
    client = Client(provider="llamacpp", wire="llamacpp", base_url=engine.base_url, api_key=engine.api_key)
    with client:
        for seed in range(CONVERSATIONS):
            prompt = tokenized(engine, f"Ask the tool about {seed}:")
            first = sampled(client, prompt, stream=stream, temperature=1.0, top_p=1.0, seed=seed)
            turns.append(first)
            if first.output_ids is not None:
                prompt = [*prompt, *first.output_ids, *result]
                turns.append(sampled(client, prompt, stream=stream, temperature=0.6, seed=seed))
    trainable = [turn for turn in turns if turn.trainable]
    # A character of several tokens has one value here, and such a turn says so.
    assert {turn.reason and turn.reason.partition(":")[0] for turn in turns} <= {None, "count"}
    assert len(trainable) >= CONVERSATIONS / 2
    for turn in trainable:
        assert turn.prompt_ids is not None
        assert turn.output_ids is not None
        assert turn.output_logprobs is not None
        rows = truth.logprobs([*turn.prompt_ids, *turn.output_ids])
        own = [rows[len(turn.prompt_ids) - 1 + i][token] for i, token in enumerate(turn.output_ids)]
        assert max(abs(a - b) for a, b in zip(own, turn.output_logprobs, strict=True)) < TOLERANCE
        ratio = math.exp(sum(own) - sum(turn.output_logprobs))
        assert abs(ratio - 1) < 1e-3
        assert turn.distribution is Distribution.RAW  # whatever the temperature
