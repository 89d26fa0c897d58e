"""``nxlog chat``: the answer, its certainty, and what is sent.

Real here: the command in process and in subprocesses; llama.cpp with a tiny model made on the spot; HTTP over loopback.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from nxlog import ChatResponse
from nxlog.cli.exits import Status
from tests.cli.commands import ESCAPE, Script, chat_with, event, invoke, record, run, serving

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.model
@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_prints_the_answer_and_how_certain_it_is(how: str) -> None:
    result = invoke("chat", "Hello", "--temperature", "0", "--max-tokens", "8", how)
    reply = ChatResponse.model_validate_json(
        invoke("chat", "Hello", "--temperature", "0", "--max-tokens", "8", "--json", how).stdout
    )
    assert result.exit_code == 0
    assert result.stdout.startswith(reply.text + "\n")
    assert reply.logprobs is not None
    values = [token.logprob for token in reply.logprobs if token.logprob is not None]
    assert f"mean logprob {sum(values) / len(values):.4f}" in result.stdout
    assert "perplexity" in result.stdout
    assert "8 tokens" in result.stdout
    assert "model local/tiny" in result.stdout
    least = min(reply.logprobs, key=lambda token: token.logprob or 0)
    assert f"{least.probability:.2%}" in result.stdout
    assert f"{least.top_logprobs[-1].probability:.2%}" in result.stdout
    assert ESCAPE not in result.stdout


@pytest.mark.model
@pytest.mark.usefixtures("embedded")
def test_without_a_model_it_says_whom_it_asks_on_stderr() -> None:
    result = invoke("chat", "Hello", "--max-tokens", "2", "--quiet")
    assert "nxlog: no model given (-m): asking the embedded model tiny\n" in result.stderr
    assert "embedded" not in result.stdout


@pytest.mark.model
@pytest.mark.usefixtures("embedded")
def test_json_is_the_reply_and_nothing_else() -> None:
    result = invoke(
        "chat", "Hello", "-m", "local/tiny", "--max-tokens", "6", "--temperature", "0", "--json", "--top-logprobs", "2"
    )
    reply = ChatResponse.model_validate_json(result.stdout)
    assert reply.provider == "local"
    assert reply.text
    assert reply.logprobs is not None
    assert [len(token.top_logprobs) for token in reply.logprobs] == [2] * len(reply.logprobs)
    assert reply.model_dump_json() + "\n" == result.stdout
    assert all(str(warning.message) in result.stderr for warning in reply.warnings)


@pytest.mark.model
@pytest.mark.usefixtures("embedded")
def test_the_prompt_may_come_from_stdin() -> None:
    asked = ("--temperature", "0", "--max-tokens", "6", "--quiet")
    assert invoke("chat", "-", *asked, stdin="Hello").stdout == invoke("chat", "Hello", *asked).stdout


@pytest.mark.model
@pytest.mark.usefixtures("embedded")
def test_quiet_prints_the_answer_only() -> None:
    asked = ("chat", "Hi", "--temperature", "0", "--max-tokens", "8")
    reply = ChatResponse.model_validate_json(invoke(*asked, "--json").stdout)
    assert invoke(*asked, "--no-stream", "-q").stdout.removesuffix("\n") == reply.text.removesuffix("\n")


@pytest.mark.model
def test_a_fresh_process_on_a_pipe(tiny: Path) -> None:
    done = run("chat", "Hello", "--temperature", "0", "--max-tokens", "8", NXLOG_MODEL=str(tiny))
    assert done.returncode == 0
    assert ESCAPE not in done.stdout + done.stderr
    assert "perplexity" in done.stdout
    assert all(line.startswith("nxlog: ") for line in done.stderr.splitlines())


def test_options_become_fields_and_what_is_not_given_is_not_sent() -> None:
    script = Script(stream=(event("Yes", record("Yes", -0.1), finish="stop"),))
    with serving(script) as url:
        arguments = ["--system", "Be brief.", "--temperature", "0.5", "--max-tokens", "7", "--seed", "3"]
        assert invoke("chat", "Well?", "-m", "vllm/org/m", "--base-url", url, *arguments).exit_code == 0
        assert invoke("chat", "Well?", "-m", "openai/m", "--base-url", url).exit_code == 0
    full, plain = script.requests
    assert full["model"] == "org/m"  # an engine's name is a prefix
    assert [message["content"] for message in full["messages"]] == ["Be brief.", "Well?"]
    assert (full["temperature"], full["seed"], full["logprobs"], full["top_logprobs"]) == (0.5, 3, True, 5)
    assert 7 in full.values()
    assert plain["model"] == "openai/m"  # at another address, any other prefix is part of the name
    assert not {"temperature", "seed", "max_tokens", "max_completion_tokens"} & set(plain)


def test_a_key_named_by_its_variable_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-test-0123456789abcdef"
    monkeypatch.setenv("MY_KEY", secret)
    script = Script(401, json.dumps({"error": {"message": f"bad key {secret}", "type": "auth"}}).encode())
    result = chat_with(script, "--api-key-env", "MY_KEY", "--no-stream")
    assert result.exit_code == Status.AUTHENTICATION
    assert script.requests
    assert secret not in result.stdout + result.stderr


def test_values_that_cannot_be_used_are_left_out_and_counted() -> None:
    script = Script(
        stream=(
            event("a", record("a", -1.0)),
            event("b", record("b", None)),
            event("c", record("c", -9999.0)),
            event("d", record("d", -3.0), finish="stop"),
        )
    )
    result = chat_with(script)
    assert "mean logprob -2.0000, perplexity 7.389" in result.stdout
    assert "2 of 4 token records have no usable value and are left out" in result.stdout
    assert "nxlog: " in result.stderr  # and nxlog's own warnings say why


def test_an_answer_without_records_says_so() -> None:
    result = chat_with(Script(stream=(event("plain", finish="stop"),)))
    assert result.exit_code == 0
    assert result.stdout.startswith("plain\n")
    assert "no token log-probabilities came back" in result.stdout
    assert "perplexity" not in result.stdout
    assert result.stderr.count("nxlog: ") == 1


def test_the_table_shows_the_least_certain_first_with_other_choices() -> None:
    alternatives = [record("no", -0.2), record("y", -3.0), record("maybe", -2.0)]
    script = Script(
        stream=(
            event("s", record("s", -0.01, top_logprobs=[])),
            event("y", record("y", -3.0, top_logprobs=alternatives)),
            event(
                "🐍", record("\\xf0\\x9f", -1.0, [0xF0, 0x9F]), record("\\x90\\x8d", -0.5, [0x90, 0x8D]), finish="stop"
            ),
        )
    )
    result = chat_with(script, "--least", "2")
    rows = [line.split() for line in result.stdout.splitlines() if re.match(r" *\d+ +['b]", line)]
    assert rows[0] == ["2", "'y'", "4.98%", "'no'", "81.87%,", "'maybe'", "13.53%"]
    assert rows[1] == ["3", r"b'\xf0\x9f'", "36.79%"]
    assert len(rows) == 2


def test_a_refusal_is_printed_with_its_certainty() -> None:
    first = event("")
    first["choices"][0]["delta"] = {"refusal": "I cannot."}
    first["choices"][0]["logprobs"] = {"content": None, "refusal": [record("I cannot.", -0.5)]}
    result = chat_with(Script(stream=(first, event("", finish="stop"))))
    assert result.stdout.startswith("I cannot.\n")
    assert "mean logprob -0.5000" in result.stdout


def test_each_warning_is_printed_once_and_python_prints_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    body = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "Yes"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    script = Script(body=json.dumps(body).encode())
    with serving(script) as url:
        done = run("chat", "hi", "-m", "claude", "--provider", "anthropic", "--base-url", url, "--no-stream")
    assert done.returncode == 0
    assert done.stdout.startswith("Yes\n")
    assert len(re.findall(r"^nxlog: info: logprobs: ", done.stderr, re.MULTILINE)) == 1
    assert "ParameterWarningCategory" not in done.stderr
