"""Recordings of hosted APIs by others decode without error and without the loss of a record.

Real here: what the providers sent to somebody else. Those files are not ours to keep: they are read where a checkout
has them beside it, or ``NXLOG_HOSTED_RECORDINGS`` names their directory.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from nxlog.accumulate import accumulate
from nxlog.wire import get_wire
from nxlog.wire.errors import RefusalKind, classify_refusal, status_error
from tests.conformance.readers import reader

BESIDE = Path(__file__).parents[2] / "shared" / "wire" / "hosted"
FOLDER = Path(os.environ.get("NXLOG_HOSTED_RECORDINGS", BESIDE))

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="there are no third-party recordings beside this checkout")

WIRES = {"openai_responses": "openai-responses", "google": "gemini", "tgi": "tgi", "cerebras": "openai-completions"}
"""By folder; everything else is openai-chat."""
OTHERS = {"errors", "bedrock"}
"""Folders without replies of a wire that nxlog speaks (the second is a retired model's own format)."""


@dataclass(frozen=True)
class Recorded:
    """One reply."""

    path: Path
    wire: str
    status: int
    stream: bool
    body: bytes


def recordings() -> list[Recorded]:
    paths = [path for path in sorted(FOLDER.glob("*/*")) if path.parent.name not in OTHERS]
    return [read(path) for path in paths if path.suffix in {".json", ".sse", ".yaml"}]


def read(path: Path) -> Recorded:
    wire = WIRES.get(path.parent.name, "openai-chat")
    if path.suffix == ".sse":
        return Recorded(path, "openai-chat", 200, stream=True, body=path.read_bytes())
    if path.suffix == ".json":
        value = json.loads(path.read_text(encoding="utf-8"))
        if "chunks" in value:
            return Recorded(path, wire, 200, stream=True, body=events(value["chunks"]))
        if path.stem == "chat_stream_chunk":
            return Recorded(path, wire, 200, stream=True, body=events([value]))
        if path.stem == "chat_content_fragment":
            value = {"choices": [{"index": 0, "message": {"content": "?"}, "logprobs": {"content": value["content"]}}]}
        return Recorded(path, wire, 200, stream=False, body=json.dumps(value).encode())
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "then" in document:
        body = document["then"]["body"].encode()
        status = document["then"]["status"]
        return Recorded(path, wire, status, stream=body.startswith((b"data:", b"event:", b":")), body=body)
    response = document["interactions"][0]["response"]
    if "parsed_body" in response:
        return Recorded(path, wire, 200, stream=False, body=json.dumps(response["parsed_body"]).encode())
    body = response["body"]["string"]
    return Recorded(path, wire, 200, stream=True, body=body if isinstance(body, bytes) else body.encode())


def events(chunks: list[Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


ALL = recordings() if FOLDER.is_dir() else []
ANSWERS = [recorded for recorded in ALL if recorded.status == 200]
REFUSED = [recorded for recorded in ALL if recorded.status >= 400]
ERRORS = sorted(FOLDER.glob("errors/*.json"))


@pytest.mark.parametrize("recorded", ANSWERS, ids=lambda recorded: recorded.path.stem)
def test_every_record_arrives(recorded: Recorded) -> None:
    wire = get_wire(recorded.wire)
    if recorded.stream:
        decoder = wire.stream_decoder()
        reply = accumulate([*decoder.feed(recorded.body), *decoder.close()])
    else:
        reply = wire.decode(recorded.body)
    channels = [
        part
        for choice in reply.choices
        if choice.logprobs is not None
        for name in ("content", "refusal", "reasoning")
        if (part := choice.logprobs.channel(name))
    ]
    assert sum(map(len, channels)) == count(recorded)
    assert channels or recorded.path.parent.name == "azure"  # its chunks of a tool call have null
    assert reply.text or reply.choices[0].refusal or reply.choices[0].tool_calls or reply.choices[0].reasoning


def count(recorded: Recorded) -> int:
    """How many records the bytes hold, by the readers of the conformance suite, or by the reply's own arrays."""
    if recorded.path.stem == "chat_legacy_unary":
        return len(json.loads(recorded.body)["choices"][0]["logprobs"]["tokens"])
    found = reader(recorded.wire)
    objects = found.events(recorded.body) if recorded.stream else json.loads(recorded.body)
    parts = [part for event in (objects if isinstance(objects, list) else [objects]) for part in found.parts(event)]
    return sum(len(records) for part in parts for records in part.logprobs.values())


@pytest.mark.parametrize("recorded", REFUSED, ids=lambda recorded: recorded.path.stem)
def test_a_recorded_refusal_is_one(recorded: Recorded) -> None:
    refusal = classify_refusal(recorded.body.decode())
    assert refusal is not None
    assert refusal.kind is RefusalKind.UNSUPPORTED
    assert status_error(recorded.status, recorded.body).message


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_every_reported_refusal_is_recognized(path: Path) -> None:
    error = json.loads(path.read_text(encoding="utf-8"))
    for body in error.get("bodies") or [error.get("body") or error["body_partial"]]:
        text = body if isinstance(body, str) else json.dumps(body)
        assert classify_refusal(text) is not None, text
