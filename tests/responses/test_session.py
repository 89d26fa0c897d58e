"""Conversations over several responses, on ``Client`` and ``AsyncClient`` with asyncio and trio.

Real here: the client down to its sockets, and what vLLM 0.32.0 answered, with and without a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import nxlog
from nxlog.errors import InvalidRequestError
from nxlog.responses import Poll, Watchdog
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


@pytest.mark.parametrize(
    ("state", "told", "kept"),
    [("auto", [0, 1, 2], "server"), ("server", [0, 1, 2], "server"), ("client", [0, 3, 4], "client")],
)
def test_three_turns(mode: str, state: str, told: list[int], kept: str) -> None:
    """D-11, D-15: each turn names the one before, or has all of it as input; the tokens are the same."""
    story = Story("chain")

    async def body(client: Any) -> Any:
        session = session_of(client, state=state, instructions=BRIEF, **NUMBERS)
        replies = [await session.create(text) for text in (FIRST, SECOND, THIRD)]
        return replies, session.state, session.previous_response_id

    replies, keeper, last = tell(mode, story, body)
    assert story.told == told
    assert [reply.id for reply in replies] == [story.reply(number)["id"] for number in told]
    assert (keeper, last) == (kept, replies[2].id)
    assert not any(reply.warnings for reply in replies)
    by_id = story.reply(2)["output"][0]["content"][0]["logprobs"]
    assert [token for token, _ in values(replies[2])] == [record["token"] for record in by_id]


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


def test_a_background_turn_as_a_stream_survives_its_connection(mode: str) -> None:
    """D-21: the watchdog of a session is that of its stream."""

    async def body(client: Any) -> Any:
        session = session_of(client, **NUMBERS, background=True, store=True)
        watchdog = Watchdog(idle=0.2, poll=Poll(first_delay=0.001, max_delay=0.001))
        async with session.stream("Name the capital of France in one word.", watchdog=watchdog) as stream:
            with pytest.warns(nxlog.ParameterWarningCategory, match="one is usually the end of the turn"):
                numbers = [event.sequence_number async for event in stream]
        return numbers, session.turns

    numbers, turns = tell(mode, Story("stream_resume"), body)
    assert numbers == list(range(14))
    assert turns[0].reply.status == "completed"


def test_a_stream_is_entered_first(mode: str) -> None:
    async def body(client: Any) -> Any:
        stream = session_of(client, **NUMBERS).stream(FIRST)
        with pytest.raises(InvalidRequestError, match="enter the stream first"):
            _ = stream.response if mode != "sync" else stream.inner.response

    tell(mode, Story("chain"), body)
