"""Turns that came in parts, and what a client of texts loses: on turns made by hand."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nxlog.distribution import Distribution
from nxlog.errors import BadRequestError, ConnectError, NxlogError, RateLimitError, ServerError
from nxlog.response import Usage
from nxlog.rollout import RolloutResult, text_drift
from nxlog.rollout.parts import can_go_on, merged
from nxlog.rollout.pausing import pause_of
from nxlog.rollout.report import KEY, Report
from nxlog.trajectory import Trajectory
from nxlog.turn import CheckCode, Evidence, TopColumns, TurnCheck, TurnFinding, TurnPart, TurnTokenData, WeightVersion
from tests.rl.test_rollout import renderer
from tests.rl.trajectory_turns import sampled

if TYPE_CHECKING:
    from nxlog.rendering import Renderer

__all__ = ["renderer"]

FIRST = sampled(
    [1, 2],
    [10, 11],
    finish_reason=None,
    top=TopColumns(array("i", [0, 2, 3]), array("i", [10, 20, 11]), array("d", [-1.0, -2.0, -3.0])),
    weight_versions=(WeightVersion("7", 0, 2),),
    distribution=Distribution.RAW,
    request_id="a",
    usage=Usage(prompt_tokens=2, completion_tokens=2),
    content="ab",
    checks=TurnCheck((TurnFinding(CheckCode.TEXT, "cut within a character"),)),
)
LAST = sampled(
    [1, 2, 10, 11],
    [12],
    top=TopColumns(array("i", [0, 1]), array("i", [12]), array("d", [-4.0])),
    weight_versions=(WeightVersion("8", 0, 1),),
    distribution=Distribution.RAW,
    request_id="b",
    usage=Usage(prompt_tokens=4, completion_tokens=1),
    content="c",
)


def test_one_part_is_the_turn() -> None:
    assert merged([LAST]) is LAST


def test_columns_and_spans_are_put_behind_each_other() -> None:
    turn = merged([FIRST, LAST])
    assert turn.prompt_ids == FIRST.prompt_ids
    assert turn.output_ids == array("i", [10, 11, 12])
    assert turn.output_logprobs == FIRST.output_logprobs + LAST.output_logprobs
    assert turn.top == TopColumns(
        array("i", [0, 2, 3, 4]), array("i", [10, 20, 11, 12]), array("d", [-1.0, -2.0, -3.0, -4.0])
    )
    assert turn.weight_versions == (WeightVersion("7", 0, 2), WeightVersion("8", 2, 3))
    assert turn.parts == (TurnPart(0, 2, None, "a"), TurnPart(2, 3, "stop", "b"))
    assert (turn.content, turn.finish_reason, turn.distribution) == ("abc", "stop", Distribution.RAW)
    assert turn.usage == Usage(prompt_tokens=2, completion_tokens=3, total_tokens=5)
    assert turn.trainable  # that the first part ends within a character says nothing of the whole


def test_what_is_wrong_with_a_part_is_wrong_with_the_turn() -> None:
    missing = TurnCheck((TurnFinding(CheckCode.MISSING, "1 of 1 logprobs are missing", 0),))
    found = merged([FIRST, replace(LAST, checks=missing)])
    assert [(finding.code, finding.position) for finding in found.checks.findings] == [(CheckCode.MISSING, 2)]
    assert not merged([FIRST, replace(LAST, checks=None)]).trainable
    assert merged([FIRST, replace(LAST, output_logprobs=None)]).output_logprobs is None
    assert merged([FIRST, replace(LAST, top=None)]).top is None
    assert merged([FIRST, replace(LAST, usage=None)]).usage is None
    assert merged([FIRST, replace(LAST, distribution=Distribution.TEMPERATURE)]).distribution is Distribution.UNKNOWN


def test_only_what_is_known_exactly_goes_on() -> None:
    assert can_go_on(FIRST)
    assert not can_go_on(replace(FIRST, output_ids=None))
    assert not can_go_on(replace(FIRST, evidence=Evidence.RETOKENIZED))
    for code in CheckCode:
        known = code in {CheckCode.MISSING, CheckCode.NOT_FINITE, CheckCode.POSITIVE, CheckCode.SENTINEL}
        known |= code in {CheckCode.TEXT, CheckCode.SPANS, CheckCode.STOP_TOKEN, CheckCode.NO_LOGPROBS}
        assert can_go_on(replace(FIRST, checks=TurnCheck((TurnFinding(code, ""),)))) is known, code


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (ServerError("", status_code=503), 0.0),
        (ServerError("", status_code=503, retry_after=3.0), 3.0),
        (RateLimitError("", status_code=429, retry_after=3.0), 3.0),
        (RateLimitError("", status_code=429), None),
        (ServerError("", status_code=500, retry_after=3.0), None),
        (BadRequestError("", status_code=400), None),
        (ConnectError(""), None),
    ],
)
def test_what_is_a_pause(error: NxlogError, pause: float | None) -> None:
    assert pause_of(error) == pause


def test_a_report_is_the_same_in_files() -> None:
    report = Report(turns=2, rendered_anew={"1": "why"})
    assert Report.load(report.dump()) == report
    with pytest.raises(ValueError, match="not finished by a rollout"):
        RolloutResult.of(Trajectory(id="x"))


def test_texts_that_have_other_ids_are_counted(renderer: Renderer) -> None:
    """In the tiny vocabulary " of" is one token, and may also be sampled as three."""
    prompt = renderer.render([{"role": "user", "content": "Hi"}]).token_ids
    whole = renderer.encode(" of")
    assert len(whole) == 1
    pieces = array("i", [token for letter in (" ", "o", "f") for token in renderer.encode(letter)])
    results: list[RolloutResult] = []
    for output in (whole, pieces):
        first = sampled(prompt, output, content=" of", finish_reason="length")
        bridge = renderer.bridge(prompt, output, [{"role": "user", "content": "More"}])
        assert bridge.ids is not None
        trajectory = Trajectory(
            [_user("Hi"), first, _user("More"), sampled(bridge.ids, whole, content=" of")], id=str(len(output))
        )
        trajectory.finish(**{KEY: Report().dump()})
        results.append(RolloutResult.of(trajectory))
    drift = text_drift(results, renderer)
    assert (drift.turns, drift.retokenized, drift.retokenized_tokens) == (4, 1, 3)
    assert (drift.prompts, drift.breaks, drift.broken_tokens) == (2, 1, 3)
    assert drift.causes == {"retokenization": 1}


def _user(text: str) -> TurnTokenData:

    return TurnTokenData(role="user", content=text)
