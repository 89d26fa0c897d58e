"""The Agents SDK says nothing to anybody while it is tested: its own tracing would send what runs say to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import agents
import pytest
from agents.tracing import set_trace_processors

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_tracing() -> Iterator[None]:
    set_trace_processors([])
    agents.set_tracing_disabled(True)
    yield
    set_trace_processors([])
    agents.set_tracing_disabled(True)
