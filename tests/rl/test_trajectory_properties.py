"""Trajectories of any turns, against a model that compares whole lists.

Ids are few, so that prompts share much by accident; each output ends with an id of its own, so that the model can tell
which turn a prompt goes on from.
"""

from __future__ import annotations

import contextlib
import math
from array import array
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from nxlog.export.files.rows import step_of, step_row
from nxlog.trajectory import PrefixError, PrefixPolicy, PrefixVerdict, Trajectory
from nxlog.trajectory._ids import count_shared, find
from tests.rl.trajectory_turns import sampled

if TYPE_CHECKING:
    from nxlog.turn import TurnTokenData

LIMIT = 4
ids = st.lists(st.integers(0, 2), max_size=6)


class Said(NamedTuple):
    """A turn as lists."""

    prompt: list[int]
    output: list[int]

    @property
    def whole(self) -> list[int]:
        return self.prompt + self.output


@st.composite
def conversations(draw: st.DrawFn) -> list[Said]:
    """Turns that mostly go on from an earlier one, from its end or from within it."""
    turns: list[Said] = []
    for number in range(draw(st.integers(1, 8))):
        before = draw(st.sampled_from(turns)).whole if turns else []
        kept = draw(st.one_of(st.just(len(before)), st.integers(0, len(before))))
        turns.append(Said(before[:kept] + draw(ids), [*draw(ids), 100 + number]))
    return turns


def _array(values: list[int]) -> array[int]:
    return array("i", values)


def shared(a: list[int], b: list[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def turn_of(said: Said) -> TurnTokenData:
    return sampled(said.prompt, said.output, stop_token_included=True, content="")


def trajectory_of(turns: list[Said], policy: str = "fork") -> Trajectory:
    return Trajectory(map(turn_of, turns), id="t", policy=policy, realign_limit=LIMIT)


@given(conversations())
def test_verdicts_are_those_of_whole_lists(turns: list[Said]) -> None:
    trajectory = trajectory_of(turns)
    for number, said in enumerate(turns):
        before = turns[:number]
        check = trajectory.steps[number].check
        assert check is not None
        position = max((shared(said.prompt, one.whole) for one in before), default=0)
        assert (check.position, check.added) == (position, len(said.prompt) - position)
        # Turns whose end is there and was not gone on from; and those whose output the prompt leaves, likewise.
        ends = [one for one in before if one.whole == said.prompt[:position]]
        gone_on = [any(two.prompt[: len(one.whole)] == one.whole for two in before if two is not one) for one in ends]
        if not before:
            expected = {PrefixVerdict.CLEAN}
        elif ends and not all(gone_on):
            expected = {PrefixVerdict.EXTEND if check.added else PrefixVerdict.CLEAN}
        else:
            expected = {PrefixVerdict.FORK, PrefixVerdict.REALIGN}
        event(check.verdict)
        assert check.verdict in expected
        assert check.ok == (check.cause is None) == (check.dropped == 0 and not check.expected_ids)
        if check.verdict is PrefixVerdict.REALIGN:
            assert check.added
            assert 0 < check.dropped <= LIMIT
            parent = trajectory.steps[number].parent
            assert parent is not None
            left = turns[parent]
            assert len(left.prompt) <= position < len(left.whole)
            assert not any(two.prompt[: len(left.whole)] == left.whole for two in before if two is not left)
        if not check.ok:
            assert check.found_ids == tuple(said.prompt[position : position + 16])
            assert check.expected_ids[:1] != check.found_ids[:1]


@given(conversations())
def test_what_went_in_comes_out_and_is_kept_once(turns: list[Said]) -> None:
    trajectory = trajectory_of(turns)
    for number, said in enumerate(turns):
        assert trajectory.turn(number) == turn_of(said)
    assert list(trajectory.ids) == turns[-1].whole
    prefixes = {tuple(said.prompt[:end]) for said in turns for end in range(1, len(said.prompt) + 1)}
    sampled_ones = {
        tuple(said.whole[:end]) for said in turns for end in range(len(said.prompt) + 1, len(said.whole) + 1)
    }
    assert sum(len(step.context_ids) for step in trajectory.steps) <= len(prefixes)
    assert len(prefixes | sampled_ones) <= sum(
        len(step.context_ids) + len(step.output_ids) for step in trajectory.steps
    )


@given(conversations(), st.sampled_from(["fork", "realign", "stepwise"]))
def test_every_sampled_token_is_trained_once(turns: list[Said], policy: str) -> None:
    trajectory = trajectory_of(turns)
    branches = trajectory.branches(policy)
    times = {(number, i): 0 for number, said in enumerate(turns) for i in range(len(said.output))}
    for branch in branches:
        for span in branch.spans:
            start = len(turns[span.step].prompt)
            for i in range(span.start, span.end):
                assert branch.sampled_mask[i] == span.sampled
                assert branch.loss_mask[i] == span.trained <= span.sampled
                assert math.isnan(branch.logprobs[i]) == (not span.sampled)
                if span.sampled:
                    assert branch.ids[i] == turns[span.step].output[i - start]
                    assert branch.logprobs[i] == -branch.ids[i] / 1024
                    times[span.step, i - start] += span.trained
    replaced_from: dict[int | None, int] = {}
    for step in trajectory.steps:
        if policy == "realign" and step.check is not None and step.check.verdict == "realign":
            replaced_from[step.parent] = max(step.position, replaced_from.get(step.parent, 0))
    for (number, i), count in times.items():
        at = len(turns[number].prompt) + i
        if at < replaced_from.get(number, math.inf):
            assert count == 1
        else:
            assert count <= 1


@given(conversations(), st.sampled_from(["fork", "realign", "stepwise"]))
def test_every_branch_is_what_its_last_turn_saw_and_said(turns: list[Said], policy: str) -> None:
    branches = trajectory_of(turns).branches(policy)
    for branch in branches:
        last = turns[branch.steps[-1].index]
        assert list(branch.ids) == last.whole
        assert [span.start for span in branch.spans[1:]] == [span.end for span in branch.spans[:-1]]
        assert (branch.spans[0].start, branch.spans[-1].end) == (0, len(branch))
        assert branch.spans[-1].trained
    if policy == "fork":
        assert all(any(said.whole == list(one.ids)[: len(said.whole)] for one in branches) for said in turns)
    if policy == "stepwise":
        assert len(branches) == len(turns)


@given(conversations())
def test_raise_takes_the_turns_that_go_on(turns: list[Said]) -> None:
    strict = Trajectory(policy=PrefixPolicy.RAISE)
    for said in turns:
        with contextlib.suppress(PrefixError):
            strict.add(turn_of(said))
    assert all(step.check is not None and step.check.ok for step in strict.steps)
    assert len(strict.branches()) == 1


@given(conversations())
def test_rows_keep_the_steps(turns: list[Said]) -> None:
    trajectory = trajectory_of(turns)
    again = Trajectory(id="t", realign_limit=LIMIT)
    for step in trajectory.steps:
        again.replay(step_of(step_row("t", step)))
    assert again == trajectory
    assert [list(branch.ids) for branch in again.branches()] == [list(branch.ids) for branch in trajectory.branches()]


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)), st.integers(0, 5), st.integers(0, 500))
def test_shared_ids_are_counted_as_a_loop_would(a: list[int], b: list[int], start: int, same: int) -> None:
    start = min(start, len(b))
    a, b = [7] * same + a, [*b[:start], *[7] * same, *b[start:]]
    assert count_shared(_array(a), _array(b), start) == shared(a, b[start:])


class Counted(NamedTuple):
    """Stands in for a column of ids and counts what is taken of it."""

    ids: array[int]
    taken: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> array[int]:
        self.taken.append(len(self.ids[part]))
        return self.ids[part]


@pytest.mark.parametrize("same", [0, 1, 63, 64, 1_000, 50_000, 100_000])
def test_what_is_looked_at_grows_with_what_is_shared(same: int) -> None:
    """And not with what is there: many samples of one prompt are told apart by their first tokens."""
    a, b = Counted(_array([0] * 100_000), []), _array([0] * same + [1] * (100_000 - same))
    assert count_shared(a, b) == same  # type: ignore[arg-type]
    assert sum(a.taken) <= 9 * same + 128
    assert len(a.taken) < 40


@pytest.mark.parametrize("value", [0, 1, 256, 65536, 16777216])
@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_ids_are_found_as_a_loop_would(value: int, held: list[int], wanted: list[int]) -> None:
    """Also where their bytes are there between two ids."""
    held, wanted = [one * value for one in held], [one * value for one in wanted]
    places = [i for i in range(len(held)) if held[i : i + len(wanted)] == wanted]
    assert find(_array(held), _array(wanted)) == (places[0] if places else -1)
