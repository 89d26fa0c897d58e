"""Trajectories in the formats of trainers, and back; as files, see ``nxlog.export.files``.

Every function here is pure: it takes a ``Branch`` (or the ``Trajectory``, for formats that keep each turn with its
prompt) and gives dicts with exactly the names of the framework, ready for its types; no framework is imported.
What is not trained has mask 0 and the format's own filler for a log-probability; a token that is trained without a
log-probability is an ``ExportError``, in every format.
"""

from __future__ import annotations

from nxlog.export._rows import ExportError, Row, TrainingRow, require_distribution
from nxlog.export.agent_lightning import from_agent_lightning, to_agent_lightning
from nxlog.export.art import from_art, to_art
from nxlog.export.letta import from_letta, to_letta
from nxlog.export.nemo_gym import from_nemo_gym, to_nemo_gym
from nxlog.export.prime_rl import from_prime_rl, to_prime_rl
from nxlog.export.rllm import from_rllm, to_rllm
from nxlog.export.skyrl import from_skyrl, to_skyrl
from nxlog.export.slime import from_slime, to_slime
from nxlog.export.strands import from_strands, to_strands
from nxlog.export.tinker import from_tinker, to_tinker
from nxlog.export.trl import from_trl, to_trl
from nxlog.export.verifiers import from_verifiers, from_verifiers_steps, to_verifiers, to_verifiers_steps
from nxlog.export.verl import from_verl, to_verl

__all__ = [
    "ExportError",
    "Row",
    "TrainingRow",
    "from_agent_lightning",
    "from_art",
    "from_letta",
    "from_nemo_gym",
    "from_prime_rl",
    "from_rllm",
    "from_skyrl",
    "from_slime",
    "from_strands",
    "from_tinker",
    "from_trl",
    "from_verifiers",
    "from_verifiers_steps",
    "from_verl",
    "require_distribution",
    "to_agent_lightning",
    "to_art",
    "to_letta",
    "to_nemo_gym",
    "to_prime_rl",
    "to_rllm",
    "to_skyrl",
    "to_slime",
    "to_strands",
    "to_tinker",
    "to_trl",
    "to_verifiers",
    "to_verifiers_steps",
    "to_verl",
]
