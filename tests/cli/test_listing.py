"""``nxlog providers``, ``capabilities`` and ``local``. The registry is the built-in one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import nxlog
from nxlog import errors
from nxlog.cli.exits import Status
from tests.cli.commands import invoke

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_providers_are_listed_without_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    result = invoke("providers")
    assert result.exit_code == 0
    assert re.search(r"^ vllm +yes +yes +20 +yes +raw +captured", result.stdout, re.MULTILINE)
    assert re.search(r"^ anthropic +no +no +- +no +unknown +documented", result.stdout, re.MULTILINE)
    listed = invoke("providers", "--json")
    rows = {row["id"]: row for row in json.loads(listed.stdout)}
    assert list(rows) == list(nxlog.Registry.default().ids)
    assert rows["openai"]["key_found"] is True
    assert rows["anthropic"]["key_found"] is False
    assert (rows["vllm"]["distribution"], rows["vllm"]["evidence"]) == ("raw", "captured")
    shown = invoke("capabilities", "openai")
    assert "key OPENAI_API_KEY (set)\n" in shown.stdout
    assert "sk-secret-value" not in result.stdout + listed.stdout + shown.stdout


def test_capabilities_show_claims_limits_and_evidence() -> None:
    result = invoke("capabilities", "vllm/some-model")
    assert result.exit_code == 0
    assert result.stdout.startswith("vllm/some-model\n")
    assert re.search(r"streaming_logprobs +yes ", result.stdout)
    assert re.search(r"captured\s+20\d\d-\d\d", result.stdout)
    assert re.search(r"^fixtures/vllm/chat_logprobs.yaml \(.*logprobs", result.stdout, re.MULTILINE)
    shown = json.loads(invoke("capabilities", "vllm/some-model", "--json").stdout)
    known = nxlog.Registry.default().capabilities("vllm", "some-model")
    assert shown["max_top_logprobs"] == known.max_top_logprobs
    assert shown["claims"]["logprobs"]["value"] == known.claim("logprobs").value
    assert shown["claims"]["logprobs"]["evidence"][0]["checked"]


def test_a_name_or_a_wire_that_is_not_there_is_said() -> None:
    unknown = invoke("capabilities", "opnai")
    assert unknown.exit_code == Status.NOT_FOUND
    assert "did you mean 'openai'" in unknown.stderr
    wrong = invoke("capabilities", "openai", "--wire", "telegraph")
    assert wrong.exit_code == Status.REQUEST
    assert "it speaks openai-chat" in wrong.stderr
    assert "openai-responses" in invoke("capabilities", "openai", "--wire", "openai-responses").stdout


def test_a_provider_alone_is_its_surface() -> None:
    assert invoke("capabilities", "openai").stdout.startswith("openai (OpenAI)\n")


def test_local_path_and_pull(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    monkeypatch.setenv("NXLOG_MODEL", str(tiny))
    assert invoke("local", "path").stdout == f"{tiny}\n"
    monkeypatch.setattr("nxlog.local.pull", lambda: tiny)
    result = invoke("local", "pull")
    assert result.stdout == f"{tiny}\n"
    assert result.stderr.startswith("nxlog: installing")

    def failing() -> Path:
        raise errors.LocalEngineError("pip could not install it")

    monkeypatch.setattr("nxlog.local.pull", failing)
    failed = invoke("local", "pull")
    assert failed.exit_code == Status.LOCAL
    assert failed.stderr.endswith("nxlog: pip could not install it\n")


def test_version() -> None:
    assert invoke("--version").stdout == f"nxlog {nxlog.__version__}\n"
