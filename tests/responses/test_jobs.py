"""Waiting, cancelling and recovering as flows.

Real here: the flows, and what vLLM said in the stories; nothing is sent and nobody sleeps.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest

import nxlog
from nxlog._drive import adrive, drive
from nxlog.errors import BadRequestError, InvalidRequestError, NetworkError, NotFoundError, NxlogError, StatusError
from nxlog.exchange import Sleep
from nxlog.responses import ResponsesReply
from nxlog.responses.jobs import Poll, cancel, wait
from nxlog.responses.watchdog import Recovery, Watchdog, stalled
from nxlog.wire.errors import status_error
from tests.responses.stories import Story, body_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


LOST = NetworkError("the connection broke")


def reply(status: str) -> ResponsesReply:
    return ResponsesReply(id="resp_1", status=status, provider="vllm", model="m")


class Server:
    """Gives the answers of a list, one after the other, the last one for ever; errors are raised in the flow."""

    def __init__(self, *answers: ResponsesReply | NxlogError | str) -> None:
        self.answers = [reply(answer) if isinstance(answer, str) else answer for answer in answers]
        self.asked = 0
        self.slept: list[float] = []
        self.now = 100.0

    def ask(self) -> Generator[str, Any, ResponsesReply]:
        answer: ResponsesReply = yield "GET"
        return answer

    def run(self, flow: Generator[Any, Any, Any]) -> Any:
        """Drive a flow to its end."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Sleep):
                    self.slept.append(step.seconds)
                    self.now += step.seconds
                    step = flow.send(None)
                    continue
                answer = self.answers[min(self.asked, len(self.answers) - 1)]
                self.asked += 1
                step = flow.throw(answer) if isinstance(answer, NxlogError) else flow.send(answer)
        except StopIteration as stop:
            return stop.value

    def wait(self, poll: Poll = Poll(), **options: Any) -> ResponsesReply:  # noqa: B008 - frozen
        options = {"timeout": None, **options}
        return self.run(wait(self.ask, poll, clock=lambda: self.now, **options))


# -- D-12: wait ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed", "cancelled"])
def test_wait_polls_until_the_end_whatever_it_is(end: str) -> None:
    """D-12: queued, in_progress, then any end; each delay is longer than the one before."""
    server = Server("queued", "in_progress", "in_progress", end)
    assert server.wait().status == end
    assert server.asked == 4
    assert server.slept == [0.5, 0.75, 1.125]


def test_wait_asks_once_for_what_is_over() -> None:
    server = Server("completed")
    server.wait()
    assert (server.asked, server.slept) == (1, [])


def test_delays_grow_to_their_bound() -> None:
    delays = Poll(first_delay=1, factor=3, max_delay=10).delays()
    assert list(itertools.islice(delays, 5)) == [1, 3, 9, 10, 10]


def test_wait_gives_up_at_its_deadline_after_a_last_question() -> None:
    """D-12: the last pause is cut short, and the response is asked for once more at the deadline."""
    server = Server("queued", "in_progress")
    with pytest.raises(nxlog.TimeoutError, match="the response is in_progress after 1 s; it goes on at the server"):
        server.wait(timeout=1.0)
    assert server.slept == [0.5, 0.5]
    assert server.asked == 3


def test_wait_takes_an_end_at_the_deadline() -> None:
    server = Server("queued", "queued", "completed")
    assert server.wait(timeout=1.0).status == "completed"


def test_questions_may_fail_for_a_while() -> None:
    """D-12: a long job outlives a short outage."""
    server = Server("queued", *[LOST] * 5, "in_progress", *[LOST] * 5, "completed")
    assert server.wait().status == "completed"
    assert server.asked == 13


def test_questions_may_not_fail_for_ever() -> None:
    server = Server("queued", LOST)
    with pytest.raises(NetworkError):
        server.wait(Poll(failures=2))
    assert server.asked == 4


def test_a_failure_that_does_not_pass_ends_the_waiting_at_once() -> None:
    """D-13: such as a response that the server has forgotten."""
    server = Server("queued", too_late("errors", 0))
    with pytest.raises(nxlog.ResponseNotFoundError):
        server.wait()
    assert server.asked == 2


@pytest.mark.parametrize(
    "options", [{"failures": -1}, {"first_delay": -1}, {"factor": 0.5}, {"max_delay": -1}, {"factor": float("nan")}]
)
def test_a_poll_that_makes_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(InvalidRequestError, match="poll"):
        Poll(**options)


def naps() -> Generator[str | Sleep, Any, list[str]]:
    first = yield "a"
    yield Sleep(0.001)
    yield Sleep(1e9)  # the deadline has passed
    return [first, (yield "b")]


def test_a_flow_may_sleep() -> None:
    assert drive(naps(), str.upper, deadline=time.monotonic()) == ["A", "B"]


@pytest.mark.anyio
async def test_a_flow_may_sleep_without_blocking() -> None:
    async def send(text: str) -> str:
        return text.upper()

    assert await adrive(naps(), send, deadline=time.monotonic()) == ["A", "B"]


# -- D-14: cancel ----------------------------------------------------------------------------------------------------


def too_late(story: str, number: int) -> StatusError:
    one = Story(story).interactions[number]
    return status_error(one["response"]["status"]["code"], body_of(one))


def cancelled(*answers: ResponsesReply | NxlogError | str) -> tuple[ResponsesReply, int]:
    server = Server(*answers)
    return server.run(cancel(server.ask, server.ask)), server.asked


def test_cancel_gives_the_cancelled_response() -> None:
    """D-14."""
    found, asked = cancelled("cancelled")
    assert (found.status, asked) == ("cancelled", 1)


@pytest.mark.parametrize("status", ["cancelled", "completed", "incomplete", "failed"])
@pytest.mark.parametrize(("story", "number"), [("cancel", 2), ("cancel_stream", 5), ("background", -1)])
def test_a_cancel_that_comes_too_late_gives_the_end(story: str, number: int, status: str) -> None:
    """D-14: vLLM's 400 for a second cancel and for what is completed; SGLang says the same without a param."""
    found, asked = cancelled(too_late(story, number), status)
    assert (found.status, asked) == (status, 2)


def test_sglangs_refusal_names_no_field_and_is_the_same() -> None:
    """D-14: SGLang's body, as its documentation of the same API has it."""
    body = b'{"error":{"message":"Cannot cancel a synchronous response.","type":"invalid_request_error","param":null}}'
    found, _ = cancelled(status_error(400, body), "cancelled")
    assert found.status == "cancelled"


def test_a_refusal_to_cancel_what_runs_is_an_error() -> None:
    """D-14: nothing is claimed that the server does not say."""
    with pytest.raises(BadRequestError, match="Cannot cancel"):
        cancelled(too_late("cancel", 2), "in_progress")


def test_cancel_of_an_unknown_id_is_an_error() -> None:
    with pytest.raises(nxlog.ResponseNotFoundError):
        cancelled(too_late("errors", 1))


def test_cancel_at_a_server_that_has_none_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="Not Found"):
        cancelled(status_error(404, b'{"detail":"Not Found"}'), "completed")


# -- D-20, D-21, D-22: streams that break or hang ---------------------------------------------------------------------

SILENT = nxlog.TimeoutError("nothing for 20 s")
NO_EVENTS = status_error(404, b'{"error":{"message":"no such route"}}')


def recovered(
    failures: Sequence[NxlogError], *answers: ResponsesReply | NxlogError | str, **options: Any
) -> tuple[list[str | None], Server]:
    """What is to be done after each of the failures, without an event between them."""
    server = Server(*answers)
    recovery = Recovery(Watchdog(**options), clock=lambda: server.now)
    found = [server.run(recovery.after(failure, server.ask)) for failure in failures]
    return [None if one is None else one.status for one in found], server


@pytest.mark.parametrize("failure", [LOST, SILENT])
def test_a_running_response_is_connected_again(failure: NxlogError) -> None:
    """D-21: at once the first time, then after ever longer pauses."""
    steps, server = recovered([failure] * 3, "queued", "in_progress", "in_progress")
    assert steps == [None, None, None]
    assert server.slept == [0.5, 0.75]


@pytest.mark.parametrize("failure", [LOST, SILENT])
def test_a_cancelled_response_is_never_connected_again(failure: NxlogError) -> None:
    """D-22: its stream would hang."""
    steps, server = recovered([failure], "cancelled")
    assert steps == ["cancelled"]
    assert server.slept == []


def test_a_completed_response_may_have_events_left() -> None:
    """D-21, D-22: one attempt to get them; when that brings nothing either, the stored response is the end."""
    steps, _ = recovered([LOST, LOST], "completed")
    assert steps == [None, "completed"]


def test_events_begin_the_count_anew() -> None:
    server = Server("in_progress")
    recovery = Recovery(Watchdog(patience=1.0), clock=lambda: server.now)
    for _ in range(10):
        assert server.run(recovery.after(LOST, server.ask)) is None
        server.now += 5
        recovery.progress()
    assert server.slept == []


def test_patience_has_an_end() -> None:
    """D-22: vLLM leaves a background stream that died inside the server ``queued`` for ever."""
    server = Server("queued")
    recovery = Recovery(Watchdog(patience=2.0), clock=lambda: server.now)

    def fail_for_long() -> None:
        for _ in range(10):
            server.run(recovery.after(LOST, server.ask))

    with pytest.raises(NetworkError, match="the connection broke"):
        fail_for_long()
    assert sum(server.slept) >= 2.0
    assert server.asked <= 5


def test_an_outage_is_waited_out() -> None:
    """D-21: nobody can be asked either; when somebody can, there is still one attempt to get the events."""
    busy = status_error(503, b"")
    steps, server = recovered([LOST, LOST], LOST, busy, "completed", "completed")
    assert steps == [None, "completed"]
    assert server.slept == [0.5, 0.75, 1.125]


def test_an_outage_is_not_waited_out_for_ever() -> None:
    with pytest.raises(NetworkError, match="the connection broke"):
        recovered([LOST], LOST, patience=5.0)


def test_a_server_without_events_is_polled() -> None:
    """A background response without events, as at SGLang: asked for a stream it says no; the end is still to be had."""
    steps, server = recovered([NO_EVENTS], "queued", "queued", "in_progress", "completed")
    assert steps == ["completed"]
    assert server.asked == 4


def test_polling_a_server_without_events_has_an_end() -> None:
    with pytest.raises(nxlog.TimeoutError, match="response is queued"):
        recovered([NO_EVENTS], "queued", patience=0.0001)


def test_a_response_that_the_server_does_not_have_is_lost() -> None:
    """D-20: the error is why the stream ended, and says what the server said when it was asked."""
    with pytest.raises(NetworkError, match="the connection broke") as caught:
        recovered([LOST], too_late("stream_lost", 2))
    assert isinstance(caught.value.__cause__, nxlog.ResponseNotFoundError)


@pytest.mark.parametrize("options", [{"idle": 0}, {"idle": -1}, {"patience": 0}, {"patience": float("nan")}])
def test_a_watchdog_that_makes_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(InvalidRequestError, match="watchdog"):
        Watchdog(**options)


def test_the_report_says_what_happened() -> None:
    """D-22."""
    warning = stalled(SILENT, reply("cancelled"))
    assert (warning.code, warning.severity) == ("stalled", "warning")
    assert "nothing for 20 s" in warning.message
    assert "cancelled" in warning.message
    assert stalled(LOST, reply("completed")).severity == "info"
