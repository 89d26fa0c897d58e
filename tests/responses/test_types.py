"""The types of the Responses API: requests, items, replies, events.

Real here: the types. Nothing is sent.
"""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from nxlog.logprobs import TokenLogprob
from nxlog.responses import (
    FunctionCall,
    InputMessage,
    Message,
    OtherEvent,
    OtherItem,
    OutputText,
    Reasoning,
    ReasoningText,
    ResponsesReply,
    ResponsesRequest,
    TextDelta,
    WebSearchCall,
    as_input,
)

INCLUDE = "message.output_text.logprobs"


def request(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest(**{"model": "openai/m", "input": "Is the sky blue?", **fields})


# -- requests --------------------------------------------------------------------------------------------------------


def test_alternatives_imply_logprobs() -> None:
    """D-01, A-17: top_logprobs alone is understood."""
    assert request(top_logprobs=3).logprobs is True
    assert request(top_logprobs=3) == request(logprobs=True, top_logprobs=3)


def test_include_is_another_word_for_logprobs() -> None:
    """D-01: the user's own includes stay beside it."""
    both = request(include=[INCLUDE, "reasoning.encrypted_content"])
    assert (both.logprobs, both.include) == (True, ["reasoning.encrypted_content"])
    assert request(include=[INCLUDE]).include is None


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"include": [INCLUDE], "logprobs": False}, "logprobs is False"),
        ({"logprobs": False, "top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": "yes"}, "must be a bool"),
        ({"store": 1}, "store"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "a"}]}, "role"),
        ({"messages": []}, "messages"),
        ({"temperature": float("nan")}, "temperature"),
    ],
)
def test_what_breaks_a_rule_is_named(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        request(**fields)


def test_items_of_a_reply_are_input() -> None:
    message = Message(id="m", content=[OutputText(text="Yes.", logprobs=[TokenLogprob.build("Yes.", -0.5)])])
    asked = request(input=[*[message, Reasoning(id="r", encrypted_content="x")], {"role": "user", "content": "Why?"}])
    assert [as_input(item) for item in asked.input if not isinstance(item, str)] == [
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Yes.", "annotations": []}],
        },
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"},
        {"type": "message", "role": "user", "content": "Why?"},
    ]


def test_keys_without_a_field_go_along() -> None:
    given = {"type": "message", "id": "m", "role": "assistant", "phase": "commentary", "content": []}
    (item,) = request(input=[given]).input
    assert isinstance(item, Message)
    assert as_input(item) == given
    reference = {"type": "item_reference", "id": "m"}
    (other,) = request(input=[reference]).input
    assert isinstance(other, OtherItem)
    assert as_input(other) == reference


def test_messages_by_hand_need_no_type() -> None:
    (user, assistant) = request(input=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]).input
    assert user == InputMessage(role="user", content="a")
    assert assistant == InputMessage(role="assistant", content="b")


def test_as_chat_is_what_the_gate_judges() -> None:
    chat = request(
        instructions="Be short.",
        input=[
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}],
            },
            FunctionCall(call_id="c", name="tide", arguments="{}"),
            {"type": "function_call_output", "call_id": "c", "output": "low"},
        ],
        tools=[{"type": "function", "name": "tide", "parameters": {}}, {"type": "web_search"}],
        text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
        reasoning={"effort": "low", "summary": "auto"},
        max_output_tokens=5,
        top_logprobs=2,
    ).as_chat()
    assert [message.role for message in chat.messages] == ["system", "user", "assistant", "tool"]
    assert [tool.function.name for tool in chat.tools or ()] == ["tide"]
    assert chat.response_format is not None
    assert chat.response_format.json_schema is not None
    assert chat.response_format.json_schema.json_schema == {"type": "object"}
    assert (chat.reasoning_effort, chat.max_tokens, chat.logprobs, chat.top_logprobs) == ("low", 5, True, 2)


# -- replies ---------------------------------------------------------------------------------------------------------

REPLY = ResponsesReply(
    id="resp_1",
    model="m",
    status="completed",
    output=[
        Reasoning(content=[ReasoningText(text="hm")], logprobs=[TokenLogprob.build("hm", -1.0)]),
        Message(content=[OutputText(text="Yes", logprobs=[TokenLogprob.build("Yes", -0.5)])]),
        Message(content=[OutputText(text=".", logprobs=[TokenLogprob.build(".", -0.25)])]),
    ],
)


def test_reply_is_taken_together_from_its_items() -> None:
    assert (REPLY.text, REPLY.reasoning, REPLY.refusal, REPLY.finish_reason) == ("Yes.", "hm", None, "stop")
    assert REPLY.logprobs is not None
    assert [token.token for token in REPLY.logprobs] == ["Yes", "."]
    assert [token.token for token in REPLY.logprobs.reasoning or ()] == ["hm"]
    assert REPLY.to_chat().logprobs == REPLY.logprobs
    assert pickle.loads(pickle.dumps(REPLY)) == REPLY
    assert ResponsesReply.model_validate_json(REPLY.model_dump_json()) == REPLY


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("completed", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
        ("incomplete", "other", "other"),
        ("cancelled", None, "cancelled"),
        ("in_progress", None, None),
        ("queued", None, None),
    ],
)
def test_why_it_ended(status: str, reason: str | None, expected: str | None) -> None:
    """D-19: incomplete is mapped to its finish reason, whatever the status is called."""
    details = None if reason is None else {"reason": reason}
    reply = ResponsesReply.model_validate({"status": status, "incomplete_details": details})
    assert reply.finish_reason == expected
    assert reply.is_running == (status in {"queued", "in_progress"})


def test_tool_calls() -> None:
    reply = ResponsesReply(status="completed", output=[FunctionCall(call_id="c", name="tide", arguments="{}")])
    assert [(call.id, call.function.name) for call in reply.tool_calls] == [("c", "tide")]
    assert reply.finish_reason == "tool_calls"


def test_items_of_other_types_are_kept_whole() -> None:
    search = {"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "q"}, "status": "completed"}
    odd = {"type": "mcp_list_tools", "id": "x", "tools": [1]}
    reply = ResponsesReply.model_validate({"output": [search, odd]})
    assert isinstance(reply.output[0], WebSearchCall)
    assert isinstance(reply.output[1], OtherItem)
    assert [item.model_dump() for item in reply.output] == [search, odd]


# -- events ----------------------------------------------------------------------------------------------------------


def test_events_dump_to_the_objects_of_the_api() -> None:
    event = TextDelta(
        type="response.output_text.delta",
        sequence_number=4,
        item_id="m",
        output_index=0,
        content_index=0,
        delta="Yes",
        logprobs=[TokenLogprob.build("Yes", -0.5)],
    )
    assert event.model_dump() == {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "item_id": "m",
        "output_index": 0,
        "content_index": 0,
        "delta": "Yes",
        "logprobs": [{"token": "Yes", "logprob": -0.5, "bytes": None, "top_logprobs": []}],
    }
    assert event.raw is None
    assert OtherEvent(type="x", data={"type": "x", "y": 1}).model_dump() == {"type": "x", "y": 1}
