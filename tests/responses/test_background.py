"""Stored, background, cancelled and broken responses, on ``Client`` and ``AsyncClient`` with asyncio and trio.

Real here: the client down to its sockets, and every byte that vLLM 0.32.0 answered (``fixtures/vllm/responses``); the
server that repeats them is on the loopback interface.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import nxlog
from nxlog.responses import Poll, Watchdog
from nxlog.testing.cassette import load
from tests.fault_server import LAST_CHUNK, FaultServer, chunk, chunked_head, response
from tests.responses.modes import MODES, run
from tests.responses.stories import DIRECTORY, Story, body_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MODEL = "smollm2-135m"
CAPITAL = "Name the capital of France in one word."
LONG = "Write a long story about a lighthouse."
NUMBERS: dict[str, Any] = {"model": MODEL, "temperature": 0, "top_logprobs": 2}
AT_ONCE = Poll(first_delay=0.001, max_delay=0.001)
ALERT = Watchdog(idle=0.2, poll=AT_ONCE)

pytestmark = pytest.mark.parametrize("mode", MODES)


def tell(mode: str, story: Story, body: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    """Run ``body(client.responses)`` against a story."""
    with story.served() as server:

        async def main(client: Any) -> Any:
            return await body(client.responses)

        found = run(mode, main, provider="vllm", base_url=f"{server.url}/v1", retries=0, **options)
        server.wait_until_deserted()
        return found


def tokens(reply: Any) -> list[str]:
    return [record.token for record in reply.logprobs.content]


# -- D-12, D-13: background, wait, retrieve ---------------------------------------------------------------------------


def test_a_stored_response_is_the_same_when_it_is_retrieved(mode: str) -> None:
    """D-13: the id finds what ``create`` gave, numbers included."""

    async def body(responses: Any) -> Any:
        made = await responses.create(input=CAPITAL, max_output_tokens=12, **NUMBERS)
        return made, await responses.retrieve(made.id)

    made, found = tell(mode, Story("create_retrieve"), body)
    assert found.id == made.id
    assert found.text == made.text != ""
    assert found.logprobs == made.logprobs
    assert (found.status, found.provider) == ("completed", "vllm")


def test_a_background_response_is_waited_for(mode: str) -> None:
    """D-12: queued at once and without output; then polled until it is completed, with its numbers."""
    story = Story("background")

    async def body(responses: Any) -> Any:
        made = await responses.create(input=CAPITAL, max_output_tokens=24, background=True, **NUMBERS)
        return made, await responses.wait(made, poll=AT_ONCE)

    made, done = tell(mode, story, body)
    assert (made.status, made.is_running, made.output, made.finish_reason) == ("queued", True, [], None)
    assert (done.status, done.finish_reason) == ("completed", "stop")
    assert len(tokens(done)) == done.usage.completion_tokens
    assert not made.warnings
    assert not done.warnings
    assert story.paths[1:] == [f"GET /v1/responses/{made.id}"] * len(story.paths[1:])


def test_waiting_for_an_id_is_waiting_for_its_response(mode: str) -> None:
    story = Story("background")
    id_ = story.reply(0)["id"]

    async def body(responses: Any) -> Any:
        return await responses.wait(id_, poll=AT_ONCE)

    assert tell(mode, story, body).status == "completed"


def test_an_incomplete_response_has_its_finish_reason(mode: str) -> None:
    """D-12, D-19."""

    async def body(responses: Any) -> Any:
        made = await responses.create(input=LONG, max_output_tokens=4, background=True, **NUMBERS)
        return await responses.wait(made, poll=AT_ONCE)

    done = tell(mode, Story("background_incomplete"), body)
    assert (done.status, done.finish_reason, len(tokens(done))) == ("incomplete", "length", 4)


def test_waiting_has_a_deadline(mode: str) -> None:
    """D-12: the error says that the response goes on."""
    story = Story("background")
    del story.interactions[2:]  # it stays queued

    async def body(responses: Any) -> Any:
        made = await responses.create(input=CAPITAL, max_output_tokens=24, background=True, **NUMBERS)
        with pytest.raises(nxlog.TimeoutError, match=r"the response is queued after 0\.05 s; it goes on at the server"):
            await responses.wait(made, timeout=0.05, poll=AT_ONCE)

    tell(mode, story, body)
    assert len(story.told) > 2


@pytest.mark.parametrize("id_", ["resp_0000000000000000", "abc"])
@pytest.mark.parametrize("method", ["retrieve", "wait", "cancel"])
def test_an_id_that_no_response_has(mode: str, method: str, id_: str) -> None:
    """D-13, D-14: unknown and bad ids are the same error, of a class of its own."""

    async def body(responses: Any) -> Any:
        with pytest.raises(nxlog.ResponseNotFoundError, match=f"Response with id '{id_}' not found") as caught:
            await getattr(responses, method)(id_)
        assert (caught.value.param, caught.value.provider, caught.value.status_code) == ("response_id", "vllm", 404)
        assert str(caught.value).endswith("[vllm]")  # which model it would be of is not known

    tell(mode, Story("errors"), body)


def test_background_without_a_store_is_an_error(mode: str) -> None:
    """D-12: with the server's own words, which say what to do."""

    async def body(responses: Any) -> Any:
        with pytest.raises(nxlog.BadRequestError, match="VLLM_ENABLE_RESPONSES_API_STORE=1") as caught:
            await responses.create(
                input="My name is Ada. Say hello to me.", max_output_tokens=16, background=True, **NUMBERS
            )
        assert caught.value.param == "background"

    tell(mode, Story("no_store"), body)


# -- D-14: cancel -----------------------------------------------------------------------------------------------------


def test_a_cancelled_response_stays_cancelled(mode: str) -> None:
    """D-14: also when it is cancelled again, retrieved and waited for; no late result takes its place."""
    story = Story("cancel")

    async def body(responses: Any) -> Any:
        made = await responses.create(input=LONG, max_output_tokens=400, background=True, **NUMBERS)
        return [
            await responses.cancel(made),
            await responses.cancel(made.id),
            await responses.retrieve(made.id),
            await responses.wait(made),
        ]

    found = tell(mode, story, body)
    assert [one.status for one in found] == ["cancelled"] * 4
    assert {one.id for one in found} == {story.reply(0)["id"]}
    assert found[0].finish_reason == "cancelled"


def test_a_cancel_that_comes_too_late_gives_the_completed_response(mode: str) -> None:
    """D-14: as OpenAI answers; vLLM says 400 and is asked for the response."""
    story = Story("background")

    async def body(responses: Any) -> Any:
        made = await responses.create(input=CAPITAL, max_output_tokens=24, background=True, **NUMBERS)
        await responses.wait(made, poll=AT_ONCE)
        return await responses.cancel(made)

    done = tell(mode, story, body)
    assert done.status == "completed"
    assert tokens(done)
    assert story.paths[-2].startswith("POST /v1/responses/resp_")
    assert story.paths[-1].startswith("GET /v1/responses/resp_")


# -- D-21, D-22: streams that break or hang ---------------------------------------------------------------------------


async def read(responses: Any, *, warns: str, **fields: Any) -> tuple[list[Any], Any]:
    """All events of a stream, and the response at its end, at which it warns."""
    async with responses.stream(**fields) as stream:
        with pytest.warns(nxlog.ParameterWarningCategory, match=warns):
            events = [event async for event in stream]
    return events, stream.response


async def collect(stream: Any, seen: list[Any]) -> None:
    """The events of a stream, also where it breaks."""
    async for event in stream:
        seen.append(event)


BROKEN = (nxlog.NetworkError, nxlog.ProtocolError)
NO_END_TOKEN = "6 token records for 7 generated tokens"
"""What every stream of vLLM lacks."""


RESUMED: dict[str, Any] = {
    "input": CAPITAL,
    "max_output_tokens": 16,
    "background": True,
    "store": True,
    "watchdog": ALERT,
    **NUMBERS,
}


def test_a_lost_connection_loses_and_doubles_nothing(mode: str) -> None:
    """D-21: dropped after event 5, resumed at 6; the numbers are those of the stream that was never dropped."""
    story = Story("stream_resume")

    async def body(responses: Any) -> Any:
        return await read(responses, warns=NO_END_TOKEN, **RESUMED)

    events, reply = tell(mode, story, body)
    assert [event.sequence_number for event in events] == list(range(14))
    whole = story.events(3)
    assert [event.type for event in events] == [event["type"] for event in whole]
    deltas = [event["logprobs"] for event in whole if event["type"] == "response.output_text.delta"]
    sent = [(record["token"], record["logprob"]) for records in deltas for record in records]
    assert [(record.token, record.logprob) for record in reply.logprobs.content] == sent
    assert (reply.status, reply.finish_reason) == ("completed", "stop")
    id_ = story.reply(2)["id"]
    assert story.paths == [
        "POST /v1/responses",
        f"GET /v1/responses/{id_}",
        f"GET /v1/responses/{id_}?stream=true&starting_after=5",
    ]


def test_the_stream_of_a_cancelled_response_is_ended(mode: str) -> None:
    """D-22: cut after 8 events, resumed, silent for ever; the status says cancelled, and that is the end."""
    story = Story("cancel_stream")

    async def body(responses: Any) -> Any:
        fields = {"max_output_tokens": 400, "background": True, "watchdog": ALERT, **NUMBERS}
        return await read(responses, warns="the server says the response is cancelled", input=LONG, **fields)

    events, reply = tell(mode, story, body)
    # The last event is nxlog's own, for those who wait for it.
    assert [event.sequence_number for event in events] == [*range(8), None]
    assert events[-1].type == "response.cancelled"
    assert (reply.status, reply.finish_reason) == ("cancelled", "cancelled")
    # What had arrived stays, with its numbers.
    deltas = [event for event in story.events(0) if event["type"] == "response.output_text.delta"]
    assert reply.text == "".join(event["delta"] for event in deltas) != ""
    assert len(reply.logprobs.content) == len(deltas)
    assert [warning.code for warning in reply.warnings if warning.code == "stalled"] == ["stalled"]
    kinds = [path.partition("?")[2] or path.partition(" ")[0] for path in story.paths]
    assert kinds == ["POST", "GET", "stream=true&starting_after=7", "GET"]


def test_a_foreground_stream_that_breaks_is_an_error(mode: str) -> None:
    """D-20: nothing is stored, so nothing is asked for; what had arrived stays."""
    story = Story("stream_lost")

    async def body(responses: Any) -> Any:
        stream = responses.stream(input=CAPITAL, max_output_tokens=16, store=True, **NUMBERS)
        seen: list[Any] = []
        async with stream as opened:
            with pytest.raises(BROKEN):
                await collect(opened, seen)
        assert [event.sequence_number for event in seen] == list(range(6))
        return opened.response

    reply = tell(mode, story, body)
    assert reply.text == "".join(e["delta"] for e in story.events(0) if e["type"] == "response.output_text.delta")
    assert story.paths == ["POST /v1/responses"]


def test_a_background_stream_whose_response_is_gone_is_an_error(mode: str) -> None:
    """D-20, D-21: the error is the broken connection, caused by what the server said when it was asked."""
    story, lost = Story("stream_resume"), Story("stream_lost")
    id_ = story.reply(2)["id"]
    gone = {**lost.interactions[2]}
    gone["request"] = {**gone["request"], "uri": f"http://localhost:8000/v1/responses/{id_}"}
    story.interactions[1:] = [gone]

    async def body(responses: Any) -> Any:
        async with responses.stream(**RESUMED) as stream:
            with pytest.raises(BROKEN) as caught:
                await collect(stream, [])
        assert isinstance(caught.value.__cause__, nxlog.ResponseNotFoundError)

    tell(mode, story, body)


def test_a_server_that_kept_no_events_gives_the_response(mode: str) -> None:
    """D-21, D-22: vLLM answers 200 and breaks off; twice without an event, and the stored response is the rest."""
    story, stored = Story("stream_resume"), Story("stream_stored")
    broken = stored.interactions[2]["response"]
    for number in (1, 3, 4):
        story.interactions[number] = {**story.interactions[number], "response": broken}

    async def body(responses: Any) -> Any:
        return await read(responses, warns=f"the rest is from there|{NO_END_TOKEN}", **RESUMED)

    events, reply = tell(mode, story, body)
    assert [event.sequence_number for event in events] == [*range(6), None]
    assert reply.status == "completed"
    assert reply.text == story.reply(2)["output"][0]["content"][0]["text"]
    assert tokens(reply) == [record["token"] for record in story.reply(2)["output"][0]["content"][0]["logprobs"]]


# -- D-10, D-20: what comes back --------------------------------------------------------------------------------------


def recorded(name: str) -> bytes:
    """The answer of a cassette of one exchange."""
    document = load((DIRECTORY.parent / f"{name}.yaml").read_text(encoding="ascii"))
    return body_of(document["interactions"][0])


def answered(mode: str, script: Any, body: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run ``body(client.responses)`` against one answer."""
    with FaultServer(script) as server:

        async def main(client: Any) -> Any:
            return await body(client.responses)

        return run(mode, main, provider="vllm", base_url=f"{server.url}/v1", retries=0)


def test_a_reasoning_without_a_message_has_lost_its_numbers(mode: str) -> None:
    """D-10: cut while it reasons, vLLM sends the reasoning (rs_, status null) and no message; it is said."""
    content = recorded("think_09_reasoning_responses")

    async def body(responses: Any) -> Any:
        with pytest.warns(nxlog.ParameterWarningCategory, match="logprobs"):
            return await responses.create(input="Hi", **NUMBERS)

    reply = answered(mode, response(200, content), body)
    (item,) = reply.output
    assert (item.type, item.id[:3], item.status) == ("reasoning", "rs_", None)
    assert reply.logprobs is None
    assert reply.reasoning
    (warning,) = reply.warnings
    assert (warning.code, warning.severity) == ("not_delivered", "error")


def test_the_reasoning_comes_first_and_the_message_second(mode: str) -> None:
    """D-10."""

    async def body(responses: Any) -> Any:
        return await responses.create(input="Hi", **NUMBERS)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nxlog.ParameterWarningCategory)
        reply = answered(mode, response(200, recorded("think_11_reasoning_responses")), body)
    assert [(item.type, item.id.partition("_")[0]) for item in reply.output] == [
        ("reasoning", "rs"),
        ("message", "msg"),
    ]


def test_client_disconnected_is_an_error_that_may_pass(mode: str) -> None:
    """D-20: somebody between has hung up; it is no fault of the request, though vLLM says 400."""
    content = b'{"error":{"message":"Client disconnected","type":"BadRequestError","param":null,"code":400}}'

    async def body(responses: Any) -> Any:
        with pytest.raises(nxlog.ServerError, match="Client disconnected") as caught:
            await responses.create(input="Hi", **NUMBERS)
        assert caught.value.retryable

    answered(mode, response(400, content), body)


@pytest.mark.parametrize("background", [False, True])
def test_an_error_inside_a_stream_is_raised(mode: str, background: bool) -> None:
    """D-20: also in the background, where only a lost connection is looked after."""
    events = [json.dumps(event) for event in Story("stream_stored").events(0)[:5]]
    wrong = '{"error":{"message":"the value is wrong","type":"BadRequestError","param":"input","code":400}}'
    pieces = [chunk(f"data: {event}\n\n".encode()) for event in [*events, wrong]]
    seen: list[Any] = []

    async def body(responses: Any) -> Any:
        async with responses.stream(input="Hi", background=background or None, **NUMBERS) as stream:
            with pytest.raises(nxlog.BadRequestError, match="the value is wrong") as caught:
                await collect(stream, seen)
        assert (caught.value.param, caught.value.status_code) == ("input", 400)
        return stream.response

    reply = answered(mode, [chunked_head(), *pieces, LAST_CHUNK], body)
    assert len(seen) == 5
    assert tokens(reply) == ["L"]
