"""The formats that keep each turn with its prompt, and the graph of verifiers. Checklist C-07, C-08.

What is real: trajectories, made of turns as a server would give them. The formats' own types are those of
``test_export_packages``; here they are dicts, written out by hand.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.export import (
    ExportError,
    TrainingRow,
    from_agent_lightning,
    from_letta,
    from_nemo_gym,
    from_rllm,
    from_verifiers,
    from_verifiers_steps,
    to_agent_lightning,
    to_letta,
    to_nemo_gym,
    to_rllm,
    to_verifiers,
    to_verifiers_steps,
)
from nxlog.trajectory import PrefixPolicy, Trajectory
from nxlog.turn import Evidence, TurnCheck, TurnTokenData, WeightVersion
from tests.rl.exported import (
    ANSWER,
    ANSWER_LOGPROBS,
    CALL,
    CALL_LOGPROBS,
    PROMPT,
    RESULT,
    first,
    forked,
    missing_logprob,
    second,
    two_turns,
    unchecked,
)
from tests.rl.trajectory_turns import result, sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

QUESTION = {"role": "user", "content": "What color is the sky?"}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"id": "call-1", "type": "function", "function": {"name": "search", "arguments": '{"query": "sky"}'}}
    ],
}
SAID = {"role": "tool", "content": "blue", "tool_call_id": "call-1", "name": "search"}
ANSWERED = {"role": "assistant", "content": "Blue."}
LATER_PROMPT = [*PROMPT, *CALL, *RESULT]


def columns(turns: Iterable[TurnTokenData]) -> list[tuple[Any, ...]]:
    """What every one of these formats holds of sampled turns."""
    return [(turn.prompt_ids, turn.output_ids, turn.output_logprobs) for turn in turns if turn.role == "assistant"]


def as_sampled(trajectory: Trajectory) -> list[TurnTokenData]:
    return [trajectory.turn(index) for index in range(len(trajectory))]


def test_letta_c07() -> None:
    assert to_letta(two_turns()) == [
        {
            "role": "assistant",
            "output_ids": CALL,
            "output_token_logprobs": [[-0.5, 20, None], [0.0, 21, None], [-2.25, 22, None]],
            "content": "",
            "tool_name": None,
        },
        {
            "role": "tool",
            "output_ids": None,
            "output_token_logprobs": None,
            "content": "blue",
            "tool_name": "search",
        },
        {
            "role": "assistant",
            "output_ids": ANSWER,
            "output_token_logprobs": [[-1.5, 40, None], [-0.125, 41, None]],
            "content": "Blue.",
            "tool_name": None,
        },
    ]


def test_letta_gets_no_ids_to_train_of_a_turn_that_is_not_trainable() -> None:
    turns = to_letta(two_turns(call=unchecked(first())))
    assert turns[0]["output_ids"] is None
    assert turns[0]["output_token_logprobs"] is None
    assert turns[2]["output_ids"] == ANSWER


def test_letta_needs_no_prompt_ids() -> None:
    trajectory = Trajectory([sampled(None, ANSWER)])
    assert to_letta(trajectory)[0]["output_ids"] == ANSWER


def test_letta_back() -> None:
    turns = from_letta(to_letta(two_turns()))
    assert [turn.role for turn in turns] == ["assistant", "tool", "assistant"]
    assert turns[0].output_ids == array("i", CALL)
    assert turns[0].output_logprobs == array("d", CALL_LOGPROBS)
    assert (turns[1].content, turns[1].tool_name) == ("blue", "search")
    assert to_letta(Trajectory([check(turn) for turn in turns])) == to_letta(two_turns())


def check(turn: TurnTokenData) -> TurnTokenData:
    """As if somebody had checked it."""
    return replace(turn, checks=TurnCheck()) if turn.role == "assistant" else turn


def test_letta_of_others() -> None:
    # Missing values, plain numbers and prompts: what Letta's adapter and letta-evals also write.
    written = {"role": "assistant", "content": "Hi", "output_ids": [5, 6]}
    (turn,) = from_letta([written | {"output_token_logprobs": [[None, 5, None], [-1.0, 6, "x"]]}])
    assert turn.output_logprobs is not None
    assert math.isnan(turn.output_logprobs[0])
    (turn,) = from_letta([written | {"output_token_logprobs": [-0.5, -1.0], "input_ids": [1, 2]}])
    assert turn.output_logprobs == array("d", [-0.5, -1.0])
    assert turn.prompt_ids == array("i", [1, 2])
    with pytest.raises(ExportError, match="token 1 is 6, and its log-probability is that of 7"):
        from_letta([written | {"output_token_logprobs": [[-0.5, 5, None], [-1.0, 7, None]]}])
    with pytest.raises(ExportError, match="2 ids, but 1 log-probabilities"):
        from_letta([written | {"output_token_logprobs": [[-0.5, 5, None]]}])
    (turn,) = from_letta([{"role": "assistant", "content": "Hi", "output_ids": None, "output_token_logprobs": None}])
    assert turn.evidence is Evidence.WIRE_TEXT


def test_what_was_read_is_not_trainable_before_it_is_checked() -> None:
    for turns in (
        from_letta(to_letta(two_turns())),
        from_rllm(to_rllm(two_turns())),
        from_nemo_gym(to_nemo_gym(two_turns())["output"]),
        from_agent_lightning(to_agent_lightning(two_turns())),
        from_verifiers_steps(to_verifiers_steps(two_turns())),
    ):
        for turn in turns:
            if turn.role == "assistant":
                assert turn.evidence is Evidence.NATIVE_IDS
                assert turn.reason == "the turn was not checked"


def test_rllm() -> None:
    value = to_rllm(two_turns(), name="solver", task="sky")
    call, answer = value["steps"]
    assert {name: item for name, item in value.items() if name != "steps"} == {
        "uid": "sky",
        "name": "solver",
        "task": "sky",
        "reward": 1.0,
        "info": {},
    }
    assert call == {
        "prompt_ids": PROMPT,
        "response_ids": CALL,
        "logprobs": CALL_LOGPROBS,
        "chat_completions": [QUESTION, CALLED],
        "observation": None,
        "thought": "Look it up.",
        "action": None,
        "model_response": "",
        "model_output": None,
        "info": {},
        "reward": 0.0,
        "done": False,
        "mc_return": 0.0,
        "advantage": None,
        "weight_version": 7,
    }
    assert answer["prompt_ids"] == LATER_PROMPT
    assert answer["chat_completions"] == [QUESTION, CALLED, SAID, ANSWERED]
    assert (answer["done"], answer["weight_version"]) == (True, 8)


def test_rllm_numbers_no_version_that_has_none() -> None:
    named = second(weight_versions=(WeightVersion("step-3", 0, 2),))
    assert to_rllm(two_turns(answer=named))["steps"][1]["weight_version"] is None
    assert to_rllm(two_turns(answer=second(weight_versions=())))["steps"][1]["weight_version"] is None


def test_rllm_back() -> None:
    turns = from_rllm(to_rllm(two_turns()))
    assert columns(turns) == columns(as_sampled(two_turns()))
    assert turns[0].reasoning == "Look it up."
    assert turns[1].weight_versions == (WeightVersion("8", 0, 2),)
    (unscored,) = from_rllm({"steps": [to_rllm(two_turns())["steps"][1] | {"logprobs": [], "weight_version": None}]})
    assert unscored.output_logprobs is None
    assert unscored.weight_versions == ()


def test_agent_lightning() -> None:
    call, answer = to_agent_lightning(two_turns())
    assert call == {
        "prompt": {"token_ids": PROMPT, "raw_content": [QUESTION], "image_urls": []},
        "response": {
            "token_ids": CALL,
            "raw_content": [CALLED],
            "logprobs": [{"logprob": value} for value in CALL_LOGPROBS],
        },
        "reward": None,
        "metadata": {"response_id": "chat-1"},
    }
    assert answer["prompt"]["token_ids"] == LATER_PROMPT
    assert answer["reward"] == 1.0
    assert to_agent_lightning(Trajectory()) == []


def test_agent_lightning_back() -> None:
    triplets: list[Any] = to_agent_lightning(two_turns())
    turns = from_agent_lightning(triplets)
    assert columns(turns) == columns(as_sampled(two_turns()))
    assert [turn.request_id for turn in turns] == ["chat-1", "chat-2"]
    triplets[0]["response"]["logprobs"] = CALL_LOGPROBS  # as numbers
    del triplets[1]["response"]["logprobs"]
    numbers, none = from_agent_lightning(triplets)
    assert numbers.output_logprobs == array("d", CALL_LOGPROBS)
    assert none.output_logprobs is None


def test_nemo_gym() -> None:
    items = to_nemo_gym(two_turns())
    assert items == {
        "input": [{"type": "message", **QUESTION}],
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look it up."}]},
            {
                "type": "function_call",
                "id": "call-1",
                "call_id": "call-1",
                "name": "search",
                "arguments": '{"query": "sky"}',
                "status": "completed",
                # On the last item of the turn.
                "prompt_token_ids": PROMPT,
                "generation_token_ids": CALL,
                "generation_log_probs": CALL_LOGPROBS,
            },
            {"type": "function_call_output", "call_id": "call-1", "output": "blue"},
            {
                "type": "message",
                "id": "msg_3",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Blue.", "annotations": []}],
                "status": "completed",
                "prompt_token_ids": LATER_PROMPT,
                "generation_token_ids": ANSWER,
                "generation_log_probs": ANSWER_LOGPROBS,
            },
        ],
    }


def test_nemo_gym_has_no_ids_of_what_may_not_be_trained_on() -> None:
    items = to_nemo_gym(two_turns(call=unchecked(first())))["output"]
    assert ["generation_token_ids" in item for item in items] == [False, False, False, True]
    assert not {"prompt_token_ids", "generation_log_probs"} & items[1].keys()


def test_nemo_gym_has_an_item_for_a_turn_without_text() -> None:
    output = to_nemo_gym(two_turns(answer=second(content=None)))["output"]
    assert output[-1]["content"][0]["text"] == ""
    assert output[-1]["generation_token_ids"] == ANSWER


def test_nemo_gym_back() -> None:
    items = to_nemo_gym(two_turns(call=first(content="One moment.")))
    question, call, said, answer = from_nemo_gym([*items["input"], *items["output"]])
    assert columns([call, answer]) == columns(as_sampled(two_turns()))
    assert (question.role, question.content) == ("user", QUESTION["content"])
    assert (call.content, call.reasoning) == ("One moment.", "Look it up.")
    assert [tool.name for tool in call.tool_calls] == ["search"]
    assert (said.role, said.content, said.tool_call_id) == ("tool", "blue", "call-1")
    assert answer.content == "Blue."


def test_nemo_gym_back_without_ids() -> None:
    items = to_nemo_gym(two_turns(call=unchecked(first()), answer=unchecked(second())))["output"]
    call, said, answer = from_nemo_gym(items)
    assert [turn.role for turn in (call, said, answer)] == ["assistant", "tool", "assistant"]
    assert call.output_ids is None
    assert call.evidence is answer.evidence is Evidence.WIRE_TEXT


@pytest.mark.parametrize("write", [to_rllm, to_agent_lightning])
def test_a_format_without_a_mask_takes_no_turn_that_may_not_be_trained_on(write: Callable[..., Any]) -> None:
    trajectory = two_turns(call=unchecked(first()))
    with pytest.raises(ExportError, match="turn 1 may not be trained on, and the format has no mask: the turn was not"):
        write(trajectory)
    kept = write(trajectory, untrainable="skip")
    steps = kept["steps"] if isinstance(kept, dict) else kept
    assert len(steps) == 1


@pytest.mark.parametrize("write", [to_rllm, to_agent_lightning, to_nemo_gym, to_verifiers_steps])
def test_a_missing_logprob_is_refused(write: Callable[..., Any]) -> None:
    with pytest.raises(ExportError, match="token 1 is trained and has no log-probability"):
        write(two_turns(answer=missing_logprob()))
    with pytest.raises(ExportError, match="2 tokens are trained and have 0 log-probabilities"):
        write(two_turns(answer=second(output_logprobs=None)))


@pytest.mark.parametrize("write", [to_rllm, to_agent_lightning, to_verifiers_steps])
def test_each_turn_of_a_fork_once_with_its_own_prompt(write: Callable[..., Any]) -> None:
    trajectory = forked()
    value = write(trajectory)
    read = {to_rllm: from_rllm, to_agent_lightning: from_agent_lightning}.get(write, from_verifiers_steps)
    turns = read(value)
    assert columns(turns) == columns(as_sampled(trajectory))
    again = Trajectory(check(turn) for turn in turns)
    policies = list(PrefixPolicy)
    policies.remove(PrefixPolicy.RAISE)
    for policy in policies:
        branches, same = trajectory.branches(policy), again.branches(policy)
        assert [(b.ids, b.loss_mask) for b in branches] == [(b.ids, b.loss_mask) for b in same]


def test_history_of_a_fork_is_that_of_its_branch() -> None:
    steps = to_rllm(forked())["steps"]
    assert [message["role"] for message in steps[1]["chat_completions"]] == ["user", "assistant", "tool", "assistant"]
    assert [message["role"] for message in steps[3]["chat_completions"]][-1] == "assistant"
    assert CALLED not in steps[3]["chat_completions"]


def test_verifiers_nodes() -> None:
    trace = to_verifiers(two_turns().branches())
    nodes = trace["nodes"]
    assert [node["parent"] for node in nodes] == [None, 0, 1, 2]
    assert [node["sampled"] for node in nodes] == [False, True, False, True]
    assert [node["token_ids"] for node in nodes] == [[], [*PROMPT, *CALL], [], [*RESULT, *ANSWER]]
    assert nodes[1]["mask"] == [False] * 3 + [True] * 3
    assert nodes[1]["logprobs"] == CALL_LOGPROBS
    assert nodes[3]["mask"] == [False] * 2 + [True] * 2
    assert nodes[3]["logprobs"] == ANSWER_LOGPROBS
    assert [node["message"] for node in nodes] == [
        QUESTION,
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Look it up.",
            "tool_calls": [{"id": "call-1", "name": "search", "arguments": '{"query": "sky"}'}],
        },
        SAID,
        {"role": "assistant", "content": "Blue.", "reasoning_content": None, "tool_calls": None},
    ]
    assert trace["calls"] == [
        {"node": 1, "model": "tiny", "finish_reason": "tool_calls"},
        {"node": 3, "model": "tiny", "finish_reason": "stop"},
    ]


@pytest.mark.parametrize("policy", ["fork", "realign", "stepwise"])
def test_verifiers_back(policy: str) -> None:
    branches = forked().branches(policy)
    rows = from_verifiers(to_verifiers(branches))
    assert len(rows) == len(branches) > 1
    for row, branch in zip(rows, branches, strict=True):
        whole = TrainingRow.of(branch)
        assert (row.ids, row.loss_mask) == (whole.ids, whole.loss_mask)
        assert row.logprobs.tobytes() == whole.logprobs.tobytes()


def test_verifiers_counts_a_call_once() -> None:
    trace = to_verifiers(forked().branches())
    assert len(trace["calls"]) == 4
    assert len({call["node"] for call in trace["calls"]}) == 4
    # Sampled, and trained in another branch.
    assert sum(sum(node["mask"]) for node in trace["nodes"]) == len(CALL) + 2 + 2 + 1


def test_verifiers_of_a_last_turn_that_is_empty() -> None:
    trajectory = two_turns()
    longer = Trajectory(as_sampled(trajectory))
    longer.add(result("more"))
    longer.add(sampled([*LATER_PROMPT, *ANSWER, 70, 71], []))
    (row,) = from_verifiers(to_verifiers(longer.branches()))
    assert row.ids == longer.ids


def test_verifiers_refuses_what_is_missing() -> None:
    with pytest.raises(ExportError, match="token 9 is trained and has no log-probability"):
        to_verifiers(two_turns(answer=missing_logprob()).branches())
    trace = to_verifiers(two_turns().branches())
    trace["nodes"][1]["logprobs"].pop()
    with pytest.raises(ExportError, match="3 tokens are trained, but 2 log-probabilities"):
        from_verifiers(trace)


def test_verifiers_steps() -> None:
    call, answer = to_verifiers_steps(two_turns(answer=unchecked(second(finish_reason="length"))))
    assert call == {
        "prompt_ids": PROMPT,
        "prompt_mask": [0, 0, 0],
        "completion_ids": CALL,
        "completion_mask": [1, 1, 1],
        "completion_logprobs": CALL_LOGPROBS,
        "overlong_prompt": False,
        "is_truncated": False,
    }
    assert (answer["completion_mask"], answer["completion_logprobs"]) == ([0, 0], [0.0, 0.0])
    assert answer["is_truncated"]
    _, read = from_verifiers_steps([call, answer])
    assert (read.finish_reason, read.evidence, read.output_logprobs) == ("length", Evidence.WIRE_TEXT, None)
