"""``nxlog migrate``: what it prints, what it changes, and how it ends. The files are real; so is git, for the diffs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nxlog.cli.migrate import STATUSES
from tests.cli.commands import ROOT, command, invoke, run

BEFORE = """\
from nxlog import ChatRequest

request = ChatRequest(model="m", messages=[], provider_options={"logprobs": True, "top_logprobs": 5})
"""
AFTER = """\
from nxlog import ChatRequest

request = ChatRequest(model="m", messages=[], logprobs=True, top_logprobs=5)
"""
HAND = """\
import litellm

litellm.completion(model="gpt-4o", messages=[], logprobs=True)
"""
NEW = "logprobs=True, top_logprobs=5"
BY_HAND = (
    "LiteLLM is asked for logprobs by logprobs; not rewritten: "
    "nxlog calls through a client, which has to be made and closed somewhere"
)
UNSEEN = """\
from nxlog import Client


def ask(client: Client, **kwargs):
    return client.chat(**kwargs)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/ask.py").write_text(BEFORE)
    (tmp_path / "app/hand.py").write_text(HAND)
    (tmp_path / "app/plain.py").write_text("print('hello')\n")
    return tmp_path


def test_it_lists_and_changes_nothing(project: Path) -> None:
    result = invoke("migrate", "app")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"app/ask.py:3:47: can be rewritten: 'logprobs' and 'top_logprobs' in provider_options -> {NEW}",
        f"app/hand.py:3:1: by hand: {BY_HAND}",
        '    write: client.chat(model="openai/gpt-4o", messages=[], logprobs=True)',
        "3 files read, 1 would change, 1 to do by hand",
    ]
    assert (project / "app/ask.py").read_text() == BEFORE


def test_write_changes_files_and_a_second_time_nothing(project: Path) -> None:
    result = invoke("migrate", "app", "--write")
    assert result.exit_code == 0
    assert "app/ask.py:3:47: rewritten: " in result.stdout
    assert "1 rewritten, 1 to do by hand" in result.stdout
    assert (project / "app/ask.py").read_text() == AFTER
    assert (project / "app/hand.py").read_text() == HAND
    times = [path.stat().st_mtime_ns for path in sorted(project.rglob("*.py"))]
    again = invoke("migrate", "app", "--write")
    assert "0 rewritten" in again.stdout
    assert [path.stat().st_mtime_ns for path in sorted(project.rglob("*.py"))] == times


@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the diff")
@pytest.mark.parametrize("ending", ["\n", "\r\n", ""], ids=["lf", "crlf", "no-last-newline"])
def test_diff_is_a_patch(project: Path, ending: str) -> None:
    path = project / "app/ask.py"
    text = BEFORE.rstrip("\n") if not ending else BEFORE.replace("\n", ending)
    path.write_bytes(text.encode())
    result = invoke("migrate", "app", "--diff")
    assert result.exit_code == 0
    assert path.read_bytes() == text.encode()
    assert "by hand" in result.stderr
    assert result.stdout.startswith("--- a/app/ask.py\n+++ b/app/ask.py\n")
    git = ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(git, input=result.stdout_bytes, check=True)
    assert path.read_bytes() == text.replace('provider_options={"logprobs": True, "top_logprobs": 5}', NEW).encode()


@pytest.mark.parametrize(
    ("code", "status"),
    [(BEFORE, 1), (HAND, 1), (AFTER, 0), (UNSEEN, 0), ("logprobs = (\n", 1), ("print(1)\n", 0)],
    ids=["rewrite", "by-hand", "clean", "unseen", "unreadable", "nothing"],
)
def test_check(project: Path, code: str, status: int) -> None:
    (project / "one.py").write_text(code)
    result = invoke("migrate", "one.py", "--check")
    assert result.exit_code == status
    assert (project / "one.py").read_text() == code


def test_what_cannot_be_read_is_listed_and_the_rest_is_done(project: Path) -> None:
    (project / "app/broken.py").write_text("logprobs = (\n")
    (project / "app/bytes.py").write_bytes(b"logprobs = '\xff'\n")
    result = invoke("migrate", "app", "--write")
    assert result.exit_code == 0
    assert "app/broken.py:1:12: unreadable: it is not Python: '(' was never closed" in result.stdout
    assert "app/bytes.py:1:1: unreadable: is not text in its encoding" in result.stdout
    assert "2 unreadable" in result.stdout
    assert (project / "app/ask.py").read_text() == AFTER


def test_a_file_that_cannot_be_written_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", replace)
    result = invoke("migrate", "app", "--write")
    assert result.exit_code == 1
    assert result.stderr == "nxlog: app/ask.py: not written: Permission denied\n"
    assert (project / "app/ask.py").read_text() == BEFORE


def test_json(project: Path) -> None:
    result = invoke("migrate", "app", "--check", "--json")
    assert result.exit_code == 1
    records = json.loads(result.stdout)
    assert [(Path(record["path"]).name, record["line"], record["outcome"]) for record in records] == [
        ("ask.py", 3, "rewritten"),
        ("hand.py", 3, "by hand"),
    ]
    assert records[1]["write"].startswith("client.chat(")


@pytest.mark.parametrize(
    "arguments",
    [[], ["nowhere"], ["app", "--diff", "--write"], ["app", "--check", "--write"], ["app", "--diff", "--json"]],
    ids=["nothing", "no-such-path", "diff-write", "check-write", "diff-json"],
)
def test_used_wrongly(project: Path, arguments: list[str]) -> None:
    assert invoke("migrate", *arguments).exit_code == 2
    assert (project / "app/ask.py").read_text() == BEFORE


def test_the_exit_statuses_are_in_the_help() -> None:
    shown = invoke("migrate", "--help").stdout
    for status, text in STATUSES.items():
        assert f"{status}  {text}" in shown


def test_control_characters_in_code_do_not_reach_the_terminal(project: Path) -> None:
    (project / "one.py").write_text('import litellm\n\nlitellm.completion("\x1b[31m", [], logprobs=True)\n')
    assert "\x1b" not in invoke("migrate", "one.py").stdout


def test_without_libcst_it_says_what_to_install(project: Path) -> None:
    line, environment = command("migrate", "app")
    code = "import sys; sys.modules['libcst'] = None; from nxlog.cli import main; main()"
    line = [sys.executable, "-c", code, *line[3:]]
    result = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "nxlog: migrate needs libcst: run `pip install 'nxlog[migrate]'`\n"


def test_other_commands_do_not_load_libcst() -> None:
    code = "import sys, nxlog.cli.app, nxlog.migrate; print('libcst' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout == "False\n"


def test_as_a_program(project: Path) -> None:
    found = run("migrate", str(project / "app"), "--check")
    assert found.returncode == 1
    assert found.stderr == ""
