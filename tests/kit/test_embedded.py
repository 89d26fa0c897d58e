"""The kit against the embedded llama.cpp, on a tiny random model and on the packaged SmolLM2 where that is installed.

Everything is real.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import LocalEngineError
from nxlog.cli.exits import Status
from nxlog.local import LocalEngine, engine, find_model
from tests.cli.commands import ROOT, invoke
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = {
    # The tokens of one character share a record.
    "records-and-usage",
    # top_logprobs 0 turns log-probabilities off.
    "no-alternatives",
}
"""The rules that llama.cpp breaks; docs/conformance.md says so."""


def findings(model: Path) -> dict[str, dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch, LocalEngine(model) as running:
        patch.setattr(engine, "_default", running)
        result = invoke("conformance", "--provider", "local", "--json")
        assert running.api_key not in result.output
    assert result.exit_code == Status.NONCONFORMANT, result.output
    found = json.loads(result.stdout)
    assert found["provider"] == "llamacpp"
    assert found["engine"].startswith("xllamacpp ")
    return {one["name"]: one for one in found["checks"]}


def check_llamacpp(found: dict[str, dict[str, Any]]) -> None:
    assert {name for name, one in found.items() if one["verdict"] == "fail"} == BROKEN
    assert found["no-alternatives"]["seen"] == "top0: no records"
    assert found["hang-up"]["verdict"] == found["no-mixing"]["verdict"] == "pass"
    # One slot: a second choice is refused, which is honest.
    assert found["choice-indexes"]["verdict"] == "n/a"


@pytest.mark.model
@pytest.mark.network
def test_a_random_model(tmp_path: Path) -> None:
    found = findings(write_tiny_gguf(tmp_path / "tiny.gguf"))
    check_llamacpp(found)
    # Half of its tokens are pieces of characters.
    assert found["whole-characters"]["verdict"] == "pass"
    assert found["whole-characters"]["seen"] != "no token is broken"


@pytest.mark.model
@pytest.mark.network
def test_the_packaged_model() -> None:
    try:
        model = find_model()
    except LocalEngineError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))
    found = findings(model)
    check_llamacpp(found)
    assert found["records-and-usage"]["seen"].startswith("emoji: 4 records for 10 tokens")
    assert documented("Example: llama.cpp") == {name: one["verdict"] for name, one in found.items()}


def documented(heading: str) -> dict[str, str]:
    """The verdicts of an example in the documentation."""
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    section = page.partition(f"## {heading}\n")[2]
    return dict(re.findall(r"^ ([a-z-]+) +(pass|fail|n/a|info) ", section, re.MULTILINE))
