"""How the command ends: exit statuses, and one line on stderr.

Real here: the failures, over loopback, by signals and by closed pipes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from nxlog import errors
from nxlog.cli.exits import Status, status_of
from nxlog.local import engine
from tests.cli.commands import ROOT, Script, chat_with, command, error, event, invoke, record, serving


def test_every_error_has_a_status_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NxlogError)]
    assert len(kinds) > 20
    unexpected = {kind for kind in kinds if status_of(kind("x")) is Status.UNEXPECTED}
    assert unexpected == {errors.NxlogError}


def test_a_wrong_request() -> None:
    assert error("chat", "hi", "-m", "m", "--base-url", "nonsense")[0] == Status.REQUEST
    assert error("chat", "hi", "--base-url", "http://127.0.0.1:1/v1") == (
        Status.REQUEST,
        "nxlog: model: say which with -m, as in -m openai/gpt-4o-mini\n",
    )


def test_strict_refuses_to_drop_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    status, line = error("chat", "hi", "-m", "anthropic/claude-3", "--strict")
    assert status == Status.REQUEST
    assert "logprobs" in line


def test_no_key() -> None:
    status, line = error("chat", "hi", "-m", "openai/gpt-4o")
    assert status == Status.AUTHENTICATION
    assert "OPENAI_API_KEY" in line
    assert error("chat", "hi", "-m", "openai/gpt-4o", "--api-key-env", "NO_SUCH_KEY")[0] == Status.AUTHENTICATION


def test_no_such_provider_or_model() -> None:
    assert error("chat", "hi", "-m", "opnai/gpt-4o")[0] == Status.NOT_FOUND
    assert "'openai'" in error("capabilities", "opnai/gpt-4o")[1]
    missing = Script(404, json.dumps({"error": {"message": "no model m", "type": "not_found"}}).encode())
    assert chat_with(missing).exit_code == Status.NOT_FOUND


def test_nobody_listens() -> None:
    with serving(Script()) as url:
        pass
    status, line = error("chat", "hi", "-m", "m", "--base-url", url)
    assert status == Status.NETWORK
    assert "could not connect" in line


def test_an_answer_that_is_none() -> None:
    assert chat_with(Script(body=b"<html>"), "--no-stream").exit_code == Status.SERVER


def test_a_stream_that_breaks_off_keeps_what_came() -> None:
    cut = Script(stream=(event("half", record("half", -1.0)),))
    cut.body = cut.body.replace(b"data: [DONE]\n\n", b"")
    result = chat_with(cut)
    assert result.exit_code == Status.SERVER
    assert result.stdout == "half\n"
    assert result.stderr.startswith("nxlog: ")


def test_no_model_for_the_embedded_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NXLOG_MODEL", "/no/such/model.gguf")
    monkeypatch.setattr(engine, "_default", None)
    status, line = error("chat", "hi")
    assert status == Status.LOCAL
    assert "/no/such/model.gguf" in line


@pytest.mark.parametrize("arguments", [["chat"], ["chat", ""], ["chat", "hi", "--top-logprobs", "-1"], ["nonsense"]])
def test_a_wrong_command_line(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == Status.USAGE
    assert result.stdout == ""


def test_what_nobody_expected_is_one_line_and_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("nxlog.cli.chat.run", broken)
    status, line = error("chat", "hi")
    assert status == Status.UNEXPECTED
    assert "ZeroDivisionError: a bug" in line
    monkeypatch.setenv("NXLOG_TRACEBACK", "1")
    assert "Traceback" in invoke("chat", "hi").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupted_it_keeps_what_came_and_says_so() -> None:
    with serving(Script(stream=(event("so far"),), stall=True)) as url:
        line, variables = command("chat", "hi", "-m", "m", "--base-url", url)
        with subprocess.Popen(
            line, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        ) as process:
            assert process.stdout is not None
            begun = process.stdout.read(6)
            process.send_signal(signal.SIGINT)
            rest, complaint = process.communicate(timeout=60)
    assert (begun, rest) == ("so far", "\n")
    assert process.returncode == Status.INTERRUPTED
    assert complaint == "nxlog: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_leaves_is_no_error_worth_words() -> None:
    with serving(Script(stream=(event("x" * 200_000, finish="stop"),))) as url:
        line, variables = command("chat", "hi", "-m", "m", "--base-url", url)
        with subprocess.Popen(line, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            complaint = process.stderr.read()
    assert process.returncode == Status.CLOSED_PIPE
    assert complaint == b""


def test_without_typer_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['typer'] = None; from nxlog.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == Status.USAGE
    assert done.stderr == "nxlog: the command needs typer: run `pip install 'nxlog[cli]'`\n"


def test_an_old_encoding_loses_no_answer() -> None:
    with serving(Script(stream=(event("🐍", finish="stop"),))) as url:
        line, variables = command("chat", "hi", "-m", "m", "--base-url", url, PYTHONIOENCODING="ascii:strict")
        done = subprocess.run(line, env=variables, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(b"\\U0001f40d\n")


def test_help_lists_the_exit_statuses() -> None:
    output = invoke("chat", "--help").stdout
    assert all(re.search(rf"^ +{status.value} +\S", output, re.MULTILINE) for status in Status)
