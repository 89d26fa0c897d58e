"""The fault table: what servers and networks do wrong, end to end, on sync, asyncio and trio.

Real: the client and its whole HTTP stack, sockets on the loopback interface. The faults are scripted. Every row ends
in the right error or the right result; nothing hangs, no connection stays open, the key is in no text.
"""

from __future__ import annotations

import gzip
import json
import traceback
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import nxlog
from nxlog import AsyncClient, ChatResponse, Client, RetryPolicy, Timeout
from tests.fault_server import (
    CLOSE,
    LAST_CHUNK,
    RESET,
    SILENCE,
    FaultServer,
    chunk,
    chunked_head,
    gzipped,
    head,
    refused_url,
    response,
)

if TYPE_CHECKING:
    from tests.fault_server import Entry

KEY = "sk-secret-0123456789"
MESSAGES = [{"role": "user", "content": "Hi"}]
ENTRY = {"token": "Hello", "logprob": -0.25, "bytes": [72, 101, 108, 108, 111], "top_logprobs": []}
REPLY: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "logprobs": {"content": [ENTRY]},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
WHOLE = json.dumps(REPLY).encode()


def event(delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
    return b"data: " + json.dumps({"id": "chatcmpl-1", "model": "m", "choices": [choice]}).encode() + b"\n\n"


FIRST = event({"content": "Hello"}, logprobs={"content": [ENTRY]})
LAST = event({}, finish="stop")
DONE = b"data: [DONE]\n\n"


def streamed(*events: bytes) -> list[Any]:
    return [chunked_head(), *(chunk(data) for data in events)]


def error_body(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": "t", "param": None, "code": None, **more}}).encode()


@dataclass(frozen=True)
class Fault:
    """One row: what the server does, and what the caller must get."""

    name: str
    script: Entry | None
    error: type[nxlog.NxlogError] | None = None
    status: int | None = None
    says: str = ""
    text: str = "Hello"
    timeout: Timeout = field(default_factory=lambda: Timeout(connect=5, read=5, write=5, pool=5))
    more: dict[str, Any] = field(default_factory=dict)


QUOTED_KEY = error_body(f"Incorrect API key provided: {KEY}.", code="invalid_api_key")
SHORT = Timeout(connect=5, read=0.2, write=5, pool=5)
HUGE = b'{"pad": "' + b"x" * 300_000 + b'", ' + WHOLE[1:]

UNARY = [
    Fault("401", response(401, QUOTED_KEY), nxlog.AuthenticationError, 401, "Incorrect API key"),
    Fault("403", response(403, error_body("no access")), nxlog.PermissionDeniedError, 403, "no access"),
    Fault("404", response(404, b'{"detail": "Not Found"}'), nxlog.NotFoundError, 404, "Not Found"),
    Fault("400", response(400, error_body("bad", param="n")), nxlog.BadRequestError, 400, "bad"),
    Fault("413", response(413, b"<html><h1>Too large</h1></html>"), nxlog.BadRequestError, 413, "Too large"),
    Fault("422", response(422, b'{"detail": [{"msg": "field required"}]}'), nxlog.BadRequestError, 422, "required"),
    Fault("429", response(429, error_body("slow down"), retry_after="7"), nxlog.RateLimitError, 429, "slow down"),
    Fault("500", response(500, b"Internal Server Error"), nxlog.ServerError, 500, "Internal Server Error"),
    Fault("503", response(503, b""), nxlog.ServerError, 503),
    Fault("connection refused", None, nxlog.ConnectError),
    Fault("reset in the middle", [head(200, content_length="1000"), b'{"id"', RESET], nxlog.NetworkError),
    Fault("closed in the middle", [head(200, content_length="1000"), b'{"id"', CLOSE], nxlog.NetworkError),
    Fault("not HTTP", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE], nxlog.ProtocolError),
    Fault("silence", [SILENCE], nxlog.TimeoutError, says="read", timeout=SHORT),
    Fault("silence after the head", [head(200, content_length="9"), SILENCE], nxlog.TimeoutError, timeout=SHORT),
    Fault("total deadline", [SILENCE], nxlog.TimeoutError, timeout=Timeout(5, 0.3, 5, 5, total=0.2)),
    Fault("invalid JSON", response(200, b'{"id": "x", "choices": ['), nxlog.DecodeError, says="not JSON"),
    Fault("wrong content type", response(200, b"<html>Login</html>", content_type="text/html"), nxlog.DecodeError),
    Fault("empty body", response(200, b""), nxlog.DecodeError, says="empty"),
    Fault("another shape", response(200, b'{"hello": "world"}'), nxlog.DecodeError, says="choices"),
    Fault("a list", response(200, b"[1, 2]"), nxlog.DecodeError),
    Fault("error under 200", response(200, error_body("out of memory")), nxlog.ServerError, says="out of memory"),
    Fault("gzip", gzipped(WHOLE)),
    Fault("huge body", response(200, HUGE)),
    Fault("broken gzip", response(200, b"no gzip", content_encoding="gzip"), nxlog.NxlogError),
    Fault("redirect", response(307, b"", location="https://other.example/v1?token=1"), nxlog.RedirectError, 307),
    Fault("logprobs null", response(200, json.dumps({**REPLY, "choices": [
        {"index": 0, "message": {"content": "Hello"}, "logprobs": None, "finish_reason": "stop"}]}).encode())),
]  # fmt: skip

STREAMS = [
    Fault("whole", [*streamed(FIRST, LAST, DONE), LAST_CHUNK]),
    Fault("no end mark but finished", [*streamed(FIRST, LAST), LAST_CHUNK]),
    Fault("gzip", [chunked_head(content_encoding="gzip"), chunk(gzip.compress(FIRST + LAST + DONE)), LAST_CHUNK]),
    Fault("401", response(401, QUOTED_KEY), nxlog.AuthenticationError, 401),
    Fault("429", response(429, error_body("slow down"), retry_after="7"), nxlog.RateLimitError, 429),
    Fault("503", response(503, b""), nxlog.ServerError, 503),
    Fault("cut", [*streamed(FIRST), LAST_CHUNK], nxlog.IncompleteStreamError, says="before the answer did"),
    Fault("nothing", [chunked_head(), LAST_CHUNK], nxlog.IncompleteStreamError),
    Fault("reset", [*streamed(FIRST), RESET], nxlog.NetworkError),
    Fault("closed", [*streamed(FIRST), CLOSE], nxlog.NetworkError),
    Fault("silence", [*streamed(FIRST), SILENCE], nxlog.TimeoutError, says="read", timeout=SHORT),
    Fault(
        "error event", [*streamed(FIRST, b"data: " + error_body("overloaded") + b"\n\n", DONE), LAST_CHUNK],
        nxlog.ServerError, says="overloaded",
    ),
    Fault("invalid JSON", [*streamed(FIRST, b"data: {broken\n\n"), LAST_CHUNK], nxlog.DecodeError, says="not JSON"),
    Fault("whole reply instead", response(200, WHOLE), nxlog.DecodeError, says="use chat()"),
    Fault("error reply instead", response(200, error_body("no")), nxlog.ServerError, says="no"),
    Fault("a page", response(200, b"<html>", content_type="text/html"), nxlog.DecodeError),
    Fault("redirect", response(308, b"", location="https://other.example/"), nxlog.RedirectError, 308),
]  # fmt: skip

PARTIAL = {"cut", "reset", "closed", "silence", "error event", "invalid JSON"}
"""Rows after whose first event the stream breaks."""


@dataclass
class Outcome:
    reply: ChatResponse | None = None
    error: BaseException | None = None
    deltas: list[str] = field(default_factory=list)
    partial: ChatResponse | None = None


def options(fault: Fault, url: str) -> dict[str, Any]:
    return {"provider": "vllm", "base_url": url, "api_key": KEY, "retries": 0, "timeout": fault.timeout}


def call_sync(fault: Fault, url: str, *, stream: bool) -> Outcome:
    outcome = Outcome()
    with Client(**options(fault, url)) as client:
        try:
            if not stream:
                outcome.reply = client.chat(model="m", messages=MESSAGES, logprobs=True)
                return outcome
            with client.stream(model="m", messages=MESSAGES, logprobs=True) as events:
                try:
                    outcome.deltas.extend(item.delta for item in events if item.delta)
                finally:
                    outcome.partial = events.response
                outcome.reply = events.response
        except nxlog.NxlogError as error:
            outcome.error = error
    return outcome


async def call_async(fault: Fault, url: str, stream: bool) -> Outcome:
    outcome = Outcome()
    async with AsyncClient(**options(fault, url)) as client:
        try:
            if not stream:
                outcome.reply = await client.chat(model="m", messages=MESSAGES, logprobs=True)
                return outcome
            async with client.stream(model="m", messages=MESSAGES, logprobs=True) as events:
                try:
                    async for item in events:
                        if item.delta:
                            outcome.deltas.append(item.delta)
                finally:
                    outcome.partial = events.response
                outcome.reply = events.response
        except nxlog.NxlogError as error:
            outcome.error = error
    return outcome


def play(fault: Fault, driver: str, *, stream: bool) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nxlog.ParameterWarningCategory)
        if fault.script is None:
            return _play(fault, refused_url(), driver, stream=stream)
        with FaultServer(fault.script) as server:
            outcome = _play(fault, server.url, driver, stream=stream)
            server.wait_until_deserted()  # the client is closed: no connection may be left
            assert len(server.requests) == 1
        return outcome


def _play(fault: Fault, url: str, driver: str, *, stream: bool) -> Outcome:
    if driver == "sync":
        return call_sync(fault, url, stream=stream)
    return anyio.run(call_async, fault, url, stream, backend=driver)


def judge(fault: Fault, outcome: Outcome) -> None:
    if fault.error is None:
        assert outcome.error is None, outcome.error
        assert outcome.reply is not None
        assert outcome.reply.text == fault.text
        return
    error = outcome.error
    assert isinstance(error, fault.error), error
    assert isinstance(error, nxlog.NxlogError)
    assert error.status_code == fault.status or fault.status is None
    assert fault.says.lower() in str(error).lower()
    assert (error.provider, error.model) == ("vllm", "m")
    text = "".join(traceback.format_exception(error)) + repr(error) + str(error.body) + repr(vars(error))
    assert KEY not in text
    if fault.name == "429":
        assert error.retry_after == 7.0
    if fault.name == "redirect":
        assert "token" not in text


DRIVERS = pytest.mark.parametrize("driver", ["sync", "asyncio", "trio"])


@DRIVERS
@pytest.mark.parametrize("fault", UNARY, ids=lambda fault: fault.name)
def test_whole_reply(fault: Fault, driver: str) -> None:
    judge(fault, play(fault, driver, stream=False))


@DRIVERS
@pytest.mark.parametrize("fault", STREAMS, ids=lambda fault: fault.name)
def test_stream(fault: Fault, driver: str) -> None:
    outcome = play(fault, driver, stream=True)
    judge(fault, outcome)
    if fault.name in PARTIAL:
        # What arrived before the fault was delivered, and stays.
        assert outcome.deltas == ["Hello"]
        assert outcome.partial is not None
        assert outcome.partial.logprobs is not None
        assert outcome.partial.text == "Hello"


QUICK = RetryPolicy(attempts=3, first_delay=0.0, jitter=(1, 1))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_retried_until_it_works(stream: bool) -> None:
    """A 503, a reset, then an answer: one call for the user."""
    good = [*streamed(FIRST, LAST, DONE), LAST_CHUNK] if stream else response(200, WHOLE)
    with (
        FaultServer(response(503), [RESET], good) as server,
        Client(provider="vllm", base_url=server.url, retries=QUICK) as client,
    ):
        if stream:
            with client.stream(model="m", messages=MESSAGES) as events:
                assert [item.delta for item in events if item.delta] == ["Hello"]
        else:
            assert client.chat(model="m", messages=MESSAGES).text == "Hello"
        assert len(server.requests) == 3


def test_never_retried_after_the_first_byte_of_a_stream() -> None:
    with (
        FaultServer([*streamed(FIRST), RESET]) as server,
        Client(provider="vllm", base_url=server.url, retries=QUICK) as client,
        client.stream(model="m", messages=MESSAGES) as events,
    ):
        assert next(events).delta == "Hello"
        with pytest.raises(nxlog.NetworkError):
            list(events)
        assert len(server.requests) == 1


def test_early_exit_closes_the_connection() -> None:
    with (
        FaultServer([*streamed(FIRST), SILENCE]) as server,
        Client(provider="vllm", base_url=server.url) as client,
    ):
        with client.stream(model="m", messages=MESSAGES) as events:
            for item in events:
                assert item.delta == "Hello"
                break
        server.wait_until_deserted()


@pytest.mark.anyio
async def test_cancellation_closes_the_connection(anyio_backend: str) -> None:
    with FaultServer([SILENCE]) as server:
        async with AsyncClient(provider="vllm", base_url=server.url) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: client.chat(model="m", messages=MESSAGES))
                await anyio.to_thread.run_sync(server.wait_for_requests, 1)
                tasks.cancel_scope.cancel()
            await anyio.to_thread.run_sync(server.wait_until_deserted)


@pytest.mark.anyio
async def test_early_exit_closes_the_connection_async(anyio_backend: str) -> None:
    with FaultServer([*streamed(FIRST), SILENCE]) as server:
        async with AsyncClient(provider="vllm", base_url=server.url) as client:
            async with client.stream(model="m", messages=MESSAGES) as events:
                async for item in events:
                    assert item.delta == "Hello"
                    break
            await anyio.to_thread.run_sync(server.wait_until_deserted)


def test_a_refusal_of_logprobs_is_answered_without_them_and_remembered() -> None:
    """One retry without the fields, a warning from the server's words, and the next call does not pay again."""
    refusal = response(400, error_body("Unsupported parameter: 'logprobs' is not supported with this model."))
    with (
        FaultServer(refusal, response(200, WHOLE)) as server,
        Client(provider="vllm", base_url=server.url) as client,
    ):
        with pytest.warns(nxlog.ParameterWarningCategory, match="the server refused it"):
            reply = client.chat(model="m", messages=MESSAGES, logprobs=True, top_logprobs=2)
        with pytest.warns(nxlog.ParameterWarningCategory, match="refused it earlier"):
            again = client.chat(model="m", messages=MESSAGES, logprobs=True, top_logprobs=2)
        sent = [json.loads(request.body) for request in server.requests]
    assert [body.get("logprobs") for body in sent] == [True, None, None]
    assert [body.get("top_logprobs") for body in sent] == [2, None, None]
    assert [(w.parameter, w.code, w.source) for w in reply.warnings] == [("logprobs", "refused", "server")]
    assert [(w.parameter, w.code, w.source) for w in again.warnings] == [("logprobs", "refused", "learned")]


def test_a_missing_key_is_an_error_before_the_network() -> None:
    with Client(provider="openai") as client, pytest.raises(nxlog.MissingKeyError, match="OPENAI_API_KEY"):
        client.chat(model="gpt-4o", messages=MESSAGES)


def test_the_key_is_in_no_repr() -> None:
    client = Client(provider="openai", api_key=KEY)
    target = client._config.target("gpt-4o")
    assert KEY not in repr(client) + repr(target) + repr(client._config.call(_request(), stream=False).http_request())


def _request() -> nxlog.ChatRequest:
    return nxlog.ChatRequest.model_validate({"model": "gpt-4o", "messages": MESSAGES})
