"""``nxlog probe`` as it is typed.

Real here: the embedded llama.cpp, on a tiny random model and on the packaged SmolLM2 where that is installed, asked
over loopback; the files it writes, replayed through the client. Made up: servers on loopback that are broken or lie.
"""

from __future__ import annotations

import contextlib
import json
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

import nxlog
from nxlog import Client, LocalEngineError
from nxlog.cli.exits import Status
from nxlog.local import LocalEngine, engine, find_model
from nxlog.probe.questions import questions_for
from nxlog.registry import Capabilities, Registry
from tests.cli.commands import invoke
from tests.conformance.cassettes import read_case
from tests.probe.exchanges import KEY, events, record, reply, respond
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

    from nxlog.exchange import HttpResponse

QUESTIONS = len(questions_for("openai-chat", ()))


# -- the embedded engine -----------------------------------------------------------------------------------------------


def probe_local(model: Path, directory: Path) -> dict[str, Any]:
    """What ``nxlog probe local --json --record`` says with a model."""
    with pytest.MonkeyPatch.context() as patch, LocalEngine(model) as running:
        patch.setattr(engine, "_default", running)
        result = invoke("probe", "local", "--json", "--record", str(directory))
        assert running.api_key not in result.output
        assert not [path for path in directory.iterdir() if running.api_key in path.read_text(encoding="ascii")]
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return probe_local(write_tiny_gguf(folder / "tiny.gguf"), folder / "llamacpp"), folder / "llamacpp"


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    try:
        model = find_model()
    except LocalEngineError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))
    return probe_local(model, tmp_path_factory.mktemp("smollm2") / "llamacpp")


def check_llamacpp(found: dict[str, Any]) -> None:
    """What is true of llama.cpp with any model."""
    claims, traits = found["claims"], found["traits"]
    assert (found["provider"], found["wire"]) == ("llamacpp", "openai-chat")
    assert found["engine"].startswith("xllamacpp 20")
    assert traits["distribution"]["value"] == "raw"
    assert traits["distribution"]["shown_by"] == ["warm", "cold", "nucleus"]
    assert traits["entries_per_token"]["value"] == "merged"
    assert traits["top_sorted"]["value"] == "yes"
    assert traits["bytes"]["value"] == "exact"
    assert claims["logprobs"]["value"] == "yes"
    assert claims["streaming_logprobs"]["value"] == "partial"
    assert claims["streaming_logprobs"]["requires"] == ["no-tools-in-stream"]
    top = claims["top_logprobs"]
    assert (top["value"], top["min"], top["default"]) == ("yes", 1, 20)
    assert "max" not in top
    assert "top0" in top["shown_by"]
    assert claims["token_ids"] == {
        "value": "yes",
        "note": "one beside each record",
        "json_key": "id",
        "shown_by": ["top1"],
    }
    assert "in streams the token that ends the turn has no record (stream)" in found["remarks"]
    assert found["remarks"][0].startswith("in whole replies the token that ends the turn has a record")
    # The embedded server has one slot, and so gives one choice; a server started with more gives more.
    contradicted = {item["name"] for item in found["differences"] if item["contradicts"]}
    assert contradicted <= {"n"}


@pytest.mark.model
@pytest.mark.network
def test_the_embedded_engine_with_a_random_model(tiny: tuple[dict[str, Any], Path]) -> None:
    check_llamacpp(tiny[0])


@pytest.mark.model
@pytest.mark.network
def test_the_embedded_engine_with_the_packaged_model(smollm2: dict[str, Any]) -> None:
    check_llamacpp(smollm2)
    assert smollm2["served_model"] == "smollm2-135m-instruct"
    assert "share a record" in smollm2["traits"]["entries_per_token"]["note"]
    shown = documented("Example: llama.cpp")
    assert {name: claim["value"] for name, claim in shown.items()} == {
        name: measured["value"]
        for name, measured in {**smollm2["claims"], **smollm2["traits"]}.items()
        if measured["value"] != "unknown" or "note" in measured
    }


def documented(heading: str) -> dict[str, Any]:
    """The claims of an example in the documentation."""
    page = (Path(nxlog.__file__).parent.parent / "docs" / "probe.md").read_text(encoding="utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    claims: dict[str, Any] = tomllib.loads(
        section.partition("#:schema")[2].partition("[sources]")[0].partition("\n")[2]
    )["claims"]
    return claims


@pytest.mark.model
@pytest.mark.network
def test_the_entry_points_at_cassettes_that_are_there(tiny: tuple[dict[str, Any], Path]) -> None:
    found, directory = tiny
    read = Capabilities.model_validate(tomllib.loads(found["entry"]))
    refs = {item.ref for name in read.claims.model_fields_set for item in getattr(read.claims, name).evidence}
    assert refs
    for ref in refs:
        assert ref is not None
        assert Path(ref).parent == Path("fixtures/llamacpp")
        assert (directory / Path(ref).name).is_file()
    assert {item["cassette"] for item in found["questions"]} == {str(path) for path in directory.iterdir()}


@pytest.mark.model
@pytest.mark.network
@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
def test_the_cassettes_replay_through_the_client(tiny: tuple[dict[str, Any], Path]) -> None:
    """What the probe counted in an answer is what a client finds in its cassette."""
    found, directory = tiny
    provider = Registry.builtin().provider("llamacpp")
    counted = {item["name"]: item["records"] for item in found["questions"]}
    replayed = 0
    for name in ("top5", "top20", "emoji", "hot", "warm", "json_schema", "stream", "emoji_stream"):
        case = read_case(directory / f"probe_{name}.yaml", provider)
        assert case is not None
        content_type = case.content_type
        with (
            httpx.Client(
                transport=httpx.MockTransport(
                    lambda _, case=case, kind=content_type: httpx.Response(
                        case.status, content=case.reply, headers={"content-type": kind}
                    )
                )
            ) as transport,
            Client(provider="llamacpp", http_client=transport) as client,
        ):
            if case.stream:
                with client.stream(case.request()) as stream:
                    for _ in stream:
                        pass
                response = stream.response
            else:
                response = client.chat(case.request())
        assert response.logprobs is not None
        assert len(response.logprobs) == case.record_count() == counted[name]
        replayed += 1
    assert replayed == 8


# -- servers of our own ------------------------------------------------------------------------------------------------

YES = [record("Yes", -0.1, {"Yes": -0.1})]


class Server:
    """Answers over loopback, and remembers the keys it was shown."""

    def __init__(self, answer: Any) -> None:
        self.keys: set[str | None] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.keys.add(self.headers["authorization"])
                response: HttpResponse = answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(response.content)))
                self.end_headers()
                self.wfile.write(response.content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def good(body: dict[str, Any]) -> HttpResponse:
    return respond(events([("Yes", YES)]) if body.get("stream") else reply("Yes", YES))


def spiteful(body: dict[str, Any]) -> HttpResponse:
    """Quotes the key wherever it can."""
    if body.get("n") == 2:
        return respond({"error": {"message": f"{KEY} may not ask for two, says {KEY}"}}, 400)
    return good(body)


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_TEST_KEY", KEY)


def run(server: Server, *arguments: str, model: str = "vllm/m") -> Result:
    return invoke("probe", model, "--base-url", server.url, "--api-key-env", "PROBE_TEST_KEY", *arguments)


@pytest.mark.network
@pytest.mark.usefixtures("with_key")
def test_the_key_is_sent_and_never_shown(tmp_path: Path) -> None:
    with Server(spiteful) as server:
        shown = [run(server, "--record", str(tmp_path / "cassettes")), run(server, "--json")]
    assert server.keys == {f"Bearer {KEY}"}
    for result in shown:
        assert result.exit_code == 0
        assert "may not ask for two" in result.stdout
        assert KEY not in result.output
        assert KEY not in result.stderr
    files = [path.read_text(encoding="ascii") for path in (tmp_path / "cassettes").iterdir()]
    assert len(files) == QUESTIONS
    assert not [text for text in files if KEY in text or server.url in text or "127.0.0.1" in text]


@pytest.mark.network
@pytest.mark.usefixtures("with_key")
def test_what_is_printed_and_where() -> None:
    with Server(good) as server:
        result = run(server, "--engine", "made up 1.0")
    assert result.exit_code == 0
    progress = result.stderr.splitlines()
    assert len(progress) == QUESTIONS
    assert progress[0].startswith(f"nxlog: 1/{QUESTIONS} plain: ")
    head, _, rest = result.stdout.partition("\n")
    assert head.startswith("vllm/m, wire openai-chat, made up 1.0, 20")
    assert "top_logprobs 21" in rest
    toml = tomllib.loads(rest[rest.index("#:schema") : rest.index("The registry says")])
    # Nothing was recorded, so there is no evidence in it: it is the user's word.
    read = Registry.builtin().with_(capabilities={"vllm": toml}).claims("vllm")
    assert read.claims.logprobs.evidence[0].kind == "asserted"
    assert "\x1b" not in result.stdout


@pytest.mark.network
@pytest.mark.usefixtures("with_key")
def test_check_fails_where_the_registry_is_wrong() -> None:
    """The registry says that vLLM gives log-probabilities; this server does not."""
    with Server(lambda body: respond(events([("Yes", [])]) if body.get("stream") else reply("Yes"))) as server:
        assert run(server).exit_code == 0
        result = run(server, "--check")
        # Nothing is claimed of a server that no file describes.
        custom = run(server, "--check", model="custom/m")
    assert result.exit_code == Status.CONTRADICTED == 9
    assert "(contradicts)" in result.stdout
    assert custom.exit_code == 0


@pytest.mark.network
@pytest.mark.usefixtures("with_key")
def test_control_characters_of_a_server_do_not_reach_the_terminal() -> None:
    def rude(body: dict[str, Any]) -> HttpResponse:
        return respond({"error": {"message": "\x1b[2Jgone\x9b"}}, 400) if body.get("n") == 2 else good(body)

    with Server(rude) as server:
        result = run(server, "--color", "never")
    assert "gone" in result.stdout
    assert not {"\x1b", "\x9b"} & set(result.output)


@pytest.mark.network
@pytest.mark.usefixtures("with_key")
def test_failures_in_between_are_rows_of_the_table() -> None:
    with Server(lambda body: respond({"error": "boom"}, 501) if "tools" in body else good(body)) as server:
        result = run(server)
    assert result.exit_code == 0
    assert "failed: HTTP 501: boom" in result.stdout


@contextlib.contextmanager
def refusing(status: int) -> Iterator[Server]:
    with Server(lambda _: respond({"error": {"message": f"no, {KEY}"}}, status)) as server:
        yield server


@pytest.mark.network
@pytest.mark.usefixtures("with_key")
@pytest.mark.parametrize(
    ("status", "exit_status"),
    [(401, Status.AUTHENTICATION), (404, Status.NOT_FOUND), (400, Status.REQUEST), (501, Status.SERVER)],
)
def test_without_a_plain_answer_there_is_one_line_and_a_status(status: int, exit_status: Status) -> None:
    with refusing(status) as server:
        result = run(server)
    assert result.exit_code == exit_status
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert KEY not in result.stderr


def test_nobody_there() -> None:
    result = invoke("probe", "vllm/m", "--base-url", "http://127.0.0.1:9/v1")
    assert result.exit_code == Status.NETWORK
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["custom/m"], Status.NOT_FOUND),
        (["nobody/m"], Status.NOT_FOUND),
        (["vllm"], Status.NOT_FOUND),
        (["vllm/m", "--wire", "morse"], Status.REQUEST),
        (["vllm/m", "--api-key-env", "NOT_SET_AT_ALL"], Status.AUTHENTICATION),
        (["vllm/m", "--base-url", "127.0.0.1"], Status.REQUEST),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], status: Status) -> None:
    result = invoke("probe", *arguments)
    assert result.exit_code == status
    assert result.stderr.count("\n") == 1


@pytest.mark.network
@pytest.mark.usefixtures("with_key")
def test_cassettes_that_cannot_be_written_are_one_more_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with Server(good) as server:
        result = run(server, "--record", str(tmp_path / "file" / "below"))
    assert result.exit_code == Status.REQUEST
    assert "--record: cannot write" in result.stderr.splitlines()[-1]
