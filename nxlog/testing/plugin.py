"""The pytest plugin: ``nxlog_replay`` and ``nxlog_mock``. It does nothing for a test that asks for neither.

::

    @pytest.mark.nxlog_replay(providers=["openai", "vllm"])
    def test_answer(nxlog_replay):
        with nxlog.Client(provider=nxlog_replay.provider) as client:
            ...

This module is loaded in every session of pytest where nxlog is installed, so it imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from nxlog.testing.fake import FakeProvider
    from nxlog.testing.tape import Tape

MARKER = "nxlog_replay"
FOLDER = "cassettes"
_KEY = "nxlog-replay-key"

_TAPE: pytest.StashKey[Tape] = pytest.StashKey()


@dataclass(frozen=True)
class Replay:
    """What a test may want to know about its cassette.

    Attributes:
        provider: the provider of this run, of those that the marker lists; None without a list.
        path: the cassette.
        recording: whether the answers come from the network.
    """

    provider: str | None
    path: Path
    recording: bool


@dataclass(frozen=True)
class _Options:
    """The arguments of the marker."""

    cassette: str | None = None
    providers: tuple[str, ...] = ()
    loopback: bool = False
    timing: bool = False
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(cls, node: pytest.Item) -> _Options:
        """Of the markers of a test, its class and its module; the nearest wins."""
        found: dict[str, Any] = {}
        for mark in reversed(list(node.iter_markers(MARKER))):
            odd = mark.kwargs.keys() - set(cls.__dataclass_fields__)
            if mark.args or odd:
                known = ", ".join(cls.__dataclass_fields__)
                what = f"no {', '.join(sorted(odd))}" if odd else "no positional arguments"
                raise pytest.UsageError(f"{node.nodeid}: the marker {MARKER} takes {what}; it takes {known}")
            found |= mark.kwargs
        return cls(**found)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nxlog-record``."""
    parser.getgroup("nxlog").addoption(
        "--nxlog-record",
        action="store_true",
        help="send the requests of tests marked nxlog_replay to the network, and write their cassettes anew",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker; refuse to record in CI."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*, providers=(), cassette=None, loopback=False, timing=False, ignore=()): answer the requests of "
        "the test from a cassette, and keep it off the network",
    )
    if config.getoption("--nxlog-record") and os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}:
        raise pytest.UsageError("--nxlog-record does not run in CI: record where you can look at what is written")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A run for every provider that the marker lists."""
    providers: list[str] = []
    for mark in metafunc.definition.iter_markers(MARKER):
        providers = providers or list(mark.kwargs.get("providers", ()))
    if providers:
        metafunc.parametrize("nxlog_provider", providers, indirect=True)
        if "nxlog_provider" not in metafunc.fixturenames:
            metafunc.fixturenames.append("nxlog_provider")


def pytest_itemcollected(item: pytest.Item) -> None:
    """The marker is enough; the fixture comes before those of the test's own, which may send requests."""
    if isinstance(item, pytest.Function) and item.get_closest_marker(MARKER) is not None:
        names = item.fixturenames
        if MARKER in names:
            names.remove(MARKER)
        names.insert(next((i for i, name in enumerate(names) if _is_narrow(item, name)), len(names)), MARKER)


def _is_narrow(item: pytest.Function, name: str) -> bool:
    """Whether a fixture is made anew for every test. Others live longer than a tape, and come before it."""
    found = item._fixtureinfo.name2fixturedefs.get(name)  # noqa: SLF001 - no other way to ask  # pyright: ignore[reportPrivateUsage]
    return not found or found[-1].scope == "function"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """When the test itself is content, ask the tape."""
    tape = item.stash.get(_TAPE, None)
    try:
        result = yield
    except BaseException:
        if tape is not None and tape.records:
            item.add_report_section("call", "nxlog", f"the test did not pass, so {tape.path} was not written")
        raise
    if tape is not None:
        fault = tape.finish()
        if fault is not None:
            pytest.fail(fault, pytrace=False)
    return result


@pytest.fixture
def nxlog_provider(request: pytest.FixtureRequest) -> str | None:
    """The provider of this run, of those that the marker lists."""
    return getattr(request, "param", None)


@pytest.fixture
def nxlog_secrets() -> Iterable[str]:
    """Further texts that no cassette may hold; override it in a ``conftest.py``."""
    return ()


@pytest.fixture
def nxlog_replay(
    request: pytest.FixtureRequest, nxlog_provider: str | None, nxlog_secrets: Iterable[str]
) -> Iterator[Replay]:
    """Answer the requests of the test from its cassette, and keep it off the network."""
    item = cast("pytest.Function", request.node)
    options = _Options.of(item)
    path = _cassette_path(item, options)
    recording = bool(request.config.getoption("--nxlog-record"))
    replay = Replay(nxlog_provider, path, recording)
    with _recording(item, options, replay, nxlog_secrets) if recording else _playing(item, options, replay):
        yield replay


@pytest.fixture
def nxlog_mock() -> Iterator[FakeProvider]:
    """The providers ``mock``, which says what the test scripts, and ``loopback``, which says what it is told.

    Every client of the code under test knows them: ``Client().chat(model="mock/any", ...)``.
    """
    from nxlog.testing.fake import FakeProvider  # noqa: PLC0415 - few sessions need it

    fake = FakeProvider()
    with fake.installed():
        yield fake


@contextlib.contextmanager
def _playing(item: pytest.Item, options: _Options, replay: Replay) -> Generator[None]:
    from nxlog.http.intercept import intercepting  # noqa: PLC0415 - few sessions need it
    from nxlog.testing.guard import no_network  # noqa: PLC0415 - as above
    from nxlog.testing.match import IGNORED  # noqa: PLC0415 - as above
    from nxlog.testing.tape import Player  # noqa: PLC0415 - as above

    tape = Player(replay.path, loopback=options.loopback, timing=options.timing, ignored=IGNORED | set(options.ignore))
    item.stash[_TAPE] = tape
    guard = no_network(tape.fail, loopback=options.loopback)
    with guard, intercepting(tape), mock.patch.dict(os.environ, _missing_keys()):
        yield


@contextlib.contextmanager
def _recording(item: pytest.Item, options: _Options, replay: Replay, secrets: Iterable[str]) -> Generator[None]:
    from nxlog.call import Call  # noqa: PLC0415 - few sessions need it
    from nxlog.http.intercept import intercepting  # noqa: PLC0415 - as above
    from nxlog.testing.scrub import Scrubber  # noqa: PLC0415 - as above
    from nxlog.testing.tape import Recorder  # noqa: PLC0415 - as above

    metadata = {"case": item.nodeid.rpartition("/")[2]} | ({"provider": replay.provider} if replay.provider else {})
    tape = Recorder(replay.path, Scrubber(secrets), metadata=metadata, loopback=options.loopback)
    item.stash[_TAPE] = tape
    http_request = Call.http_request

    def noted(call: Call) -> Any:
        tape.scrubber.learn(call.target.secret)
        if call.credential is not None:
            tape.credentials.append(call.credential)
        return http_request(call)

    with mock.patch.object(Call, "http_request", noted), intercepting(tape):
        yield


def _cassette_path(item: pytest.Function, options: _Options) -> Path:
    folder = item.path.parent / FOLDER
    if options.cassette is not None:
        return folder / options.cassette
    name = item.originalname if item.cls is None else f"{item.cls.__name__}.{item.originalname}"
    run = _run(item)
    return folder / item.path.stem / f"{_file_name(f'{name}-{run}' if run else name)}.yaml"


def _run(item: pytest.Function) -> str:
    """The parameters of this run. The event loop is none of them: the requests are the same on each."""
    if not hasattr(item, "callspec"):
        return ""
    names = item.callspec.id.split("-")
    loop = item.callspec.params.get("anyio_backend")
    if isinstance(loop, str) and loop in names:
        names.remove(loop)
    return "-".join(names)


def _file_name(text: str) -> str:
    """The text where it can be the name of a file everywhere, else the like of it with a checksum."""
    plain = re.sub(r"[^\w.-]", "_", text, flags=re.ASCII)[:100]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _missing_keys() -> dict[str, str]:
    """Keys for providers that need one, so that a recording plays on a machine that has none."""
    from nxlog.registry import AuthScheme, Registry  # noqa: PLC0415 - few sessions need it

    keyed = (AuthScheme.BEARER, AuthScheme.HEADER)
    names = (p.key_env[0] for p in Registry.default() if p.key_env and p.auth.scheme in keyed and p.auth.required)
    return {name: _KEY for name in names if not os.environ.get(name)}
