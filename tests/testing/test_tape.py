"""Recording from a server and playing what was recorded, in every way to send a request.

What is real: the server on the loopback interface, the clients down to the socket while recording and down to the
transport of httpx while playing, the files, and vcrpy where it plays them itself.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import yaml

from nxlog import AsyncClient, Client, ParameterWarningCategory, RateLimitError, Registry
from nxlog.http.intercept import intercepting
from nxlog.testing.cassette import load
from nxlog.testing.scrub import Scrubber
from nxlog.testing.tape import Player, Recorder
from tests.conformance.cassettes import CASES, FIXTURES, read_case
from tests.testing.stream_server import COOKIE, ORGANIZATION, SKY
from tests.testing.taping import FIELDS, KEY, WAYS, ask, playing, recording

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testing.stream_server import StreamServer

pytestmark = pytest.mark.network

vcr: Any = importlib.import_module("vcr")  # it has no types


def raw_pieces(url: str) -> list[bytes]:
    """What a client of httpx reads, piece by piece."""
    body = {"model": "m", "messages": FIELDS["messages"], "stream": True}
    with httpx.Client() as client, client.stream("POST", f"{url}/chat/completions", json=body) as response:
        return list(response.iter_raw())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("way", WAYS)
def test_what_was_recorded_is_what_plays(way: str, stream: bool, server: StreamServer, path: Path) -> None:
    with recording(path):
        live = ask(way, server.url, stream=stream)
    assert live[1].text == SKY
    assert len(server.asked) == 1
    for other in WAYS:
        with playing(path):
            assert ask(other, server.url, stream=stream) == live
    assert len(server.asked) == 1, "nothing went to the server again"


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_streams_keep_their_boundaries(size: int, server: StreamServer, path: Path) -> None:
    """Also in the middle of a character and of a line end; what the tape gives is what arrived."""
    whole = (
        f'data: {{"choices":[{{"index":0,"delta":{{"content":"{SKY * 3}"}},"finish_reason":"stop"}}]}}\r\n\r\n'.encode()
    )
    server.pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    with recording(path):
        live = raw_pieces(server.url)
    recorded = load(path.read_text("ascii"))["interactions"][0]["response"]["pieces"]
    assert recorded["sizes"] == [len(piece) for piece in live]
    assert len(recorded["seconds"]) == len(live)
    with playing(path):
        assert raw_pieces(server.url) == live
    assert b"".join(live) == whole


def test_timing_is_kept_and_played_on_request(
    path: Path, server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pieces = [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
    with recording(path):
        raw_pieces(server.url)
    document = load(path.read_text("ascii"))
    document["interactions"][0]["response"]["pieces"] = {"sizes": [9, 9, 9], "seconds": [0.5, 0.0, 2.25]}
    path.write_text(yaml.safe_dump(document), "ascii")
    waited: list[float] = []
    monkeypatch.setattr("nxlog.http.intercept.time.sleep", waited.append)
    with playing(path):
        assert raw_pieces(server.url) == server.pieces
    assert waited == []
    with playing(path, timing=True):
        assert raw_pieces(server.url) == server.pieces
    assert waited == [0.5, 2.25]


def test_nothing_secret_is_written(server: StreamServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in a header, in the URL and in both bodies; the one of the environment; cookies and organizations."""
    elsewhere = "second-planted-key-9876543210"
    monkeypatch.setenv("SOME_OTHER_API_KEY", elsewhere)
    server.quote = f"{KEY}_{elsewhere}"
    messages = [{"role": "user", "content": f"my key is {KEY}, and {elsewhere}"}]
    own = httpx.Client(headers={"x-custom-token": "third-planted-key-5555"}, cookies={"session": "fourth-planted-7777"})
    with recording(path), own, Client(provider="openai", base_url=server.url, api_key=KEY, http_client=own) as client:
        client.chat(model="m", messages=messages)
        with client.stream(model="m", messages=messages) as stream:
            list(stream)
        own.post(
            f"{server.url}/chat/completions?key={KEY}&org=fifth-planted-key",
            json={"messages": [], "x": "fifth-planted-key"},
        )
    assert server.asked[0]["messages"] == messages, "the server got the key"
    text = path.read_text("ascii")
    for secret in (KEY, elsewhere, "third-planted", "fourth-planted", "fifth-planted", ORGANIZATION, COOKIE):
        assert secret not in text
        assert ", ".join(map(str, secret.encode())) not in text
    assert text.count("__hidden__") > 5
    # It plays for whoever has another key, or none.
    with (
        playing(path),
        httpx.Client() as other,
        Client(provider="openai", base_url=server.url, api_key="another") as client,
    ):
        assert client.chat(model="m", messages=[{"role": "user", "content": "my key is a, and b"}]).text
        with client.stream(model="m", messages=[{"role": "user", "content": "my key is a, and b"}]) as stream:
            list(stream)
        other.post(f"{server.url}/chat/completions?key=a&org=b", json={"x": "c", "messages": []})


def test_a_key_that_the_answer_spells_in_tokens_stops_the_recording(server: StreamServer, path: Path) -> None:
    server.quote = "nxlog-planted- 0123456789"
    tape = Recorder(path, Scrubber(["nxlog-planted- 0123456789"]))
    with intercepting(tape):
        ask("sync", server.url)
    assert "was not written: a secret is spread over the tokens" in (tape.finish() or "")
    assert not path.exists()


def test_compressed_replies_are_recorded_as_text(server: StreamServer, path: Path) -> None:
    server.compress = True
    server.quote = KEY
    with recording(path):
        live = ask("sync", server.url, stream=False)[1]
    assert KEY in live.text
    response = load(path.read_text("ascii"))["interactions"][0]["response"]
    assert "content-encoding" not in response["headers"]
    assert response["body"]["string"].startswith("{")
    assert KEY not in path.read_text("ascii")
    with playing(path):
        assert ask("trio", server.url, stream=False)[1].text == live.text.replace(KEY, "__hidden__")


def test_errors_and_retries_are_recorded_in_order(server: StreamServer, path: Path) -> None:
    server.statuses = [429, 200, 429]

    def twice() -> None:
        with Client(provider="openai", base_url=server.url, api_key=KEY, retries=0) as client:
            with pytest.raises(RateLimitError, match="no: "):
                client.chat(**FIELDS)
            assert client.chat(**FIELDS).text == SKY
            with pytest.raises(RateLimitError):
                client.chat(**FIELDS)

    with recording(path):
        twice()
    with playing(path):
        twice()
    assert len(server.asked) == 3


@pytest.mark.parametrize("way", ["sync", "asyncio", "trio"])
def test_a_stream_that_was_left_early_says_so(way: str, server: StreamServer, path: Path) -> None:
    server.pieces = [b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n' + b":" * 70_000 + b"\n"] * 3

    def first() -> str:
        options: dict[str, Any] = {"provider": "openai", "base_url": server.url, "api_key": KEY}
        if way == "sync":
            with Client(**options) as client, client.stream(**FIELDS) as stream:
                return next(stream).delta

        async def main() -> str:
            async with AsyncClient(**options) as client, client.stream(**FIELDS) as stream:
                return (await anext(stream)).delta

        return anyio.run(main, backend=way)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarningCategory)
        with recording(path):
            assert first() == "x"
        assert load(path.read_text("ascii"))["interactions"][0]["response"]["cut"] is True
        with playing(path):
            assert first() == "x"
        tape = Player(path)
        with intercepting(tape), pytest.raises(pytest.fail.Exception, match="read no further"):
            ask(way, server.url)
        assert "read no further" in (tape.finish() or "")


def test_vcrpy_plays_what_was_recorded(server: StreamServer, path: Path) -> None:
    with recording(path):
        live = ask("sync", server.url)[1]
    match_on = ["method", "uri", "body"]
    with vcr.VCR(record_mode="none", match_on=match_on).use_cassette(str(path)) as cassette:
        assert ask("sync", server.url)[1] == live
        assert cassette.all_played


@pytest.mark.parametrize("way", ["sync", "trio"])
def test_the_fixtures_of_this_project_are_cassettes_of_the_same_kind(way: str) -> None:
    cases = [
        case for case in CASES if case.provider == "llamacpp" and case.wire == "openai-chat" and case.status == 200
    ]
    assert len(cases) > 10
    for case in cases[::4]:
        with playing(FIXTURES / "llamacpp" / f"{case.name}.yaml"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarningCategory)
            text = play_case(way, case)
        assert isinstance(text, str)


def test_what_a_probe_writes_is_a_cassette_of_the_same_kind() -> None:
    folder = FIXTURES.parent / "tests" / "probe" / "cassettes"
    paths = [path for path in sorted(folder.rglob("probe_*.yaml")) if path.stem in {"probe_plain", "probe_greedy"}]
    assert paths
    for path in paths:
        case = read_case(path, Registry.builtin().provider("vllm"))
        assert case is not None
        with playing(path), warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarningCategory)
            assert play_case("sync", case)


def play_case(way: str, case: Any) -> str:
    options = {"provider": case.provider, "base_url": case.place.base_url, "retries": 0}
    if way == "sync":
        with Client(**options) as client:
            if not case.stream:
                return client.chat(case.request()).text
            with client.stream(case.request()) as stream:
                list(stream)
            return stream.response.text

    async def main() -> str:
        async with AsyncClient(**options) as client:
            if not case.stream:
                return (await client.chat(case.request())).text
            async with client.stream(case.request()) as stream:
                async for _ in stream:
                    pass
            return stream.response.text

    return anyio.run(main, backend=way)
