"""Trajectories: turns in order, the check of each prompt, and what each policy makes of a break.

Nothing here is from a server: ids are made up, and ``trajectory_turns`` has a tokenizer with two spellings.
"""

from __future__ import annotations

import copy
import math
import pickle
from array import array

import pytest

from nxlog.trajectory import PrefixCause, PrefixError, PrefixVerdict, Step, Trajectory
from nxlog.turn import CheckCode, Evidence, TurnCheck, TurnFinding, TurnTokenData, WeightVersion
from tests.rl.trajectory_turns import (
    END_THINK,
    IM_END,
    IM_START,
    THINK,
    chars,
    decode,
    pairs,
    result,
    sampled,
)

PROMPT = [IM_START, *chars("user hi"), IM_END, IM_START]
CALL = [*chars("<call>look</call>"), IM_END]
TOOL = [IM_START, *chars("tool 42"), IM_END, IM_START]
DONE = [*chars("it is 42"), IM_END]


def two_turns(history: list[int], **more: object) -> Trajectory:
    """A call, its result, and an answer whose prompt has this history behind the first prompt."""
    first = sampled(PROMPT, CALL, **more)
    return Trajectory([first, result("42"), sampled([*PROMPT, *history, *TOOL], DONE)], decode=decode)


def trained(trajectory: Trajectory, policy: str | None = None) -> list[str]:
    """The trained text of each branch."""
    return [
        decode(token for token, one in zip(branch.ids, branch.loss_mask, strict=True) if one)
        for branch in trajectory.branches(policy)
    ]


# -- turns in order --------------------------------------------------------------------------------------------------


def test_c08_turns_accumulate_in_order_with_all_that_a_loss_over_several_turns_needs() -> None:
    """C-08: assistant, tool, assistant; and prompt ids, mask, finish reason, versions and checks with them."""
    call = sampled(PROMPT, CALL, finish_reason="tool_calls", weight_versions=(WeightVersion("7", 0, len(CALL)),))
    done = sampled([*PROMPT, *CALL, *TOOL], DONE, temperature=0.7, weight_versions=(WeightVersion("8", 2, len(DONE)),))
    trajectory = Trajectory([call, result("42"), done], decode=decode)

    assert [step.turn.role for step in trajectory.steps] == ["assistant", "tool", "assistant"]
    assert [trajectory.turn(i) for i in range(3)] == [call, result("42"), done]
    (branch,) = trajectory.branches()
    assert branch.turns == (trajectory.steps[0].turn, result("42"), trajectory.steps[2].turn)
    assert list(branch.ids) == [*PROMPT, *CALL, *TOOL, *DONE] == list(trajectory.ids)
    masks = [0] * len(PROMPT) + [1] * len(CALL) + [0] * len(TOOL) + [1] * len(DONE)
    assert list(branch.loss_mask) == list(branch.sampled_mask) == masks
    assert branch.prompt_length == len(PROMPT)
    assert branch.finish_reason == "stop"
    assert branch.trained_tokens == len(CALL) + len(DONE)
    assert branch.version_names == ("7", "8")
    start = len(PROMPT) + len(CALL) + len(TOOL)
    assert list(branch.versions) == (
        [-1] * len(PROMPT) + [0] * len(CALL) + [-1] * (len(TOOL) + 2) + [1] * (len(DONE) - 2)
    )
    for i, token in enumerate(branch.ids):
        expected = -token / 1024 if masks[i] else math.nan
        assert branch.logprobs[i] == expected or (math.isnan(branch.logprobs[i]) and math.isnan(expected))
        temperature = (1.0 if i < start else 0.7) if masks[i] else math.nan
        assert branch.temperatures[i] == temperature or (math.isnan(branch.temperatures[i]) and not masks[i])


def test_columns_are_buffers_of_the_documented_types() -> None:
    (branch,) = two_turns(CALL).branches()
    columns = (branch.ids, branch.loss_mask, branch.sampled_mask, branch.logprobs, branch.temperatures, branch.versions)
    assert [column.typecode for column in columns] == ["i", "b", "b", "d", "d", "i"]
    assert {len(column) for column in columns} == {len(branch)}


def test_ids_are_kept_once() -> None:
    trajectory = two_turns(CALL)
    assert [list(step.context_ids) for step in trajectory.steps] == [PROMPT, [], TOOL]
    assert all(step.turn.prompt_ids is None for step in trajectory.steps)


def test_it_only_grows() -> None:
    trajectory = two_turns(CALL)
    trajectory.finish(reward=1.0, task="sums")
    assert (trajectory.reward, trajectory.metadata) == (1.0, {"task": "sums"})
    with pytest.raises(ValueError, match="is finished"):
        trajectory.add(result("late"))
    assert len(trajectory) == 3


@pytest.mark.parametrize("name", ["prompt_ids", "output_ids"])
@pytest.mark.parametrize("ids", [PROMPT, array("q", PROMPT)], ids=["list", "int64"])
def test_ids_are_int32(name: str, ids: object) -> None:
    with pytest.raises(ValueError, match=rf"{name}: expected array\('i'\)"):
        Trajectory([sampled(PROMPT, CALL, **{name: ids})])


def test_recorded_steps_come_in_order() -> None:
    with pytest.raises(ValueError, match="step 1 does not follow 0 steps"):
        Trajectory().replay(Step(1, result("42")))


def test_equality_is_that_of_the_record() -> None:
    turn = sampled(PROMPT, CALL)
    assert Trajectory([turn], id="a") == Trajectory([turn], id="a", decode=decode)
    assert Trajectory([turn], id="a") != Trajectory([turn], id="b")
    assert Trajectory([turn], id="a") != Trajectory([sampled(PROMPT, DONE)], id="a")
    assert copy.deepcopy(Trajectory([turn], id="a")) == Trajectory([turn], id="a")


def test_no_turns_no_branches() -> None:
    assert Trajectory().branches() == []
    assert list(Trajectory().ids) == []


# -- verdicts and causes ---------------------------------------------------------------------------------------------


def test_the_first_prompt_is_clean_and_one_that_goes_on_extends() -> None:
    trajectory = two_turns(CALL)
    first, second = trajectory.steps[0].check, trajectory.steps[2].check
    assert first is not None
    assert second is not None
    assert (first.verdict, first.position, first.added) == (PrefixVerdict.CLEAN, 0, len(PROMPT))
    assert (second.verdict, second.position, second.added) == (
        PrefixVerdict.EXTEND,
        len(PROMPT) + len(CALL),
        len(TOOL),
    )
    assert str(second) == f"extend: {len(PROMPT) + len(CALL)} ids shared, {len(TOOL)} added"


def test_a_turn_that_is_taken_up_again_is_clean() -> None:
    half, rest = CALL[:5], CALL[5:]
    trajectory = Trajectory([sampled(PROMPT, half, finish_reason="abort"), sampled([*PROMPT, *half], rest)])
    assert [step.check.verdict for step in trajectory.steps if step.check] == [PrefixVerdict.CLEAN] * 2
    assert trained(trajectory) == [decode(CALL)]


@pytest.mark.parametrize(
    ("history", "verdict", "at", "cause"),
    [
        pytest.param(
            [*pairs("<call>look</call>"), IM_END], "realign", 0, PrefixCause.RETOKENIZATION, id="other spelling"
        ),
        pytest.param(
            [*CALL[:6], *pairs("look</call>"), IM_END], "realign", 6, PrefixCause.RETOKENIZATION, id="from within"
        ),
        pytest.param(CALL[:-1], "realign", len(CALL) - 1, PrefixCause.STOP_TOKEN, id="no stop token"),
        pytest.param([*CALL[:-1], 10, IM_END], "realign", len(CALL) - 1, PrefixCause.STOP_TOKEN, id="not at once"),
        pytest.param([*chars("<call> look </call>"), IM_END], "realign", 6, PrefixCause.TEMPLATE, id="white space"),
        pytest.param([*chars("<call>Look</call>"), IM_END], "realign", 6, PrefixCause.TEMPLATE, id="case"),
        pytest.param([*chars("<call>find</call>"), IM_END], "realign", 6, PrefixCause.OTHER, id="edited"),
        pytest.param([], "realign", 0, PrefixCause.OTHER, id="cut out"),
    ],
)
def test_where_and_why_the_last_output_came_back_otherwise(
    history: list[int], verdict: str, at: int, cause: PrefixCause
) -> None:
    check = two_turns(history).steps[2].check
    assert check is not None
    assert (check.verdict, check.position, check.cause) == (verdict, len(PROMPT) + at, cause)
    assert check.dropped == len(CALL) - at
    assert not check.ok


def test_a_prompt_whose_template_changed_forks_and_finds_what_was_sampled() -> None:
    trajectory = Trajectory([sampled(PROMPT, CALL)], decode=decode)
    other = [IM_START, *chars("today is friday. user hi"), IM_END, IM_START]
    check = trajectory.add(sampled([*other, *CALL, *TOOL], DONE)).check
    assert check is not None
    assert (check.verdict, check.position, check.cause) == (PrefixVerdict.FORK, 1, PrefixCause.TEMPLATE)
    assert check.expected is not None
    assert check.found is not None
    assert check.expected.startswith("<|im_start|>user hi")
    assert check.found.startswith("<|im_start|>today is")
    assert str(check).startswith("fork at id 1 (template): expected '<|im_start|>user hi")


def test_a_prompt_in_other_tokens_is_retokenization_before_the_output_too() -> None:
    trajectory = Trajectory([sampled(PROMPT, CALL)], decode=decode)
    other = [IM_START, *pairs("user hi"), IM_END, IM_START]
    check = trajectory.add(sampled([*other, *CALL, *TOOL], DONE)).check
    assert check is not None
    assert (check.verdict, check.cause) == (PrefixVerdict.FORK, PrefixCause.RETOKENIZATION)


@pytest.mark.parametrize("decoder", [decode, None], ids=["with a decoder", "with ids alone"])
def test_stripped_reasoning_is_recognized(decoder: object) -> None:
    answer = [*chars("the answer to everything is 42"), IM_END]
    thought = [THINK, *chars("\nlet me think about that for a while, and then some more\n"), END_THINK, *answer]
    turn = sampled(
        PROMPT,
        thought,
        reasoning="let me think about that for a while, and then some more",
        content="the answer to everything is 42",
    )
    trajectory = Trajectory([turn], decode=decode if decoder else None)
    check = trajectory.add(sampled([*PROMPT, *answer, *TOOL], DONE)).check
    assert check is not None
    assert (check.verdict, check.cause) == (PrefixVerdict.REALIGN, PrefixCause.STRIPPED_REASONING)
    kept = Trajectory([turn], decode=decode if decoder else None)
    check = kept.add(sampled([*PROMPT, *thought, *TOOL], DONE)).check
    assert check is not None
    assert check.verdict is PrefixVerdict.EXTEND


def test_a_stop_text_that_the_history_leaves_out() -> None:
    turn = sampled(PROMPT, chars("<call>look</call>"), stop_reason="</call>", stop_token_included=False)
    trajectory = Trajectory([turn], decode=decode)
    check = trajectory.add(sampled([*PROMPT, *chars("<call>look"), IM_END, *TOOL], DONE)).check
    assert check is not None
    assert (check.verdict, check.cause) == (PrefixVerdict.REALIGN, PrefixCause.STOP_TOKEN)


def test_without_a_decoder_only_what_ids_show_is_named() -> None:
    turns = [sampled(PROMPT, CALL), sampled([*PROMPT, *pairs("<call>look</call>"), IM_END, *TOOL], DONE)]
    check = Trajectory(turns).steps[1].check
    assert check is not None
    assert (check.cause, check.expected, check.found) == (PrefixCause.OTHER, None, None)
    assert check.expected_ids[0] == ord("<")
    assert str(ord("<")) in str(check)


def test_a_long_departure_is_a_fork() -> None:
    history = [*pairs("<call>look</call>"), IM_END]
    turns = [sampled(PROMPT, CALL), sampled([*PROMPT, *history, *TOOL], DONE)]
    for limit, verdict in ((len(CALL), PrefixVerdict.REALIGN), (len(CALL) - 1, PrefixVerdict.FORK)):
        check = Trajectory(turns, realign_limit=limit).steps[1].check
        assert check is not None
        assert check.verdict is verdict


# -- policies --------------------------------------------------------------------------------------------------------

BROKEN = [*CALL[:6], *pairs("look</call>"), IM_END]


def test_raise_refuses_the_turn_and_keeps_the_rest() -> None:
    trajectory = Trajectory([sampled(PROMPT, CALL)], policy="raise", decode=decode)
    with pytest.raises(PrefixError, match=r"realign at id 16 \(retokenization\)") as caught:
        trajectory.add(sampled([*PROMPT, *BROKEN, *TOOL], DONE))
    assert len(trajectory) == 1
    assert pickle.loads(pickle.dumps(caught.value)).check == caught.value.check
    trajectory.add(sampled([*PROMPT, *CALL, *TOOL], DONE))
    assert trained(trajectory) == [decode([*CALL, *DONE])]


def test_each_policy_cuts_the_same_record() -> None:
    trajectory = two_turns(BROKEN)
    assert trained(trajectory, "fork") == [decode(CALL), decode(DONE)]
    assert trained(trajectory, "realign") == ["<call>" + decode(DONE)]
    assert trained(trajectory, "stepwise") == [decode(CALL), decode(DONE)]
    forked, realigned = trajectory.branches("fork")[1], trajectory.branches("realign")[0]
    assert list(forked.ids) == list(realigned.ids) == [*PROMPT, *BROKEN, *TOOL, *DONE]


def test_stepwise_makes_a_sample_of_every_turn() -> None:
    branches = two_turns(CALL).branches("stepwise")
    assert [len(branch) for branch in branches] == [
        len(PROMPT) + len(CALL),
        len(PROMPT) + len(CALL) + len(TOOL) + len(DONE),
    ]
    assert [branch.trained_tokens for branch in branches] == [len(CALL), len(DONE)]
    assert sum(branches[1].sampled_mask) == len(CALL) + len(DONE)


def test_samples_of_one_prompt_are_branches_that_share_it() -> None:
    turns = [sampled(PROMPT, [*chars(text), IM_END]) for text in ("yes", "yesterday", "no", "yes")]
    trajectory = Trajectory(turns, decode=decode)
    assert trained(trajectory) == [turn.content + "<|im_end|>" for turn in turns]
    assert sum(len(step.context_ids) for step in trajectory.steps) == len(PROMPT)
    check = trajectory.add(sampled([*PROMPT, *chars("yesterday"), IM_END, *TOOL], DONE)).check
    assert check is not None
    assert check.verdict is PrefixVerdict.EXTEND
    assert trained(trajectory) == [
        "yes<|im_end|>",
        "no<|im_end|>",
        "yes<|im_end|>",
        "yesterday<|im_end|>it is 42<|im_end|>",
    ]


def test_shared_output_is_trained_in_the_first_branch_only() -> None:
    other = [IM_START, *chars("tool 43"), IM_END, IM_START]
    trajectory = two_turns(CALL)
    check = trajectory.add(sampled([*PROMPT, *CALL, *other], DONE)).check
    assert check is not None
    assert (check.verdict, check.cause) == (PrefixVerdict.FORK, PrefixCause.OTHER)
    assert trained(trajectory) == [decode([*CALL, *DONE]), decode(DONE)]
    assert [sum(branch.sampled_mask) for branch in trajectory.branches()] == [len(CALL) + len(DONE)] * 2
    # The prompt of the third turn went its own way, and the second branch has no step of the first one's end.
    assert [step.index for step in trajectory.branches()[1].steps] == [0, 3]


def test_conversations_may_take_turns() -> None:
    """A second agent in between does not break the first one's prefix."""
    other = [IM_START, *chars("system you are a helper"), IM_END]
    trajectory = Trajectory(
        [
            sampled(PROMPT, CALL),
            sampled(other, DONE),
            sampled([*PROMPT, *CALL, *TOOL], DONE),
            sampled([*other, *DONE, *TOOL], CALL),
        ]
    )
    verdicts = [step.check.verdict for step in trajectory.steps if step.check]
    assert verdicts == [PrefixVerdict.CLEAN, PrefixVerdict.FORK, PrefixVerdict.EXTEND, PrefixVerdict.EXTEND]
    assert trained(trajectory) == [decode([*CALL, *DONE]), decode([*DONE, *CALL])]


# -- what may not be trained on --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"evidence": Evidence.RETOKENIZED}, "retokenized"),
        ({"checks": None}, "not checked"),
        ({"checks": TurnCheck((TurnFinding(CheckCode.COUNT, "18 ids, 17 log-probabilities"),))}, "17 log-prob"),
    ],
)
def test_an_untrainable_turn_is_masked_and_says_why(more: dict[str, object], reason: str) -> None:
    trajectory = two_turns(CALL, **more)
    assert trained(trajectory) == [decode(DONE)]
    assert list(trajectory.untrainable) == [0]
    assert reason in trajectory.untrainable[0]
    (branch,) = trajectory.branches()
    assert sum(branch.sampled_mask) == len(CALL) + len(DONE)


def test_a_turn_without_prompt_ids_is_on_no_branch() -> None:
    trajectory = Trajectory([sampled(None, CALL), result("42"), sampled([*PROMPT, *CALL, *TOOL], DONE)])
    assert trajectory.untrainable == {0: "there are no prompt ids: what the model saw is not known"}
    assert trained(trajectory) == [decode(DONE)]
    assert [turn.role for turn in trajectory.branches()[0].turns] == ["assistant", "tool", "assistant"]
    assert trajectory.prompt_ids(0) is None


def test_a_turn_of_text_alone_keeps_its_place() -> None:
    text = TurnTokenData(role="assistant", prompt_ids=array("i", PROMPT), content="hm")
    trajectory = Trajectory([text, sampled([*PROMPT, *CALL, *TOOL], DONE)])
    assert trained(trajectory) == [decode(DONE)]
    assert trajectory.untrainable[0].startswith("evidence is wire_text")


def test_log_probabilities_that_do_not_belong_to_the_ids_are_missing() -> None:
    """The turn is not trainable; a column of other length must not be pressed into the branch."""
    short = array("d", [-1.0] * (len(CALL) - 1))
    bad = TurnCheck((TurnFinding(CheckCode.COUNT, "short"),))
    (branch,) = Trajectory([sampled(PROMPT, CALL, output_logprobs=short, checks=bad)]).branches()
    assert all(map(math.isnan, branch.logprobs))
