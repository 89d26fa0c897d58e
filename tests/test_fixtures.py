"""The evidence itself: cassettes and vectors are what they say they are.

Real here: vcrpy reads and replays every cassette to an httpx client. Nothing of nxlog's wires runs, except that the
error names in the vectors must exist.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from nxlog import errors
from nxlog.registry import ProviderKind, Registry

if TYPE_CHECKING:
    from types import ModuleType

vcr: Any = importlib.import_module("vcr")  # it has no types
ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
CASSETTES = sorted([*FIXTURES.glob("*/*.yaml"), *FIXTURES.glob("*/rendering/*.yaml")])
VECTORS = sorted(FIXTURES.glob("vectors/*.json"))
SECRET_HEADERS = {"authorization", "x-api-key", "api-key", "cookie", "set-cookie", "openai-organization"}


Json = dict[str, Any]


def load(path: Path) -> Json:
    return yaml.load(path.read_text(encoding="ascii"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def answer(path: Path) -> bytes:
    """The response body of a cassette."""
    body = load(path)["interactions"][0]["response"]["body"]["string"]
    return body if isinstance(body, bytes) else body.encode()


def provider_of(path: Path) -> str:
    """The provider whose folder a cassette is in."""
    return path.relative_to(FIXTURES).parts[0]


def cassette_id(path: Path) -> str:
    return path.relative_to(FIXTURES).with_suffix("").as_posix()


DOCUMENTED = [path for path in CASSETTES if load(path)["metadata"]["evidence"] == "documented"]
CHAT = [
    path
    for path in DOCUMENTED
    if not path.stem.startswith("err_")
    and "/chat/completions" in load(path)["interactions"][0]["request"]["uri"]
    and load(path)["metadata"].get("wire", "openai-chat") == "openai-chat"
]
STREAMED = [path for path in DOCUMENTED if path.stem.endswith("_stream")]

every_cassette = pytest.mark.parametrize("path", CASSETTES, ids=cassette_id)


@every_cassette
def test_cassette_replays_to_httpx(path: Path) -> None:
    document = load(path)
    (interaction,) = document["interactions"]
    request, response = interaction["request"], interaction["response"]
    match_on = ["method", "uri", "body"] if _is_json(request["body"]) else ["method", "uri"]
    player = vcr.VCR(record_mode=vcr.mode.NONE, match_on=match_on)
    with player.use_cassette(str(path)) as cassette, httpx.Client() as client:
        headers = {name: values[0] for name, values in request["headers"].items()}
        reply = client.post(request["uri"], content=request["body"], headers=headers)
    assert cassette.all_played
    assert reply.status_code == response["status"]["code"]
    assert reply.headers["content-type"] == response["headers"]["content-type"][0]
    digest = hashlib.sha256(reply.content).hexdigest()
    assert document["metadata"].get("body_sha256", digest) == digest


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@every_cassette
def test_cassette_says_where_it_is_from(path: Path) -> None:
    metadata = load(path)["metadata"]
    assert metadata["provider"] == provider_of(path)
    assert metadata["license"].startswith("Apache-2.0")
    assert metadata["note"]
    if metadata["evidence"] == "captured":
        assert metadata["engine"]
        assert re.match(r"\d+\.\d+", metadata["engine_version"])
        assert re.fullmatch(r"20\d\d-\d\d", metadata["recorded"])
    else:
        assert metadata["evidence"] == "documented"
        assert metadata["source"].startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d", metadata["reviewed"])
        assert "not recorded" in metadata["note"]


@every_cassette
def test_cassette_keeps_no_secret_and_no_path(path: Path) -> None:
    (interaction,) = load(path)["interactions"]
    names = {name.lower() for part in ("request", "response") for name in interaction[part]["headers"]}
    assert not names & SECRET_HEADERS
    text = path.read_text(encoding="ascii")
    assert not re.search(r"sk-[A-Za-z0-9]{8}|Bearer |/home/|/root/|/tmp/|/usr/", text)


def test_only_what_we_can_run_is_recorded() -> None:
    """No fixture of a hosted provider may claim to be a recording."""
    registry = Registry.builtin()
    for path in CASSETTES:
        if load(path)["metadata"]["evidence"] == "captured":
            assert registry.provider(provider_of(path)).kind in {ProviderKind.ENGINE, ProviderKind.LOCAL}, path


# Documented exchanges: consistent in themselves.


def data_of(stream: bytes) -> list[Any]:
    """The JSON events of one of our own streams, which are of the simplest kind."""
    data = [line[6:] for line in stream.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in data if line != "[DONE]"]


def whole_reply(path: Path) -> Json:
    """The reply; of a stream, what its chunks add up to."""
    if path not in STREAMED:
        return json.loads(answer(path))
    chunks = data_of(answer(path))
    choices: dict[int, Json] = {}
    usage = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for part in chunk["choices"]:
            choice = choices.setdefault(
                part["index"], {"index": part["index"], "message": {}, "logprobs": {}, "finish_reason": None}
            )
            _add_delta(choice, part)
    # Azure's first chunk has no choice: it is about the prompt, and has neither the id nor the model.
    named = next(chunk for chunk in chunks if chunk["choices"])
    first = {key: value for key, value in named.items() if key not in {"choices", "usage", "obfuscation"}}
    return {**first, "choices": [choices[index] for index in sorted(choices)], "usage": usage}


def _add_delta(choice: Json, part: Json) -> None:
    message = choice["message"]
    for key in ("content", "refusal", "reasoning_content", "reasoning"):
        if part["delta"].get(key):
            message[key] = message.get(key, "") + part["delta"][key]
    for call in part["delta"].get("tool_calls") or ():
        calls: list[Json] = message.setdefault("tool_calls", [])
        if "id" in call:
            calls.append({**call, "function": dict(call["function"])})
        else:
            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    for channel, records in channels(part).items():
        choice["logprobs"].setdefault(channel, []).extend(records)
    choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]


def channels(choice: Json) -> dict[str, list[Json]]:
    """The token records of a choice by channel, without the empty channels."""
    logprobs: dict[str, list[Json] | None] = choice.get("logprobs") or {}
    if beside := choice.get("reasoning_logprobs"):
        logprobs = {**logprobs, "reasoning": beside["content"]}
    return {channel: records for channel, records in logprobs.items() if records and channel not in COLUMNS}


COLUMNS = {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
"""What KoboldCpp has beside the records, with the same values."""


def comparable(reply: Json) -> list[Any]:
    """What a stream and its whole sibling must share."""
    choices: list[Any] = []
    for choice in reply["choices"]:
        message: Json = {k: v for k, v in choice["message"].items() if v and k not in {"role", "annotations"}}
        for call in message.get("tool_calls", ()):
            call.pop("index", None)
        choices.append((choice["index"], message, channels(choice), choice["finish_reason"]))
    return [reply["id"], reply["model"], choices, reply["usage"]]


@pytest.mark.parametrize("path", CHAT, ids=cassette_id)
def test_documented_chat_is_consistent(path: Path) -> None:
    reply = whole_reply(path)
    asked = json.loads(load(path)["interactions"][0]["request"]["body"])
    counted = 0
    for choice in reply["choices"]:
        for channel, records in channels(choice).items():
            odd = ODD.get(path.parent.name, set())
            assert "".join(text_in(record, odd) for record in records) == choice["message"][channel]
            counted += len(records)
            for record in records:
                check_record(record, asked.get("top_logprobs", asked["logprobs"]), odd)
    thinking_ended = any("reasoning_content" in channels(choice) for choice in reply["choices"])
    if counted:
        assert asked.get("logprobs")
        assert reply["usage"] is None or reply["usage"]["completion_tokens"] == counted + thinking_ended
    usage = reply["usage"]
    if usage is None:
        assert path in STREAMED
        assert path.parent.name in UNCOUNTED
    else:
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


ODD = {
    "lmdeploy": {"raw pieces", "sampled left out"},
    "mlc": {"printable only"},
}
"""Engines whose records are not like OpenAI's in more than the keys they leave out."""

UNCOUNTED = {"koboldcpp"}
"""Engines whose streams count no tokens."""


def text_in(record: Json, odd: set[str]) -> str:
    """What the record adds to the text."""
    if "printable only" in odd:
        return bytes(record["bytes"]).decode()
    token: str = record["token"]
    return token.replace("\u0120", " ") if "raw pieces" in odd else token


def check_record(record: Json, asked: int, odd: set[str]) -> None:
    top = record["top_logprobs"]
    assert 0 < len(top) <= asked
    for alternative in (record, *top):
        if alternative.get("bytes") is not None and "printable only" not in odd:
            assert bytes(alternative["bytes"]).decode() == alternative["token"]
        assert alternative["logprob"] <= 0
    assert sum(math.exp(alternative["logprob"]) for alternative in top) <= 1
    assert [a["logprob"] for a in top] == sorted((a["logprob"] for a in top), reverse=True)
    listed = (record["token"], record["logprob"]) in {(a["token"], a["logprob"]) for a in top}
    assert listed is ("sampled left out" not in odd)
    assert len({alternative["token"] for alternative in top}) == len(top)


@pytest.mark.parametrize("path", [path for path in CHAT if path in STREAMED], ids=cassette_id)
def test_documented_chat_stream_gives_the_answer_of_its_sibling(path: Path) -> None:
    sibling = path.with_stem(path.stem.removesuffix("_stream"))
    streamed, whole = whole_reply(path), whole_reply(sibling)
    if path.parent.name in UNCOUNTED:
        whole["usage"] = None
    assert comparable(streamed) == comparable(whole)
    assert answer(path).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", [path for path in STREAMED if path.parent.name == "anthropic"], ids=cassette_id)
def test_documented_messages_stream_gives_the_answer_of_its_sibling(path: Path) -> None:
    events = data_of(answer(path))
    message: Json = events[0]["message"]
    blocks: list[Json] = []
    fragments: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            block: Json = blocks[int(event["index"])]
            delta: dict[str, str] = event["delta"]
            kind, text = next(item for item in delta.items() if item[0] != "type")
            if kind == "partial_json":
                fragments[event["index"]] = fragments.get(event["index"], "") + text
            else:
                block[kind] += text
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] |= event["usage"]
    for index, text in fragments.items():
        blocks[index]["input"] = json.loads(text)
    message["content"] = blocks
    sibling = path.with_stem(path.stem.removesuffix("_stream"))
    assert message == json.loads(answer(sibling))
    assert events[-1] == {"type": "message_stop"}
    assert {"type": "ping"} in events


# Vectors.


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vectors_are_well_formed(path: Path) -> None:
    document = json.loads(path.read_text(encoding="ascii"))
    assert document.keys() == {"wire", "comment", "flags", "tests"}
    assert document["wire"] == path.stem
    tests = document["tests"]
    assert [test["id"] for test in tests] == list(range(1, len(tests) + 1))
    assert len({test["comment"] for test in tests}) == len(tests)
    assert {flag for test in tests for flag in test["flags"]} == set(document["flags"])
    for flag in document["flags"].values():
        assert flag.keys() == {"bugType", "description"}
    for test in tests:
        assert test["flags"]
        assert test["kind"] in {"unary", "stream"}
        assert ("input" in test) != ("input_base64" in test)
        if "input_base64" in test:
            with pytest.raises(UnicodeDecodeError):
                base64.b64decode(test["input_base64"], validate=True).decode()
        if path.stem == "sse":
            assert all(isinstance(data, str) for data in test["expected"])
        else:
            check_expected(test["expected"])


def check_expected(expected: Json) -> None:
    if "error" in expected:
        assert expected.keys() == {"error"}
        assert issubclass(getattr(errors, expected["error"]), errors.NxlogError)
        return
    assert expected.keys() == {"choices", "usage"}
    assert [choice["index"] for choice in expected["choices"]] == list(range(len(expected["choices"])))
    for choice in expected["choices"]:
        assert choice.keys() - {"tool_calls"} == {
            "index",
            "text",
            "finish_reason",
            "reasoning",
            "refusal",
            "logprobs",
        }
        for records in channels(choice).values():
            for record in records:
                assert record.keys() == {"token", "logprob", "bytes", "token_id", "top_logprobs"}
                for alternative in record["top_logprobs"]:
                    assert alternative.keys() == {"token", "logprob", "bytes", "token_id"}


# Tools.


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(ROOT / "tests" / "tools"), *sys.path])

    def load_tool(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load_tool


def test_documented_cassettes_are_what_the_script_writes(tool: Any) -> None:
    script = tool("documented_fixtures")
    assert script.stale(FIXTURES) == []
    assert set(script.exchanges(FIXTURES)) == set(DOCUMENTED)


def test_stale_notices_a_changed_file(tool: Any, tmp_path: Path) -> None:
    script = tool("documented_fixtures")
    cassettes = tool("cassette_file")
    for path, exchange in script.exchanges(tmp_path).items():
        cassettes.write(path, exchange)
    assert script.stale(tmp_path) == []
    changed = tmp_path / "openai" / "chat_logprobs.yaml"
    changed.write_bytes(changed.read_bytes().replace(b"spruce", b"willow"))
    assert script.stale(tmp_path) == [changed]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}',
        "data: é😀\u2028\u0085\n\n".encode(),
        b"data: a\r\n\r\ndata: b\r\r",
        b"",
        b"\n",
        b" leading, trailing \n\n\n",
        b"caf\xe9 \x00\xff",
        b"null",
        b"12",
    ],
)
def test_capture_becomes_a_cassette_with_the_same_bytes(tool: Any, tmp_path: Path, body: bytes) -> None:
    convert = tool("captures_to_cassettes")
    captures, fixtures = tmp_path / "captures", tmp_path / "fixtures"
    for case, path in (("07_case", "/v1/chat/completions"), ("08_other", "/metrics"), ("09_ids", "/tokenize")):
        write_capture(captures / "vllm", case, path, body)
    written = convert.convert(captures, fixtures)
    assert written == [fixtures / "vllm" / "case.yaml", fixtures / "vllm" / "rendering" / "ids.yaml"]
    assert answer(written[0]) == body
    assert load(written[0])["metadata"]["case"] == "07_case"


def write_capture(directory: Path, case: str, path: str, body: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    meta = {
        "case": case,
        "engine": "vllm",
        "engine_version": "1.0",
        "status": 200,
        "content_type": "text/plain",
        "headers": None,
        "scrubbed": False,
        "note": "made for a test",
    }
    request = {"method": "POST", "path": path, "headers": {"Accept": "*/*"}, "body": {"é": 1}}
    (directory / f"{case}.meta.json").write_text(json.dumps(meta), encoding="utf-8")
    (directory / f"{case}.request.json").write_text(json.dumps(request), encoding="utf-8")
    (directory / f"{case}.response.txt").write_bytes(body)


def test_case_numbers_stay_only_where_names_collide(tool: Any) -> None:
    names = tool("captures_to_cassettes").names(["01_a", "05f_b_c", "07_d", "07b_d"])
    assert names == {"01_a": "a", "05f_b_c": "b_c", "07_d": "07_d", "07b_d": "07b_d"}
