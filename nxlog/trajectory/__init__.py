"""``Trajectory``: the turns of a conversation as sequences of token ids, checked turn by turn.

::

    trajectory = Trajectory(decode=tokenizer.decode)
    for turn in turns:
        trajectory.add(turn)
    for branch in trajectory.branches():
        branch.ids, branch.loss_mask, branch.logprobs, branch.temperatures, branch.versions
"""

from __future__ import annotations

from nxlog.trajectory.branch import Branch, Span
from nxlog.trajectory.prefix import PrefixCause, PrefixCheck, PrefixError, PrefixPolicy, PrefixVerdict
from nxlog.trajectory.step import Step
from nxlog.trajectory.trajectory import Trajectory

__all__ = [
    "Branch",
    "PrefixCause",
    "PrefixCheck",
    "PrefixError",
    "PrefixPolicy",
    "PrefixVerdict",
    "Span",
    "Step",
    "Trajectory",
]
