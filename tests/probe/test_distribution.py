"""Which distribution the numbers describe.

Real here: recordings of vLLM (as it is, and in its processed mode), llama.cpp and SGLang at two temperatures. Made up:
replies computed from one set of logits in every way a server may report them, and in ways none should.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from nxlog.probe.distribution import heated, measure_distribution
from nxlog.registry import Distribution
from tests.probe.exchanges import answer_to, question, record, recorded, reply, respond

if TYPE_CHECKING:
    from nxlog.probe import Answer

LOGITS = {"cat": 3.0, "dog": 2.4, "owl": 1.5, "eel": 0.4, "yak": -0.6, "emu": -1.9}
MASK = -9999.0


def softmax(heat: float = 1.0) -> dict[str, float]:
    total = math.log(math.fsum(math.exp(value / heat) for value in LOGITS.values()))
    return {token: value / heat - total for token, value in LOGITS.items()}


def cut(values: dict[str, float], top_p: float, *, renormalized: bool) -> dict[str, float]:
    """Nucleus sampling: what is outside the first ``top_p`` of the mass is masked, the rest is raised or not."""
    kept: dict[str, float] = {}
    mass = 0.0
    for token, value in values.items():
        if mass < top_p:
            kept[token] = value
        mass += math.exp(value)
    left = math.log(math.fsum(map(math.exp, kept.values()))) if renormalized else 0.0
    return {token: kept[token] - left if token in kept else MASK for token in values}


def first(name: str, values: dict[str, float], *, top: int = 5) -> Answer:
    shown = dict(list(values.items())[:top])
    token = next(iter(shown))
    return answer_to(question(name), respond(reply(token, [record(token, shown[token], shown)], finish="length")))


def verdict(
    warm: dict[str, float], cold: dict[str, float], nucleus: dict[str, float] | None, *, heat: bool | None = True
) -> Distribution:
    return measure_distribution(
        warm=first("warm", warm),
        cold=first("cold", cold),
        nucleus=None if nucleus is None else first("nucleus", nucleus),
        heated=heat,
    ).value


def test_raw_values_stay_the_same() -> None:
    raw = softmax()
    assert verdict(raw, raw, raw) is Distribution.RAW
    assert verdict(raw, raw, None) is Distribution.RAW


def test_scaled_values_are_divided() -> None:
    assert verdict(softmax(), softmax(0.3), softmax()) is Distribution.TEMPERATURE


@pytest.mark.parametrize("renormalized", [True, False])
def test_masked_by_top_p_is_processed(renormalized: bool) -> None:
    within = cut(softmax(), 0.5, renormalized=renormalized)
    assert verdict(softmax(), softmax(0.3), within) is Distribution.PROCESSED


def test_left_out_by_top_p_is_processed() -> None:
    within = {token: value for token, value in cut(softmax(), 0.5, renormalized=True).items() if value > MASK}
    assert len(within) == 1
    assert verdict(softmax(), softmax(0.3), within) is Distribution.PROCESSED


def test_raised_by_top_p_is_processed() -> None:
    """The five that are shown are all inside the nucleus; only their sum tells."""
    raised = {token: value + 0.6 for token, value in softmax().items()}
    assert verdict(softmax(), softmax(0.3), raised) is Distribution.PROCESSED


def test_masked_without_being_asked_is_processed() -> None:
    default = cut(softmax(), 0.9, renormalized=True)
    assert verdict(default, softmax(0.3), None) is Distribution.PROCESSED


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_a_server_under_load_does_not_matter(seed: int) -> None:
    noise = random.Random(seed)

    def shaken(values: dict[str, float]) -> dict[str, float]:
        return {token: value + noise.gauss(0, 0.03) for token, value in values.items()}

    assert verdict(shaken(softmax()), shaken(softmax()), shaken(softmax())) is Distribution.RAW
    assert verdict(shaken(softmax()), shaken(softmax(0.3)), shaken(softmax())) is Distribution.TEMPERATURE


def test_the_same_values_say_nothing_where_the_temperature_does_nothing() -> None:
    raw = softmax()
    assert verdict(raw, raw, raw, heat=False) is Distribution.UNKNOWN
    assert verdict(raw, raw, raw, heat=None) is Distribution.UNKNOWN


def test_a_factor_that_fits_nothing_is_unknown() -> None:
    assert verdict(softmax(), softmax(0.6), None) is Distribution.UNKNOWN


@pytest.mark.parametrize("top", [1, 2])
def test_too_few_alternatives_are_unknown(top: int) -> None:
    few = dict(list(softmax().items())[:top])
    assert verdict(few, few, None) is Distribution.UNKNOWN


def test_alternatives_that_are_all_alike_are_unknown() -> None:
    flat = {token: -2.0 - i / 100 for i, token in enumerate(LOGITS)}
    assert verdict(flat, flat, None) is Distribution.UNKNOWN


def test_other_tokens_have_nothing_in_common() -> None:
    others = {token.upper(): value for token, value in softmax().items()}
    assert verdict(softmax(), others, None) is Distribution.UNKNOWN


def test_a_refused_temperature_is_unknown() -> None:
    refused = answer_to(question("cold"), respond({"error": {"message": "temperature is fixed at 1"}}, 400))
    found = measure_distribution(warm=first("warm", softmax()), cold=refused, nucleus=None, heated=True)
    assert found.value is Distribution.UNKNOWN


# -- whether the temperature does anything ---------------------------------------------------------------------------


def sampled(name: str, ranks: list[int]) -> Answer:
    values = list(softmax().items())
    records = [record(values[rank][0], values[rank][1], dict(values[:3])) for rank in ranks]
    return answer_to(question(name), respond(reply("x", records, finish="length")))


def test_heat_is_seen_where_only_it_samples_the_unlikely() -> None:
    assert heated(sampled("greedy", [0] * 6), sampled("hot", [0, 2, 5, 1])) is True
    assert heated(sampled("greedy", [0] * 6), sampled("hot", [0] * 6)) is False
    assert heated(sampled("greedy", [0, 3, 1]), sampled("hot", [0, 2, 1])) is False
    assert heated(sampled("greedy", []), sampled("hot", [0, 2, 1])) is None
    assert heated(None, sampled("hot", [0, 2, 1])) is None


# -- recordings --------------------------------------------------------------------------------------------------------
# At temperature 0 these engines report the model's own values, as at temperature 1.


@pytest.mark.parametrize(
    ("provider", "value"),
    [
        ("vllm", Distribution.RAW),
        ("llamacpp", Distribution.RAW),
        ("llama-cpp-python", Distribution.RAW),
        ("sglang", Distribution.TEMPERATURE),
    ],
)
def test_recorded_at_temperature_1_3(provider: str, value: Distribution) -> None:
    found = measure_distribution(
        warm=recorded("warm", f"{provider}/chat_logprobs"),
        cold=recorded("cold", f"{provider}/chat_temp1_seeded"),
        nucleus=None,
        heated=True,
    )
    assert found.value is value, found.why
    assert "1.3" in found.why


def test_recorded_in_processed_mode() -> None:
    found = measure_distribution(
        warm=recorded("warm", "vllm/chat_logprobs"),
        cold=recorded("cold", "vllm/chat_temp1_seeded"),
        nucleus=recorded("nucleus", "vllm/think_processed_temp13"),
        heated=True,
    )
    assert found.value is Distribution.PROCESSED, found.why
