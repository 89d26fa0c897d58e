"""Does a server keep the rules that a client of log-probabilities relies on?

::

    from nxlog.conformance import conformance

    found = conformance("custom/my-model", base_url="http://127.0.0.1:8000/v1", wire="openai-chat")
    [finding.name for finding in found.failed]

``nxlog conformance`` is the same on the command line. ``nxlog.probe`` measures what a server can do; this says whether
what it does can be trusted. The questions go the probe's way (``run``); the checks are pure functions on the answers
(``replies``, ``records``, ``manners``), and records are counted in the raw JSON, not by nxlog's own parsers (``raw``).
"""

from __future__ import annotations

from nxlog.conformance.checks import CHECKS, Check, check
from nxlog.conformance.finding import Evidence, Finding, Verdict
from nxlog.conformance.run import Conformance, as_json, conformance

__all__ = ["CHECKS", "Check", "Conformance", "Evidence", "Finding", "Verdict", "as_json", "check", "conformance"]
