"""The plugin in the hands of somebody else: a package of its own, which knows nxlog as an installed wheel.

What is real: the wheel, built from this checkout; a virtual environment in which pip installs ``nxlog[testing]`` and
into which the dependencies are linked, so that nothing is fetched; pytest, which finds the plugin by its entry point;
llama.cpp on a tiny model, from which is recorded. When the recording is played, llama.cpp is gone, there is no key, and
the network is cut off: by the kernel where it allows that, else by Python before anything else is imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nxlog.local import LocalEngine
from nxlog.testing.cassette import load
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.model, pytest.mark.network]

ROOT = Path(__file__).parent.parent.parent

FILES = {
    "oracle/__init__.py": """
import os
import nxlog

def client(kind=nxlog.Client, **options):
    return kind(provider="llamacpp", base_url=os.environ["ORACLE_URL"], api_key=os.environ.get("ORACLE_KEY"), **options)

def question(text):
    key = os.environ.get("ORACLE_KEY", "nobody")
    messages = [{"role": "user", "content": f"I am {key}. {text}"}]
    return {"model": "tiny", "messages": messages, "max_tokens": 8, "temperature": 0, "top_logprobs": 3}
""",
    "tests/test_oracle.py": """
import os
import warnings
import anyio
import httpx
import nxlog
import oracle
import pytest

pytestmark = pytest.mark.nxlog_replay

def test_whole():
    with oracle.client() as client:
        reply = client.chat(**oracle.question("Is the sky blue?"))
    assert len(reply.logprobs) > 1
    assert all(token.logprob <= 0 for token in reply.logprobs)

@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_stream(backend):
    async def main():
        async with oracle.client(nxlog.AsyncClient) as client:
            async with client.stream(**oracle.question("Is the sea blue?")) as stream:
                return [chunk async for chunk in stream]
    assert len(anyio.run(main, backend=backend)) > 2

def test_own_client_and_url():
    secret = {"key": os.environ.get("ORACLE_KEY", "none")}
    with httpx.Client(params=secret) as mine, oracle.client(http_client=mine) as client:
        assert client.chat(**oracle.question("Are you blue?")).provider == "llamacpp"

def test_unmarked_is_not_possible_here(nxlog_mock):
    nxlog_mock.reply("Yes")
    with nxlog.Client() as client:
        assert client.chat(model="mock/x", messages=[{"role": "user", "content": "?"}]).text == "Yes"
""",
    "pytest.ini": """
[pytest]
pythonpath = .
addopts = --strict-markers -p no:cacheprovider
filterwarnings =
    error
    ignore::nxlog.ParameterWarningCategory
""",
    "cut/sitecustomize.py": """
import socket

def cut(*arguments, **options):
    raise OSError("the network is cut off")

for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, cut)
socket.getaddrinfo = cut
""",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with ``nxlog[testing]`` in it, from the wheel."""
    place = tmp_path_factory.mktemp("fresh")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    wheel = next(place.glob("*.whl"))
    environment, libraries = place / "venv", place / "libraries"
    venv.create(environment, with_pip=False, symlinks=True)
    libraries.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "nxlog" not in entry.name:
            (libraries / entry.name).symlink_to(entry)
    interpreter = environment / "bin" / "python"
    asked = [interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    (site / "libraries.pth").write_text(f"{libraries}\n")
    install = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--no-index", "--quiet"]
    subprocess.run([*install, f"nxlog[testing] @ {wheel.as_uri()}"], check=True, capture_output=True, text=True)
    return interpreter


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return tmp_path / "package"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    with LocalEngine(write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")) as started:
        yield started


def run(python: Path, package: Path, *arguments: str, before: tuple[str, ...] = (), **variables: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    command = [*before, str(python), "-P", "-m", "pytest", "-rA", *arguments]
    result = subprocess.run(
        command, cwd=package, env=kept | variables, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def without_network() -> tuple[str, ...]:
    """A command that runs another one in an empty network of its own; nothing where that is not allowed."""
    command = ("unshare", "--map-root-user", "--net")
    if shutil.which(command[0]) is None:
        return ()
    allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if allowed else ()


def test_record_from_llamacpp_and_replay_with_the_network_cut_off(
    python: Path, package: Path, engine: LocalEngine
) -> None:
    where = subprocess.run(
        [python, "-I", "-c", "import nxlog; print(nxlog.__file__)"], check=True, capture_output=True, text=True
    ).stdout
    assert Path(where.strip()).is_relative_to(python.parent.parent), "the wheel, not this checkout"

    key = engine.api_key
    recorded = run(python, package, "--nxlog-record", ORACLE_URL=engine.base_url, ORACLE_KEY=key)
    assert "5 passed" in recorded
    cassettes = sorted((package / "tests" / "cassettes" / "test_oracle").iterdir())
    assert [path.stem for path in cassettes] == [
        "test_own_client_and_url",
        "test_stream-asyncio",
        "test_stream-trio",
        "test_whole",
    ]
    for path in cassettes:
        text = path.read_text("ascii")
        assert key not in text, "planted in a header, in the body and in a URL"
        (interaction,) = load(text)["interactions"]
        assert "I am __hidden__." in interaction["request"]["body"]
        assert interaction["request"]["uri"].endswith("?key=__hidden__") is (path.stem == "test_own_client_and_url")
        assert (len(interaction["response"]["pieces"]["sizes"]) > 2) is path.stem.startswith("test_stream")

    engine.close()
    gone = {"ORACLE_URL": "http://127.0.0.1:9/v1", "CI": "true"}
    replayed = run(python, package, before=without_network(), PYTHONPATH=str(package / "cut"), **gone)
    assert "5 passed" in replayed
