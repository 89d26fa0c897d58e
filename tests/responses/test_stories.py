"""The recorded stories are what they say they are. Nothing of nxlog's wires runs here, only vcrpy and httpx."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from nxlog.testing.cassette import load, pieces_of
from tests.responses.stories import FILES, Story, body_of, path_of

if TYPE_CHECKING:
    from pathlib import Path

vcr: Any = importlib.import_module("vcr")  # it has no types
every_story = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@every_story
def test_a_story_says_where_it_is_from_and_keeps_no_secret(path: Path) -> None:
    text = path.read_text(encoding="ascii")
    metadata = load(text)["metadata"]
    assert (metadata["evidence"], metadata["provider"], metadata["engine"]) == ("captured", "vllm", "vllm")
    assert metadata["case"] == path.stem
    assert metadata["note"]
    assert re.match(r"\d+\.\d+", metadata["engine_version"])
    assert metadata["license"].startswith("Apache-2.0")
    assert not re.search(r"sk-[A-Za-z0-9]{8}|Bearer |authorization|/home/|/root/|/tmp/|/usr/|/work/", text)


@every_story
def test_a_story_has_the_bytes_that_were_recorded(path: Path) -> None:
    document = load(path.read_text(encoding="ascii"))
    digests = [hashlib.sha256(body_of(one)).hexdigest() for one in document["interactions"]]
    assert document["metadata"]["body_sha256"] == digests
    for one in document["interactions"]:
        response = {**one["response"], "body": {"string": body_of(one)}}
        assert b"".join(data for _, data in pieces_of(response)) == body_of(one)


@every_story
def test_vcrpy_plays_a_story(path: Path) -> None:
    player = vcr.VCR(record_mode=vcr.mode.NONE, match_on=["method", "uri", "body"])
    with player.use_cassette(str(path)) as cassette, httpx.Client() as client:
        for one in load(path.read_text(encoding="ascii"))["interactions"]:
            request = one["request"]
            headers = {name: values[0] for name, values in request["headers"].items()}
            reply = client.request(request["method"], request["uri"], content=request["body"], headers=headers)
            assert reply.content == body_of(one)
    assert cassette.all_played


@every_story
def test_ids_of_a_story_hang_together(path: Path) -> None:
    """Every id that is asked for is unknown to the server, or one of the answers before."""
    known = {"resp_0000000000000000", "abc"}
    for one in Story(path.stem).interactions:
        found = re.match(r"/v1/responses/(\w+)", path_of(one))
        body = json.loads(one["request"]["body"] or "{}")
        assert {found[1] if found else "abc", body.get("previous_response_id", "abc")} <= known
        known |= set(re.findall(r'"id":"(resp_\w+)"', body_of(one).decode()))


def test_the_server_goes_on_where_the_connection_was_cut() -> None:
    """What vLLM does, to be sure that the recording shows it: 0 to 5, cut, then 6 to the end, and all of it again."""
    story = Story("stream_resume")
    first, rest, again = story.events(0), story.events(1), story.events(3)
    assert [event["sequence_number"] for event in first] == [0, 1, 2, 3, 4, 5]
    assert first + rest == again
    assert again[-1]["type"] == "response.completed"
    assert story.interactions[0]["response"]["cut"]
    assert story.interactions[4]["response"]["ended"] == "hung"


def test_the_stream_of_a_cancelled_response_hangs() -> None:
    """D-22, what the watchdog is for."""
    story = Story("cancel_stream")
    assert [story.reply(number)["status"] for number in (1, 2, 4)] == ["queued", "cancelled", "cancelled"]
    assert story.interactions[3]["response"]["ended"] == "hung"
    assert not body_of(story.interactions[3])
