"""Measuring what a live endpoint does with log-probabilities, instead of believing what is said of it.

::

    from nxlog.probe import probe

    found = probe("vllm/my-model", base_url="http://127.0.0.1:8000/v1")
    found.measurement.claims["top_logprobs"].max        # 20
    found.measurement.traits["distribution"].value      # "raw"

``nxlog probe`` is the same on the command line. A probe asks some two dozen short questions (``questions``), each the
way any call goes (``ask``). Pure functions make claims and traits of the answers (``measure``, ``distribution``),
compare them with the registry and write them as a capabilities file (``report``); ``cassette`` writes the evidence.
"""

from __future__ import annotations

from nxlog.probe.answer import Answer, Exchange, Outcome
from nxlog.probe.cassette import record
from nxlog.probe.measure import measure
from nxlog.probe.measured import Measured, Measurement
from nxlog.probe.questions import Question
from nxlog.probe.report import Difference, as_json, differences, entry
from nxlog.probe.run import Probe, probe

__all__ = [
    "Answer",
    "Difference",
    "Exchange",
    "Measured",
    "Measurement",
    "Outcome",
    "Probe",
    "Question",
    "as_json",
    "differences",
    "entry",
    "measure",
    "probe",
    "record",
]
