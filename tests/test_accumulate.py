"""A stream's chunks put together.

Real here: the accumulator. That accumulated streams equal whole replies on real captures is shown by the conformance
suite; here are the single rules, with chunks made by hand.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.accumulate import Accumulator, accumulate
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta, TokenLogprob
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, StreamChunk, ToolCallDelta, Usage


def token(text: str) -> TokenLogprob:
    return TokenLogprob.build(text, -0.5)


def records(*texts: str, **channels: list[TokenLogprob]) -> StreamLogprobsDelta:
    return StreamLogprobsDelta([token(text) for text in texts] if texts else None, **channels)


def texts(found: Any) -> list[str]:
    return [record.token for record in found or ()]


def test_text_and_records_b39() -> None:
    reply = accumulate(
        [
            StreamChunk(id="r1", model="m", created=5),
            StreamChunk("Hel", logprobs=records("Hel"), id="r1", model="m", created=5),
            StreamChunk("lo!", logprobs=records("lo", "!")),
            StreamChunk(finish_reason="stop"),
            StreamChunk(usage=Usage(completion_tokens=3)),
        ]
    )
    assert (reply.id, reply.model, reply.created) == ("r1", "m", 5)
    assert (reply.text, reply.finish_reason) == ("Hello!", "stop")
    assert reply.logprobs is not None
    assert texts(reply.logprobs) == ["Hel", "lo", "!"]
    assert reply.usage == Usage(completion_tokens=3)
    assert len(reply.choices) == 1
    assert reply.raw is None


def test_records_without_text_are_kept_b21() -> None:
    reply = accumulate([StreamChunk("", logprobs=records("a", "b")), StreamChunk("", logprobs=records("<eos>"))])
    assert reply.text == ""
    assert texts(reply.logprobs) == ["a", "b", "<eos>"]


def test_closing_records_take_the_place_of_those_before() -> None:
    whole = LogprobsData([TokenLogprob.build(text, -0.5, bytes=text.encode()) for text in ("a", "b", "c")])
    usage = Usage(completion_tokens=3)
    chunks = [
        StreamChunk("a", logprobs=records("a")),
        StreamChunk("c", logprobs=records("c", reasoning=[token("h")])),
        StreamChunk(closing_logprobs=whole, usage=usage),
    ]
    found = accumulate(chunks).logprobs
    assert found is not None
    assert [record.bytes for record in found] == [b"a", b"b", b"c"]
    assert texts(found.reasoning) == ["h"]
    # A later record still follows.
    assert texts(accumulate([*chunks, StreamChunk(logprobs=records("d"))]).logprobs) == ["a", "b", "c", "d"]


def test_no_records_are_none_b22() -> None:
    reply = accumulate([StreamChunk("a"), StreamChunk("b", logprobs=StreamLogprobsDelta([]))])
    assert reply.logprobs is None


def test_every_channel_has_its_own_records() -> None:
    reply = accumulate(
        [
            StreamChunk(reasoning_delta="h", logprobs=records(reasoning=[token("h")])),
            StreamChunk(reasoning_delta="m", logprobs=records(reasoning=[token("m")])),
            StreamChunk("a", logprobs=records("a")),
            StreamChunk(refusal_delta="No", logprobs=records(refusal=[token("No")])),
            StreamChunk(refusal_delta="."),
        ]
    )
    assert (reply.text, reply.reasoning, reply.refusal) == ("a", "hm", "No.")
    assert reply.logprobs is not None
    assert texts(reply.logprobs.content) == ["a"]
    assert texts(reply.logprobs.reasoning) == ["h", "m"]
    assert texts(reply.logprobs.refusal) == ["No"]


def test_a_refusal_alone_has_no_content() -> None:
    reply = accumulate([StreamChunk(refusal_delta="No", logprobs=records(refusal=[token("No")]))])
    assert reply.logprobs is not None
    assert reply.logprobs.channel("content") is None
    assert reply.text == ""


def test_choices_are_kept_apart_b33() -> None:
    reply = accumulate(
        [
            StreamChunk("x", index=1, logprobs=records("x")),
            StreamChunk("a", index=0, logprobs=records("a")),
            StreamChunk("y", index=1, logprobs=records("y"), finish_reason="length"),
            StreamChunk("b", index=0, finish_reason="stop"),
        ]
    )
    assert [(choice.index, choice.text, choice.finish_reason) for choice in reply.choices] == [
        (0, "ab", "stop"),
        (1, "xy", "length"),
    ]
    assert [texts(choice.logprobs) for choice in reply.choices] == [["a"], ["x", "y"]]


def test_two_finish_chunks_and_a_late_text() -> None:
    """OpenRouter repeats the end, with the usage."""
    reply = accumulate(
        [
            StreamChunk("a", finish_reason="stop"),
            StreamChunk("", finish_reason="stop", usage=Usage(completion_tokens=1)),
            StreamChunk("b"),
        ]
    )
    assert (reply.text, reply.finish_reason, len(reply.choices)) == ("ab", "stop", 1)


# -- usage -----------------------------------------------------------------------------------------------------------


def test_usage_is_merged_and_the_last_word_counts() -> None:
    """Anthropic counts the prompt at the start and the answer at the end; some servers count in every chunk."""
    reply = accumulate(
        [
            StreamChunk(usage=Usage(prompt_tokens=7, completion_tokens=1)),
            StreamChunk("a", usage=Usage(completion_tokens=2)),
            StreamChunk(usage=Usage(completion_tokens=3, total_tokens=10, cached_tokens=0)),
        ]
    )
    assert reply.usage == Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10, cached_tokens=0)


def test_a_chunk_of_usage_alone_is_no_choice() -> None:
    assert accumulate([StreamChunk(usage=Usage(completion_tokens=0))]).choices == []
    ended = accumulate([StreamChunk(finish_reason="stop", usage=Usage(completion_tokens=0))])
    assert [choice.finish_reason for choice in ended.choices] == ["stop"]


def test_no_chunk_is_an_empty_reply() -> None:
    assert accumulate([]) == ChatResponse()


# -- tool calls ------------------------------------------------------------------------------------------------------


def call(id_: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(id=id_, function=FunctionCall(name=name, arguments=arguments))


def test_tool_calls_come_in_pieces_b39() -> None:
    other = ToolCallDelta(1, id="c1", name="go", arguments="{}")
    reply = accumulate(
        [
            StreamChunk(tool_call_deltas=(ToolCallDelta(0, id="c0", name="look", arguments=""),)),
            StreamChunk(tool_call_deltas=(ToolCallDelta(0, arguments='{"a":'),)),
            StreamChunk(tool_call_deltas=(other, ToolCallDelta(0, arguments="1}"))),
            StreamChunk(finish_reason="tool_calls"),
        ]
    )
    assert reply.tool_calls == [call("c0", "look", '{"a":1}'), call("c1", "go", "{}")]
    assert reply.finish_reason == "tool_calls"


def test_id_and_name_may_be_repeated_in_every_piece() -> None:
    pieces = [ToolCallDelta(0, id="c0", name="look", arguments=part) for part in ("{", "}")]
    assert accumulate([StreamChunk(tool_call_deltas=(piece,)) for piece in pieces]).tool_calls == [
        call("c0", "look", "{}")
    ]


def test_calls_under_one_index_are_told_apart_by_their_ids() -> None:
    """Some gateways number every parallel call 0."""
    reply = accumulate(
        [
            StreamChunk(tool_call_deltas=(ToolCallDelta(0, id="c0", name="look", arguments="{}"),)),
            StreamChunk(tool_call_deltas=(ToolCallDelta(0, id="c1", name="go", arguments="{"),)),
            StreamChunk(tool_call_deltas=(ToolCallDelta(0, arguments="}"),)),
        ]
    )
    assert reply.tool_calls == [call("c0", "look", "{}"), call("c1", "go", "{}")]


def test_a_call_without_an_id_gets_one() -> None:
    deltas = (ToolCallDelta(0, name="look"), ToolCallDelta(1, name="go", arguments="{}"))
    assert accumulate([StreamChunk(tool_call_deltas=deltas)]).tool_calls == [
        call("call_0", "look", ""),
        call("call_1", "go", "{}"),
    ]


def test_tool_calls_belong_to_their_choice() -> None:
    reply = accumulate(
        [
            StreamChunk(index=1, tool_call_deltas=(ToolCallDelta(0, id="b", name="go"),)),
            StreamChunk(index=0, tool_call_deltas=(ToolCallDelta(0, id="a", name="look"),)),
        ]
    )
    assert [[made.id for made in choice.tool_calls] for choice in reply.choices] == [["a"], ["b"]]


# -- on the way ------------------------------------------------------------------------------------------------------


def test_what_has_arrived_does_not_change_any_more() -> None:
    accumulator = Accumulator()
    accumulator.add(StreamChunk("a", logprobs=records("a")))
    early = accumulator.response()
    accumulator.add(StreamChunk("b", logprobs=records("b")))
    assert early.text == "a"
    assert texts(early.logprobs) == ["a"]
    assert texts(accumulator.response().logprobs) == ["a", "b"]


def test_a_long_stream_costs_its_length() -> None:
    """No record is taken twice, and nothing is joined or copied on the way: 20,000 chunks do 20,000 appends."""
    touched = 0

    class Counting(StreamLogprobsDelta):
        __slots__ = ()

        def channel(self, name: Any) -> Any:
            nonlocal touched
            touched += 1
            return super().channel(name)

    accumulator = Accumulator()
    for i in range(20_000):
        accumulator.add(StreamChunk("a", logprobs=Counting([token(str(i))])))
    assert touched == 20_000 * 3  # each channel of each chunk, once
    reply = accumulator.response()
    assert touched == 20_000 * 3
    assert len(reply.text) == 20_000
    assert texts(reply.logprobs) == [str(i) for i in range(20_000)]


PIECES = st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=3)))


@given(pieces=PIECES)
def test_nothing_is_lost_whatever_the_chunks(pieces: list[tuple[int, str, list[str]]]) -> None:
    reply = accumulate(StreamChunk(text, index=index, logprobs=records(*parts)) for index, text, parts in pieces)
    for choice in reply.choices:
        own = [(text, parts) for index, text, parts in pieces if index == choice.index]
        assert choice.text == "".join(text for text, _ in own)
        assert texts(choice.logprobs) == [part for _, parts in own for part in parts]
    assert {choice.index for choice in reply.choices} == {index for index, _, _ in pieces}


@pytest.mark.parametrize("field", ["id", "model", "created"])
def test_the_first_chunk_that_says_it_counts(field: str) -> None:
    values: dict[str, Any] = {"id": "r1", "model": "m", "created": 3}
    other: dict[str, Any] = {"id": "r2", "model": "n", "created": 4}
    chunks = [StreamChunk("a"), StreamChunk("b", **{field: values[field]}), StreamChunk("c", **{field: other[field]})]
    assert getattr(accumulate(chunks), field) == values[field]
