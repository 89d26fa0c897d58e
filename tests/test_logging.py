"""The logger ``nxlog``, and keys: they get into no log record, span, event or metric.

What is real: the client, the server on the loopback interface, Python's logging and OpenTelemetry's SDK. The replies
are made up, those with a key in them by a hostile server.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import AsyncClient, ChatRequest, Client, NxlogError, ParameterWarningCategory, RetryPolicy
from nxlog.testing import FakeProvider
from tests.fault_server import LAST_CHUNK, FaultServer, chunk, chunked_head, refused_url, response
from tests.telemetry_sdk import Exported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fault_server import Entry

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "a zeppelin"}], logprobs=True)
FAST = RetryPolicy(attempts=3, first_delay=0.0)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the loggers get, that of nxlog from debug up."""
    caplog.set_level(logging.DEBUG, logger="nxlog")
    return caplog


def lines(logged: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Messages of ours; a number of seconds as S, a port as PORT."""
    said = [record.getMessage() for record in logged.records if record.name == "nxlog" and record.levelno == level]
    return [re.sub(r"\d+\.\d{3} s", "S s", re.sub(r":\d{4,5}/", ":PORT/", line)) for line in said]


def reply_body(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], **fields}


def stream_of(body: dict[str, Any]) -> list[bytes]:
    choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": body["choices"][0]["finish_reason"]}
    data = b"data: " + json.dumps({**body, "choices": [choice]}).encode() + b"\n\ndata: [DONE]\n\n"
    return [chunked_head(), chunk(data), LAST_CHUNK]


# -- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
def test_a_call_in_the_log(logged: pytest.LogCaptureFixture) -> None:
    script = [response(503), response(200, json.dumps(reply_body()).encode())]
    with FaultServer(*script) as server, Client(base_url=f"{server.url}/v1?v=1", retries=FAST) as client:
        client.chat(REQUEST)
    assert lines(logged, logging.DEBUG) == [
        "POST http://127.0.0.1:PORT/v1/chat/completions: 503 in S s, attempt 1",
        "POST http://127.0.0.1:PORT/v1/chat/completions: 200 in S s, attempt 2",
        "custom/m: complete after S s, 2 attempts",
    ]
    (warned,) = lines(logged, logging.INFO)
    assert warned.startswith("error response not_delivered: logprobs: ")


@pytest.mark.network
@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
async def test_a_stream_that_is_left_in_the_log(logged: pytest.LogCaptureFixture) -> None:
    with FaultServer(stream_of(reply_body())) as server:
        async with AsyncClient(base_url=server.url) as client, client.stream(REQUEST) as stream:
            await anext(stream)
    assert lines(logged, logging.DEBUG) == [
        "POST http://127.0.0.1:PORT/chat/completions: 200 in S s, attempt 1",
        "custom/m: closed before its end after S s, 1 attempts",
    ]


@pytest.mark.network
def test_an_error_in_the_log(logged: pytest.LogCaptureFixture) -> None:
    with Client(base_url=refused_url(), retries=0) as client, pytest.raises(NxlogError):
        client.chat(REQUEST)
    assert lines(logged, logging.DEBUG) == [
        "POST http://127.0.0.1:PORT/chat/completions: ConnectError in S s, attempt 1",
        "custom/m: ConnectError after S s, 1 attempts",
    ]


def test_at_info_there_are_warnings_alone(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeProvider(claims={"seed": "no"})
    fake.reply("x")
    caplog.set_level(logging.INFO, logger="nxlog")
    with pytest.warns(ParameterWarningCategory), fake.client() as client:
        client.chat(REQUEST.model_copy(update={"seed": 1}))
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert "zeppelin" not in caplog.text


def test_the_words_of_a_server_are_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """They may quote the request, now and when they are remembered."""
    fake = FakeProvider(claims={"logprobs": "unknown"})
    fake.fail(400, "logprobs is not supported with this model, you said: a zeppelin")
    fake.reply("x")
    fake.reply("x")
    caplog.set_level(logging.INFO, logger="nxlog")
    with pytest.warns(ParameterWarningCategory), fake.client() as client:
        first, second = client.chat(REQUEST), client.chat(REQUEST)
    assert "zeppelin" in str(first.warnings[0])
    assert "zeppelin" in str(second.warnings[0])
    assert [record.getMessage() for record in caplog.records] == [
        "warning server refused: logprobs [mock/m]",
        "info learned refused: logprobs [mock/m]",
    ]


def test_nothing_is_said_unless_asked_for() -> None:
    """In a program of its own, as pytest has handlers."""
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from nxlog.testing import FakeProvider\n"
        "fake = FakeProvider(claims={'seed': 'no'}); fake.reply('x'); fake.reply('x')\n"
        "class Broken:\n"
        "    def started(self, call): raise RuntimeError\n"
        "messages = [{'role': 'user', 'content': 'x'}]\n"
        "fake.client().chat(model='m', messages=messages, seed=1)\n"
        "fake.client(telemetry=Broken()).chat(model='m', messages=messages, seed=1)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "")


# -- keys ------------------------------------------------------------------------------------------------------------

KEY = "sk-proj-" + "0123456789-secret-" * 9
TELLTALE = KEY[4:16]
"""What stands before it is the same in all keys."""

EVERYWHERE = ChatRequest.model_validate(
    {
        "model": f"m-{KEY}",
        "messages": [{"role": "user", "content": f"my key is {KEY}"}],
        "logprobs": True,
        "stop": [KEY],
        "provider_options": {"user": KEY},
        "tools": [{"type": "function", "function": {"name": "f", "description": KEY}}],
    }
)
ECHO = reply_body(id=KEY, model=f"m-{KEY}")
ECHO["choices"][0] |= {"finish_reason": KEY}
ECHO["choices"][0]["message"] = {"content": KEY}
QUOTED = {"error": {"message": f"`logprobs` is not supported with this model {KEY}", "code": KEY, "type": KEY}}


def replies(*, streamed: bool) -> dict[str, list[Entry]]:
    whole = response(200, json.dumps(ECHO).encode(), x_request_id=KEY)
    good: Entry = stream_of(ECHO) if streamed else whole
    return {
        "echo": [good],
        "refusal": [response(400, json.dumps(QUOTED).encode()), good],
        "error": [response(401, json.dumps(QUOTED).encode())],
        "busy": [response(503, json.dumps(QUOTED).encode())],
    }


@pytest.fixture
def exported() -> Iterator[Exported]:
    made = Exported()
    yield made
    made.close()


def whole(client: Client) -> None:
    client.chat(EVERYWHERE)


def streamed(client: Client) -> None:
    with client.stream(EVERYWHERE) as stream:
        list(stream)


@pytest.mark.network
@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
@pytest.mark.parametrize("capture_content", [False, True])
@pytest.mark.parametrize("reply", ["echo", "refusal", "error", "busy"])
@pytest.mark.parametrize("ask", [whole, streamed])
def test_the_key_is_nowhere(
    ask: Callable[[Client], None],
    reply: str,
    capture_content: bool,
    exported: Exported,
    logged: pytest.LogCaptureFixture,
) -> None:
    telemetry = exported.telemetry(capture_content=capture_content)
    with FaultServer(*replies(streamed=ask is streamed)[reply]) as server:
        # In the user's part, in the path and in the query.
        url = f"http://{KEY}:{KEY}@127.0.0.1:{server.port}/{KEY}/v1?key={KEY}"
        with Client(provider="vllm", base_url=url, api_key=KEY, retries=FAST, telemetry=telemetry) as client:
            if reply in {"error", "busy"}:
                with pytest.raises(NxlogError):
                    ask(client)
            else:
                ask(client)
        sent = server.requests[0]
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.target.count(KEY) == 2
    assert sent.body.count(KEY.encode()) >= 5
    assert exported.span.name == "chat m-[key]"
    assert TELLTALE not in exported.text()
    ours = [record for record in logged.records if record.name == "nxlog"]
    assert len(ours) >= 2
    assert not [record for record in ours if TELLTALE in f"{record.getMessage()} {vars(record)}"]
