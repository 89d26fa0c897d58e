"""The plugin as pytest runs it.

What is real: pytest, the plugin, the fixtures and markers, the files; where something is recorded, a server on the
loopback interface. Sessions of pytest run inside this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.testing.cassette import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testing.stream_server import StreamServer

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.network

HEAD = """
import os, socket, sys
import anyio, httpx, pytest
import nxlog
URL = os.environ["SERVER"]
ICE = [{"role": "user", "content": "Is ice water?"}]
def ask(provider="openai", content="Is ice water?", **options):
    with nxlog.Client(provider=provider, base_url=URL, **options) as client:
        return client.chat(model="m", messages=[{"role": "user", "content": content}], logprobs=True)
"""
ONE = (
    HEAD
    + """
@pytest.mark.nxlog_replay
def test_one():
    assert ask().text.startswith("The sky is blue")
"""
)


class Project:
    """A directory with tests, and sessions of pytest in it."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: StreamServer) -> None:
        self.pytester = pytester
        self.server = server
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.delenv("CI", raising=False)
        pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider\nfilterwarnings = error")

    @property
    def cassettes(self) -> list[str]:
        folder = self.pytester.path
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))

    def path(self, name: str) -> Path:
        return self.pytester.path / name

    def tests(self, source: str, **more: str) -> None:
        self.pytester.makepyfile(test_it=source, **more)

    def run(self, *arguments: str) -> pytest.RunResult:
        plugins = ("-p", "nxlog.testing.plugin", "-p", "anyio.pytest_plugin")
        return self.pytester.runpytest_inprocess(*plugins, *arguments)

    def record(self, *arguments: str) -> pytest.RunResult:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_API_KEY", "nxlog-planted-0123456789abcdefghij")
            return self.run("--nxlog-record", *arguments)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: StreamServer) -> Project:
    return Project(pytester, monkeypatch, server)


def test_record_then_replay(project: Project) -> None:
    project.tests(ONE)
    project.record().assert_outcomes(passed=1)
    assert project.cassettes == ["cassettes/test_it/test_one.yaml"]
    project.run().assert_outcomes(passed=1)
    assert len(project.server.asked) == 1
    metadata = load(project.path(project.cassettes[0]).read_text("ascii"))["metadata"]
    assert metadata["case"] == "test_it.py::test_one"
    assert metadata["evidence"] == "captured"


def test_a_run_and_a_cassette_for_every_provider(project: Project) -> None:
    project.tests(
        HEAD
        + """
@pytest.mark.nxlog_replay(providers=["openai", "vllm"])
def test_each(nxlog_replay):
    assert ask(nxlog_replay.provider).provider == nxlog_replay.provider

@pytest.mark.nxlog_replay(providers=["openai", "vllm"])
@pytest.mark.parametrize("word", ["a", "b/c"])
class TestMany:
    def test_inner(self, nxlog_provider, word):
        ask(nxlog_provider, word)
"""
    )
    project.record().assert_outcomes(passed=6)
    names = [name.removeprefix("cassettes/test_it/") for name in project.cassettes]
    assert names[-2:] == ["test_each-openai.yaml", "test_each-vllm.yaml"]
    assert names[0].startswith("TestMany.test_inner-")
    assert len(names) == len({name.lower() for name in names}) == 6
    assert load(project.path(project.cassettes[-1]).read_text("ascii"))["metadata"]["provider"] == "vllm"
    project.run().assert_outcomes(passed=6)


def test_async_tests_share_a_cassette_between_event_loops(project: Project) -> None:
    project.tests(
        HEAD
        + """
@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.mark.anyio
@pytest.mark.nxlog_replay
@pytest.mark.parametrize("own", [False, True])
async def test_stream(anyio_backend, own):
    async with httpx.AsyncClient() as mine:
        options = {"http_client": mine} if own else {}
        async with nxlog.AsyncClient(provider="openai", base_url=URL, **options) as client:
            async with client.stream(model="m", messages=ICE, logprobs=True) as stream:
                assert len([chunk async for chunk in stream]) > 5
"""
    )
    project.record("-k", "trio").assert_outcomes(passed=2, deselected=2)
    assert project.cassettes == [f"cassettes/test_it/test_stream-{own}.yaml" for own in ("False", "True")]
    project.run().assert_outcomes(passed=4)
    assert len(project.server.asked) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("ask(content='other')", '*messages[[]0[]].content: "other", recorded "Is ice water?"*'),
        ("pass", "*only partly played: 1 of 1 requests were not made*"),
        ("ask(); ask()", "*was already answered*"),
        ("ask(); socket.create_connection(('192.0.2.1', 80))", "*touched the network: look-up of 192.0.2.1*"),
        ("ask(); connect('127.0.0.1')", "*touched the network: connection to 127.0.0.1*"),
        ("ask(); swallow(lambda: ask(content='other'))", "*recorded*Is ice water*"),
        ("ask(); in_thread(lambda: ask(content='other'))", "*recorded*Is ice water*"),
        ("assert ask().text == 'x'", "*AssertionError*"),
    ],
)
def test_what_makes_a_test_fail(project: Project, body: str, said: str) -> None:
    helpers = """
import threading
def connect(host):
    with socket.socket() as sock:
        sock.connect((host, 9))
def swallow(act):
    try:
        act()
    except BaseException:
        pass
def in_thread(act):
    thread = threading.Thread(target=swallow, args=[act])
    thread.start()
    thread.join()
"""
    project.tests(ONE)
    project.record().assert_outcomes(passed=1)
    project.tests(f"{HEAD}{helpers}\n@pytest.mark.nxlog_replay\ndef test_one():\n    {body}\n")
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])
    assert len(project.server.asked) == 1


def test_without_a_cassette_the_way_to_one_is_shown(project: Project) -> None:
    project.tests(ONE)
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no cassette *test_one.yaml; record it: pytest --nxlog-record*"])


@pytest.mark.parametrize(("value", "refused"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_ci_does_not_record(project: Project, monkeypatch: pytest.MonkeyPatch, value: str, refused: bool) -> None:
    project.tests(ONE)
    monkeypatch.setenv("CI", value)
    result = project.record()
    assert result.ret == (pytest.ExitCode.USAGE_ERROR if refused else pytest.ExitCode.OK)
    assert bool(project.cassettes) is not refused


def test_a_test_that_fails_keeps_the_old_cassette(project: Project) -> None:
    project.tests(ONE)
    project.record()
    before = project.path(project.cassettes[0]).read_bytes()
    project.server.quote = "something else"
    project.tests(ONE + "    assert False\n")
    result = project.record()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the test did not pass, so *test_one.yaml was not written*"])
    assert project.path(project.cassettes[0]).read_bytes() == before


def test_recording_again_replaces_all_of_it(project: Project) -> None:
    project.tests(ONE + "    ask(content='second')\n")
    project.record()
    project.tests(ONE)
    project.run().assert_outcomes(failed=1)
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def test_keys_of_every_kind_are_in_no_cassette(project: Project) -> None:
    """In a header, a URL and a body; a token of a function, a key of the environment that a test sets, one by name."""
    keys = [
        "header-key-1234567",
        "url-key-1234567890",
        "callback-token-12345",
        "environment-key-123",
        "named-by-the-user-1",
    ]
    project.tests(
        HEAD
        + f"""
KEYS = {keys!r}

@pytest.fixture
def late(monkeypatch):
    monkeypatch.setenv("LATE_API_KEY", KEYS[3])

@pytest.mark.nxlog_replay
def test_one(late):
    everything = " and ".join(KEYS)
    ask(content=everything, api_key=KEYS[0])
    ask(content=everything, api_key=lambda: KEYS[2])
    httpx.post(URL + "/chat/completions?key=" + KEYS[1], json={{"messages": [], "x": everything}})
""",
        conftest=f"import pytest\n@pytest.fixture\ndef nxlog_secrets():\n    return [{keys[4]!r}]\n",
    )
    project.record().assert_outcomes(passed=1)
    asked = json.dumps(project.server.asked)
    text = project.path(project.cassettes[0]).read_text("ascii")
    for key in keys:
        assert key in asked, "it was sent"
        assert key not in text
    project.run().assert_outcomes(passed=1)


def test_a_cassette_by_name_and_options(project: Project) -> None:
    project.tests(
        HEAD
        + """
pytestmark = pytest.mark.nxlog_replay(ignore=["seed"])

@pytest.mark.nxlog_replay(cassette="shared.yaml")
@pytest.mark.parametrize("seed", [1, 2])
def test_shared(seed, nxlog_replay):
    assert nxlog_replay.path.name == "shared.yaml"
    assert nxlog_replay.recording is ("--nxlog-record" in sys.argv or nxlog_replay.recording)
    with nxlog.Client(provider="openai", base_url=URL) as client:
        client.chat(model="m", messages=ICE, seed=seed)
"""
    )
    project.record("-k", "1").assert_outcomes(passed=1, deselected=1)
    assert project.cassettes == ["cassettes/shared.yaml"]
    project.run().assert_outcomes(passed=2)


def test_servers_of_this_machine_on_request(project: Project) -> None:
    project.tests(HEAD + "\n@pytest.mark.nxlog_replay(loopback=True)\ndef test_one():\n    ask()\n")
    project.run().assert_outcomes(passed=1)
    assert len(project.server.asked) == 1
    assert project.cassettes == []


@pytest.mark.parametrize("marker", ["nxlog_replay(casette='x')", "nxlog_replay('x')"])
def test_a_marker_with_a_typing_error_is_told(project: Project, marker: str) -> None:
    project.tests(f"{HEAD}\n@pytest.mark.{marker}\ndef test_one():\n    pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*it takes cassette, providers, loopback, timing, ignore*"])


def test_fixtures_of_a_session_are_not_recorded_and_those_of_the_test_are(project: Project) -> None:
    project.tests(
        HEAD
        + """
@pytest.fixture(scope="session", autouse=True)
def early():
    socket.create_connection(httpx.URL(URL).host and (httpx.URL(URL).host, httpx.URL(URL).port)).close()

@pytest.fixture
def answer():
    return ask()

@pytest.mark.nxlog_replay
def test_one(answer):
    assert answer.text
"""
    )
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert len(project.server.asked) == 1


def test_mock_and_loopback_are_providers_like_others(project: Project) -> None:
    project.tests(
        HEAD
        + """
from nxlog.testing import assert_confident, assert_no_loss

def code_under_test(model):
    with nxlog.Client() as client:
        return client.chat(model=model, messages=ICE, logprobs=True)

def test_mock(nxlog_mock):
    nxlog_mock.reply([("No", -0.1)])
    reply = code_under_test("mock/any")
    assert reply.text == "No"
    assert_no_loss(reply)
    with pytest.raises(AssertionError, match="scripted"):
        code_under_test("mock/any")

def test_loopback(nxlog_mock):
    assert code_under_test("loopback/any").text == "Is ice water?"

@pytest.mark.nxlog_replay
def test_together(nxlog_mock):
    assert code_under_test("loopback/any").text == "Is ice water?"
    assert ask().text

def test_gone():
    with pytest.raises(nxlog.UnknownProviderError):
        code_under_test("mock/any")
"""
    )
    project.record("-k", "together").assert_outcomes(passed=1, deselected=3)
    project.run().assert_outcomes(passed=4)


def test_unmarked_tests_are_left_alone(project: Project) -> None:
    """Nothing is patched, and nothing heavy is imported."""
    project.tests(
        """
import socket, sys
def test_plain():
    assert "guard" not in repr(socket.socket.connect)
"""
    )
    code = (
        "import sys, pytest; "
        "status = pytest.main(['-q', '-p', 'nxlog.testing.plugin', '-p', 'no:cacheprovider']); "
        "heavy = {'httpx', 'vcr', 'yaml', 'nxlog.http', 'nxlog.testing.tape', 'nxlog.testing.scrub'}; "
        "print('loaded', sorted(heavy & set(sys.modules))); sys.exit(status)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=project.pytester.path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "loaded []" in result.stdout


def test_the_option_and_the_marker_are_documented(project: Project) -> None:
    helped: Any = project.run("--help")
    helped.stdout.fnmatch_lines(["*--nxlog-record*"])
    project.run("--markers").stdout.fnmatch_lines(["@pytest.mark.nxlog_replay(*"])
