"""``client.responses.stream`` and ``resume``: events, the response they make up, and connections that break.

Real here: the clients, the decoder and HTTP on the loopback interface; where a test names a recording or tells a story,
the bytes that vLLM sent.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import (
    AsyncClient,
    Client,
    IncompleteStreamError,
    InvalidRequestError,
    NetworkError,
    ResponseNotFoundError,
    ServerError,
    WarningCode,
)
from nxlog.responses import (
    ResponseEvent,
    TextDelta,
)
from nxlog.responses.jobs import Poll
from nxlog.responses.watchdog import Watchdog
from tests.fault_server import CLOSE, FaultServer, chunk, chunked_head
from tests.responses.bodies import (
    answer,
    body,
    completed,
    created,
    delta,
    message,
    numbered,
    record,
    recorded,
    sse,
    stream,
    text,
)
from tests.responses.modes import MODES, run
from tests.responses.stories import Story

if TYPE_CHECKING:
    from nxlog.responses import Event, ResponsesReply

pytestmark = pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
every_mode = pytest.mark.parametrize("mode", MODES)
Json = dict[str, Any]
QUICK = Watchdog(idle=0.2, patience=5.0, poll=Poll(first_delay=0.01, max_delay=0.01))


def read(mode: str, *script: Any, **fields: Any) -> tuple[list[Event], ResponsesReply]:
    """All events of a stream and its response."""

    async def ask(client: Any) -> Any:
        given = {"model": "m", "input": "x", "watchdog": QUICK, **fields}
        async with client.responses.stream(**given) as opened:
            events = [event async for event in opened]
            return events, opened.response

    with FaultServer(*script) as server:
        return run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)


def tokens(reply: ResponsesReply) -> list[str]:
    return [token.token for token in reply.logprobs or ()]


EXACT = [record("a", -1.23456789, bytes=[97]), record("b", -2.3456789, bytes=[98])]

# -- the clients -----------------------------------------------------------------------------------------------------


@every_mode
def test_a_recorded_stream(mode: str) -> None:
    """D-18: the deltas of vLLM have no bytes, its last events do; the end of the turn is lost, which is said."""
    events, reply = read(mode, recorded("vllm/responses_logprobs_stream"), top_logprobs=5)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]
    assert [token.bytes for token in deltas] == [None] * 6
    assert [token.logprob for token in reply.logprobs or ()] == [token.logprob for token in deltas]
    assert b"".join(token.bytes or b"" for token in reply.logprobs or ()) == reply.text.encode()
    assert (reply.provider, reply.finish_reason, reply.delivery.lost) == ("vllm", "stop", 1)
    assert [(warning.code, warning.severity) for warning in reply.warnings] == [(WarningCode.FEWER_RECORDS, "info")]


@every_mode
def test_completed_may_mean_incomplete(mode: str) -> None:
    """D-19: the last event of vLLM is response.completed whatever the details say."""
    events, reply = read(mode, recorded("vllm/responses_n_logprob_stream_token"), top_logprobs=2)
    assert events[-1].type == "response.completed"
    assert (reply.finish_reason, reply.to_chat().finish_reason) == ("length", "length")


@every_mode
def test_an_error_in_a_stream_is_raised(mode: str) -> None:
    """D-20: as an error object, as an event, as a failed response; what came before stays."""
    error = {"code": "server_error", "message": "no luck"}
    ends: list[Json] = [
        {"type": "error", **error},
        {"type": "response.failed", "response": body(status="failed", error=error)},
        {"type": "x", "error": error},
    ]
    for end in ends:
        seen: list[Any] = []

        async def ask(client: Any, seen: list[Any] = seen) -> Any:
            async with client.responses.stream(model="m", input="x", logprobs=True) as opened:
                try:
                    async for event in opened:
                        seen.append(event)
                finally:
                    seen.append(opened.response)

        with (
            FaultServer(stream(sse(created(), delta("a", EXACT[0]), end))) as server,
            pytest.raises(ServerError, match="no luck") as caught,
        ):
            run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)
        assert (caught.value.provider, caught.value.code) == ("vllm", "server_error")
        assert (seen[1].delta, seen[-1].text) == ("a", "a")


@every_mode
def test_a_connection_that_breaks_ends_a_response_that_is_not_in_the_background(mode: str) -> None:
    """D-20: nothing else can be known of it."""
    broken = [chunked_head(), chunk(sse(*numbered(created(), delta("a", EXACT[0])))), CLOSE]
    # A server that would answer is not asked.
    with pytest.raises(NetworkError):
        read(mode, broken, answer(body(message(text("ab", EXACT)))), logprobs=True)
    with pytest.raises(IncompleteStreamError, match="before the answer did"):
        read(mode, stream(sse(created(), delta("a", EXACT[0]))), logprobs=True)


@every_mode
def test_a_stream_has_to_be_entered(mode: str) -> None:
    async def ask(client: Any) -> Any:
        return client.responses.stream(model="m", input="x").response

    with pytest.raises(InvalidRequestError, match="enter the stream first"):
        run(mode, ask, provider="vllm", base_url="http://127.0.0.1:9/v1")


@every_mode
def test_lost_events_are_warned_of(mode: str) -> None:
    events = numbered(created(), delta("a", record("a", -1.0)), delta("b", record("b", -1.0)), completed())
    _, reply = read(mode, stream(sse(events[0], events[1], events[3])), logprobs=True)
    (warning,) = [warning for warning in reply.warnings if warning.code is WarningCode.EVENTS_LOST]
    assert (warning.applied, warning.severity, warning.provider) == (1, "warning", None)
    assert "number 2" in warning.message


# -- over several connections ----------------------------------------------------------------------------------------

ASKED: Json = {
    "model": "smollm2-135m",
    "input": "Name the capital of France in one word.",
    "temperature": 0,
    "max_output_tokens": 16,
    "background": True,
    "store": True,
    "top_logprobs": 2,
    "watchdog": QUICK,
}


@every_mode
def test_a_dropped_stream_goes_on_where_it_broke(mode: str) -> None:
    """D-21: dropped after the event 5, gone on with 6; no logprob is lost or doubled."""
    story = Story("stream_resume")

    async def ask(client: Any) -> Any:
        async with client.responses.stream(**ASKED) as opened:
            return [event async for event in opened], opened.response

    with story.served() as server:
        events, reply = run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)
    assert [path.partition("?")[2] for path in story.paths] == ["", "", "stream=true&starting_after=5"]
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(numbers)))
    whole = story.reply(2)["output"][0]["content"][0]["logprobs"]
    assert [token.logprob for token in reply.logprobs] == [entry["logprob"] for entry in whole]
    deltas = [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]
    assert len(deltas) == len(whole) == 6
    assert WarningCode.EVENTS_REPEATED not in [warning.code for warning in reply.warnings]


@every_mode
def test_a_server_that_begins_again(mode: str) -> None:
    """D-21: what came before the connection broke is passed over in silence."""
    events = numbered(created(), delta("a", EXACT[0]), delta("b", EXACT[1]), completed(message(text("ab", EXACT))))
    script: list[Any] = [
        [chunked_head(), chunk(sse(*events[:2])), CLOSE],
        answer(body(status="in_progress")),
        stream(sse(*events)),
    ]
    seen, reply = read(mode, *script, logprobs=True, background=True)
    assert [event.sequence_number for event in seen] == [0, 1, 2, 3]
    assert (reply.text, tokens(reply), reply.warnings) == ("ab", ["a", "b"], [])


@every_mode
def test_a_server_that_does_not_count_is_asked_how_it_ended(mode: str) -> None:
    """D-21: without numbers nobody knows where to go on."""
    script: list[Any] = [
        [chunked_head(), chunk(sse(created(), delta("a", EXACT[0]))), CLOSE],
        answer(body(status="in_progress")),
        answer(body(status="in_progress")),
        answer(body(message(text("ab", EXACT)))),
    ]
    seen, reply = read(mode, *script, logprobs=True, background=True)
    assert isinstance(seen[-1], ResponseEvent)
    assert (seen[-1].type, seen[-1].response.text) == ("response.completed", "ab")
    assert (reply.text, tokens(reply)) == ("ab", ["a", "b"])
    assert [warning.code for warning in reply.warnings] == [WarningCode.STALLED]


@every_mode
def test_a_stream_may_begin_in_the_middle(mode: str) -> None:
    """D-21: ``resume`` by id; the whole text and all its records are known at the end."""
    story = Story("stream_resume")
    response_id = story.reply(2)["id"]

    async def ask(client: Any) -> Any:
        async with client.responses.resume(response_id, starting_after=5, watchdog=QUICK) as opened:
            return [event async for event in opened], opened.response

    with story.served() as server:
        events, reply = run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)
    assert events[0].sequence_number == 6
    part = story.reply(2)["output"][0]["content"][0]
    assert reply.text == part["text"]
    assert [token.logprob for token in reply.logprobs] == [entry["logprob"] for entry in part["logprobs"]]
    assert reply.warnings == []


@every_mode
def test_a_lost_response_is_not_found(mode: str) -> None:
    async def ask(client: Any) -> Any:
        async with client.responses.resume("resp_0000000000000000", starting_after=0) as opened:
            return [event async for event in opened]

    with Story("errors").served() as server, pytest.raises(ResponseNotFoundError):
        run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)


@every_mode
def test_a_stream_that_dies_again_and_again_gives_up(mode: str) -> None:
    """D-21: with the error of the connection, once patience is at its end."""
    first = [chunked_head(), chunk(sse(*numbered(created(), delta("a", EXACT[0])))), CLOSE]
    again = [chunked_head(), CLOSE]
    script = [first, *itertools.islice(itertools.cycle([answer(body(status="in_progress")), again]), 2000)]
    impatient = Watchdog(idle=0.2, patience=0.05, poll=Poll(first_delay=0.01, max_delay=0.01))
    with pytest.raises(NetworkError):
        read(mode, *script, background=True, watchdog=impatient)


# -- what follows ----------------------------------------------------------------------------------------------------


@every_mode
def test_items_that_were_given(mode: str) -> None:
    """All pages, with their types; unknown items whole."""
    user = {"type": "message", "id": "m0", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
    odd = {"type": "item_reference", "id": "i"}
    pages = [
        {"object": "list", "data": [user], "has_more": True, "last_id": "m0"},
        {"object": "list", "data": [odd], "has_more": False, "last_id": "i"},
    ]

    async def ask(client: Any) -> Any:
        return await client.responses.input_items("resp_1")

    with FaultServer(*map(answer, pages)) as server:
        found = run(mode, ask, provider="vllm", base_url=f"{server.url}/v1?api-version=1", retries=0)
        targets = [(request.method, request.target) for request in server.requests]
    items = getattr(found, "inner", found)
    assert [item.model_dump()["type"] for item in items] == ["message", "item_reference"]
    assert targets == [
        ("GET", "/v1/responses/resp_1/input_items?api-version=1&order=asc"),
        ("GET", "/v1/responses/resp_1/input_items?api-version=1&order=asc&after=m0"),
    ]


@every_mode
def test_delete(mode: str) -> None:
    async def ask(client: Any) -> Any:
        return await client.responses.delete("resp/../1")

    with FaultServer(answer({"id": "resp_1", "object": "response", "deleted": True})) as server:
        run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)
        (request,) = server.requests
    # An id is an id, whatever it looks like.
    assert (request.method, request.target, request.body) == ("DELETE", "/v1/responses/resp%2F..%2F1", b"")
    assert "content-length" not in request.headers


@every_mode
def test_an_id_alone_needs_a_provider(mode: str) -> None:
    async def ask(client: Any) -> Any:
        return await client.responses.retrieve("resp_1")

    with pytest.raises(InvalidRequestError, match="which provider"):
        run(mode, ask)


@every_mode
@pytest.mark.parametrize("response", [None, 5, ""])
def test_what_is_no_response_is_refused(mode: str, response: Any) -> None:
    async def ask(client: Any) -> Any:
        return await client.responses.retrieve(response, model="vllm/m")

    with pytest.raises(InvalidRequestError, match="response_id"):
        run(mode, ask)


@every_mode
def test_a_reply_knows_what_it_was_asked_for(mode: str) -> None:
    """Retrieved later, it is checked against that; what was said before is said once."""
    script = [
        answer(body(status="queued", output=[], usage=None)),
        answer(body(message(text("ab", EXACT[:1])), usage={"input_tokens": 1, "output_tokens": 4, "total_tokens": 5})),
    ]

    async def ask(client: Any) -> Any:
        first = await client.responses.create(
            model="m", input="x", top_logprobs=30, background=True, previous_response_id="resp_0"
        )
        first = getattr(first, "inner", first)
        later = await client.responses.retrieve(first)
        later = getattr(later, "inner", later)
        return first, later, await client.responses.retrieve(later)

    with FaultServer(*script) as server:
        first, later, last = run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)
        assert server.requests[1].target == "/v1/responses/resp_1?include%5B%5D=message.output_text.logprobs"
    assert [warning.code.value for warning in first.warnings] == ["clamped"]
    assert [warning.code.value for warning in later.warnings] == ["clamped", "fewer_records", "fewer_alternatives"]
    assert (later.delivery.requested, later.delivery.lost) == (True, 3)
    assert last.warnings == later.warnings


def test_both_clients_have_the_same_api() -> None:
    names = {name for name in dir(Client(provider="vllm").responses) if not name.startswith("_")}
    assert names == {name for name in dir(AsyncClient(provider="vllm").responses) if not name.startswith("_")}
    assert names == {"create", "stream", "resume", "retrieve", "wait", "cancel", "delete", "input_items"}


@every_mode
def test_questions_are_logged_as_what_they_are(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without the query, and without the words of an answer."""

    async def ask(client: Any) -> Any:
        reply = await client.responses.create(model="m", input="x", logprobs=True)
        return await client.responses.retrieve(getattr(reply, "inner", reply))

    with caplog.at_level("DEBUG", logger="nxlog"), FaultServer(answer(body(message(text("secret words"))))) as server:
        run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", retries=0)
    lines = [record.getMessage() for record in caplog.records]
    asked = [line.rpartition(": 200")[0] for line in lines if "://" in line]
    assert asked == [f"POST {server.url}/v1/responses", f"GET {server.url}/v1/responses/resp_1"]
    assert "secret words" not in caplog.text
