"""``nxlog conformance`` as it is typed, against servers on loopback.

Real here: the sockets, the requests, the connections that are left early or open at the same time. Made up: what the
server says, which keeps every rule or breaks exactly one.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.cli.exits import Status
from nxlog.conformance import CHECKS, conformance
from tests.cli.commands import invoke
from tests.kit.server import KEY, Server

NAMES = [one.name for one in CHECKS]

FAULTS: dict[str, set[str]] = {
    "whole-reply": {"whole-reply"},
    "whole-reply: plain": {"whole-reply"},
    "stream-end: cut": {"stream-end"},
    "stream-end: no mark": {"stream-end"},
    "stream-agrees": {"stream-agrees", "bytes-join"},
    "usage-in-streams": {"usage-in-streams"},
    "records-come": {"records-come"},
    "not-asked": {"not-asked"},
    "records-arrive": {"records-arrive"},
    "records-and-usage": {"records-and-usage"},
    "bytes-join": {"bytes-join"},
    "whole-characters": {"whole-characters"},
    "no-positive": {"no-positive"},
    "alternatives": {"alternatives"},
    "no-alternatives": {"no-alternatives"},
    "no-alternatives: off": {"no-alternatives"},
    "choice-indexes": {"choice-indexes"},
    "choice-indexes: one": {"choice-indexes"},
    "tool-arguments": {"tool-arguments"},
    "error-body: answers": {"error-body"},
    "error-body: 500": {"error-body"},
    "error-body: silent": {"error-body"},
    "unknown-model": {"unknown-model"},
    "hang-up": {"hang-up"},
    "no-mixing: swapped": {"no-mixing"},
    "no-mixing: another": {"no-mixing"},
    "no-mixing: pieces": {"no-mixing"},
}
"""What a server does wrong, and the checks that say so: no others."""


def run(server: Server, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = invoke("conformance", "--base-url", server.url, "--wire", "openai-chat", "--json", *arguments)
    found: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, found


def test_every_rule_can_be_broken() -> None:
    """Only what is no rule has no server here that breaks it."""
    assert set(NAMES) - set().union(*FAULTS.values()) == {"sampled-among"}
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.network
def test_a_server_that_keeps_every_rule() -> None:
    with Server() as server:
        status, found = run(server)
    verdicts = {one["name"]: one["verdict"] for one in found["checks"]}
    assert verdicts == {**dict.fromkeys(NAMES, "pass"), "sampled-among": "info"}
    assert status == Status.OK
    assert found["passed"] is True
    assert (found["provider"], found["model"], found["wire"]) == ("custom", "default", "openai-chat")
    seen = {one["name"]: one["seen"] for one in found["checks"]}
    assert seen["no-mixing"] == "4 streams at once, 4 word for word as alone"
    assert seen["whole-characters"] == "12 broken tokens, all with bytes"


@pytest.mark.network
@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_breaks_one(fault: str) -> None:
    with Server(fault) as server:
        status, found = run(server)
    failed = {one["name"]: one for one in found["checks"] if one["verdict"] == "fail"}
    assert failed.keys() == FAULTS[fault]
    assert status == Status.NONCONFORMANT == 10
    assert found["passed"] is False
    for one in failed.values():
        assert one["seen"]
        assert one["shown_by"]


@pytest.mark.network
def test_the_table_and_the_progress() -> None:
    with Server("no-positive") as server:
        result = invoke("conformance", "--base-url", server.url, "--model", "m")
    assert result.exit_code == Status.NONCONFORMANT
    assert result.stdout.startswith("custom/m, wire openai-chat, 20")
    assert "logprobs: 3 values above 0" in result.stdout
    assert result.stdout.rstrip().endswith("18 pass, 1 fail, 1 info")
    assert "nxlog: hang_up: left early, on purpose" in result.stderr
    assert "\x1b" not in result.stdout


@pytest.mark.network
def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_TEST_KEY", KEY)
    with Server("spiteful") as server:
        shown = [
            invoke("conformance", "--base-url", server.url, "--api-key-env", "KIT_TEST_KEY", *more)
            for more in ((), ("--json",))
        ]
    assert server.keys == {f"Bearer {KEY}"}
    for result in shown:
        assert result.exit_code == 0
        assert "refused: HTTP 400: not for" in " ".join(result.stdout.split())
        assert KEY not in result.output
        assert KEY not in result.stderr


@pytest.mark.network
def test_as_a_function() -> None:
    told: list[str] = []
    with Server("alternatives") as server:
        found = conformance("custom/m", base_url=server.url, tell=lambda answer: told.append(answer.name))
    assert [finding.name for finding in found.failed] == ["alternatives"]
    assert told == [answer.name for answer in found.answers]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), Status.NOT_FOUND),
        (("--base-url", "http://127.0.0.1:9/v1"), Status.NETWORK),
        (("--base-url", "http://127.0.0.1:9/v1", "--wire", "morse"), Status.REQUEST),
        (("--provider", "nobody"), Status.NOT_FOUND),
        (("--base-url", "http://127.0.0.1:9/v1", "--api-key-env", "NOT_SET_AT_ALL"), Status.AUTHENTICATION),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], status: Status) -> None:
    result = invoke("conformance", *arguments)
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
