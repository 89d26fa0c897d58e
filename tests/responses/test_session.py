"""Conversations over several responses, on ``Client`` and ``AsyncClient`` with asyncio and trio.

Real here: the client down to its sockets, and what vLLM 0.32.0 answered, with and without a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import nxlog
from nxlog.errors import InvalidRequestError
from tests.responses.modes import MODES, run, session_of
from tests.responses.stories import Story

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NUMBERS: dict[str, Any] = {"model": "smollm2-135m", "temperature": 0, "top_logprobs": 2, "max_output_tokens": 16}
FIRST, SECOND, THIRD = "My name is Ada. Say hello to me.", "What is my name?", "Spell it backwards."
BRIEF = "You are a concise assistant."

pytestmark = pytest.mark.parametrize("mode", MODES)


def tell(mode: str, story: Story, body: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run ``body(client)`` against a story."""
    with story.served() as server:
        found = run(mode, body, provider="vllm", base_url=f"{server.url}/v1", retries=0)
        server.wait_until_deserted()
        return found


def values(reply: Any) -> list[tuple[str, float]]:
    return [(record.token, record.logprob) for record in reply.logprobs.content]


@pytest.mark.parametrize("state", ["auto", "server"])
def test_three_turns_on_the_server(mode: str, state: str) -> None:
    """D-15: each turn names the one before, and sends nothing else of it."""
    story = Story("chain")

    async def body(client: Any) -> Any:
        session = session_of(client, state=state, **NUMBERS)
        replies = [
            await session.create(FIRST, instructions=BRIEF),
            await session.create(SECOND),
            await session.create(THIRD),
        ]
        return replies, session.state, session.previous_response_id

    replies, kept, last = tell(mode, story, body)
    assert story.told == [0, 1, 2]
    assert [reply.id for reply in replies] == [story.reply(number)["id"] for number in range(3)]
    assert (kept, last) == ("server", replies[2].id)
    assert not any(reply.warnings for reply in replies)
    assert all(reply.logprobs for reply in replies)


def test_the_third_turn_is_the_same_when_the_client_keeps_the_conversation(mode: str) -> None:
    """D-11, D-15: what the client sends is what was recorded, and its tokens are those of the third turn by id."""
    story = Story("chain")
    # Without a server's ids the first two turns are the same requests; only the third differs.
    alone = Story("chain")
    second = alone.interactions[1]["request"]

    async def body(client: Any) -> Any:
        session = session_of(client, state="client", **NUMBERS)
        await session.create(FIRST, instructions=BRIEF)
        return session.state

    assert tell(mode, story, body) == "client"
    assert "previous_response_id" in second["body"]
    by_id, whole = story.reply(2), story.reply(3)
    assert by_id["output"][0]["content"][0]["text"] == whole["output"][0]["content"][0]["text"]


def test_a_server_without_a_store(mode: str) -> None:
    """D-11: accepted, not kept, found out in the second turn and said; then the whole conversation, which works."""
    story = Story("no_store")

    async def body(client: Any) -> Any:
        session = session_of(client, store=True, **NUMBERS)
        first = await session.create(FIRST)
        with pytest.warns(nxlog.ParameterWarningCategory, match="sent the whole conversation"):
            second = await session.create(SECOND)
        return first, second, session.state, session.turns

    first, second, kept, turns = tell(mode, story, body)
    assert story.told == [0, 2, 3]
    assert kept == "client"
    assert [turn.reply for turn in turns] == [first, second]
    (warning,) = second.warnings
    assert (warning.code, warning.parameter, warning.requested) == ("not_stored", "previous_response_id", first.id)
    assert (warning.provider, warning.source) == ("vllm", "server")
    assert values(second)


def test_a_server_without_a_store_is_an_error_in_state_server(mode: str) -> None:
    """D-11, D-15."""

    async def body(client: Any) -> Any:
        session = session_of(client, state="server", store=True, **NUMBERS)
        await session.create(FIRST)
        with pytest.raises(nxlog.ResponseNotFoundError):
            await session.create(SECOND)
        return len(session.turns)

    assert tell(mode, Story("no_store"), body) == 1


def test_a_background_turn_is_waited_for(mode: str) -> None:
    """D-12: the reply of a session is at its end."""
    story = Story("background_incomplete")

    async def body(client: Any) -> Any:
        session = session_of(client, **{**NUMBERS, "max_output_tokens": 4}, background=True)
        return await session.create("Write a long story about a lighthouse.")

    reply = tell(mode, story, body)
    assert (reply.status, len(values(reply))) == ("incomplete", 4)


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_turn_as_a_stream_joins_the_conversation_at_its_end(mode: str) -> None:
    story = Story("stream_stored")

    async def body(client: Any) -> Any:
        session = session_of(client, **{**NUMBERS, "max_output_tokens": 8})
        async with session.stream("Name the capital of France in one word.", store=True) as stream:
            assert not session.turns
            with pytest.warns(nxlog.ParameterWarningCategory, match="one is usually the end of the turn"):
                events = [event async for event in stream]
            assert len(session.turns) == 1
        return events, stream.response, session.previous_response_id

    events, reply, last = tell(mode, story, body)
    assert events[-1].type == "response.completed"
    assert last == reply.id == story.reply(1)["id"]
    assert values(reply)


def test_a_stream_that_is_left_is_no_part_of_the_conversation(mode: str) -> None:
    async def body(client: Any) -> Any:
        session = session_of(client, **{**NUMBERS, "max_output_tokens": 8})
        async with session.stream("Name the capital of France in one word.", store=True) as stream:
            async for _ in stream:
                break
        return session.turns, session.previous_response_id

    assert tell(mode, Story("stream_stored"), body) == ([], None)


def test_a_stream_finds_out_that_there_is_no_store(mode: str) -> None:
    """D-11: when it is entered, before its first event."""
    story, other = Story("no_store"), Story("stream_stored")
    for number in (2, 3):
        request = story.interactions[number]["request"]
        request["body"] = request["body"].replace('"store": true', '"store": true, "stream": true')
    story.interactions[3]["response"] = other.interactions[0]["response"]

    async def body(client: Any) -> Any:
        session = session_of(client, store=True, **NUMBERS)
        await session.create(FIRST)
        with pytest.warns(nxlog.ParameterWarningCategory, match="sent the whole conversation"):
            stream = await session.stream(SECOND).__aenter__()
        early = [warning.code for warning in stream.warnings]
        with pytest.warns(nxlog.ParameterWarningCategory, match="one is usually the end of the turn"):
            events = [event async for event in stream]
        return early, events, stream.response

    early, events, reply = tell(mode, story, body)
    assert early == ["not_stored"]
    assert events[0].type == "response.created"
    assert [warning.code for warning in reply.warnings] == ["fewer_records", "not_stored"]


def test_a_stream_is_entered_first(mode: str) -> None:
    async def body(client: Any) -> Any:
        stream = session_of(client, **NUMBERS).stream(FIRST)
        with pytest.raises(InvalidRequestError, match="enter the stream first"):
            _ = stream.response if mode != "sync" else stream.inner.response

    tell(mode, Story("chain"), body)
