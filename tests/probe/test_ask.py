"""How a probe asks: through the real path of a call, changed by no claim, stopped by no failure.

Real here: everything but the socket; the servers are functions.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nxlog.errors import ConnectError, NetworkError, NxlogError, UnsupportedParameterError
from nxlog.errors import TimeoutError as NxlogTimeoutError
from nxlog.exchange import HttpRequest, HttpResponse
from nxlog.probe import Answer, Exchange, Outcome
from nxlog.probe.ask import ask, ask_all
from nxlog.probe.questions import ROOM, questions_for
from nxlog.wire import NAMES, get_wire
from tests.probe.exchanges import STREAM_TYPE, Script, events, question, record, reply, respond, target

YES = [record("Yes", -0.1, {"Yes": -0.1})]
NO_ROOM_FOR = {"tools": "tools", "n": "n2", "json_schema": "json_schema", "reasoning_effort": "reasoning"}
"""A claim that a wire may lack, and the question that is not asked then."""


def good(body: dict[str, Any]) -> HttpResponse:
    return respond(events([("Yes", YES)]) if body.get("stream") else reply("Yes", YES))


def by_name(answers: list[Answer]) -> dict[str, Answer]:
    return {answer.name: answer for answer in answers}


def test_every_question_goes_out_as_it_is_whatever_is_claimed() -> None:
    """Nothing is dropped, clamped or added: what is on the wire is what the question says."""
    script = Script(good)
    answers = ask_all(target("llamacpp"), script)
    assert len(answers) == len(script.asked) == len(questions_for("openai-chat", ()))
    for answer, body in zip(answers, script.asked, strict=True):
        given = {**answer.question.fields, **answer.question.unchecked}
        options = given.pop("provider_options", {})
        assert body.get("stream", False) is answer.question.stream
        for name, value in {**given, **options}.items():
            assert body[name] == value, (answer.name, name)
        extra = body.keys() - given.keys() - options.keys() - {"model", "stream", "stream_options"}
        assert not extra, (answer.name, extra)


def test_the_questions_have_different_names_and_differ_from_plain() -> None:
    asked = questions_for("openai-chat", ())
    assert len({one.name for one in asked}) == len(asked)
    assert not [
        one.name for one in asked if not one.special.keys() - {"temperature"} and not one.name.startswith("plain")
    ]


def test_minus_one_is_sent_although_no_request_can_hold_it() -> None:
    script = Script(good)
    ask(question("top_minus1"), target(), script)
    assert script.asked[0]["logprobs"] is True
    assert script.asked[0]["top_logprobs"] == -1


class Unreachable:
    last: Exchange | None = None

    def __init__(self) -> None:
        self.sent = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        self.sent += 1
        raise ConnectError("nobody there")


@pytest.mark.parametrize("wire", [name for name in NAMES if name != "vllm-generate"])
def test_every_wire_can_be_asked(wire: str) -> None:
    """Every question is either written in the wire's words, or not asked because the wire lacks a field."""
    spoken = get_wire(wire)
    here = replace(target(), wire=spoken, lacks=spoken.lacks)
    for one in questions_for(wire, spoken.lacks):
        line = Unreachable()
        answer = ask(one, here, line)
        if answer.lacking is None:
            assert isinstance(answer.error, ConnectError), (one.name, answer.error)
            assert line.sent == 1
        else:
            assert line.sent == 0
            assert answer.outcome(came=False) is Outcome.NOT_ASKED
    for claim, name in NO_ROOM_FOR.items():
        if claim in spoken.lacks:
            one = next(one for one in questions_for(wire, spoken.lacks) if one.name == name)
            assert ask(one, here, Script(good)).lacking == claim


def test_a_wire_without_texts_cannot_be_asked() -> None:
    """Nobody here can make token ids of a question."""
    line = Unreachable()
    with pytest.raises(NxlogError, match="token ids"):
        ask_all(replace(target(), wire=get_wire("vllm-generate"), lacks=frozenset()), line)
    assert line.sent == 0


def test_a_refusal_of_logprobs_is_not_given_in_to() -> None:
    """A client would ask again without; here the refusal is the answer."""
    no = respond({"error": {"message": "`logprobs` is not supported with this model"}}, 400)
    script = Script(lambda _: no)
    answer = ask(question("top5"), target(), script)
    assert len(script.asked) == 1
    assert answer.outcome(came=False) is Outcome.REFUSED
    assert not isinstance(answer.error, UnsupportedParameterError)


def fails(kind: str) -> HttpResponse | NxlogError:
    match kind:
        case "timeout":
            return NxlogTimeoutError("took too long")
        case "page":
            return HttpResponse(502, {"content-type": "text/html"}, b"<html>Bad gateway</html>")
        case "garbage":
            return HttpResponse(200, {"content-type": "application/json"}, b"\x00\xff not JSON")
        case _:
            return respond({"error": {"message": "out of order"}}, 500)


@pytest.mark.parametrize("kind", ["timeout", "page", "garbage", "500"])
def test_one_failure_does_not_end_the_probe(kind: str) -> None:
    answers = by_name(ask_all(target(), Script(lambda body: fails(kind) if body.get("n") == 2 else good(body))))
    assert answers["n2"].outcome(came=False) is Outcome.FAILED
    assert len(answers) == len(questions_for("openai-chat", ()))
    assert all(answer.arrived for name, answer in answers.items() if name != "n2")


def test_without_an_answer_to_the_plain_question_there_is_no_probe() -> None:
    script = Script(lambda _: respond({"error": {"message": "no such model", "code": 404}}, 404))
    with pytest.raises(NxlogError, match="no such model"):
        ask_all(target(), script)
    assert len(script.asked) == 1


def test_what_the_server_does_not_take_is_left_out_where_it_is_not_the_point() -> None:
    """As models do that reason: no temperature but their own."""

    def fixed(body: dict[str, Any]) -> HttpResponse:
        if body.get("temperature", 1.0) != 1.0:
            return respond({"error": {"message": "Unsupported value: 'temperature' must be 1"}}, 400)
        return good(body)

    script = Script(fixed)
    answers = by_name(ask_all(target(), script))
    assert all(answer.arrived for name, answer in answers.items() if name not in {"greedy", "hot", "cold"})
    assert [answers[name].refused for name in ("greedy", "hot", "cold")] == [True] * 3
    # Found out once: the first question is asked again, and three are refused because it is their point.
    refused = [body for body in script.asked if body.get("temperature", 1.0) != 1.0]
    assert len(refused) == 1 + 3 + 1  # hot is tried without its seed


def test_a_seed_that_is_refused_is_left_out() -> None:
    def unseeded(body: dict[str, Any]) -> HttpResponse:
        return respond({"error": {"message": "seed: extra inputs"}}, 422) if "seed" in body else good(body)

    answers = by_name(ask_all(target(), Script(unseeded)))
    assert answers["hot"].arrived
    assert "seed" not in answers["hot"].question.fields
    assert answers["hot"].question.fields["temperature"] == 1.3


def test_a_model_that_thinks_first_gets_room_to_answer() -> None:
    def thinks(body: dict[str, Any]) -> HttpResponse:
        if body["max_tokens"] < ROOM:
            return respond(reply("", finish="length", generated=body["max_tokens"]))
        return good(body)

    script = Script(thinks)
    answers = ask_all(target(), script)
    assert all(answer.says_something for answer in answers)
    assert len(script.asked) == len(answers) + 1


def test_a_model_that_says_nothing_is_asked_once_more_and_believed() -> None:
    answers = ask_all(target(), Script(lambda body: respond(events([("", [])]) if body.get("stream") else reply(""))))
    assert {answer.outcome(came=False) for answer in answers} == {Outcome.SILENT}


class Cut:
    """A stream whose connection breaks after its first event."""

    last: Exchange | None = None

    def send(self, request: HttpRequest) -> HttpResponse:
        body = f"data: {json.dumps(events([('Yes', YES), ('.', YES)])[0])}\n\ndata: {{".encode()
        self.last = Exchange(
            request=request, status=200, headers={"content-type": STREAM_TYPE}, body=body, complete=False
        )
        raise NetworkError("the connection broke")


def test_what_came_before_a_break_is_kept() -> None:
    answer = ask(question("stream"), target(), Cut())
    assert answer.outcome(came=True) is Outcome.FAILED
    assert isinstance(answer.error, NetworkError)
    assert answer.text == "Yes"
    assert len(answer.records) == 1


def test_a_whole_reply_in_place_of_a_stream_is_a_failure() -> None:
    answer = ask(question("stream"), target(), Script(lambda _: respond(reply("Yes", YES))))
    assert answer.outcome(came=False) is Outcome.FAILED
    assert "asked for a stream" in str(answer.error)


def test_progress_is_told_after_each_answer() -> None:
    told: list[tuple[int, int, str]] = []
    answers = ask_all(target(), Script(good), tell=lambda number, of, answer: told.append((number, of, answer.name)))
    assert told == [(i, len(answers), answer.name) for i, answer in enumerate(answers, 1)]
