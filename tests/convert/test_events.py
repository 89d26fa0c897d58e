"""Chunks of a chat stream as events of a Responses stream: A-06 to A-08, A-14 to A-16, A-18, A-21 of the checklist.

Real here: the recorded streams of every provider, decoded by the wires.
"""

from __future__ import annotations

import itertools
from typing import Any

import anyio.lowlevel
import pytest

from nxlog import (
    LogprobsData,
    StreamChunk,
    StreamLogprobsDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    WarningCode,
    accumulate,
)
from nxlog.convert import ChunkConverter, achunks_to_events, chat_to_responses, chunks_to_events, responses_to_chat
from nxlog.logprobs import CHANNELS
from nxlog.responses import (
    ArgumentsDelta,
    Event,
    FunctionCall,
    ItemEvent,
    Message,
    OutputText,
    PartEvent,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    ResponseEvent,
    TextDelta,
    TextDone,
)
from nxlog.wire import get_wire
from tests.conformance.cassettes import CASES, Case

STREAMS = [case for case in CASES if case.status == 200 and case.stream and not case.name.startswith("err_")]


def numbered() -> Any:
    count = itertools.count()
    return lambda prefix: f"{prefix}_{next(count)}"


def record(token: str, logprob: float = -1.0) -> TokenLogprob:
    return TokenLogprob.build(token, logprob, bytes=token.encode(), token_id=len(token))


def chunk(delta: str = "", *records: TokenLogprob, **fields: Any) -> StreamChunk:
    logprobs = StreamLogprobsDelta(list(records)) if records else None
    return StreamChunk(**{"delta": delta, "logprobs": logprobs, "id": "chatcmpl-1", "model": "m", **fields})


def converted(*chunks: StreamChunk) -> tuple[list[Event], ChunkConverter]:
    converter = ChunkConverter(new_id=numbered())
    events = [event for one in chunks for event in converter.feed(one)]
    return [*events, *converter.close()], converter


def types_of(events: list[Event]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


HI, THERE = record("Hi", -0.5), record(" there", -0.25)
PLAIN = [chunk("Hi", HI), chunk(" there", THERE), chunk(finish_reason="stop")]


# -- plain text --------------------------------------------------------------------------------------------------------


def test_order_and_counters() -> None:
    """A-15, and better: the text as a whole with its full list, and ids that are real."""
    events, _ = converted(*PLAIN)
    assert types_of(events) == [
        "created",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(9))
    inside = [event for event in events if isinstance(event, PartEvent | TextDelta | TextDone)]
    assert {(event.item_id, event.output_index, event.content_index) for event in inside} == {("msg_0", 0, 0)}
    done = next(event for event in events if isinstance(event, TextDone))
    assert (done.text, done.logprobs) == ("Hi there", [HI, THERE])
    last = events[-1]
    assert isinstance(last, ResponseEvent)
    assert (last.response.id, last.response.model, last.response.status) == ("chatcmpl-1", "m", "completed")
    assert last.response.text == "Hi there"


def test_every_delta_has_its_own_records() -> None:
    """A-08; and better than A-05: nxlog's own deltas keep bytes and token ids."""
    events, converter = converted(*PLAIN)
    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert [(event.delta, event.logprobs) for event in deltas] == [("Hi", [HI]), (" there", [THERE])]
    assert [(token.bytes, token.token_id) for token in deltas[0].logprobs] == [(b"Hi", 2)]
    reply = converter.converted.reply
    assert reply.text == "Hi there"
    assert [token.token for token in reply.logprobs or ()] == ["Hi", " there"]


def test_every_delta_has_a_list() -> None:
    """A-06, A-07: an empty one where the chunk had no records, which leaves the others alone."""
    events, converter = converted(chunk("a", HI), chunk("b"), chunk("c", THERE), chunk("d"))
    assert [event.logprobs for event in events if isinstance(event, TextDelta)] == [[HI], [], [THERE], []]
    (message,) = converter.converted.reply.output
    assert isinstance(message, Message)
    assert message.content == [OutputText(text="abcd", logprobs=[HI, THERE])]
    dumps = [event.model_dump() for event in events if isinstance(event, TextDelta)]
    assert [len(dump["logprobs"]) for dump in dumps] == [1, 0, 1, 0]


def test_without_records_there_are_none() -> None:
    events, converter = converted(chunk("Hi"), chunk(finish_reason="stop"))
    done = next(event for event in events if isinstance(event, TextDone))
    assert done.logprobs == []
    assert converter.converted.reply.logprobs is None
    assert converter.converted.logprobs is None


def test_a_long_stream_is_linear() -> None:
    """A-07, better: every record is listed a fixed number of times, not once for each chunk after it."""
    seen = [0] * 2
    for size, place in [(200, 0), (400, 1)]:
        events, _ = converted(*(chunk("x", HI) for _ in range(size)))
        seen[place] = sum(len(event.logprobs) for event in events if isinstance(event, TextDelta | TextDone))
    assert seen[1] == 2 * seen[0]


# -- what is lost elsewhere --------------------------------------------------------------------------------------------


def test_records_before_the_first_text_come_with_it() -> None:
    """A-16: the first byte of a character has no text of its own."""
    first, second = TokenLogprob.build("", -1.0, bytes=b"\xc3"), TokenLogprob.build("\u00e9", -2.0, bytes=b"\xa9")
    events, _ = converted(chunk("", first), chunk("\u00e9", second))
    assert [(e.delta, e.logprobs) for e in events if isinstance(e, TextDelta)] == [("\u00e9", [first, second])]


def test_records_after_it_are_a_delta_without_text() -> None:
    """A-16: the end of the turn."""
    end = TokenLogprob.build("</s>", -0.01)
    events, converter = converted(chunk("Hi", HI), chunk("", end, finish_reason="stop"))
    assert [(e.delta, e.logprobs) for e in events if isinstance(e, TextDelta)] == [("Hi", [HI]), ("", [end])]
    assert list(converter.converted.reply.logprobs or ()) == [HI, end]


def test_records_without_any_text_are_kept_beside_the_items() -> None:
    """A-16, A-10: those of a tool call."""
    piece = ToolCallDelta(0, id="call_7", name="f", arguments="{}")
    _, converter = converted(chunk("", HI, tool_call_deltas=(piece,)), chunk("", THERE, finish_reason="tool_calls"))
    found = converter.converted
    assert [type(item) for item in found.reply.output] == [FunctionCall]
    assert list(found.logprobs or ()) == [HI, THERE]
    (warning,) = found.reply.warnings
    assert (warning.code, warning.requested) == (WarningCode.NO_PLACE, 2)


def test_further_choices_are_kept_by_their_index() -> None:
    """A-16: their chunks make no events."""
    chunks = [chunk("a", HI), chunk("b", THERE, index=1), chunk("c", index=2), chunk(finish_reason="stop", index=1)]
    events, converter = converted(*chunks)
    assert [event.delta for event in events if isinstance(event, TextDelta)] == ["a"]
    found = converter.converted
    assert [(choice.index, choice.text) for choice in found.choices] == [(1, "b"), (2, "c")]
    assert list(found.choices[0].logprobs or ()) == [THERE]
    (warning,) = found.reply.warnings
    assert (warning.parameter, warning.requested) == ("n", 2)


def test_the_records_of_a_refusal_are_on_its_part() -> None:
    """A-16, A-21."""
    no = StreamChunk(refusal_delta="no", logprobs=StreamLogprobsDelta(refusal=[HI]))
    events, converter = converted(no, StreamChunk(refusal_delta="pe", logprobs=StreamLogprobsDelta(refusal=[THERE])))
    assert types_of(events) == [
        "created",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    (message,) = converter.converted.reply.output
    assert isinstance(message, Message)
    assert message.content == [Refusal(refusal="nope", logprobs=[HI, THERE])]
    assert converter.converted.reply.warnings == []


def test_a_closing_list_is_that_of_the_whole() -> None:
    """A list that a server repeats at the end with more in it takes the place of the deltas', and doubles none."""
    bare = TokenLogprob.build("Hi", -0.5)
    events, converter = converted(chunk("Hi", bare), chunk(finish_reason="stop", closing_logprobs=LogprobsData([HI])))
    assert [event.logprobs for event in events if isinstance(event, TextDelta)] == [[bare]]
    assert [event.logprobs for event in events if isinstance(event, TextDone)] == [[HI]]
    assert list(converter.converted.reply.logprobs or ()) == [HI]


# -- items beside the text ---------------------------------------------------------------------------------------------


def test_a_reasoning_comes_first_and_ends_where_the_answer_begins() -> None:
    """A-15, A-21: output index 1 for the message then; the reasoning has its records."""
    so = StreamChunk(reasoning_delta="so", logprobs=StreamLogprobsDelta(reasoning=[THERE]), id="chatcmpl-1")
    events, converter = converted(so, *PLAIN)
    assert types_of(events)[:8] == [
        "created",
        "output_item.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
    ]
    assert {event.output_index for event in events if isinstance(event, TextDelta)} == {1}
    assert [event.logprobs for event in events if isinstance(event, ReasoningDelta)] == [[THERE]]
    reasoning, message = converter.converted.reply.output
    assert isinstance(reasoning, Reasoning)
    assert (reasoning.id, reasoning.text, reasoning.logprobs) == ("rs_0", "so", [THERE])
    assert isinstance(message, Message)


def test_a_text_after_a_refusal_is_part_1() -> None:
    """A-15."""
    events, converter = converted(StreamChunk(refusal_delta="no"), chunk("Hi", HI))
    assert [event.content_index for event in events if isinstance(event, RefusalDelta)] == [0]
    assert [event.content_index for event in events if isinstance(event, TextDelta | TextDone)] == [1, 1]
    (message,) = converter.converted.reply.output
    assert isinstance(message, Message)
    assert [part.type for part in message.content] == ["refusal", "output_text"]


def test_calls_in_pieces() -> None:
    """A-21: each begins when its name is known, and no piece of its arguments is lost."""
    events, converter = converted(
        chunk("Hi", HI),
        chunk(tool_call_deltas=(ToolCallDelta(0, arguments='{"'),)),
        chunk(tool_call_deltas=(ToolCallDelta(0, id="call_7", name="f"), ToolCallDelta(1, id="call_8", name="g"))),
        chunk(tool_call_deltas=(ToolCallDelta(0, arguments='a":1}'), ToolCallDelta(1, arguments="{}"))),
        chunk(finish_reason="tool_calls"),
    )
    pieces = [(event.output_index, event.delta) for event in events if isinstance(event, ArgumentsDelta)]
    assert pieces == [(1, '{"'), (1, 'a":1}'), (2, "{}")]
    message, first, second = converter.converted.reply.output
    assert isinstance(message, Message)
    assert first == FunctionCall(id="fc_1", call_id="call_7", name="f", arguments='{"a":1}', status="completed")
    assert second == FunctionCall(id="fc_2", call_id="call_8", name="g", arguments="{}", status="completed")
    added = [event.item for event in events if isinstance(event, ItemEvent) and event.type.endswith("added")]
    assert [item.arguments for item in added if isinstance(item, FunctionCall)] == ["", ""]


def test_calls_that_a_gateway_numbers_alike() -> None:
    pieces = [ToolCallDelta(0, id=f"call_{i}", name="f", arguments=f"[{i}]") for i in range(2)]
    _, converter = converted(*(chunk(tool_call_deltas=(piece,)) for piece in pieces))
    calls = converter.converted.reply.output
    assert [call.arguments for call in calls if isinstance(call, FunctionCall)] == ["[0]", "[1]"]


def test_a_call_without_a_name_is_there_all_the_same() -> None:
    events, converter = converted(chunk(tool_call_deltas=(ToolCallDelta(0, arguments="{}"),)))
    assert "function_call_arguments.delta" in types_of(events)
    (call,) = converter.converted.reply.output
    assert isinstance(call, FunctionCall)
    assert (call.name, call.arguments, call.call_id) == ("", "{}", call.id)


# -- the ends ----------------------------------------------------------------------------------------------------------


def test_usage_is_in_the_same_stream() -> None:
    """A-18, A-14: on a chunk without a choice, which makes no event."""
    usage = Usage(prompt_tokens=7, completion_tokens=5, total_tokens=12, cached_tokens=2, reasoning_tokens=3)
    converter = ChunkConverter(new_id=numbered())
    for one in PLAIN:
        list(converter.feed(one))
    assert list(converter.feed(StreamChunk(usage=usage))) == []
    last = list(converter.close())[-1]
    assert isinstance(last, ResponseEvent)
    assert last.response.usage == usage


def test_an_answer_that_was_cut_is_incomplete() -> None:
    events, _ = converted(chunk("Hi", HI, finish_reason="length"))
    last = events[-1]
    assert isinstance(last, ResponseEvent)
    assert (last.type, last.response.finish_reason) == ("response.incomplete", "length")


def test_a_stream_without_anything_begins_and_ends() -> None:
    events, converter = converted()
    assert types_of(events) == ["created", "completed"]
    assert converter.converted.reply.output == []
    assert str(converter.converted.reply.id).startswith("resp_")


def test_before_its_end_there_is_no_result() -> None:
    with pytest.raises(ValueError, match="close the converter first"):
        _ = ChunkConverter().converted


@pytest.mark.anyio
async def test_async_says_the_same() -> None:
    async def chunks() -> Any:
        for one in PLAIN:
            await anyio.lowlevel.checkpoint()
            yield one

    events = [event async for event in achunks_to_events(chunks(), new_id=numbered())]
    assert events == list(chunks_to_events(PLAIN, new_id=numbered()))


# -- what servers really send ------------------------------------------------------------------------------------------


def places(events: list[Event], kind: str) -> list[int | None]:
    return [e.output_index for e in events if isinstance(e, ItemEvent) and e.type == f"response.output_item.{kind}"]


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: f"{case.provider}-{case.name}")
def test_every_recorded_stream(case: Case) -> None:
    """A-06 to A-08, A-14 to A-16, A-18, A-21, A-22: nothing is lost, and every stream is well-formed."""
    decoder = get_wire(case.wire).stream_decoder()
    chunks = [*decoder.feed(case.reply), *decoder.close()]
    events, converter = converted(*chunks)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert places(events, "added") == sorted(places(events, "done"), key=lambda place: place or 0)
    whole = accumulate(chunks)
    assert responses_to_chat(converter.converted) == whole
    said = "".join(event.delta for event in events if isinstance(event, TextDelta))
    assert said == whole.text
    listed = [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]
    closing = any(one.closing_logprobs for one in chunks)
    if whole.text and whole.logprobs is not None and not closing:
        assert listed == list(whole.logprobs.content)
    reply = converter.converted.reply
    alike = chat_to_responses(whole).reply
    assert (reply.text, reply.logprobs, reply.warnings) == (alike.text, alike.logprobs, alike.warnings)
    kept = sum(warning.requested for warning in reply.warnings if warning.parameter == "logprobs")
    assert count(reply.logprobs) + kept == count(whole.logprobs)


def count(data: LogprobsData | None) -> int:
    return 0 if data is None else sum(len(data.channel(name) or ()) for name in CHANNELS)


def test_the_recordings_have_everything() -> None:
    """Thinking with signatures, refusals, calls and usage are among them."""
    names = {(case.provider, case.name) for case in STREAMS}
    assert {("anthropic", "messages_thinking_stream"), ("openai", "chat_refusal_stream")} <= names
    assert {("openai", "chat_tools_stream"), ("openai", "chat_n2_stream")} <= names
