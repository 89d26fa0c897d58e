"""What a client learns of a server, and what the next call does with it.

Real here: both clients, their transport, and a server on loopback that refuses, limits, ignores or serves another
model, in the words of real servers. The number of its requests is what is counted.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from nxlog import AsyncClient, BadRequestError, ChatResponse, Client, Registry, VerdictKind, Verdicts
from nxlog.errors import NxlogError
from tests.fault_server import FaultServer, Received, response

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPT = [{"role": "user", "content": "Is the sea salty?"}]
REFUSAL = "logprobs are not supported with reasoning models."
RANGE = "Invalid value for 'top_logprobs': must be less than or equal to 5."

pytestmark = pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")


def body_of(request: Received) -> dict[str, Any]:
    return json.loads(request.body)


def reply(asked: dict[str, Any], *, served: str = "m", records: bool = True) -> bytes:
    count = asked.get("top_logprobs", 0)
    tops = [{"token": f"t{i}", "logprob": -1.0 - i} for i in range(count)]
    logprobs = {"content": [{"token": "Yes", "logprob": -0.5, "top_logprobs": tops}]}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Yes"},
        "logprobs": logprobs if records and asked.get("logprobs") else None,
        "finish_reason": "length",
    }
    usage = {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}
    return response(200, json.dumps({"model": served, "choices": [choice], "usage": usage}).encode())


def error(message: str, status: int = 400) -> bytes:
    return response(status, json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode())


def refuses(request: Received) -> bytes:
    asked = body_of(request)
    return error(REFUSAL) if asked.get("logprobs") else reply(asked)


def limits(request: Received) -> bytes:
    asked = body_of(request)
    return error(RANGE) if asked.get("top_logprobs", 0) > 5 else reply(asked)


def ignores(request: Received) -> bytes:
    return reply(body_of(request), records=False)


def found(answer: ChatResponse) -> list[tuple[str, str, str]]:
    return [(warning.parameter, warning.code.value, warning.source.value) for warning in answer.warnings]


def test_a_refusal_costs_one_request_and_is_remembered() -> None:
    with FaultServer(refuses) as server, Client(base_url=server.url) as client:
        first = client.chat(model="m", messages=PROMPT, top_logprobs=3)
        assert (first.text, found(first)) == ("Yes", [("logprobs", "refused", "server")])
        assert len(server.requests) == 2
        again = client.chat(model="m", messages=PROMPT, top_logprobs=3)
        assert found(again) == [("logprobs", "refused", "learned")]
        assert REFUSAL in again.warnings[0].message
        assert len(server.requests) == 3
        client.chat(model="another", messages=PROMPT, top_logprobs=3)
        assert len(server.requests) == 5
        assert len(client.verdicts) == 2


def test_a_limit_is_kept_to() -> None:
    with FaultServer(limits) as server, Client(base_url=server.url) as client:
        first = client.chat(model="m", messages=PROMPT, top_logprobs=8)
        assert found(first) == [("top_logprobs", "clamped", "server")]
        assert (first.warnings[0].requested, first.warnings[0].applied) == (8, 5)
        assert first.logprobs is not None
        assert len(first.logprobs[0].top_logprobs) == 5
        again = client.chat(model="m", messages=PROMPT, top_logprobs=8)
        assert found(again) == [("top_logprobs", "clamped", "learned")]
        assert client.chat(model="m", messages=PROMPT, top_logprobs=4).warnings == []
    assert [body_of(request)["top_logprobs"] for request in server.requests] == [8, 5, 5, 4]


def test_a_number_is_lowered_once_and_logprobs_are_given_up_once() -> None:
    """A server that refuses whatever it is asked does not keep the client busy."""

    def never(request: Received) -> bytes:
        asked = body_of(request)
        return error(RANGE if asked.get("top_logprobs", 0) > 5 else REFUSAL) if asked.get("logprobs") else reply(asked)

    with FaultServer(never) as server, Client(base_url=server.url) as client:
        answer = client.chat(model="m", messages=PROMPT, top_logprobs=8)
        assert found(answer) == [("top_logprobs", "clamped", "server"), ("logprobs", "refused", "server")]
    assert len(server.requests) == 3
    with FaultServer(error(REFUSAL)) as server, Client(base_url=server.url) as client:
        with pytest.raises(BadRequestError):
            client.chat(model="m", messages=PROMPT, top_logprobs=8)
        assert len(server.requests) == 2


def test_raise_learns_nothing_and_sends_nothing_twice() -> None:
    for server_does in (refuses, limits):
        with FaultServer(server_does) as server, Client(base_url=server.url, on_unsupported="raise") as client:
            with pytest.raises(BadRequestError):
                client.chat(model="m", messages=PROMPT, top_logprobs=8)
            assert len(server.requests) == 1
            assert len(client.verdicts) == 0
    with FaultServer(ignores) as server, Client(base_url=server.url, on_unsupported="raise") as client:
        for _ in range(4):
            assert found(client.chat(model="m", messages=PROMPT, logprobs=True)) == [
                ("logprobs", "not_delivered", "response")
            ]


def test_three_replies_without_records_are_a_verdict() -> None:
    with FaultServer(ignores) as server, Client(base_url=server.url) as client:
        for _ in range(3):
            answer = client.chat(model="m", messages=PROMPT, logprobs=True)
            assert found(answer) == [("logprobs", "not_delivered", "response")]
        answer = client.chat(model="m", messages=PROMPT, logprobs=True)
        assert found(answer) == [("logprobs", "refused", "learned")]
        assert "ignored" in answer.warnings[0].message
    assert ["logprobs" in body_of(request) for request in server.requests] == [True, True, True, False]


def test_the_model_that_is_served_decides() -> None:
    """The name stays, the model behind it changes, and with it what can be had."""
    served = {"name": "old", "records": False}

    def redirects(request: Received) -> bytes:
        return reply(body_of(request), served=str(served["name"]), records=bool(served["records"]))

    with FaultServer(redirects) as server, Client(base_url=server.url) as client:
        for _ in range(3):
            client.chat(model="latest", messages=PROMPT, logprobs=True)
        assert found(client.chat(model="latest", messages=PROMPT, logprobs=True)) == [
            ("logprobs", "refused", "learned")
        ]
        # The same model under its own name: nobody needs to find out again.
        assert found(client.chat(model="old", messages=PROMPT, logprobs=True)) == [("logprobs", "refused", "learned")]
        served.update(name="new", records=True)
        client.chat(model="latest", messages=PROMPT)  # any reply tells
        assert found(client.chat(model="latest", messages=PROMPT, logprobs=True)) == []
        assert server.requests


def test_the_users_word_is_stronger() -> None:
    claims = {"logprobs": {"value": "yes"}, "top_logprobs": {"value": "yes"}}
    with FaultServer(refuses) as server:
        registry = Registry.default().with_(
            providers={"farm": farm(server.url)}, capabilities={"farm": {"claims": claims}}
        )
        with Client(provider="farm", registry=registry) as client:
            for count in (2, 4):
                client.chat(model="m", messages=PROMPT, logprobs=True)
                assert len(server.requests) == count


def farm(url: str) -> dict[str, Any]:
    return {
        "display_name": "Farm",
        "kind": "engine",
        "docs": "https://farm.example",
        "base_url": url,
        "auth": {"scheme": "none", "required": False},
        "wires": {"openai-chat": {"path": "/chat/completions"}},
    }


def test_an_error_inside_a_stream_is_learned_for_the_next() -> None:
    """vLLM answers 200 and then says in an event that the number is too high."""
    event = b"data: " + json.dumps({"error": {"message": RANGE, "code": 400}}).encode() + b"\n\ndata: [DONE]\n\n"
    broken = response(200, event, content_type="text/event-stream")
    with FaultServer(broken) as server, Client(base_url=server.url) as client:
        with pytest.raises(BadRequestError), client.stream(model="m", messages=PROMPT, top_logprobs=8) as stream:
            list(stream)
        with client.stream(model="m", messages=PROMPT, top_logprobs=8) as stream:
            assert [(w.parameter, w.source) for w in stream.warnings] == [("top_logprobs", "learned")]
        assert [body_of(request)["top_logprobs"] for request in server.requests] == [8, 5]


def test_clients_share_what_they_learn() -> None:
    verdicts = Verdicts()
    with FaultServer(refuses) as server:
        for count in (2, 3):
            with Client(base_url=server.url, verdicts=verdicts) as client:
                client.chat(model="m", messages=PROMPT, logprobs=True)
            assert len(server.requests) == count


# -- many at once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("server_does", "extra"), [(refuses, 1), (limits, 1), (ignores, 0)])
def test_a_hundred_first_calls_do_not_stampede(
    backend: str, server_does: Callable[[Received], bytes], extra: int
) -> None:
    """One goes ahead and finds out; the others come after it and ask for what can be had."""
    answers: list[ChatResponse] = []

    async def all_at_once(url: str) -> None:
        async with AsyncClient(base_url=url) as client, anyio.create_task_group() as group:

            async def one() -> None:
                answers.append(await client.chat(model="m", messages=PROMPT, top_logprobs=8))

            for _ in range(100):
                group.start_soon(one)

    with FaultServer(server_does) as server:
        anyio.run(all_at_once, server.url, backend=backend)
        assert len(server.requests) == 100 + extra
    assert len(answers) == 100
    assert all(answer.warnings for answer in answers)
    assert sum(warning.source == "server" for answer in answers for warning in answer.warnings) == extra


def test_threads_wait_for_the_one_that_goes_ahead() -> None:
    with FaultServer(refuses) as server, Client(base_url=server.url) as client, ThreadPoolExecutor(20) as pool:
        asks = [pool.submit(client.chat, model="m", messages=PROMPT, logprobs=True) for _ in range(20)]
        assert all(ask.result().warnings for ask in asks)
        assert len(server.requests) == 21


def test_when_the_first_fails_the_next_goes_ahead() -> None:
    failing = threading.Semaphore(3)

    def fails_thrice(request: Received) -> bytes:
        return error("overloaded", 503) if failing.acquire(blocking=False) else refuses(request)

    with FaultServer(fails_thrice) as server, Client(base_url=server.url, retries=0) as client:
        with ThreadPoolExecutor(10) as pool:
            asks = [pool.submit(client.chat, model="m", messages=PROMPT, logprobs=True) for _ in range(10)]
        failed = [ask for ask in asks if isinstance(ask.exception(), NxlogError)]
        assert len(failed) == 3
        assert len(server.requests) == 3 + 7 + 1


def test_a_known_server_makes_nobody_wait() -> None:
    """Both requests are there before the first is answered, so neither waited for the other."""
    both = threading.Barrier(2, timeout=10)

    def together(request: Received) -> bytes:
        both.wait()
        return reply(body_of(request))

    with FaultServer(together) as server:
        known = Client(provider="vllm", base_url=server.url)
        with known as client, ThreadPoolExecutor(2) as pool:
            asks = [pool.submit(client.chat, model="m", messages=PROMPT, logprobs=True) for _ in range(2)]
            assert [ask.result().text for ask in asks] == ["Yes", "Yes"]


def test_verdicts_know_their_kinds() -> None:
    with FaultServer(limits) as server, Client(base_url=server.url) as client:
        client.chat(model="m", messages=PROMPT, top_logprobs=8)
        (entry,) = json.loads(client.verdicts.to_json())["verdicts"]
    assert (entry["kind"], entry["limit"], entry["mode"]) == (VerdictKind.LIMITED, 5, "whole")
    assert entry["provider"] == "custom"
