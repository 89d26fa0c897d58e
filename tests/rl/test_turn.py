"""The type of a turn: what it holds, when it is trainable, and that files keep all of it."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.distribution import Distribution, DistributionSource
from nxlog.response import Usage
from nxlog.turn import (
    CheckCode,
    Evidence,
    Sampling,
    ToolCallStatus,
    TopColumns,
    TurnCheck,
    TurnFinding,
    TurnPart,
    TurnTokenData,
    TurnToolCall,
    WeightVersion,
)

SAMPLED = TurnTokenData(
    role="assistant",
    prompt_ids=array("i", [1, 5, 9]),
    output_ids=array("i", [7, 8, 2]),
    output_logprobs=array("d", [-0.25, math.nan, 0.0]),
    top=TopColumns(array("i", [0, 2, 2, 3]), array("i", [7, 4, -1]), array("d", [-0.25, -math.inf, -1.5])),
    finish_reason="stop",
    stop_reason=2,
    stop_token_included=True,
    content="Hi",
    reasoning="so",
    tool_calls=(TurnToolCall("call_0", "add", '{"a": 1', ToolCallStatus.INVALID_JSON, '<tool_call>{"a": 1'),),
    sampling=Sampling(temperature=1.0, top_k=20),
    distribution=Distribution.RAW,
    distribution_source=DistributionSource.MANIFEST,
    weight_versions=(WeightVersion("7", 0, 2), WeightVersion("8", 2, 3)),
    parts=(TurnPart(0, 2, request_id="r0"), TurnPart(2, 3, "stop", "r1")),
    usage=Usage(prompt_tokens=3, completion_tokens=3),
    request_id="r1",
    provider="vllm",
    model="m",
    endpoint="http://127.0.0.1:8000/v1/chat/completions",
    evidence=Evidence.NATIVE_IDS,
    checks=TurnCheck((TurnFinding(CheckCode.MISSING, "token 1 has none", 1),)),
)
TOOL = TurnTokenData(role="tool", content="3", tool_name="add", tool_call_id="call_0")


def test_every_field_survives_json_and_pickle() -> None:
    unset = {f.name for f in dataclasses.fields(SAMPLED) if getattr(SAMPLED, f.name) == f.default} - {"role"}
    assert unset == {"tool_name", "tool_call_id"}  # or this test would look at less than it says
    for turn in (SAMPLED, TOOL):
        text = json.dumps(turn.dump(), allow_nan=False)
        assert TurnTokenData.load(json.loads(text)) == turn
        assert pickle.loads(pickle.dumps(turn)) == turn


def test_a_missing_value_is_not_zero_in_any_form() -> None:
    assert SAMPLED.dump()["output_logprobs"] == [-0.25, None, 0.0]
    assert SAMPLED.to_letta()["output_token_logprobs"][1] == [None, 8, None]
    assert dataclasses.replace(SAMPLED, output_logprobs=array("d", [-0.25, 0.0, 0.0])) != SAMPLED


def test_c_07_letta_has_five_fields() -> None:
    """C-07, as Letta's schema has them; the third item of an entry is null there."""
    assert SAMPLED.to_letta() == {
        "role": "assistant",
        "output_ids": [7, 8, 2],
        "output_token_logprobs": [[-0.25, 7, None], [None, 8, None], [0.0, 2, None]],
        "content": "Hi",
        "tool_name": None,
    }
    assert TOOL.to_letta() == {
        "role": "tool",
        "output_ids": None,
        "output_token_logprobs": None,
        "content": "3",
        "tool_name": "add",
    }


def test_letta_gets_no_pairs_of_lists_that_differ_in_length() -> None:
    assert dataclasses.replace(SAMPLED, output_ids=array("i", [7])).to_letta()["output_token_logprobs"] is None


def test_only_a_checked_turn_of_native_ids_is_trainable() -> None:
    passed = dataclasses.replace(SAMPLED, checks=TurnCheck())
    assert passed.trainable
    assert passed.reason is None
    for changes, reason in [
        ({"role": "tool"}, "a tool turn was not sampled"),
        ({"evidence": Evidence.RETOKENIZED}, "evidence is retokenized: the ids that were sampled are not known"),
        ({"evidence": Evidence.WIRE_TEXT}, "evidence is wire_text: the ids that were sampled are not known"),
        ({"output_ids": None}, "there are no output ids"),
        ({"output_ids": array("i")}, "there are no output ids"),
        ({"checks": None}, "the turn was not checked"),
        ({"checks": SAMPLED.checks}, "missing_logprob: token 1 has none"),
    ]:
        turn = dataclasses.replace(passed, **changes)  # type: ignore[arg-type]
        assert not turn.trainable
        assert turn.reason == reason


@given(st.lists(st.floats() | st.none()))
def test_any_column_of_floats_survives(values: list[float | None]) -> None:
    column = array("d", [math.nan if value is None else value for value in values])
    turn = TurnTokenData(role="assistant", output_logprobs=column)
    loaded = TurnTokenData.load(json.loads(json.dumps(turn.dump(), allow_nan=False))).output_logprobs
    assert loaded is not None
    assert [str(value) for value in loaded] == [str(value) for value in column]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"role": "robot"}, "role"),
        ({"ids": [1]}, "ids"),
        ({"output_ids": [2**31]}, "output_ids"),
        ({"output_ids": ["a"]}, "output_ids"),
        ({"top": {"offsets": [0]}}, "top"),
        ({"tool_calls": [{"id": "a"}]}, "tool_calls"),
        ({"checks": [{"code": "else", "message": ""}]}, "checks"),
        ({"evidence": "hearsay"}, "evidence"),
        ({"usage": {"prompt_tokens": "many"}}, "usage"),
        ({"content": 3}, "content"),
        ({"stop_token_included": "yes"}, "stop_token_included"),
    ],
)
def test_what_is_no_turn_is_refused_by_name(damage: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: "):
        TurnTokenData.load({"role": "assistant", **damage})
