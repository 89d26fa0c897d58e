"""nxlog's numbers against the truth.

Real here: llama.cpp serves a tiny model over loopback, nxlog's own client asks it, and every log-probability that
nxlog hands out, of sampled tokens and of alternatives, is compared with a forward pass of the same weights in NumPy.
Only the token ids come from the server: those of the prompt from ``/tokenize``, those of the answer from
``/completion``, because llama.cpp reports tokens that split a character as one record, with the id and the values of
the last. Such records are placed by their bytes.

The same comparison fails with llama.cpp's usual 16-bit cache, whose numbers are off by a hundredth: a test says so.
"""

from __future__ import annotations

import json
import urllib.request
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import Client, ParameterWarningCategory
from nxlog.local import LocalEngine
from tests.tools.numpy_llama import NumpyLlama
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nxlog import TokenLogprob

pytestmark = pytest.mark.model

TOLERANCE = 1e-4
PROMPTS = [
    "Name the capital of France in one word.",
    "Is the sky blue?",
    "2 + 2 =",
    "Grüße aus Köln",
    "One emoji, please: 🌍🌱",
    "",
]
TOP = 5
LENGTH = 16


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def truth(tiny: Path) -> NumpyLlama:
    return NumpyLlama(tiny)


@pytest.fixture(scope="module")
def exact(tiny: Path) -> Iterator[LocalEngine]:
    with LocalEngine(tiny, f32_kv=True) as engine:
        yield engine


@dataclass
class Comparison:
    """Absolute differences between what nxlog says and what is true."""

    sampled: list[float] = field(default_factory=list)
    alternatives: list[float] = field(default_factory=list)
    merged: int = 0
    """Records that stand for several tokens."""

    @property
    def worst(self) -> float:
        return max(self.sampled + self.alternatives)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_every_logprob_is_the_models(exact: LocalEngine, truth: NumpyLlama, stream: bool) -> None:
    comparison = compare(exact, truth, stream=stream)
    assert max(comparison.sampled) < TOLERANCE
    assert max(comparison.alternatives) < TOLERANCE
    # What was compared is not little, and split characters were part of it.
    assert len(comparison.sampled) > len(PROMPTS) * LENGTH / 2
    assert len(comparison.alternatives) == TOP * len(comparison.sampled)
    assert comparison.merged > 0


def test_the_comparison_notices_a_difference_of_a_hundredth(tiny: Path, truth: NumpyLlama) -> None:
    with LocalEngine(tiny) as inexact:
        comparison = compare(inexact, truth, stream=False)
    assert comparison.worst > 10 * TOLERANCE
    assert comparison.worst < 0.1  # and the inexact engine is still the same model


def test_temperature_does_not_change_what_is_reported(exact: LocalEngine, truth: NumpyLlama) -> None:
    hot = compare(exact, truth, stream=False, temperature=1.3, seed=11)
    assert hot.worst < TOLERANCE


def test_the_alternatives_are_the_likeliest_tokens(exact: LocalEngine, truth: NumpyLlama) -> None:
    prompt = prompt_ids(exact, PROMPTS[0])
    with client_of(exact) as client:
        first = ask(client, PROMPTS[0], stream=False)[0]
    row = truth.logprobs(prompt)[-1]
    likeliest = sorted(range(len(row)), key=lambda token_id: -row[token_id])[:TOP]
    assert [alternative.token_id for alternative in first.top_logprobs] == likeliest
    assert first.token_id == likeliest[0]  # temperature 0


# -- asking -----------------------------------------------------------------------------------------------------------


def compare(engine: LocalEngine, truth: NumpyLlama, *, stream: bool, **sampling: Any) -> Comparison:
    comparison = Comparison()
    with client_of(engine) as client:
        for prompt in PROMPTS:
            records = ask(client, prompt, stream=stream, **sampling)
            before = prompt_ids(engine, prompt)
            answer = answer_ids(engine, before, **sampling)
            _compare_one(comparison, records, before, answer, truth)
    return comparison


def client_of(engine: LocalEngine) -> Client:
    return Client(provider="local", base_url=engine.base_url, api_key=engine.api_key)


def ask(client: Client, prompt: str, *, stream: bool, **sampling: Any) -> Sequence[TokenLogprob]:
    fields: dict[str, Any] = {
        "model": "tiny",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": LENGTH,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": TOP,
        **sampling,
    }
    with warnings.catch_warnings():
        # nxlog rightly warns that there are fewer records than tokens.
        warnings.simplefilter("ignore", ParameterWarningCategory)
        if not stream:
            reply = client.chat(**fields)
            assert reply.logprobs is not None
            return reply.logprobs.content
        with client.stream(**fields) as chunks:
            records = [record for chunk in chunks for record in chunk.logprobs or ()]
        assert chunks.response.logprobs is not None
        assert list(chunks.response.logprobs.content) == records
        return records


def post(engine: LocalEngine, path: str, body: dict[str, Any]) -> Any:
    headers = {"authorization": f"Bearer {engine.api_key}", "content-type": "application/json"}
    url = engine.base_url.removesuffix("/v1") + path
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30) as reply:
        return json.load(reply)


def prompt_ids(engine: LocalEngine, prompt: str) -> list[int]:
    messages = {"messages": [{"role": "user", "content": prompt}]}
    text = post(engine, "/apply-template", messages)["prompt"]
    return post(engine, "/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]


def answer_ids(engine: LocalEngine, prompt: list[int], **sampling: Any) -> list[int]:
    body = {"prompt": prompt, "n_predict": LENGTH, "temperature": 0, "return_tokens": True, **sampling}
    return post(engine, "/completion", body)["tokens"]


# -- comparing --------------------------------------------------------------------------------------------------------


def _compare_one(
    comparison: Comparison,
    records: Sequence[TokenLogprob],
    prompt: list[int],
    answer: list[int],
    truth: NumpyLlama,
) -> None:
    rows = truth.logprobs(prompt + answer)
    placed = place(records, answer, truth.pieces)
    for record, (first, last) in zip(records, placed, strict=True):
        row = rows[len(prompt) - 1 + last]
        assert record.logprob is not None
        assert record.token_id == answer[last]
        comparison.sampled.append(abs(row[answer[last]] - record.logprob))
        comparison.merged += last > first
        for alternative in record.top_logprobs:
            assert alternative.token_id is not None
            assert alternative.logprob is not None
            comparison.alternatives.append(abs(row[alternative.token_id] - alternative.logprob))


def place(records: Sequence[TokenLogprob], ids: list[int], pieces: list[bytes]) -> list[tuple[int, int]]:
    """The first and last position in ``ids`` that each record stands for, by its bytes."""
    placed: list[tuple[int, int]] = []
    position = 0
    for record in records:
        first, seen = position, b""
        while position == first or seen != record.bytes:
            assert position < len(ids), f"{record} has bytes that the answer does not have"
            seen += pieces[ids[position]]
            position += 1
        placed.append((first, position - 1))
    return placed
