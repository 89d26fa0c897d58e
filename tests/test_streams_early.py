"""Streams that are cancelled, closed or entered in ways of a user's own: a part is never passed off as the whole.

The server is real, on the loopback interface.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from nxlog import AsyncClient, Client, InvalidRequestError, NetworkError, ServerError
from tests.fault_server import LAST_CHUNK, SILENCE, FaultServer, chunk, chunked_head

if TYPE_CHECKING:
    from tests.fault_server import Step

FIELDS: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def event(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def script(*between: Step, status: int = 200) -> list[Step]:
    first = chunk(event("a") + event("b"))
    return [chunked_head(status), first, *between, chunk(event("c", "stop") + b"data: [DONE]\n\n"), LAST_CHUNK]


@pytest.mark.anyio
async def test_a_cancelled_stream_does_not_end_as_if_it_were_whole() -> None:
    with FaultServer(script(SILENCE)) as server:
        async with AsyncClient(base_url=server.url, retries=0) as client, client.stream(**FIELDS) as stream:
            assert [(await anext(stream)).delta, (await anext(stream)).delta] == ["a", "b"]
            with anyio.move_on_after(0.01):
                await anext(stream)
            with pytest.raises(NetworkError, match="closed before its end"):
                await anext(stream)
            assert stream.response.text == "ab"
            assert stream.response.finish_reason is None


@pytest.mark.anyio
async def test_a_closed_stream_gives_an_error_and_no_end() -> None:
    with FaultServer(script(SILENCE)) as server:
        async with AsyncClient(base_url=server.url, retries=0) as client, client.stream(**FIELDS) as stream:
            assert [(await anext(stream)).delta, (await anext(stream)).delta] == ["a", "b"]
            await stream.aclose()
            with pytest.raises(NetworkError, match="closed before its end"):
                await anext(stream)
        server.wait_until_deserted()


@pytest.mark.anyio
async def test_a_stream_read_to_its_end_stays_at_its_end() -> None:
    with FaultServer(script()) as server:
        async with AsyncClient(base_url=server.url, retries=0) as client, client.stream(**FIELDS) as stream:
            assert "".join([part.delta async for part in stream]) == "abc"
            await stream.aclose()
            assert [part async for part in stream] == []


def test_a_closed_stream_gives_an_error_and_no_end_in_threads() -> None:
    with FaultServer(script(SILENCE)) as server, Client(base_url=server.url, retries=0) as client:
        with client.stream(**FIELDS) as stream:
            next(stream)
        with pytest.raises(NetworkError, match="closed before its end"):
            list(stream)
        server.wait_until_deserted()


@pytest.mark.parametrize("status", [200, 201])
def test_any_success_can_be_a_stream(status: int) -> None:
    with (
        FaultServer(script(status=status)) as server,
        Client(base_url=server.url, retries=0) as client,
        client.stream(**FIELDS) as stream,
    ):
        assert "".join(part.delta for part in stream) == "abc"


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 201])
async def test_any_success_can_be_a_stream_async(status: int) -> None:
    with FaultServer(script(status=status)) as server:
        async with AsyncClient(base_url=server.url, retries=0) as client, client.stream(**FIELDS) as stream:
            assert "".join([part.delta async for part in stream]) == "abc"


def test_an_error_without_events_in_a_stream_is_that_error() -> None:
    body = b'{"error":{"message":"overloaded"}}'
    with (
        FaultServer([chunked_head(), chunk(body), LAST_CHUNK]) as server,
        Client(base_url=server.url, retries=0) as client,
        client.stream(**FIELDS) as stream,
        pytest.raises(ServerError, match="overloaded"),
    ):
        list(stream)


def test_a_stream_is_entered_once() -> None:
    with FaultServer(script()) as server, Client(base_url=server.url, retries=0) as client:
        with client.stream(**FIELDS) as stream:
            with pytest.raises(InvalidRequestError, match="once"):
                stream.__enter__()
            assert "".join(part.delta for part in stream) == "abc"
        assert len(server.requests) == 1


@pytest.mark.anyio
async def test_a_stream_is_entered_once_async() -> None:
    with FaultServer(script()) as server:
        async with AsyncClient(base_url=server.url, retries=0) as client, client.stream(**FIELDS) as stream:
            with pytest.raises(InvalidRequestError, match="once"):
                await stream.__aenter__()
            assert "".join([part.delta async for part in stream]) == "abc"
        assert len(server.requests) == 1
