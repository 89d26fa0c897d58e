"""Events: their types, their numbers, and the response that they make up.

Real here: the decoder; where a test names a recording, the bytes that a server sent. The other streams are written by
hand, in the documented shape or in the dialect of a server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import IncompleteStreamError, accumulate
from nxlog.responses import (
    ArgumentsDelta,
    ArgumentsDone,
    CodeDelta,
    CodeDone,
    CodeInterpreterCall,
    FunctionCall,
    ItemEvent,
    Message,
    OtherEvent,
    OutputText,
    PartEvent,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    ReasoningText,
    RefusalDelta,
    RefusalDone,
    ResponseEvent,
    TextDelta,
    TextDone,
    ToolEvent,
)
from nxlog.wire._openai_responses_stream import EventDecoder
from nxlog.wire.openai_responses import OpenAIResponses
from tests.responses.bodies import (
    RECORDED,
    body,
    completed,
    created,
    delta,
    message,
    numbered,
    record,
    sse,
    text,
)

if TYPE_CHECKING:
    from nxlog.responses import Event, ResponsesReply

Json = dict[str, Any]


def decode(*events: Json) -> tuple[list[Event], ResponsesReply, list[str]]:
    """The events, what they make up, and the codes of what was wrong."""
    decoder = EventDecoder()
    found = [*decoder.feed(sse(*events)), *decoder.close()]
    return found, decoder.merger.response(), [warning.code.value for warning in decoder.warnings]


def tokens(reply: ResponsesReply) -> list[str]:
    return [token.token for token in reply.logprobs or ()]


# -- events ----------------------------------------------------------------------------------------------------------

PLACE = {"item_id": "x", "output_index": 0, "content_index": 0}
CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "tide", "arguments": ""}
CODE = {"type": "code_interpreter_call", "id": "ci", "code": "", "container_id": "auto", "outputs": None}
SEARCH = {"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "q"}, "status": "completed"}
KINDS: list[tuple[str, Json, type[Any]]] = [
    ("response.created", {"response": body()}, ResponseEvent),
    ("response.queued", {"response": body()}, ResponseEvent),
    ("response.in_progress", {"response": body()}, ResponseEvent),
    ("response.completed", {"response": body()}, ResponseEvent),
    ("response.incomplete", {"response": body()}, ResponseEvent),
    ("response.cancelled", {"response": body()}, ResponseEvent),
    ("response.failed", {"response": body()}, ResponseEvent),
    ("response.output_item.added", {"item": CALL}, ItemEvent),
    ("response.output_item.done", {"item": SEARCH}, ItemEvent),
    ("response.content_part.added", {"part": text("")}, PartEvent),
    ("response.content_part.done", {"part": {"type": "reasoning_text", "text": "hm"}}, PartEvent),
    ("response.reasoning_summary_part.added", {"part": {"type": "summary_text", "text": ""}}, PartEvent),
    ("response.reasoning_summary_part.done", {"part": {"type": "summary_text", "text": "hm"}}, PartEvent),
    ("response.reasoning_part.added", {"part": {"type": "reasoning_text", "text": ""}}, PartEvent),
    ("response.output_text.delta", {"delta": "a", "logprobs": []}, TextDelta),
    ("response.output_text.done", {"text": "a", "logprobs": []}, TextDone),
    ("response.refusal.delta", {"delta": "a"}, RefusalDelta),
    ("response.refusal.done", {"refusal": "a"}, RefusalDone),
    ("response.reasoning_text.delta", {"delta": "a"}, ReasoningDelta),
    ("response.reasoning_text.done", {"text": "a"}, ReasoningDone),
    ("response.reasoning_summary_text.delta", {"delta": "a", "summary_index": 0}, ReasoningDelta),
    ("response.reasoning_summary_text.done", {"text": "a", "summary_index": 0}, ReasoningDone),
    ("response.function_call_arguments.delta", {"delta": "{"}, ArgumentsDelta),
    ("response.function_call_arguments.done", {"arguments": "{}"}, ArgumentsDone),
    ("response.code_interpreter_call.in_progress", {}, ToolEvent),
    ("response.code_interpreter_call_code.delta", {"delta": "1"}, CodeDelta),
    ("response.code_interpreter_call_code.done", {"code": "1+1"}, CodeDone),
    ("response.code_interpreter_call.interpreting", {}, ToolEvent),
    ("response.code_interpreter_call.completed", {}, ToolEvent),
    ("response.web_search_call.in_progress", {}, ToolEvent),
    ("response.web_search_call.searching", {}, ToolEvent),
    ("response.web_search_call.completed", {}, ToolEvent),
    ("response.output_text.annotation.added", {"annotation": {"type": "url_citation"}}, OtherEvent),
    ("response.something.new", {"nested": {"a": [1]}}, OtherEvent),
    ("keepalive", {}, OtherEvent),
]


@pytest.mark.parametrize(("name", "fields", "kind"), KINDS, ids=[name for name, _, _ in KINDS])
def test_every_event_has_a_type(name: str, fields: Json, kind: type[Any]) -> None:
    """D-16; and all of it stays reachable."""
    sent = {"type": name, "sequence_number": 3, **PLACE, **fields}
    (event,) = EventDecoder().feed(sse(sent))
    assert type(event) is kind
    assert (event.type, event.sequence_number, event.raw) == (name, 3, sent)
    if kind not in {ResponseEvent, OtherEvent}:
        dumped = event.model_dump()
        assert {key: dumped[key] for key in dumped if key in sent and key not in {"item", "part"}} == {
            key: value for key, value in sent.items() if key in dumped and key not in {"item", "part"}
        }
    if kind is OtherEvent:
        assert event.model_dump() == sent


def test_tools_of_the_server_say_what_they_do() -> None:
    (event,) = EventDecoder().feed(sse({"type": "response.web_search_call.searching", **PLACE}))
    assert isinstance(event, ToolEvent)
    assert (event.tool, event.state, event.item_id) == ("web_search_call", "searching", "x")


def test_a_reasoning_may_be_announced_as_text() -> None:
    """D-16: vLLM's harmony streams do so."""
    _, reply, codes = decode(
        created(),
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "x"}},
        {"type": "response.content_part.added", **PLACE, "part": text("")},
        {"type": "response.reasoning_text.delta", **PLACE, "delta": "hm"},
        completed(
            {"type": "reasoning", "id": "x", "content": [{"type": "reasoning_text", "text": "hm"}], "summary": []}
        ),
    )
    assert reply.output == [Reasoning(id="x", content=[ReasoningText(text="hm")])]
    assert codes == []


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "codes", "kept"),
    [
        ([0, 1, 2, 3], [], "ab"),
        ([5, 6, 7, 8], [], "ab"),
        ([None] * 4, [], "ab"),
        ([0, 1, 3, 4], ["events_lost"], "ab"),
        ([0, 1, 10**30, 10**30 + 1], ["events_lost"], "ab"),
        # The same number for something else: both are kept.
        ([0, 1, 1, 2], ["events_repeated"], "ab"),
        ([0, 0, 0, 0], ["events_repeated"], "ab"),
    ],
)
def test_numbers(numbers: list[int | None], codes: list[str], kept: str) -> None:
    """D-17."""
    events = [created(), delta("a", record("a", -1.0)), delta("b", record("b", -2.0)), completed(message(text("ab")))]
    _, reply, found = decode(*({"sequence_number": n, **event} for n, event in zip(numbers, events, strict=True)))
    assert (reply.text, tokens(reply), found) == (kept, ["a", "b"], codes)


def test_an_event_that_comes_twice_counts_once() -> None:
    """D-17: no token is doubled."""
    events = numbered(created(), delta("a", record("a", -1.0)), completed(message(text("a"))))
    seen, reply, found = decode(events[0], events[1], events[1], events[2])
    assert (len(seen), reply.text, tokens(reply), found) == (3, "a", ["a"], ["events_repeated"])


def test_places_that_say_little() -> None:
    """D-17: an empty item id, and a content index that is always 0."""
    item = message(text("a"), text("b"), id="")
    _, reply, codes = decode(
        created(),
        delta("a", record("a", -1.0), item_id="", content_index=0),
        completed(message(text("a", [record("a", -1.0)]), id="")),
    )
    assert (reply.text, tokens(reply), codes) == ("a", ["a"], [])
    _, reply, _ = decode(created(), completed(item))
    assert reply.text == "ab"


def test_items_are_told_apart_by_their_place() -> None:
    """D-17: the output index grows per item."""
    first, second = message(text("a"), id="m1"), message(text("b"), id="m2")
    _, reply, codes = decode(
        created(),
        delta("a", record("a", -1.0), item_id="m1", output_index=0),
        delta("b", record("b", -2.0), item_id="m2", output_index=1),
        completed(first, second),
    )
    assert [item.text for item in reply.output if isinstance(item, Message)] == ["a", "b"]
    assert (tokens(reply), codes) == (["a", "b"], [])


# -- records ---------------------------------------------------------------------------------------------------------

EXACT = [record("a", -1.23456789, bytes=[97]), record("b", -2.3456789, bytes=[98])]
ROUNDED = [record("a", -1.234568, bytes=[97]), record("b", -2.345679, bytes=[98])]


def test_a_server_that_rounds_at_the_end() -> None:
    """D-18: as OpenAI; the values of the deltas are kept, and no token is counted twice."""
    _, reply, codes = decode(
        created(),
        delta("a", EXACT[0]),
        delta("b", EXACT[1]),
        {"type": "response.output_text.done", **PLACE, "item_id": "msg_1", "text": "ab", "logprobs": EXACT},
        {"type": "response.content_part.done", **PLACE, "item_id": "msg_1", "part": text("ab", [])},
        {"type": "response.output_item.done", "output_index": 0, "item": message(text("ab", ROUNDED))},
        completed(message(text("ab", ROUNDED))),
    )
    assert [(token.logprob, token.bytes) for token in reply.logprobs or ()] == [(-1.23456789, b"a"), (-2.3456789, b"b")]
    assert codes == []


def test_a_server_that_has_bytes_at_the_end() -> None:
    """D-18: as vLLM; bytes join the records, and what the deltas left out is there."""
    bare = [{key: value for key, value in entry.items() if key != "bytes"} for entry in EXACT]
    end = record("<|im_end|>", -0.5)
    _, reply, codes = decode(
        created(), delta("a", bare[0]), delta("b", bare[1]), completed(message(text("ab", [*EXACT, end])))
    )
    assert [(token.token, token.bytes) for token in reply.logprobs or ()] == [
        ("a", b"a"),
        ("b", b"b"),
        ("<|im_end|>", None),
    ]
    assert codes == []


def test_deltas_alone() -> None:
    """D-18: as LM Studio, whose last event has no records; and one whose last event has no items."""
    for last in (completed(message(text("ab"))), completed()):
        _, reply, codes = decode(created(), delta("a", EXACT[0]), delta("b", EXACT[1]), last)
        assert (reply.text, tokens(reply), codes) == ("ab", ["a", "b"], [])


def test_the_end_alone() -> None:
    """D-18: a server whose deltas have no records."""
    _, reply, codes = decode(created(), delta("ab"), completed(message(text("ab", EXACT))))
    assert (reply.text, tokens(reply), codes) == ("ab", ["a", "b"], [])


@pytest.mark.parametrize(
    ("said", "records"),
    [
        ("xy", None),
        ("ab", [record("a", -7.0), record("b", -2.3456789)]),
        ("ab", [EXACT[0]]),
        ("ab", [EXACT[1], EXACT[0]]),
    ],
)
def test_an_end_that_says_something_else(said: str, records: list[Json] | None) -> None:
    """D-18: the final list is checked against the deltas; those are kept, and it is said."""
    _, reply, codes = decode(
        created(), delta("a", EXACT[0]), delta("b", EXACT[1]), completed(message(text(said, records)))
    )
    assert (reply.text, tokens(reply), codes) == ("ab", ["a", "b"], ["contradicted"])


def test_an_item_that_the_end_does_not_know() -> None:
    """D-18: the last event has one message for two; its text is not doubled, and it is said."""
    _, reply, codes = decode(
        created(),
        delta("a", EXACT[0], item_id="m1", output_index=0),
        delta("b", EXACT[1], item_id="m2", output_index=1),
        completed(message(text("ab", EXACT), id="m1")),
    )
    assert (reply.text, tokens(reply), codes) == ("ab", ["a", "b"], ["contradicted"])


def test_what_is_left_of_a_stream_that_breaks() -> None:
    decoder = EventDecoder()
    list(decoder.feed(sse(created(), delta("a", EXACT[0]))))
    with pytest.raises(IncompleteStreamError):
        list(decoder.close())
    assert tokens(decoder.merger.response()) == ["a"]


def test_items_of_all_kinds_from_their_pieces() -> None:
    """D-16: reasoning summaries, calls and code are whole without a last event that repeats them."""
    call, code = {**PLACE, "item_id": "fc", "output_index": 1}, {**PLACE, "item_id": "ci", "output_index": 2}
    thought = {"item_id": "rs", "output_index": 0, "summary_index": 0}
    _, reply, _ = decode(
        created(),
        {"type": "response.reasoning_summary_text.delta", **thought, "delta": "h"},
        {"type": "response.reasoning_summary_text.done", **thought, "text": "hm"},
        {"type": "response.output_item.added", "output_index": 1, "item": CALL},
        {"type": "response.function_call_arguments.delta", **call, "delta": "{"},
        {"type": "response.function_call_arguments.done", **call, "arguments": "{}"},
        {"type": "response.output_item.added", "output_index": 2, "item": CODE},
        {"type": "response.code_interpreter_call_code.delta", **code, "delta": "1"},
        {"type": "response.code_interpreter_call_code.done", **code, "code": "1+1"},
        {"type": "response.output_item.done", "output_index": 3, "item": SEARCH},
        completed(),
    )
    assert reply.reasoning == "hm"
    assert [item.type for item in reply.output] == [
        "reasoning",
        "function_call",
        "code_interpreter_call",
        "web_search_call",
    ]
    assert isinstance(reply.output[1], FunctionCall)
    assert isinstance(reply.output[2], CodeInterpreterCall)
    assert (reply.output[1].name, reply.output[1].arguments, reply.output[2].code) == ("tide", "{}", "1+1")


STREAMS = [
    name for name, case in RECORDED.items() if case.wire == "openai-responses" and case.stream and case.status == 200
]


@pytest.mark.parametrize("name", STREAMS)
def test_chat_on_this_wire_is_the_same_answer(name: str) -> None:
    """The chunks of ``client.stream(wire="openai-responses")`` add up to what the events do."""
    case = RECORDED[name]
    wire = OpenAIResponses().stream_decoder()
    chat = accumulate([*wire.feed(case.reply), *wire.close()])
    decoder = EventDecoder()
    assert [*decoder.feed(case.reply), *decoder.close()]
    assert decoder.merger.response().to_chat() == chat
    assert decoder.warnings == wire.warnings == []


def test_there_are_recorded_streams() -> None:
    assert len(STREAMS) >= 8


def test_events_of_a_stream_can_be_written_down() -> None:
    for name in STREAMS:
        for event in EventDecoder().feed(RECORDED[name].reply):
            json.dumps(event.model_dump())


def test_parts_have_types() -> None:
    events = list(EventDecoder().feed(RECORDED["vllm/responses_logprobs_stream"].reply))
    (done,) = [event for event in events if event.type == "response.content_part.done"]
    assert isinstance(done, PartEvent)
    assert isinstance(done.part, OutputText)
    assert len(done.part.logprobs or ()) == 6
