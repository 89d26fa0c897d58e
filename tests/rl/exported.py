"""Trajectories for the tests of exporters: two turns with a tool between, one that may not be trained on, and forks."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

from nxlog.distribution import Distribution
from nxlog.trajectory import Branch, Trajectory
from nxlog.turn import Sampling, TurnCheck, TurnTokenData, TurnToolCall, WeightVersion
from tests.rl.trajectory_turns import result, sampled

PROMPT = [10, 11, 12]
CALL = [20, 21, 22]
RESULT = [30, 31]
ANSWER = [40, 41]
IDS = [*PROMPT, *CALL, *RESULT, *ANSWER]
CALL_LOGPROBS = [-0.5, 0.0, -2.25]  # exactly 0.0 is a measurement: probability 1
ANSWER_LOGPROBS = [-1.5, -0.125]
MASK = [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]


def first(**more: object) -> TurnTokenData:
    fields: dict[str, object] = {
        "output_logprobs": array("d", CALL_LOGPROBS),
        "content": "",
        "reasoning": "Look it up.",
        "finish_reason": "tool_calls",
        "tool_calls": (TurnToolCall("call-1", "search", '{"query": "sky"}'),),
        "sampling": Sampling(temperature=0.5),
        "weight_versions": (WeightVersion("7", 0, 2), WeightVersion("8", 2, 3)),
        "distribution": Distribution.RAW,
        "model": "tiny",
        "request_id": "chat-1",
    }
    return sampled(PROMPT, CALL, **(fields | more))


def second(**more: object) -> TurnTokenData:
    fields: dict[str, object] = {
        "output_logprobs": array("d", ANSWER_LOGPROBS),
        "content": "Blue.",
        "sampling": Sampling(temperature=2.0),
        "weight_versions": (WeightVersion("8", 0, 2),),
        "distribution": Distribution.RAW,
        "model": "tiny",
        "request_id": "chat-2",
    }
    return sampled([*PROMPT, *CALL, *RESULT], ANSWER, **(fields | more))


def two_turns(*, call: TurnTokenData | None = None, answer: TurnTokenData | None = None) -> Trajectory:
    """A question, a tool call, its result, and the answer."""
    question = TurnTokenData(role="user", content="What color is the sky?")
    turns = (question, call or first(), result("blue"), answer or second())
    trajectory = Trajectory(turns, id="sky")
    trajectory.finish(reward=1.0)
    return trajectory


def one_branch() -> Branch:
    return two_turns().branches()[0]


def unchecked(turn: TurnTokenData) -> TurnTokenData:
    """The same turn, with nobody's word that it may be trained on."""
    return replace(turn, checks=None)


def missing_logprob() -> TurnTokenData:
    """A turn that claims to be checked, with a log-probability that is not there."""
    return second(output_logprobs=array("d", [-1.5, math.nan]), checks=TurnCheck())


def forked() -> Trajectory:
    """The second prompt departs inside the first output, the third from the start."""
    trajectory = two_turns()
    again = Trajectory([trajectory.turn(index) for index in range(len(trajectory))], id="sky")
    again.add(sampled([*PROMPT, CALL[0], 99, *RESULT], [50, 51]))
    again.add(sampled([77, 78], [60]))
    return again
