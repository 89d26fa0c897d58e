"""Measures of confidence, against the truth.

Real here: the order of the alternatives is that of recordings. The truth is a whole
distribution made by hand, of which a server's lists are cut as vLLM (sampled first), llama.cpp (sorted) and LMDeploy
(without the sampled token) cut them.
"""

from __future__ import annotations

import math
import random

import pytest

from nxlog import TokenLogprob, TopLogprob
from nxlog.measures import entropy, margin, mass, perplexity, sequence_logprob
from tests.test_wire_cassettes import decoded


def distribution(seed: int, size: int = 40) -> list[float]:
    """Probabilities, the likeliest first."""
    draw = random.Random(seed)
    weights = sorted((math.exp(draw.gauss(0, 2.5)) for _ in range(size)), reverse=True)
    return [weight / sum(weights) for weight in weights]


def listed(probabilities: list[float], sampled: int, asked: int, order: str) -> TokenLogprob:
    """A record as the engine would send it."""
    tops = list(range(asked))
    if order == "sampled-first":
        tops = [sampled, *(i for i in tops if i != sampled)][:asked]
    elif order == "without-sampled":
        tops = [i for i in tops if i != sampled]
    built = [TopLogprob.build(f"t{i}", math.log(probabilities[i])) for i in tops]
    return TokenLogprob.build(f"t{sampled}", math.log(probabilities[sampled]), top_logprobs=built)


CASES = [
    (seed, sampled, order)
    for seed in range(8)
    for sampled in (0, 1, 2, 4, 5, 9)
    for order in ("sampled-first", "sorted", "without-sampled")
]


@pytest.mark.parametrize(("seed", "sampled", "order"), CASES)
def test_margin_and_entropy_are_those_of_the_whole_distribution(seed: int, sampled: int, order: str) -> None:
    truth = distribution(seed)
    for asked in (3, 5, 20):
        token = listed(truth, sampled, asked, order)
        assert margin(token) == pytest.approx(truth[0] - truth[1])
        least, most = entropy(token, len(truth))
        assert least <= -sum(p * math.log(p) for p in truth) + 1e-9
        assert most >= -sum(p * math.log(p) for p in truth) - 1e-9
    least, most = entropy(listed(truth, sampled, 40, order), len(truth))
    assert least == pytest.approx(most) == pytest.approx(-sum(p * math.log(p) for p in truth))


def test_a_margin_that_cannot_be_known_is_none() -> None:
    """Of two alternatives vLLM lists the sampled token and the likeliest, which need not be the two likeliest."""
    assert margin(listed(distribution(1), 9, 2, "sampled-first")) is None
    assert margin(TokenLogprob.build("a", -0.5)) is None


@pytest.mark.parametrize("name", ["vllm/chat_temp1_seeded", "sglang/chat_temp1_seeded", "llamacpp/chat_temp1_seeded"])
def test_recorded_alternatives(name: str) -> None:
    """At temperature 1 vLLM's first two alternatives are not the likeliest two."""
    data = decoded(name).logprobs
    assert data is not None
    naive: list[float] = []
    for token in data:
        values = sorted({(top.token, top.logprob or 0.0) for top in (token, *token.top_logprobs)}, key=lambda v: -v[1])
        best = [math.exp(value) for _, value in values]
        assert margin(token) == pytest.approx(best[0] - best[1])
        assert (margin(token) or 0.0) >= 0
        least, most = entropy(token, 49152)
        assert 0 <= least <= most
        # The sampled token is counted once: more than the whole would be left over else.
        assert sum(best) <= 1 + 1e-6
        first, second = token.top_logprobs[:2]
        naive.append((first.probability or 0.0) - (second.probability or 0.0) - (margin(token) or 0.0))
    assert any(abs(wrong) > 1e-6 for wrong in naive) is name.startswith("vllm")


def test_a_missing_or_masked_value_makes_the_sum_unknown() -> None:
    known = [TokenLogprob.build("a", -0.5), TokenLogprob.build("b", -1.5)]
    assert sequence_logprob(known) == -2.0
    assert perplexity(known) == pytest.approx(math.e)
    for value in (None, -9999.0, math.nan, -math.inf):
        assert sequence_logprob([*known, TokenLogprob.build("c", value)]) is None
        assert perplexity([*known, TokenLogprob.build("c", value)]) is None
    assert sequence_logprob([]) is None
    assert perplexity([TokenLogprob.build("a", -9000.0)]) == math.inf


def test_mass_counts_every_spelling_once() -> None:
    """A server without the sampled token among its alternatives must not lose it, one with it must not count twice."""
    tops = [TopLogprob.build(text, math.log(p)) for text, p in [("Yes", 0.5), (" yes", 0.2), ("No", 0.1), ("x", 0.1)]]
    listed_too = TokenLogprob.build("Yes", math.log(0.5), top_logprobs=tops)
    beside = TokenLogprob.build("YES", math.log(0.05), top_logprobs=[*tops, TopLogprob.build("yes", -9999.0)])
    assert mass(listed_too, {"yes"}) == pytest.approx(0.7)
    assert mass(beside, {"yes"}) == pytest.approx(0.75)
    assert mass(beside, ["no", "x"]) == pytest.approx(0.2)
    with pytest.raises(TypeError, match="words"):
        mass(beside, "yes")


def test_a_vocabulary_smaller_than_the_list_is_refused() -> None:
    token = listed(distribution(1), 0, 5, "sorted")
    with pytest.raises(ValueError, match="vocabulary: 2"):
        entropy(token, 2)
    assert entropy(token, 5)[0] == entropy(token, 5)[1]
