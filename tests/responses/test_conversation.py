"""Who keeps a conversation, and what is sent for it.

Real here: the conversation, and the replies of vLLM in the stories; nothing is sent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import nxlog
from nxlog.errors import BadRequestError, InvalidRequestError, NxlogError, ServerError, StatusError
from nxlog.responses import (
    FunctionCall,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    ResponsesReply,
    ResponsesRequest,
    WebSearchCall,
    as_input,
)
from nxlog.responses.conversation import Conversation
from nxlog.responses.reply import with_memory
from nxlog.wire.errors import status_error
from tests.responses.stories import Story

if TYPE_CHECKING:
    from collections.abc import Generator

UNKNOWN = status_error(404, b'{"error":{"message":"Response with id \'resp_1\' not found.","code":404}}')
LLAMACPP = status_error(400, b'{"error":{"message":"llama.cpp does not support \'previous_response_id\'."}}')


def said(text: str) -> Message:
    return Message(content=[OutputText(text=text, logprobs=[])])


def reply(number: int, *output: Any, **fields: Any) -> ResponsesReply:
    given = {"id": f"resp_{number}", "status": "completed", "model": "m", "provider": "vllm"}
    return ResponsesReply(**{**given, "output": list(output) or [said(f"answer {number}")], **fields})


def echoing(number: int, **body: Any) -> ResponsesReply:
    """A reply of a server that repeats the fields of the request."""
    fields = {name: body[name] for name in ("previous_response_id",) if body[name] is not None}
    return with_memory(reply(number, **fields), body=json.dumps(body).encode())


class Talk:
    """A conversation with a server that gives the answers of a list."""

    def __init__(self, state: Any = "auto", **fields: Any) -> None:
        self.conversation = Conversation(state, {"model": "m", **fields})
        self.sent: list[ResponsesRequest] = []

    def say(self, given: Any, *answers: ResponsesReply | NxlogError, **fields: Any) -> list[Any]:
        step = self.conversation.begin(given, fields)
        left = list(answers)

        def drive(flow: Generator[ResponsesRequest, Any, Any]) -> Any:
            try:
                request = next(flow)
                while True:
                    self.sent.append(request)
                    answer = left.pop(0)
                    request = flow.throw(answer) if isinstance(answer, NxlogError) else flow.send(answer)
            except StopIteration as stop:
                return stop.value

        answer = drive(self.conversation.answered(step))
        finished = self.conversation.finish(step, answer)
        assert not left
        assert finished.warnings == [*answer.warnings, *step.warnings]
        return step.warnings

    @property
    def last(self) -> dict[str, Any]:
        """The input of the last request, as it is sent."""
        request = self.sent[-1]
        given = request.input if isinstance(request.input, str) else [as_input(item) for item in request.input]
        return {"input": given, "previous_response_id": request.previous_response_id}


def user(text: str) -> dict[str, str]:
    return {"type": "message", "role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"type": "message", "role": "assistant", "content": text}


# -- D-15: on the server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["auto", "server"])
def test_the_server_gets_what_is_new_and_an_id(state: str) -> None:
    """D-15."""
    talk = Talk(state)
    assert talk.say("one", reply(1)) == []
    assert talk.last == {"input": "one", "previous_response_id": None}
    assert talk.say([user("two")], reply(2)) == []
    assert talk.last == {"input": [user("two")], "previous_response_id": "resp_1"}
    talk.say("three", reply(3))
    assert talk.last == {"input": "three", "previous_response_id": "resp_2"}
    assert (talk.conversation.state, talk.conversation.previous_response_id) == ("server", "resp_3")
    assert [turn.state for turn in talk.conversation.turns] == ["client", "server", "server"]


def test_a_conversation_goes_on_from_a_known_id() -> None:
    talk = Talk(previous_response_id="resp_0")
    talk.say("one", reply(1))
    assert talk.last == {"input": "one", "previous_response_id": "resp_0"}


def test_a_conversation_that_only_the_server_knows_cannot_fall_back() -> None:
    """D-15: nobody makes up what was said before."""
    with pytest.raises(nxlog.ResponseNotFoundError):
        Talk(previous_response_id="resp_0").say("one", UNKNOWN)


# -- D-11: on the client ---------------------------------------------------------------------------------------------


def test_the_client_sends_the_whole_conversation() -> None:
    """D-11, D-15: what the server's history is, too: the inputs, the texts of the answers as assistant messages."""
    talk = Talk("client", instructions="Be brief.")
    for number, text in enumerate(["one", "two", "three"], start=1):
        assert talk.say(text, reply(number)) == []
    assert talk.last["previous_response_id"] is None
    assert talk.last["input"] == [
        *(user("one"), assistant("answer 1")),
        *(user("two"), assistant("answer 2")),
        user("three"),
    ]
    assert [request.instructions for request in talk.sent] == ["Be brief."] * 3
    assert talk.conversation.state == "client"


def test_a_response_that_is_not_to_be_stored_is_kept_on_the_client_at_once() -> None:
    talk = Talk(store=False)
    talk.say("one", reply(1))
    assert talk.say("two", reply(2)) == []
    assert talk.last["input"] == [user("one"), assistant("answer 1"), user("two")]


@pytest.mark.parametrize("error", [UNKNOWN, LLAMACPP])
def test_a_server_without_a_store_is_found_out_and_said(error: StatusError) -> None:
    """D-11: one request more, one warning, and the same conversation from then on."""
    talk = Talk()
    talk.say("one", reply(1))
    (warning,) = talk.say("two", error, reply(2))
    assert (warning.parameter, warning.code, warning.severity, warning.source) == (
        *("previous_response_id", "not_stored"),
        *("warning", "server"),
    )
    assert warning.requested == "resp_1"
    assert error.message in warning.message
    assert talk.last == {"input": [user("one"), assistant("answer 1"), user("two")], "previous_response_id": None}
    assert talk.say("three", reply(3)) == []
    assert len(talk.sent) == 4
    assert [turn.state for turn in talk.conversation.turns] == ["client"] * 3


def test_a_server_that_loses_its_store_is_found_out_later() -> None:
    talk = Talk()
    talk.say("one", reply(1))
    talk.say("two", reply(2))
    talk.say("three", UNKNOWN, reply(3))
    texts = [item["content"] for item in talk.last["input"]]
    assert texts == ["one", "answer 1", "two", "answer 2", "three"]


def test_state_server_never_falls_back() -> None:
    """D-15: the error is the user's."""
    talk = Talk("server")
    talk.say("one", reply(1))
    with pytest.raises(nxlog.ResponseNotFoundError):
        talk.say("two", UNKNOWN)
    assert talk.conversation.previous_response_id == "resp_1"


@pytest.mark.parametrize("error", [ServerError("HTTP 500"), BadRequestError("HTTP 400", param="temperature")])
def test_other_errors_are_errors(error: StatusError) -> None:
    talk = Talk()
    talk.say("one", reply(1))
    with pytest.raises(type(error)):
        talk.say("two", error)
    assert talk.conversation.state == "server"


# -- a server that passes over the id --------------------------------------------------------------------------------


def test_a_server_that_ignores_the_id_is_asked_again() -> None:
    """D-11: it repeats the fields of the request, and this one is null: the answer knew nothing of what was said."""
    talk = Talk()
    talk.say("one", echoing(1, previous_response_id=None))
    (warning,) = talk.say("two", echoing(2, previous_response_id=None), reply(3))
    assert (warning.code, warning.severity, warning.source) == ("not_stored", "warning", "response")
    assert talk.last["input"] == [user("one"), assistant("answer 1"), user("two")]
    assert talk.conversation.previous_response_id == "resp_3"


def test_a_server_that_ignores_the_id_is_reported_in_state_server() -> None:
    talk = Talk("server")
    talk.say("one", echoing(1, previous_response_id=None))
    (warning,) = talk.say("two", echoing(2, previous_response_id=None))
    assert (warning.code, warning.severity) == ("not_stored", "error")
    assert talk.conversation.state == "server"


def test_a_server_that_repeats_the_id_or_nothing_is_believed() -> None:
    talk = Talk()
    talk.say("one", reply(1))
    assert talk.say("two", echoing(2, previous_response_id="resp_1")) == []
    assert talk.say("three", with_memory(reply(3), body=b'{"id":"resp_3"}')) == []


# -- what is carried -------------------------------------------------------------------------------------------------


def test_items_are_carried_without_the_ids_of_a_server_that_forgot_them() -> None:
    """D-15: reasoning is skipped, as vLLM skips it in its own history, unless it is encrypted to be sent back."""
    search = WebSearchCall(id="ws_1")
    talk = Talk("client")
    talk.say(
        "one",
        reply(
            1,
            Reasoning(id="rs_1", content=[ReasoningText(text="hm")]),
            Reasoning(id="rs_2", encrypted_content="gAAAA"),
            Message(id="msg_1", status="completed", content=[OutputText(text="a", logprobs=[])]),
            Message(id="msg_2", content=[OutputText(text="")]),
            FunctionCall(id="fc_1", call_id="call_1", name="f", arguments="{}", status="completed"),
            search,
        ),
    )
    talk.say([{"type": "function_call_output", "call_id": "call_1", "output": "42"}], reply(2))
    assert talk.last["input"] == [
        user("one"),
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA"},
        assistant("a"),
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ]


def test_a_refusal_is_carried_as_a_refusal() -> None:
    talk = Talk("client")
    talk.say("one", reply(1, Message(content=[Refusal(refusal="no")])))
    talk.say("two", reply(2))
    (said_before,) = [item for item in talk.last["input"] if item["role"] == "assistant"]
    assert said_before["content"] == [{"type": "refusal", "refusal": "no"}]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@pytest.mark.parametrize("state", ["server", "client"])
def test_a_turn_that_failed_is_no_part_of_the_conversation(state: str, status: str) -> None:
    """D-14: nor is one that was cancelled."""
    talk = Talk(state)
    talk.say("one", reply(1))
    talk.say("lost", reply(2, status=status))
    assert len(talk.conversation.turns) == 1
    talk.say("two", reply(3))
    assert "lost" not in str(talk.last)
    assert talk.last["previous_response_id"] == ("resp_1" if state == "server" else None)


# -- D-26 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "parameter"), [("server", "previous_response_id"), ("client", "input")])
def test_a_history_without_its_reasoning_is_not_what_was_sampled(state: str, parameter: str) -> None:
    """D-26: said once per turn that was asked for its numbers, from the turn after the reasoning on."""
    thought = Reasoning(id="rs_1", content=[ReasoningText(text="hm")])
    talk = Talk(state, logprobs=True)
    assert talk.say("one", reply(1, thought, said("a"))) == []
    for number in (2, 3):
        (warning,) = talk.say("more", reply(number))
        assert (warning.code, warning.parameter, warning.severity) == ("history_rewritten", parameter, "info")
        assert "do not train on them as one" in warning.message


def test_a_history_without_reasoning_or_without_numbers_needs_no_word() -> None:
    thought = Reasoning(id="rs_1", content=[ReasoningText(text="hm")])
    plain, numbers = Talk(), Talk(logprobs=True)
    plain.say("one", reply(1, thought, said("a")))
    numbers.say("one", reply(1))
    assert plain.say("two", reply(2)) == numbers.say("two", reply(2)) == []


def test_encrypted_reasoning_is_part_of_the_prompt_when_the_client_sends_it() -> None:
    talk = Talk("client", logprobs=True)
    talk.say("one", reply(1, Reasoning(encrypted_content="gAAAA"), said("a")))
    assert talk.say("two", reply(2)) == []


# -- wrong from the start --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "fields", "param"),
    [
        ("sever", {}, "state"),
        ("client", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("auto", {"previous_response_id": "resp_1", "store": False}, "previous_response_id"),
        ("server", {"store": False}, "store"),
    ],
)
def test_what_excludes_each_other(state: Any, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Talk(state, **fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"input": "x"}, "input"), ({"previous_response_id": "resp_1"}, "previous_response_id"), ({"n": 2}, "n")],
)
def test_a_turn_has_its_own_errors(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Talk().conversation.begin("one", fields)
    assert caught.value.param == param


@pytest.mark.parametrize(("by_id", "whole"), [(1, 3), (2, 4)])
def test_the_history_of_vllm_is_the_one_that_the_client_sends(by_id: int, whole: int) -> None:
    """D-15, as measured: a turn by id and the same conversation as input are the same prompt to vLLM."""
    story = Story("chain")
    asked = [json.loads(story.interactions[number]["request"]["body"]) for number in (by_id, whole)]
    assert isinstance(asked[0]["input"], str)
    assert len(asked[1]["input"]) == 2 * by_id + 1
    usage = [story.reply(number)["usage"] for number in (by_id, whole)]
    assert usage[0]["input_tokens"] == usage[1]["input_tokens"]
    records = [story.reply(number)["output"][0]["content"][0]["logprobs"] for number in (by_id, whole)]
    assert [record["token"] for record in records[0]] == [record["token"] for record in records[1]]
    assert [record["logprob"] for record in records[0]] == pytest.approx(
        [record["logprob"] for record in records[1]], abs=1e-4
    )
