"""The retry policy: what is retried, how long it waits, when it stops. Sleeping is replaced, time is not."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from nxlog.errors import (
    ConnectError,
    InvalidRequestError,
    NetworkError,
    ResponseTooLargeError,
    TimeoutError,  # noqa: A004 - ours is what is tested
    TransportError,
)
from nxlog.retry import RETRY_STATUSES, RetryPolicy, retry_after
from nxlog.timeout import Timeout
from tests.fault_server import CLOSE, LAST_CHUNK, RESET, SILENCE, FaultServer, chunk, chunked_head, response
from tests.http_modes import MODES, post, run

if TYPE_CHECKING:
    from collections.abc import Sequence

every_mode = pytest.mark.parametrize("mode", MODES)
EXACT = RetryPolicy(jitter=(1.0, 1.0))


@dataclass
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Run:
    """How a policy treated a list of outcomes."""

    outcomes: Sequence[Reply | Exception]
    result: Any = None
    calls: int = 0
    sleeps: list[float] = field(default_factory=list)
    discarded: list[Reply] = field(default_factory=list)


def play(mode: str, policy: RetryPolicy, *outcomes: Reply | Exception, deadline: float | None = None) -> Run:
    """Let attempts come out as given; the result is the response or error at the end."""
    record = Run(outcomes)

    def attempt() -> Reply:
        outcome = outcomes[record.calls]
        record.calls += 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def attempt_async() -> Reply:
        await anyio.lowlevel.checkpoint()
        return attempt()

    async def sleep_async(seconds: float) -> None:
        record.sleeps.append(seconds)

    async def discard_async(reply: Reply) -> None:
        record.discarded.append(reply)

    async def main() -> Reply:
        return await policy.acall(attempt_async, deadline=deadline, discard=discard_async, sleep=sleep_async)

    try:
        if mode == "sync":
            record.result = policy.call(
                attempt, deadline=deadline, discard=record.discarded.append, sleep=record.sleeps.append
            )
        else:
            record.result = anyio.run(main, backend=mode)
    except Exception as error:  # noqa: BLE001 - the outcome under test
        record.result = error
    return record


@every_mode
@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 413, 422, 501, 505])
def test_statuses_that_are_final(mode: str, status: int) -> None:
    done = play(mode, EXACT, Reply(status))
    assert (done.result, done.calls, done.sleeps) == (Reply(status), 1, [])


@every_mode
@pytest.mark.parametrize("status", sorted(RETRY_STATUSES))
def test_statuses_that_are_retried(mode: str, status: int) -> None:
    first, last = Reply(status), Reply(200)
    done = play(mode, EXACT, first, last)
    assert done.result is last
    assert done.sleeps == [1.0]
    assert done.discarded == [first]


def test_which_statuses_these_are() -> None:
    assert sorted(RETRY_STATUSES) == [408, 409, 429, 500, 502, 503, 504, 529]


@every_mode
def test_the_last_response_is_returned(mode: str) -> None:
    replies = [Reply(500), Reply(502), Reply(503)]
    done = play(mode, EXACT, *replies)
    assert done.result is replies[2]
    assert done.sleeps == [1.0, 2.0]
    assert done.discarded == replies[:2], "the one that is returned stays open"


@every_mode
@pytest.mark.parametrize("kind", [ConnectError, NetworkError, TimeoutError, TransportError])
def test_the_last_error_is_raised(mode: str, kind: type[TransportError]) -> None:
    errors = [kind("first"), kind("second"), kind("third")]
    done = play(mode, EXACT, *errors)
    assert done.result is errors[2]
    assert (done.calls, done.discarded) == (3, [])


@every_mode
def test_errors_and_statuses_take_turns(mode: str) -> None:
    last = Reply(200)
    assert play(mode, EXACT, NetworkError("cut"), Reply(503), last).result is last
    error = NetworkError("cut")
    assert play(mode, EXACT, Reply(503), Reply(503), error).result is error


@every_mode
@pytest.mark.parametrize("kind", [ResponseTooLargeError, InvalidRequestError, ValueError, KeyError])
def test_errors_that_are_final(mode: str, kind: type[Exception]) -> None:
    for before in ([], [Reply(503)]):
        error = kind("no")
        done = play(mode, EXACT, *before, error)
        assert done.result is error
        assert done.calls == len(before) + 1


@every_mode
def test_a_transport_error_may_say_that_it_is_final(mode: str) -> None:
    spent = TimeoutError("the total limit")
    spent.retryable = False
    assert play(mode, EXACT, spent).calls == 1


@every_mode
def test_the_server_may_say_whether(mode: str) -> None:
    assert play(mode, EXACT, Reply(503, {"x-should-retry": "false"})).calls == 1
    assert play(mode, EXACT, Reply(418, {"x-should-retry": "true"}), Reply(200)).calls == 2
    assert play(mode, EXACT, Reply(200, {"x-should-retry": "true"})).calls == 1
    assert play(mode, EXACT, Reply(503, {"x-should-retry": "maybe"}), Reply(200)).calls == 2


@every_mode
@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "60"}, 60.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:09 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 9.0),
        ({"retry-after": "soon"}, 1.0),
    ],
)
def test_the_server_may_say_when(mode: str, headers: dict[str, str], pause: float) -> None:
    policy = RetryPolicy(jitter=(1.0, 1.0))
    assert play(mode, policy, Reply(429, headers), Reply(200)).sleeps == [pause]


@every_mode
def test_a_server_that_asks_for_too_long_is_not_asked_again(mode: str) -> None:
    reply = Reply(429, {"retry-after": "61"})
    done = play(mode, EXACT, reply)
    assert done.result is reply
    assert (done.sleeps, done.discarded) == ([], [])


@every_mode
def test_no_sleep_goes_beyond_the_deadline(mode: str) -> None:
    reply, error = Reply(429, {"retry-after": "30"}), NetworkError("cut")
    soon, late = time.monotonic() + 20, time.monotonic() + 600
    assert play(mode, EXACT, reply, deadline=soon).result is reply
    assert play(mode, EXACT, reply, Reply(200), deadline=late).sleeps == [30.0]
    assert play(mode, RetryPolicy(first_delay=50), error, deadline=soon).result is error
    assert play(mode, EXACT, error, deadline=time.monotonic() - 1).result is error


@every_mode
def test_delays_grow_and_are_bounded(mode: str) -> None:
    policy = RetryPolicy(attempts=9, jitter=(1.0, 1.0))
    done = play(mode, policy, *[Reply(503)] * 9)
    assert done.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@every_mode
def test_jitter(mode: str) -> None:
    policy = RetryPolicy(attempts=200, max_delay=1.2)
    sleeps = play(mode, policy, *[Reply(503)] * 200).sleeps
    assert all(0.5 <= pause <= 1.2 for pause in sleeps)
    assert len(set(sleeps)) > 50


@every_mode
def test_no_retries(mode: str) -> None:
    error = NetworkError("cut")
    assert play(mode, RetryPolicy.of(0), Reply(503)).result == Reply(503)
    assert play(mode, RetryPolicy.of(0), error).result is error


@pytest.mark.anyio
async def test_cancelling_between_attempts() -> None:
    calls = 0

    async def attempt() -> Reply:
        nonlocal calls
        calls += 1
        return Reply(503)

    with anyio.move_on_after(0.05) as scope:
        await RetryPolicy(first_delay=3600, max_delay=3600).acall(attempt)
    assert scope.cancelled_caught
    assert calls == 1


def test_keyboard_interrupt_is_not_swallowed() -> None:
    outcomes = iter([Reply(503), KeyboardInterrupt()])

    def attempt() -> Reply:
        outcome = next(outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    with pytest.raises(KeyboardInterrupt):
        EXACT.call(attempt, sleep=lambda _: None)


def test_tenacity_is_loaded_when_something_fails() -> None:
    program = """
import sys
sys.path[:0] = sys.argv[1:]
from nxlog.exchange import HttpResponse
from nxlog.retry import RetryPolicy
RetryPolicy().call(lambda: HttpResponse(200, {}, b""))
assert "tenacity" not in sys.modules
RetryPolicy().call(lambda: HttpResponse(503, {}, b""), sleep=lambda _: None)
assert "tenacity" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program, *sys.path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# -- reading what users and servers write


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 2 "}, 2.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 99 Oct 2026"}, None),
        ({"retry-after": "Wed, 21 Oct 99999999999999999999 07:28:09 GMT"}, None),
        ({"retry-after": "99999999999999999999 Oct 2026 07:28:09 GMT"}, None),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 -0000"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:27:00 GMT"}, 60.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "today"}, 10.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    now = 1_792_567_670.0  # Wed, 21 Oct 2026 07:27:50 GMT
    assert retry_after(headers, now) == seconds


def test_retry_after_by_the_clock_of_this_machine() -> None:
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0.0


def test_policy_forms() -> None:
    assert RetryPolicy.of(None) == RetryPolicy() == RetryPolicy.of(2)
    assert RetryPolicy.of(RetryPolicy(attempts=9)).attempts == 9
    assert RetryPolicy() == RetryPolicy(attempts=3, first_delay=1.0, factor=2.0, max_delay=60.0, jitter=(0.5, 1.5))


@pytest.mark.parametrize("value", [-1, True, 1.5, "3"])
def test_policy_forms_that_are_none(value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RetryPolicy.of(value)
    assert caught.value.param == "retries"


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": True},
        {"first_delay": -1.0},
        {"factor": float("nan")},
        {"max_delay": float("inf")},
        {"jitter": (1.5, 0.5)},
        {"jitter": (-1.0, 1.0)},
    ],
)
def test_policies_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RetryPolicy(**options)
    assert caught.value.param == "retries"


# -- with real transports


@pytest.mark.network
@every_mode
def test_a_whole_reply_is_retried_over_the_wire(mode: str) -> None:
    quick = RetryPolicy(attempts=5, first_delay=0.0)

    async def body(transport: Any) -> None:
        if mode == "sync":
            raw = transport._transport
            reply = quick.call(lambda: raw.send(post(server.url)))
        else:
            reply = await quick.acall(lambda: transport.send(post(server.url)))
        assert reply.content == b"at last"

    script = [response(503, retry_after="0"), [RESET], [chunked_head(), CLOSE], [SILENCE], response(200, b"at last")]
    with FaultServer(*script) as server:
        run(mode, body, timeout=Timeout(read=0.05))
    assert len(server.requests) == 5
    assert len({request.body for request in server.requests}) == 1


@pytest.mark.network
@every_mode
def test_a_stream_is_retried_up_to_its_head(mode: str) -> None:
    quick = RetryPolicy(first_delay=0.0)

    async def body(transport: Any) -> None:
        if mode == "sync":
            raw = transport._transport
            stream = quick.call(lambda: raw.stream(post(server.url)), discard=lambda s: s.close())
            with pytest.raises(NetworkError):
                stream.read()
        else:
            stream = await quick.acall(lambda: transport.stream(post(server.url)), discard=lambda s: s.close())
            with pytest.raises(NetworkError):
                await stream.read()

    busy = [chunked_head(503), chunk(b"busy"), LAST_CHUNK]
    with FaultServer(busy, [chunked_head(), chunk(b"data: 1\n\n"), RESET]) as server:
        run(mode, body, max_connections=1)
        server.wait_until_deserted()
    assert len(server.requests) == 2, "a stream that had begun was sent again"
