"""Rollouts: many conversations with a model at a time, each kept as a trajectory, turn by turn.

::

    run = await rollout(
        client,
        prompts,
        request={"model": "vllm/my-model", "temperature": 1.0, "max_tokens": 512, "tools": definitions},
        tools={"search": search},
        path="run.jsonl",
    )
    for result in run:
        result.trajectory, result.report
"""

from __future__ import annotations

from nxlog.rollout.conversation import Conversation
from nxlog.rollout.drift import TextDrift, text_drift
from nxlog.rollout.pausing import PATIENT
from nxlog.rollout.progress import Tally
from nxlog.rollout.report import Ended, Report, RolloutResult
from nxlog.rollout.run import Rollout, rollout, rollout_sync
from nxlog.rollout.store import read_rollouts, shard_path
from nxlog.rollout.task import Shard, Task

__all__ = [
    "PATIENT",
    "Conversation",
    "Ended",
    "Report",
    "Rollout",
    "RolloutResult",
    "Shard",
    "Tally",
    "Task",
    "TextDrift",
    "read_rollouts",
    "rollout",
    "rollout_sync",
    "shard_path",
    "text_drift",
]
