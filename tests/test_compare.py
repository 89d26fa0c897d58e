"""The label of the numbers, and comparisons that need it.

Real here: labels set by calls over the built-in registry and over claims of the user's, and recordings of vLLM and
llama.cpp for the same tokens.
"""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import httpx
import pytest

from nxlog import Client, Distribution, DistributionSource, LogprobsData, Registry, TokenLogprob
from nxlog.compare import log_ratios, mean_log_ratio
from nxlog.warnings import ParameterWarningCategory
from tests.conformance.cassettes import CASES

BY_NAME = {f"{case.provider}/{case.name}": case for case in CASES}


def of(*values: float | None, label: str = "raw", texts: str = "abcdef") -> LogprobsData:
    records = [TokenLogprob.build(text, value) for text, value in zip(texts, values, strict=False)]
    return LogprobsData(records).with_distribution(label)


def called(name: str, *, stream: bool = False, **options: Any) -> LogprobsData:
    """The records of a recorded reply, as a call gives them."""
    case = BY_NAME[f"{name}_stream" if stream else name]
    headers = {"content-type": "text/event-stream" if stream else "application/json"}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=case.reply, headers=headers)

    asked: dict[str, Any] = {
        "model": "any",
        "messages": [{"role": "user", "content": "?"}],
        "logprobs": True,
        "top_logprobs": 5,
    }
    transport = httpx.Client(transport=httpx.MockTransport(answer))
    with Client(provider=case.provider, base_url="http://h/v1", http_client=transport, **options) as client:
        if not stream:
            found = client.chat(**asked).logprobs
        else:
            with client.stream(**asked) as opened:
                next(opened)
                begun = opened.response.logprobs
                for _ in opened:
                    pass
            found = opened.response.logprobs
            assert begun is None or found is None or begun.distribution is found.distribution
    assert found is not None
    return found


# -- the label -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("name", "label", "source"),
    [
        ("vllm/chat_logprobs", "raw", "manifest"),
        ("sglang/chat_logprobs", "temperature", "manifest"),
        ("aphrodite/chat_logprobs", "unknown", "nobody"),
    ],
)
def test_a_call_labels_its_numbers(name: str, label: str, source: str, stream: bool) -> None:
    data = called(name, stream=stream)
    assert (data.distribution.value, data.distribution_source.value) == (label, source)


def test_the_users_word_goes_before_the_manifest() -> None:
    """vLLM can be started so that its numbers are the processed ones; only the user knows."""
    mine = Registry.default().with_(capabilities={"vllm": {"claims": {"distribution": {"value": "processed"}}}})
    data = called("vllm/chat_logprobs", registry=mine)
    assert (data.distribution, data.distribution_source) == (Distribution.PROCESSED, DistributionSource.ASSERTED)


def test_the_label_stays_with_the_records() -> None:
    data = called("vllm/chat_logprobs")
    kept = [copy.copy(data), copy.deepcopy(data), pickle.loads(pickle.dumps(data)), data.compact()]
    kept.append(pickle.loads(pickle.dumps(data.compact())))
    for other in kept:
        assert (other.distribution, other.distribution_source) == (Distribution.RAW, DistributionSource.MANIFEST)
        assert other == data


def test_the_label_is_no_part_of_the_value_or_of_its_json() -> None:
    data = of(-1.0, label="processed")
    assert data == of(-1.0, label="raw")
    assert set(data.model_dump()) == {"content"}
    read = LogprobsData.model_validate_json(data.model_dump_json())
    assert (read.distribution, read.distribution_source) == (Distribution.UNKNOWN, DistributionSource.NOBODY)


def test_labels_of_your_own() -> None:
    data = of(-1.0)
    assert (data.distribution, data.distribution_source) == (Distribution.RAW, DistributionSource.ASSERTED)
    unknown = data.with_distribution(Distribution.UNKNOWN)
    assert unknown.distribution_source is DistributionSource.NOBODY
    assert data.distribution is Distribution.RAW, "the original keeps its label"
    with pytest.raises(ValueError, match="logits"):
        data.with_distribution("logits")


# -- two replies -----------------------------------------------------------------------------------------------------


def test_the_same_tokens_of_two_engines() -> None:
    """vLLM computes in f32, llama.cpp has weights of four bits: the same tokens, other numbers."""
    full, small = called("vllm/chat_logprobs"), called("llamacpp/chat_logprobs")
    tokens = list(full)[:7], list(small)[:7]
    new, old = (LogprobsData(part).with_distribution("raw") for part in tokens)
    ratios = log_ratios(new, old)
    assert list(ratios) == pytest.approx([a.logprob - b.logprob for a, b in zip(*tokens, strict=True)])  # type: ignore[operator]
    assert 0 < max(map(abs, ratios)) < 1
    assert mean_log_ratio(new, old) == pytest.approx(sum(ratios) / 7)


def test_ratios() -> None:
    ratios = log_ratios(of(-1.0, None, -9999.0, -4.0, 0.0), of(-2.0, -1.0, -1.0, None, -0.5))
    assert ratios[0] == 1.0
    assert [math.isnan(ratio) for ratio in ratios] == [False, True, True, True, False]
    assert mean_log_ratio(of(-1.0, None, -3.0), of(-2.0, -1.0, -1.0)) == -0.5
    assert mean_log_ratio(of(None), of(-1.0)) is None
    assert list(log_ratios(of(), of())) == []


@pytest.mark.parametrize("compare", [log_ratios, mean_log_ratio])
def test_different_distributions_are_refused(compare: Any) -> None:
    new, old = of(-1.0, label="raw"), of(-2.0, label="temperature")
    with pytest.raises(ValueError, match="different distributions: raw and temperature"):
        compare(new, old)
    with pytest.warns(ParameterWarningCategory, match="different distributions") as caught:
        compare(new, old, on_different="warn")
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("labels", [("unknown", "raw"), ("raw", "unknown"), ("unknown", "unknown")])
def test_an_unknown_distribution_is_warned_of(labels: tuple[str, str]) -> None:
    new, old = of(-1.0, label=labels[0]), of(-2.0, label=labels[1])
    with pytest.warns(ParameterWarningCategory, match="is not known"):
        assert list(log_ratios(new, old)) == [1.0]


def test_other_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 1 token records"):
        log_ratios(of(-1.0, -1.0), of(-1.0))
    with pytest.raises(ValueError, match=r"token 1 is 'b' and 'x'"):
        log_ratios(of(-1.0, -1.0), of(-1.0, -1.0, texts="ax"))


def test_ids_decide_where_both_have_one() -> None:
    def data(text: str, token_id: int | None) -> LogprobsData:
        record = TokenLogprob.build(text, -1.0, token_id=token_id)
        return LogprobsData([record], reasoning=[record]).with_distribution("raw")

    assert list(log_ratios(data("Ġa", 5), data(" a", 5), channel="reasoning")) == [0.0]
    with pytest.raises(ValueError, match=r"'a' \(5\) and 'a' \(6\)"):
        log_ratios(data("a", 5), data("a", 6))
    assert list(log_ratios(data("a", 5), data("a", None))) == [0.0]
