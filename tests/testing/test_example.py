"""The example project of the documentation. What is real: pytest, the files as they are, recordings of live engines."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conformance.cassettes import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = FIXTURES.parent / "docs" / "example"
CASSETTES = sorted((EXAMPLE / "cassettes" / "test_capital").glob("*.yaml"))


def test_it_passes_without_server_key_and_network() -> None:
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CI": "true"}
    options = ["-p", "nxlog.testing.plugin", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE), "--strict-markers"]
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, *options, str(EXAMPLE)]
    result = subprocess.run(command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert f"{len(CASSETTES)} passed" in result.stdout


@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_its_cassettes_are_recordings(path: Path) -> None:
    test, _, provider = path.stem.partition("-")
    name = "chat_logprobs_stream" if test.endswith("streamed") else "chat_logprobs"
    fixture = FIXTURES / provider / f"{name}.yaml"
    assert path.read_bytes() == fixture.read_bytes()
    assert "evidence: captured" in path.read_text("ascii")


def test_the_page_shows_it_as_it_is() -> None:
    page = (EXAMPLE.parent / "testing.md").read_text(encoding="utf-8")
    shown = f"```python\n# docs/example/test_capital.py\n{(EXAMPLE / 'test_capital.py').read_text(encoding='utf-8')}```"
    assert shown in page
