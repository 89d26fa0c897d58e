"""The flat formats: one sequence of ids with a mask. Checklist C-07, C-08.

What is real: trajectories, made of turns as a server would give them. The formats' own types are those of
``test_export_packages``; here they are lists, written out by hand.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nxlog.distribution import Distribution
from nxlog.export import (
    ExportError,
    TrainingRow,
    from_art,
    from_prime_rl,
    from_skyrl,
    from_slime,
    from_strands,
    from_tinker,
    from_trl,
    from_verl,
    require_distribution,
    to_art,
    to_prime_rl,
    to_skyrl,
    to_slime,
    to_strands,
    to_tinker,
    to_trl,
    to_verl,
)
from nxlog.turn import Sampling
from tests.rl.exported import (
    ANSWER_LOGPROBS,
    CALL,
    CALL_LOGPROBS,
    IDS,
    MASK,
    PROMPT,
    first,
    forked,
    missing_logprob,
    one_branch,
    second,
    two_turns,
    unchecked,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.export import Row

NAN = math.nan
LOGPROBS = [0.0, 0.0, 0.0, *CALL_LOGPROBS, 0.0, 0.0, *ANSWER_LOGPROBS]

FORMATS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], TrainingRow], set[str]]] = {
    "verl": (to_verl, from_verl, {"prompt_length"}),
    "trl": (lambda row: to_trl([row]), lambda value: from_trl(value)[0], {"prompt_length"}),
    "prime_rl": (lambda row: to_prime_rl(row, env_name="sky", temperature=1.0), from_prime_rl, {"temperatures"}),
    "skyrl": (
        lambda row: to_skyrl([row], rewards=[1.0]),
        lambda value: from_skyrl(value)[0],
        {"prompt_length", "finish_reason"},
    ),
    "slime": (to_slime, from_slime, {"prompt_length", "version_names", "finish_reason"}),
    "tinker": (to_tinker, from_tinker, set()),
    "art": (to_art, from_art, set()),
    "strands": (to_strands, from_strands, set()),
}
"""Writer, reader, and what the format holds beside ids, mask and log-probabilities."""
every_format = pytest.mark.parametrize(("write", "read", "holds"), FORMATS.values(), ids=FORMATS)


def what_is_held(row: Row, holds: set[str]) -> TrainingRow:
    """The row as a format gives it back that holds so much."""
    whole = TrainingRow.of(row)
    mask = list(whole.loss_mask)
    lost: dict[str, Any] = {
        "temperatures": array("d", [NAN]) * len(whole),
        "version_names": (),
        "finish_reason": None,
        "prompt_length": mask.index(1) if 1 in mask else len(mask),
    }
    return replace(whole, **{name: value for name, value in lost.items() if name not in holds})


def test_verl() -> None:
    assert to_verl(one_branch(), reward=0.5) == {
        "prompt_ids": PROMPT,
        "response_ids": IDS[3:],
        "response_mask": [1, 1, 1, 0, 0, 1, 1],
        "response_logprobs": [-0.5, 0.0, -2.25, 0.0, 0.0, -1.5, -0.125],
        "num_turns": 4,
        "reward_score": 0.5,
    }
    assert "reward_score" not in to_verl(one_branch())


def test_trl_takes_many_rows() -> None:
    assert to_trl([one_branch(), one_branch()]) == {
        "prompt_ids": [PROMPT, PROMPT],
        "completion_ids": [IDS[3:], IDS[3:]],
        "logprobs": [LOGPROBS[3:], LOGPROBS[3:]],
        "env_mask": [MASK[3:], MASK[3:]],
    }


def test_prime_rl() -> None:
    sample = to_prime_rl(one_branch(), env_name="sky", advantage=2.0)
    assert sample == {
        "token_ids": IDS,
        "mask": [bool(trained) for trained in MASK],
        "logprobs": LOGPROBS,
        # A temperature for each token: a gap has that of what follows it.
        "temperatures": [0.5] * 6 + [2.0] * 4,
        "env_name": "sky",
        "advantages": [2.0 * trained for trained in MASK],
    }
    assert all(type(trained) is bool for trained in sample["mask"])


def test_prime_rl_goes_over_the_wire_as_an_array() -> None:
    # As documented: an array, so the order of the fields counts.
    sample_type = msgspec.defstruct(
        "TrainingSample",
        [
            ("token_ids", list[int]),
            ("mask", list[bool]),
            ("logprobs", list[float]),
            ("temperatures", list[float]),
            ("env_name", str),
        ],
        array_like=True,
    )
    sample = sample_type(**to_prime_rl(one_branch(), env_name="sky"))
    wire = msgspec.msgpack.encode(sample)
    assert msgspec.msgpack.decode(wire)[0] == IDS
    assert msgspec.msgpack.decode(wire, type=sample_type) == sample


def test_prime_rl_invents_no_temperature() -> None:
    branch = two_turns(answer=second(sampling=Sampling())).branches()[0]
    with pytest.raises(ExportError, match="token 8 is trained, and its temperature is not known"):
        to_prime_rl(branch, env_name="sky")
    assert to_prime_rl(branch, env_name="sky", temperature=0.7)["temperatures"] == [0.5] * 6 + [0.7] * 4


def test_skyrl() -> None:
    output = to_skyrl([one_branch()], rewards=[0.5])
    assert output == {
        "prompt_token_ids": [PROMPT],
        "response_ids": [IDS[3:]],
        "rewards": [0.5],
        "loss_masks": [MASK[3:]],
        "stop_reasons": ["stop"],
        "rollout_metrics": None,
        "rollout_logprobs": [LOGPROBS[3:]],
        "trajectory_ids": None,
        "is_last_step": None,
    }


def test_skyrl_masks_no_tool_call_as_overlong() -> None:
    branch = two_turns(answer=second(finish_reason="tool_calls")).branches()[0]
    assert to_skyrl([branch], rewards=[0.0])["stop_reasons"] == ["stop"]
    cut = two_turns(answer=second(finish_reason="length")).branches()[0]
    assert to_skyrl([branch, cut], rewards=[0.0, 0.0])["stop_reasons"] == ["stop", "length"]
    unknown = two_turns(answer=second(finish_reason=None)).branches()[0]
    assert to_skyrl([branch, unknown], rewards=[0.0, 0.0])["stop_reasons"] is None


def test_skyrl_wants_a_reward_for_each() -> None:
    with pytest.raises(ExportError, match="1 rows, but 2 rewards"):
        to_skyrl([one_branch()], rewards=[0.5, 0.5])


def test_slime() -> None:
    assert to_slime(one_branch(), reward=1.0) == {
        "tokens": IDS,
        "response_length": 7,
        "loss_mask": MASK[3:],
        "rollout_log_probs": LOGPROBS[3:],
        "weight_versions": ["7", "8"],
        "status": "completed",
        "reward": 1.0,
    }


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("stop", "completed"),
        ("tool_calls", "completed"),
        ("length", "truncated"),
        ("abort", "aborted"),
        ("content_filter", "failed"),
        (None, "pending"),
    ],
)
def test_slime_status(reason: str | None, status: str) -> None:
    assert to_slime(two_turns(answer=second(finish_reason=reason)).branches()[0])["status"] == status


def test_tinker_is_shifted_by_one() -> None:
    datum = to_tinker(one_branch(), advantage=2.0)
    assert datum["model_input"] == IDS[:-1]
    assert datum["loss_fn_inputs"] == {
        "target_tokens": IDS[1:],
        "logprobs": LOGPROBS[1:],
        "mask": [float(trained) for trained in MASK[1:]],
        "advantages": [2.0 * trained for trained in MASK[1:]],
    }


def test_art_has_nan_where_there_is_nothing() -> None:
    result = to_art(one_branch())
    assert result["token_ids"] == IDS
    assert result["input_pos"] == list(range(10))
    assert result["assistant_mask"] == MASK
    assert [value for value in result["logprobs"] if not math.isnan(value)] == [*CALL_LOGPROBS, *ANSWER_LOGPROBS]
    assert [math.isnan(value) for value in result["logprobs"]] == [not trained for trained in MASK]
    assert result["choice_offsets"] == [3, 8]


def test_strands_has_none_where_there_is_nothing() -> None:
    rollout = to_strands(one_branch())
    assert rollout == {
        "token_ids": IDS,
        "loss_mask": MASK,
        "logprobs": [None, None, None, *CALL_LOGPROBS, None, None, *ANSWER_LOGPROBS],
        "segment_info": [(False, 3), (True, 3), (False, 2), (True, 2)],
    }
    assert rollout["logprobs"][0] is None


@every_format
def test_round_trip(write: Any, read: Any, holds: set[str]) -> None:
    branch = one_branch()
    assert read(write(branch)) == what_is_held(branch, holds)


@every_format
def test_round_trip_of_forks(write: Any, read: Any, holds: set[str]) -> None:
    branches = forked().branches()
    assert len(branches) == 3
    for branch in branches:
        assert read(write(branch)) == what_is_held(branch, holds)
    # A token that branches share is trained once.
    assert sum(sum(read(write(branch)).loss_mask) for branch in branches) == len(CALL) + 2 + 2 + 1


@every_format
def test_a_turn_that_may_not_be_trained_on_is_masked(write: Any, read: Any, holds: set[str]) -> None:
    branch = two_turns(answer=unchecked(second())).branches()[0]
    row = read(write(branch))
    assert list(row.loss_mask) == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0]
    assert row == what_is_held(branch, holds)


@every_format
def test_a_missing_logprob_is_refused(write: Any, read: Any, holds: set[str]) -> None:
    del read, holds
    branch = two_turns(answer=missing_logprob()).branches()[0]
    with pytest.raises(ExportError, match="token 9 is trained and has no log-probability"):
        write(branch)


@every_format
def test_an_infinite_logprob_is_refused(write: Any, read: Any, holds: set[str]) -> None:
    del read, holds
    broken = first(output_logprobs=array("d", [-0.5, -math.inf, -1.0]))
    with pytest.raises(ExportError, match="token 4 is trained and has a log-probability of -inf"):
        write(two_turns(call=broken).branches()[0])


@every_format
def test_a_missing_logprob_is_no_matter_where_nothing_is_trained(write: Any, read: Any, holds: set[str]) -> None:
    branch = two_turns(answer=unchecked(missing_logprob())).branches()[0]
    assert read(write(branch)) == what_is_held(branch, holds)


@every_format
def test_lists_that_differ_in_length_are_refused(write: Any, read: Any, holds: set[str]) -> None:
    del holds
    value = write(one_branch())
    lists = value.get("loss_fn_inputs", value)
    name = next(name for name in lists if name.endswith(("logprobs", "log_probs")))
    column = lists[name][0] if isinstance(lists[name][0], list) else lists[name]
    column.pop()
    with pytest.raises(ExportError, match="10 ids, but 10 of the mask, 9 log-probabilities"):
        read(value)


def test_tinker_predicts_something() -> None:
    with pytest.raises(ExportError, match="1 ids: there is nothing to predict"):
        to_tinker(TrainingRow(array("i", [1]), array("b", [0]), array("d", [NAN]), array("d", [NAN])))


@pytest.mark.parametrize("write", [to_tinker, to_strands])
def test_a_first_token_that_is_trained_is_refused(write: Callable[[Row], object]) -> None:
    row = TrainingRow(array("i", [1, 2]), array("b", [1, 1]), array("d", [-1.0, -1.0]), array("d", [1.0, 1.0]))
    with pytest.raises(ExportError, match="the first token is trained"):
        write(row)


@pytest.mark.parametrize("other", FORMATS)
@every_format
def test_from_one_format_to_another(write: Any, read: Any, holds: set[str], other: str) -> None:
    branch = one_branch()
    write_other, read_other, holds_other = FORMATS[other]
    found = read_other(write_other(read(write(branch))))
    if other == "prime_rl" and "temperatures" not in holds:
        assert [degree for degree in found.temperatures if not math.isnan(degree)] == [1.0] * 5  # what it was told
        found = replace(found, temperatures=array("d", [NAN]) * len(found))
    assert found == what_is_held(branch, holds & holds_other)


@given(
    tokens=st.lists(
        st.tuples(st.integers(0, 200_000), st.booleans(), st.floats(-50.0, 0.0), st.sampled_from([0.25, 1.0])),
        min_size=2,
        max_size=40,
    )
)
@settings(deadline=None)
def test_any_row_comes_back(tokens: list[tuple[int, bool, float, float]]) -> None:
    ids, flags, logprobs, temperatures = zip(*tokens, strict=True)
    mask = [0, *map(int, flags[1:])]
    row = TrainingRow(
        array("i", ids),
        array("b", mask),
        array("d", [value if trained else NAN for value, trained in zip(logprobs, mask, strict=True)]),
        array("d", [value if trained else NAN for value, trained in zip(temperatures, mask, strict=True)]),
        prompt_length=mask.index(1) if 1 in mask else len(mask),
    )
    for name, (write, read, holds) in FORMATS.items():
        assert read(write(row)) == what_is_held(row, holds), name


def test_files_without_optional_lists() -> None:
    trl = from_trl({"prompt_ids": [[1]], "completion_ids": [[2, 3]], "logprobs": [[-1.0, -2.0]]})[0]
    assert list(trl.loss_mask) == [0, 1, 1]
    verl = from_verl({"prompt_ids": [1], "response_ids": [2], "response_mask": [1], "response_logprobs": None})
    slime = from_slime({"tokens": [1, 2], "response_length": 1, "status": "completed", "rollout_log_probs": None})
    skyrl = from_skyrl({"prompt_token_ids": [[1]], "response_ids": [[2]], "loss_masks": [[1]]})[0]
    for row in (verl, slime, skyrl):
        assert list(row.loss_mask) == [0, 1]
        assert math.isnan(row.logprobs[1])
        with pytest.raises(ExportError, match="token 1 is trained and has no log-probability"):
            to_verl(row)


def test_the_distribution_is_checked() -> None:
    branch = one_branch()
    require_distribution(branch, "raw")
    require_distribution(branch, Distribution.RAW, Distribution.PROCESSED)
    with pytest.raises(ExportError, match="turn 1 has log-probabilities of the raw distribution, not processed"):
        require_distribution(branch, "processed")
    with pytest.raises(ExportError, match=r"turn 1 .* not temperature"):
        require_distribution(branch, "temperature")


def test_raw_is_after_temperature_where_that_is_1() -> None:
    at_one = {"sampling": Sampling(temperature=1.0)}
    require_distribution(two_turns(call=first(**at_one), answer=second(**at_one)).branches()[0], "temperature")
    with pytest.raises(ExportError, match="turn 3"):
        require_distribution(two_turns(call=first(**at_one)).branches()[0], "temperature")


def test_the_distribution_of_what_is_masked_is_no_matter() -> None:
    unknown = second(distribution=Distribution.UNKNOWN)
    with pytest.raises(ExportError, match="turn 3 has log-probabilities of the unknown distribution"):
        require_distribution(two_turns(answer=unknown).branches()[0], "raw")
    require_distribution(two_turns(answer=unchecked(unknown)).branches()[0], "raw")


def test_rows_compare_and_show() -> None:
    row = TrainingRow.of(one_branch())
    assert row == TrainingRow.of(one_branch())
    assert row != replace(row, prompt_length=0)
    assert row != object()
    assert repr(row) == "TrainingRow(10 ids, 5 trained)"
    assert len(row) == 10
