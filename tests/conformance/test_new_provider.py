"""A provider is added as CONTRIBUTING says: by files alone, and the suite takes them or refuses them.

What is real: the page's own files, laid into a copy of the project, and the suite itself, run there by another
interpreter. No code differs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"`([\w./-]+)`:\n\n   ```\w+\n(.*?)\n   ```", re.DOTALL)


def files_of_the_page() -> dict[str, str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {path: textwrap.dedent(body) + "\n" for path, body in BLOCK.findall(text)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with Acme in it."""
    for folder in ("nxlog", "providers", "capabilities", "fixtures", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path, text in files_of_the_page().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8", newline="\n")
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def suite(project: Path) -> subprocess.CompletedProcess[str]:
    compiled = run(project, "nxlog.registry", "--root", ".")
    assert compiled.returncode == 0, compiled.stderr
    return run(project, "pytest", "-q", "tests/conformance", "-k", "acme", "-p", "no:cacheprovider")


def test_the_page_has_two_descriptions_and_two_recordings() -> None:
    assert sorted(files_of_the_page()) == [
        "capabilities/acme.toml",
        "fixtures/acme/chat_logprobs.yaml",
        "fixtures/acme/chat_logprobs_stream.yaml",
        "providers/acme.toml",
    ]


def test_files_alone_add_a_provider(project: Path) -> None:
    done = suite(project)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    # Two exchanges on three drivers, three claims with a recording, what is sent in two modes, and more.
    assert int(passed[1]) >= 12, done.stdout
    listed = run(project, "nxlog.cli", "providers")
    assert re.search(r"^ acme +yes +yes +4 ", listed.stdout, re.MULTILINE), listed.stderr


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (
            "capabilities/acme.toml",
            '[claims.streaming_logprobs]\nvalue = "yes"',
            '[claims.streaming_logprobs]\nvalue = "no"',
        ),
        ("fixtures/acme/chat_logprobs.yaml", '"logprobs":{"content":', '"unrelated":{"content":'),
        ("fixtures/acme/chat_logprobs_stream.yaml", '"finish_reason":"stop"', '"finish_reason":null'),
        ("providers/acme.toml", "/chat/completions", "/chats"),
    ],
    ids=["false-claim", "evidence-without-records", "broken-stream", "another-address"],
)
def test_files_that_do_not_hold_together_are_refused(project: Path, path: str, old: str, new: str) -> None:
    text = (project / path).read_text(encoding="utf-8")
    assert old in text
    (project / path).write_text(text.replace(old, new), encoding="utf-8")
    assert suite(project).returncode != 0
