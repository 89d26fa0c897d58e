"""Cassettes of a probe hold what was asked and what came, and nothing of who asked.

Real here: the files, read by PyYAML's two loaders and by the suite that checks claims against recordings. Made up: the
server, which quotes the key, sets a cookie, and sends what is hard to write down.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nxlog.exchange import HttpResponse
from nxlog.probe import Probe, measure, record
from nxlog.probe.ask import ask, ask_all
from nxlog.registry import Registry
from tests.conformance.cassettes import read_case
from tests.probe.exchanges import KEY, Script, events, question, reply, respond, target
from tests.probe.exchanges import record as token

if TYPE_CHECKING:
    from pathlib import Path

    from nxlog.probe import Answer

LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]
HARD = 'snake \U0001f40d \\ud83d \u2028 \x7f \x01 "\\" é \ufeff tab\there\r\n'


def probed(*answers: Answer, provider: str = "vllm", engine: str | None = "vLLM 0.0") -> Probe:
    registry = Registry.builtin()
    return Probe(
        provider=registry.provider(provider),
        model="m",
        wire="openai-chat",
        date="2026-11-21",
        engine=engine,
        answers=answers,
        measurement=measure(answers),
        registry=registry.capabilities(provider, "m", wire="openai-chat"),
        url="http://localhost:8000/v1/chat/completions",
        stream_url="http://localhost:8000/v1/chat/completions",
        secrets=frozenset({KEY}),
    )


def written(tmp_path: Path, response: HttpResponse, name: str = "plain") -> tuple[Path, Any]:
    found = probed(ask(question(name), target(), Script(lambda _: response)))
    path = record(found, tmp_path / "deep" / "down")[name]
    documents = [yaml.load(path.read_text(encoding="ascii"), Loader=loader) for loader in LOADERS]
    assert documents[0] == documents[1]
    return path, documents[0]


def test_hard_texts_come_back_as_they_were(tmp_path: Path) -> None:
    body = json.dumps(reply(HARD), ensure_ascii=False).encode()
    _, document = written(tmp_path, HttpResponse(200, {"content-type": "application/json"}, body))
    kept = document["interactions"][0]["response"]["body"]["string"]
    assert kept.encode() == body
    assert json.loads(kept)["choices"][0]["message"]["content"] == HARD
    assert document["metadata"]["body_sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("number", range(0x80))
def test_every_ascii_character(tmp_path: Path, number: int) -> None:
    body = json.dumps(reply("ok")).encode() + b" " + bytes([number])
    _, document = written(tmp_path, HttpResponse(200, {"content-type": "application/json"}, body))
    assert document["interactions"][0]["response"]["body"]["string"].encode() == body


def test_bytes_that_are_no_text_come_back_as_bytes(tmp_path: Path) -> None:
    body = b"\x00\x00\x00\x10\xff\xfe binary"
    _, document = written(tmp_path, HttpResponse(200, {"content-type": "application/vnd.amazon.eventstream"}, body))
    assert document["interactions"][0]["response"]["body"]["string"] == body
    assert document["metadata"]["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_neither_key_nor_cookie_nor_address_is_written(tmp_path: Path) -> None:
    headers = {
        "content-type": "application/json",
        "server": "made-up",
        "set-cookie": "session=abc123",
        "x-request-id": "req-77",
        "openai-organization": "org-88",
    }
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    body = f'{{"error": {{"message": "Incorrect key {KEY}, or {escaped}", "code": 401}}}}'.encode()
    path, document = written(tmp_path, HttpResponse(401, headers, body))
    text = path.read_text(encoding="ascii")
    for secret in (KEY, KEY[:14], escaped, "abc123", "req-77", "org-88", "127.0.0.1", "authorization"):
        assert secret not in text
    interaction = document["interactions"][0]
    assert interaction["request"]["uri"] == "http://localhost:8000/v1/chat/completions"
    assert interaction["request"]["headers"] == {"content-type": ["application/json"]}
    assert interaction["response"]["headers"] == {"content-type": ["application/json"], "server": ["made-up"]}
    assert interaction["response"]["status"] == {"code": 401, "message": "Unauthorized"}
    # The digest is of what is in the file.
    kept = interaction["response"]["body"]["string"]
    assert document["metadata"]["body_sha256"] == hashlib.sha256(kept.encode()).hexdigest()


def test_metadata(tmp_path: Path) -> None:
    _, document = written(tmp_path, respond(reply("Yes")))
    metadata = document["metadata"]
    assert metadata["evidence"] == "captured"
    assert (metadata["provider"], metadata["wire"]) == ("vllm", "openai-chat")
    assert (metadata["engine"], metadata["engine_version"]) == ("vLLM", "0.0")
    assert metadata["recorded"] == "2026-11"
    assert metadata["license"]
    assert metadata["note"]


def test_an_unknown_engine_is_left_out(tmp_path: Path) -> None:
    found = probed(ask(question("plain"), target(), Script(lambda _: respond(reply("Yes")))), engine=None)
    path = record(found, tmp_path)["plain"]
    assert "engine" not in yaml.safe_load(path.read_text(encoding="ascii"))["metadata"]


def test_an_engine_without_a_version(tmp_path: Path) -> None:
    found = probed(
        ask(question("plain"), target(), Script(lambda _: respond(reply("Yes")))), engine="the one in the lab"
    )
    metadata = yaml.safe_load(record(found, tmp_path)["plain"].read_text(encoding="ascii"))["metadata"]
    assert metadata["engine"] == "the one in the lab"
    assert "engine_version" not in metadata


def test_a_strange_status_is_written(tmp_path: Path) -> None:
    _, document = written(tmp_path, respond({"error": "overloaded"}, 529))
    assert document["interactions"][0]["response"]["status"] == {"code": 529, "message": ""}


def test_every_cassette_is_a_case_of_the_suite(tmp_path: Path) -> None:
    def server(body: dict[str, Any]) -> HttpResponse:
        yes = [token("Yes", -0.1, {"Yes": -0.1, "\U0001f40d": -3.0})]
        return respond(events([("Yes", yes)]) if body.get("stream") else reply("Yes", yes))

    script = Script(server)
    found = probed(*ask_all(target(), script))
    paths = record(found, tmp_path)
    assert len(paths) == len(script.asked)
    for answer, body in zip(found.answers, script.asked, strict=True):
        case = read_case(paths[answer.name], found.provider)
        assert case is not None
        assert (case.wire, case.status, case.stream) == ("openai-chat", 200, answer.question.stream)
        assert case.body == body
        assert answer.exchange is not None
        assert case.reply == answer.exchange.body
        assert case.record_count() == len(answer.all_records)


def test_what_never_came_is_not_written(tmp_path: Path) -> None:
    from nxlog.errors import ConnectError  # noqa: PLC0415

    found = probed(ask(question("plain"), target(), Script(lambda _: ConnectError("nobody there"))))
    assert record(found, tmp_path) == {}
