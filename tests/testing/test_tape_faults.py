"""What a tape fails a test for, and what it says then. Real: the server, the clients, the files; see ``test_tape``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from nxlog import Client
from nxlog.http.intercept import intercepting
from nxlog.testing.tape import Player
from tests.conformance.cassettes import FIXTURES
from tests.testing.taping import FIELDS, KEY, ask, playing, recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.testing.stream_server import StreamServer

pytestmark = pytest.mark.network


def failure(tape: Player, act: Callable[[], object]) -> str:
    with intercepting(tape), pytest.raises(pytest.fail.Exception) as caught:
        act()
    return str(caught.value)


def test_a_request_that_is_not_in_the_cassette_fails_with_the_difference(server: StreamServer, path: Path) -> None:
    with recording(path):
        ask("sync", server.url, stream=False)
    tape = Player(path)

    def act() -> None:
        with Client(provider="openai", base_url=server.url, api_key=KEY) as client:
            client.chat(**FIELDS | {"seed": 7, "top_logprobs": 3, "messages": [{"role": "user", "content": KEY}]})

    said = failure(tape, act)
    assert "is not in" in said
    assert "seed: 7, recorded absent" in said
    assert "top_logprobs: 3, recorded 2" in said
    assert KEY not in said
    assert tape.finish() == said, "also when the code under test swallows it"


def test_a_field_that_is_ignored_may_differ(server: StreamServer, path: Path) -> None:
    with recording(path):
        ask("sync", server.url, stream=False)
    with (
        playing(path, ignored={"seed"}),
        Client(provider="openai", base_url=server.url, api_key=KEY) as client,
    ):
        client.chat(**FIELDS, seed=7)


def test_an_answer_plays_once(server: StreamServer, path: Path) -> None:
    with recording(path):
        ask("sync", server.url, stream=False)
    tape = Player(path)
    with intercepting(tape):
        ask("sync", server.url, stream=False)
    assert "was already answered" in failure(tape, lambda: ask("sync", server.url, stream=False))


def test_another_address_is_named(server: StreamServer, path: Path) -> None:
    with recording(path):
        ask("sync", server.url, stream=False)
    said = failure(Player(path), lambda: ask("sync", "http://elsewhere.invalid/v1", stream=False))
    assert "POST http://elsewhere.invalid/v1/chat/completions is not in" in said
    assert "recorded are: POST http://127.0.0.1" in said


def test_an_unplayed_answer_is_named(server: StreamServer, path: Path) -> None:
    with recording(path):
        ask("sync", server.url, stream=False)
        ask("sync", server.url, stream=True)
    tape = Player(path)
    with intercepting(tape):
        ask("sync", server.url, stream=True)
    assert "was only partly played: 1 of 2 requests were not made" in (tape.finish() or "")


def test_without_a_cassette(path: Path) -> None:
    assert "no cassette" in failure(Player(path), lambda: ask("sync", "http://elsewhere.invalid/v1"))
    assert Player(path).finish() is None, "a test that sends nothing needs none"


def test_an_edited_body_is_noticed(server: StreamServer, path: Path) -> None:
    with recording(path):
        ask("sync", server.url, stream=False)
    path.write_text(path.read_text("ascii").replace("The sky is", "The night sky is"), "ascii")
    assert "take 'pieces' out" in failure(Player(path), lambda: ask("sync", server.url, stream=False))


def test_a_cassette_that_nothing_is_recorded_for_goes(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("old", "ascii")
    with recording(path):
        pass
    assert not path.exists()


def test_requests_after_the_test_are_told(server: StreamServer, path: Path) -> None:
    with recording(path) as tape:
        ask("sync", server.url, stream=False)
    with intercepting(tape), pytest.raises(pytest.fail.Exception, match="after the test"):
        ask("sync", server.url, stream=False)


def test_servers_of_this_machine_may_be_left_out(server: StreamServer, path: Path) -> None:
    with recording(path, loopback=True):
        ask("sync", server.url, stream=False)
    assert not path.exists()
    with playing(path, loopback=True):
        ask("asyncio", server.url, stream=True)
    assert len(server.asked) == 2


def test_transports_are_as_before() -> None:
    before = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request
    with intercepting(Player(FIXTURES / "none.yaml")):
        assert httpx.HTTPTransport.handle_request is not before[0]
    assert (httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request) == before
