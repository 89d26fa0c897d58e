"""What came back against what was asked.

Real here: the check over replies of real servers (cassettes of vLLM, SGLang, llama.cpp and transformers), read by the
wire and, for streams, accumulated. The boundaries are tried on replies made by hand.
"""

from __future__ import annotations

import json
import math
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from nxlog.accumulate import accumulate
from nxlog.delivery import check_delivery
from nxlog.logprobs import LogprobsData, TokenLogprob, TopLogprob
from nxlog.request import ChatRequest
from nxlog.response import ChatResponse, Choice, Usage
from nxlog.warnings import ParameterWarning
from nxlog.wire import get_wire

FIXTURES = Path(__file__).parent.parent / "fixtures"


def asked(**fields: Any) -> ChatRequest:
    given = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "logprobs": True}
    return ChatRequest.model_validate(given | fields)


def token(logprob: float | None = -0.5, tops: int | list[float | None] = 0, text: str = "a") -> TokenLogprob:
    values = [-1.0] * tops if isinstance(tops, int) else tops
    return TokenLogprob.build(text, logprob, top_logprobs=[TopLogprob.build("b", value) for value in values])


def varied(count: int, tops: int = 0) -> list[TokenLogprob]:
    return [token(-0.5 - i / 8, tops) for i in range(count)]


def reply(
    records: list[TokenLogprob] | None = None,
    *,
    text: str | None = None,
    finish: str = "stop",
    usage: dict[str, int] | None = None,
    **channels: Any,
) -> ChatResponse:
    logprobs = None if records is None and not channels else LogprobsData(records, **channels)
    if text is None:
        text = "".join(record.token for record in records or ()) or "answer"
    choice = Choice(text=text, finish_reason=finish, logprobs=logprobs)
    return ChatResponse(model="served", provider="p", choices=[choice], usage=Usage(**usage) if usage else None)


def brief(found: list[ParameterWarning]) -> list[tuple[str, str, str]]:
    return [(warning.parameter, warning.code.value, warning.severity.value) for warning in found]


# -- real servers ----------------------------------------------------------------------------------------------------

END = [("logprobs", "fewer_records", "info")]
FEWER = [("logprobs", "fewer_records", "warning")]
NONE = [("logprobs", "not_delivered", "error")]
SHIFTED = [("logprobs", "misaligned", "info")]
OTHER = [("logprobs", "misaligned", "warning")]
MASKED = [("top_logprobs", "masked", "info")]

REAL: dict[str, list[tuple[str, str, str]]] = {
    "vllm/chat_logprobs": [],
    "vllm/chat_logprobs_stream": [],
    "vllm/chat_logprobs_top0": [],
    "vllm/chat_n2": [],  # usage sums over the choices
    "vllm/chat_json_schema": MASKED,
    "vllm/chat_tools_required_stream": MASKED,
    "vllm/chat_tokens_as_token_ids": [],
    "vllm/emoji_chat_cut_stream": [],
    "vllm/think_09_reasoning_chat_stream": [],
    "vllm/think_11_reasoning_chat": SHIFTED,
    "vllm/think_11_reasoning_chat_stream": SHIFTED,
    "vllm/think_processed_temp13": [*MASKED, *SHIFTED],  # filtered by top-p; nothing but reasoning
    "sglang/chat_logprobs": [],
    "sglang/chat_logprobs_stream": END,
    "sglang/chat_json_schema": MASKED,
    "sglang/chat_tools_required_stream": [*END, *MASKED],
    "sglang/emoji_chat": [],
    "sglang/emoji_chat_stream": FEWER,
    "llamacpp/chat_logprobs": [],
    "llamacpp/chat_logprobs_stream": END,  # a stream loses the end token, and nothing else
    "llamacpp/chat_eos_stream": END,
    "llamacpp/chat_json_schema": SHIFTED,  # its values are from before the grammar, its records of a fence around it
    "llamacpp/chat_n2": [],  # usage counts one choice only
    "llamacpp/chat_nprobs_200": [],
    "llamacpp/chat_logprobs_top0": NONE,
    "llamacpp/emoji_chat": FEWER,  # the tokens of one character share a record
    "llamacpp/emoji_chat_cut": NONE,
    "mlx-lm/chat_logprobs": [*OTHER],  # its records are not those of the sampled tokens
    "mlx-lm/chat_logprobs_stream": NONE,
    "transformers-serve/chat_logprobs": NONE,
    "transformers-serve/chat_logprobs_stream": NONE,
    "openai/chat_fewer_alternatives": [("top_logprobs", "fewer_alternatives", "warning")],
    "openai/chat_refusal_stream": [],
    "openai/chat_n2_stream": [],
    "deepseek/chat_reasoning_logprobs": END,
    "deepseek/chat_reasoning_logprobs_stream": END,
}


def replayed(name: str) -> tuple[ChatRequest, ChatResponse]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    (exchange,) = yaml.load((FIXTURES / f"{name}.yaml").read_text(encoding="utf-8"), Loader=loader)["interactions"]
    body, sent = exchange["response"]["body"]["string"], json.loads(exchange["request"]["body"])
    data = body if isinstance(body, bytes) else body.encode()
    wire = get_wire("openai-chat")
    if sent.get("stream"):
        decoder = wire.stream_decoder()
        response = accumulate(chain(decoder.feed(data), decoder.close()))
    else:
        response = wire.decode(data)
    return asked(**{key: sent[key] for key in ("top_logprobs", "n") if key in sent}), response


@pytest.mark.parametrize(("name", "expected"), REAL.items(), ids=REAL)
def test_real_replies(name: str, expected: list[tuple[str, str, str]]) -> None:
    assert brief(check_delivery(*replayed(name))) == expected


def test_real_numbers() -> None:
    (warning,) = check_delivery(*replayed("vllm/chat_json_schema"))
    assert warning.applied == 21
    assert "21 alternatives were masked" in warning.message
    (warning,) = check_delivery(*replayed("llamacpp/emoji_chat"))
    assert (warning.requested, warning.applied) == (10, 4)
    (warning,) = check_delivery(*replayed("openai/chat_fewer_alternatives"))
    assert (warning.requested, warning.applied) == (5, 1)


# -- whether anything came -------------------------------------------------------------------------------------------


def test_without_logprobs_nothing_is_expected() -> None:
    assert check_delivery(asked(logprobs=None), reply()) == []
    assert check_delivery(asked(logprobs=False), reply()) == []


def test_not_delivered() -> None:
    (warning,) = check_delivery(asked(top_logprobs=5), reply())
    assert brief([warning]) == NONE
    assert warning.requested == {"logprobs": True, "top_logprobs": 5}
    assert (warning.provider, warning.model, warning.source) == ("p", "served", "response")
    assert brief(check_delivery(asked(), reply([]))) == NONE


@pytest.mark.parametrize(
    ("text", "usage", "expected"),
    [
        ("", {"completion_tokens": 0}, []),
        ("", None, []),
        ("", {"prompt_tokens": 3}, []),
        ("", {"completion_tokens": 2}, NONE),
        ("x", {"completion_tokens": 0}, []),
        ("x", None, NONE),
    ],
)
def test_nothing_generated_is_nothing_missing(text: str, usage: Any, expected: Any) -> None:
    assert brief(check_delivery(asked(), reply(text=text, usage=usage))) == expected


def test_a_refusal_or_reasoning_is_delivery() -> None:
    assert check_delivery(asked(), reply(refusal=varied(3), text="")) == []
    assert check_delivery(asked(), reply(reasoning=varied(3), text="")) == []


# -- fewer -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "generated", "finish", "expected"),
    [
        (5, 5, "stop", []),
        (6, 5, "stop", []),
        (4, 5, "stop", END),
        (4, 5, "tool_calls", END),
        (4, 5, "length", FEWER),
        (3, 5, "stop", FEWER),
    ],
)
def test_fewer_records(records: int, generated: int, finish: str, expected: Any) -> None:
    found = check_delivery(asked(), reply(varied(records), finish=finish, usage={"completion_tokens": generated}))
    assert brief(found) == expected
    if found:
        assert (found[0].requested, found[0].applied) == (generated, records)
        assert f"{records} token records for {generated} generated tokens" in found[0].message


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 5}])
def test_without_a_count_no_record_can_be_missed(usage: Any) -> None:
    assert check_delivery(asked(), reply(varied(1), usage=usage)) == []


def test_hidden_reasoning_has_no_records() -> None:
    usage = {"completion_tokens": 12, "reasoning_tokens": 7}
    assert check_delivery(asked(), reply(varied(5), usage=usage)) == []
    assert brief(check_delivery(asked(), reply(varied(3), usage=usage))) == FEWER


def test_shown_reasoning_is_counted() -> None:
    """DeepSeek."""
    usage = {"completion_tokens": 12, "reasoning_tokens": 7}
    assert check_delivery(asked(), reply(varied(5), reasoning=varied(7), usage=usage)) == []
    assert brief(check_delivery(asked(), reply(varied(5), reasoning=varied(4), usage=usage))) == FEWER


def choices(*parts: list[TokenLogprob] | None, usage: int | None = None) -> ChatResponse:
    made = [
        Choice(
            index=i,
            text="a" * len(part or "x"),
            finish_reason="stop",
            logprobs=None if part is None else LogprobsData(part),
        )
        for i, part in enumerate(parts)
    ]
    return ChatResponse(choices=made, usage=Usage(completion_tokens=usage))


def test_records_of_all_choices_are_counted_b40() -> None:
    assert check_delivery(asked(n=2), choices(varied(3), varied(4), usage=7)) == []
    assert brief(check_delivery(asked(n=2), choices(varied(3), varied(4), usage=9))) == END  # the end of each
    assert brief(check_delivery(asked(n=2), choices(varied(3), varied(4), usage=10))) == FEWER


def test_a_choice_without_records_is_said() -> None:
    (warning,) = check_delivery(asked(n=3), choices(varied(3), None, None))
    assert brief([warning]) == FEWER
    assert "no token record for choice 1, 2, of 3 choices" in warning.message
    assert len(check_delivery(asked(n=2), choices(varied(3), None, usage=9))) == 1  # once


def test_fewer_choices() -> None:
    (warning,) = check_delivery(asked(n=3, logprobs=None), choices(None, None))
    assert brief([warning]) == [("n", "fewer_choices", "warning")]
    assert (warning.requested, warning.applied) == (3, 2)
    assert check_delivery(asked(n=2, logprobs=None), choices(None, None)) == []
    assert check_delivery(asked(n=1, logprobs=None), choices(None)) == []


@pytest.mark.parametrize(
    ("counts", "wanted", "expected"),
    [
        ([5, 5], 5, None),
        ([6, 5], 5, None),
        ([5, 4], 5, (1, 4)),
        ([1, 0], 5, (2, 0)),
        ([0, 0], 0, None),
        ([0, 0], None, None),
    ],
)
def test_fewer_alternatives(counts: list[int], wanted: int | None, expected: tuple[int, int] | None) -> None:
    records = [token(-0.5 - i, count) for i, count in enumerate(counts)]
    found = check_delivery(asked(top_logprobs=wanted), reply(records))
    if expected is None:
        assert found == []
        return
    assert brief(found) == [("top_logprobs", "fewer_alternatives", "warning")]
    assert (found[0].requested, found[0].applied) == (wanted, expected[1])
    assert f"{expected[0]} of 2 tokens have fewer, the least {expected[1]}" in found[0].message


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentinel", [-9999.0, -3.4028234663852886e38, -1.2676506002282294e30, -math.inf])
def test_masked_b23(sentinel: float) -> None:
    found = check_delivery(asked(), reply([*varied(3), token(sentinel)]))
    assert brief(found) == [("logprobs", "masked", "warning")]
    assert found[0].applied == 1
    found = check_delivery(asked(), reply([token(math.nan), *varied(3), token(sentinel)]))
    assert {warning.code for warning in found} == {"masked", "missing_value"}
    found = check_delivery(asked(top_logprobs=2), reply([token(-0.5, [-0.5, sentinel]), token(-1, [sentinel, None])]))
    assert brief(found) == MASKED
    assert found[0].applied == 2


def test_sentinels_inside_texts_are_no_values() -> None:
    record = TokenLogprob.build("-9999", -0.5, top_logprobs=[TopLogprob.build("-Infinity -9999", -1)])
    assert check_delivery(asked(top_logprobs=1), reply([record])) == []


def test_missing_values() -> None:
    found = check_delivery(asked(), reply([token(None), token(math.nan), token(-1)]))
    assert brief(found) == [("logprobs", "missing_value", "warning")]
    assert found[0].applied == 2
    assert brief(check_delivery(asked(), reply([token(None)]))) == [("logprobs", "missing_value", "warning")]


def test_missing_texts() -> None:
    silent = [token(-0.5, text=""), token(-0.25, text="")]
    found = check_delivery(asked(), reply(silent))
    assert brief(found) == [("logprobs", "missing_token_text", "warning")]
    assert check_delivery(asked(), reply(silent, text="")) == []
    assert check_delivery(asked(), reply([*silent, token()])) == []  # pieces of one character


@pytest.mark.parametrize(("value", "found"), [(0.0, False), (-0.0, False), (1e-7, False), (0.001, True), (12.5, True)])
def test_positive(value: float, found: bool) -> None:
    warnings = check_delivery(asked(), reply([token(-0.5), token(value), token(math.nan)]))
    assert brief(warnings)[1:] == ([("logprobs", "positive", "error")] if found else [])


def test_infinity_is_positive() -> None:
    assert ("logprobs", "positive", "error") in brief(check_delivery(asked(), reply([token(math.inf)])))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.0] * 5, True),
        ([-0.01] * 9, True),
        ([0.0, -0.0, 0.0, 0.0, 0.0], True),
        ([0.0] * 4, False),
        ([0.0] * 9 + [-0.1], False),
    ],
)
def test_degenerate(values: list[float], found: bool) -> None:
    warnings = check_delivery(asked(), reply([token(value) for value in values]))
    assert brief(warnings) == ([("logprobs", "degenerate", "warning")] if found else [])


def test_all_masked_is_not_degenerate_too() -> None:
    found = check_delivery(asked(), reply([token(-math.inf)] * 6))
    assert brief(found) == [("logprobs", "masked", "warning")]
    for warning in found:
        assert ParameterWarning.model_validate_json(warning.model_dump_json()) == warning


def test_the_first_token_of_an_echoed_prompt_has_no_alternatives() -> None:
    tops = [TopLogprob.build("b", -1.0), TopLogprob.build("c", -2.0)]
    records = [token(None), TokenLogprob.build("a", -1.0, top_logprobs=tops)]
    found = check_delivery(asked(top_logprobs=2), reply(records))
    assert brief(found) == [("logprobs", "missing_value", "warning")]
