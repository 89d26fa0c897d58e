"""nxlog's types and those of openai: A-03, A-05, A-06, A-08, A-13, A-15, A-16, A-18, A-22, A-23 of the checklist.

Real here: the types of openai, made and read by openai itself; openai-agents' own conversion of chat streams, beside
which ours is put; the recordings of every provider.
"""

from __future__ import annotations

import asyncio
import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from agents.models.chatcmpl_stream_handler import ChatCmplStreamHandler
from openai import BaseModel
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionTokenLogprob
from openai.types.responses import (
    Response,
    ResponseCreatedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseTextDeltaEvent,
    ResponseUsage,
    response_output_text,
    response_text_delta_event,
)

from nxlog import ChatResponse, Choice, LogprobsData, TokenLogprob, TopLogprob, Usage
from nxlog.convert import (
    chat_to_responses,
    chunks_to_events,
    convert_logprobs_for_output_text,
    convert_logprobs_for_text_delta,
    responses_to_chat,
)
from nxlog.convert.openai import from_openai, to_openai
from nxlog.responses import (
    Event,
    FunctionCall,
    OtherEvent,
    OtherItem,
    Reasoning,
    Refusal,
    ResponseEvent,
    ResponsesReply,
    TextDelta,
)
from nxlog.wire import get_wire
from nxlog.wire._openai_responses_events import decode_event
from tests.conformance.cassettes import CASES, Case

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FINE = [case for case in CASES if case.status == 200 and not case.name.startswith("err_")]
WHOLE = [case for case in FINE if not case.stream]
STREAMS = [case for case in FINE if case.stream]
CHATS = [case for case in WHOLE if case.wire == "openai-chat"]
RESPONSES = [case for case in WHOLE if case.wire == "openai-responses"]
CHUNKED = [case for case in STREAMS if case.wire == "openai-chat"]
NAME: Callable[[Case], str] = lambda case: f"{case.provider}-{case.name}"  # noqa: E731
HI = TokenLogprob.build("Hi", -0.5, bytes=b"Hi", top_logprobs=[TopLogprob.build("Hi", -0.5)])


def checked(value: BaseModel) -> BaseModel:
    """The value, after it was dumped without a word (warnings are errors) and validated as strictly as openai can."""
    assert type(value).model_validate(value.model_dump(by_alias=True)) is not None
    json.loads(value.model_dump_json())
    return value


# -- records -----------------------------------------------------------------------------------------------------------


def test_records() -> None:
    """A-03, A-05, A-13."""
    (text,) = convert_logprobs_for_output_text([HI]) or ()
    (delta,) = convert_logprobs_for_text_delta([HI]) or ()
    assert to_openai(text) == response_output_text.Logprob(
        token="Hi",
        logprob=-0.5,
        bytes=[72, 105],
        top_logprobs=[response_output_text.LogprobTopLogprob(token="Hi", logprob=-0.5, bytes=[])],
    )
    assert to_openai(delta) == response_text_delta_event.Logprob(
        token="Hi",
        logprob=-0.5,
        top_logprobs=[response_text_delta_event.LogprobTopLogprob(token="Hi", logprob=-0.5)],
    )
    assert from_openai(to_openai(text)).bytes == b"Hi"
    assert from_openai(ChatCompletionTokenLogprob(token="Hi", logprob=-0.5, top_logprobs=[])).bytes is None


def test_a_missing_value_is_not_a_number() -> None:
    """A-23: and null again as JSON, and None again in nxlog."""
    missing = TokenLogprob.build("Hi", None, top_logprobs=[TopLogprob.build("Yo", None)])
    (text,) = convert_logprobs_for_output_text([missing]) or ()
    made = to_openai(text)
    assert math.isnan(made.logprob)
    assert math.isnan(made.top_logprobs[0].logprob)
    assert json.loads(made.model_dump_json())["logprob"] is None
    assert from_openai(made).logprob is None
    assert from_openai(made).top_logprobs[0].logprob is None


# -- chat answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CHATS, ids=NAME)
def test_every_completion_is_read(case: Case) -> None:
    """What openai's client makes of a body is the same answer as the body itself."""
    completion = ChatCompletion.construct(**json.loads(case.reply))
    assert from_openai(completion) == get_wire(case.wire).decode(case.reply)


@pytest.mark.parametrize("case", WHOLE, ids=NAME)
def test_every_answer_is_a_completion(case: Case) -> None:
    """A-22: there and back, on what every provider's wire gives."""
    chat = get_wire(case.wire).decode(case.reply)
    made = to_openai(chat)
    assert isinstance(made, ChatCompletion)
    back = from_openai(made)
    assert [choice.text for choice in back.choices] == [choice.text for choice in chat.choices]
    assert [choice.tool_calls for choice in back.choices] == [choice.tool_calls for choice in chat.choices]
    assert [choice.refusal for choice in back.choices] == [choice.refusal for choice in chat.choices]
    assert [choice.logprobs for choice in back.choices] == [choice.logprobs for choice in chat.choices]


@pytest.mark.parametrize("case", CHUNKED, ids=NAME)
def test_every_chunk_is_read(case: Case) -> None:
    decoder = get_wire(case.wire).stream_decoder()
    wanted = [*decoder.feed(case.reply), *decoder.close()]
    found = [chunk for event in case.events() for chunk in from_openai(ChatCompletionChunk.construct(**event))]
    assert found == wanted


# -- responses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RESPONSES, ids=NAME)
def test_every_response_is_read(case: Case) -> None:
    response = Response.construct(**json.loads(case.reply))
    read = from_openai(response)
    assert isinstance(read, ResponsesReply)
    chat = get_wire(case.wire).decode(case.reply)
    assert read.to_chat() == chat
    # And written with the keys that nxlog has no field for.
    again = to_openai(read)
    back = from_openai(again)
    assert (back.id, back.status, back.text, back.tool_calls) == (read.id, read.status, read.text, read.tool_calls)
    assert list((back.logprobs or LogprobsData()).content) == list((read.logprobs or LogprobsData()).content)
    assert again.temperature == response.temperature


@pytest.mark.parametrize("case", WHOLE, ids=NAME)
def test_every_answer_is_a_response(case: Case) -> None:
    """A-22, A-18: what has a place there comes back, null bytes as none at all."""
    reply = chat_to_responses(get_wire(case.wire).decode(case.reply)).reply
    response = checked(to_openai(reply))
    assert isinstance(response, Response)
    assert response.output_text == reply.text
    back = from_openai(response)
    assert (back.id, back.model, back.created or 0) == (reply.id, reply.model, reply.created or 0)
    assert (back.status, back.text, back.refusal) == (reply.status, reply.text, reply.refusal)
    assert (back.reasoning, back.tool_calls) == (reply.reasoning, reply.tool_calls)
    assert logprobs_of(back.to_chat()) == pytest.approx(logprobs_of(reply.to_chat()))


def logprobs_of(chat: ChatResponse) -> list[float]:
    """Of the content, with NaN for the missing ones as 1."""
    found = [token.logprob for token in (chat.logprobs or LogprobsData()).content]
    return [1.0 if value is None or math.isnan(value) else value for value in found]


def test_usage() -> None:
    """A-18."""
    usage = Usage(prompt_tokens=7, completion_tokens=5, total_tokens=12, cached_tokens=2, reasoning_tokens=3)
    response = to_openai(ResponsesReply(id="resp_1", status="completed", usage=usage))
    assert isinstance(response.usage, ResponseUsage)
    assert response.usage.input_tokens_details.cached_tokens == 2
    assert response.usage.output_tokens_details.reasoning_tokens == 3
    assert from_openai(response).usage == usage


def test_a_whole_round() -> None:
    """A-22: a completion of openai, as a response of openai, and back."""
    completion = ChatCompletion.construct(
        id="chatcmpl-1",
        object="chat.completion",
        created=7,
        model="m",
        choices=[
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": {"content": [HI.model_dump()], "refusal": None},
            }
        ],
        usage={"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    )
    response = to_openai(chat_to_responses(from_openai(completion)).reply)
    (message,) = response.output
    assert isinstance(message, ResponseOutputMessage)
    again = to_openai(responses_to_chat(from_openai(response)))
    assert again.choices[0].message.content == "Hi"
    assert again.choices[0].logprobs is not None
    assert again.choices[0].logprobs.content is not None
    assert again.choices[0].logprobs.content[0].bytes == [72, 105]
    assert (again.id, again.created, again.choices[0].finish_reason) == ("chatcmpl-1", 7, "stop")


def test_items() -> None:
    call = FunctionCall(id="fc_1", call_id="call_7", name="f", arguments="{}", status="completed")
    made = to_openai(call)
    assert isinstance(made, ResponseFunctionToolCall)
    assert from_openai(checked(made)) == call
    reply = chat_to_responses(
        ChatResponse(
            choices=[Choice(refusal="no", reasoning="so", logprobs=LogprobsData(refusal=[HI], reasoning=[HI]))]
        )
    ).reply
    for item in map(from_openai, map(checked, map(to_openai, reply.output))):
        # Records without a place in openai's types are left out of them.
        assert isinstance(item, Reasoning) or item.content == [Refusal(refusal="no")]  # type: ignore[union-attr]
        assert not isinstance(item, Reasoning) or item.logprobs is None


def test_what_the_package_does_not_know_is_kept() -> None:
    item = OtherItem.model_validate({"type": "dance_call", "content": "waltz"})
    made: Any = to_openai(item)
    assert (made.type, made.content) == ("dance_call", "waltz")
    event: Any = to_openai(OtherEvent(type="response.dance", sequence_number=3, data={"steps": [1]}))
    assert isinstance(event, BaseModel)
    assert (event.type, event.sequence_number, event.steps) == ("response.dance", 3, [1])


# -- events ------------------------------------------------------------------------------------------------------------


def chunks_of(case: Case) -> list[Any]:
    decoder = get_wire(case.wire).stream_decoder()
    return [*decoder.feed(case.reply), *decoder.close()]


@pytest.mark.parametrize("case", STREAMS, ids=NAME)
def test_every_event_has_its_type(case: Case) -> None:
    """A-06, A-15: each is openai's own class for it, valid, and reads back as the event that it was."""
    for event in chunks_to_events(chunks_of(case)):
        made = checked(to_openai(event))
        assert type(made) is not BaseModel
        assert made.sequence_number == event.sequence_number  # type: ignore[attr-defined]
        if isinstance(made, ResponseTextDeltaEvent):
            assert isinstance(made.logprobs, list)
        back = from_openai(made)  # type: ignore[arg-type]
        assert type(back) is type(event)
        assert in_common(back) == in_common(event)


def in_common(event: Event) -> dict[str, Any]:
    """What both types have a place for: bytes and ids are no part of a delta."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in {"payload", "logprobs"}}
    if isinstance(event, ResponseEvent):
        fields["response"] = (event.response.text, event.response.status, event.response.tool_calls)
    for name in {"item", "part"} & fields.keys():
        fields[name] = fields[name].model_dump(exclude={"logprobs": True, "content": True}, exclude_none=True)
    if isinstance(event, TextDelta):
        fields["logprobs"] = [(token.token, token.logprob, len(token.top_logprobs)) for token in event.logprobs]
    return fields


def test_events_of_a_server_too() -> None:
    payload = b'{"type":"response.created","sequence_number":0,"response":{"id":"r","output":[],"temperature":1.5}}'
    made = to_openai(decode_event(payload))
    assert isinstance(made, ResponseCreatedEvent)
    assert made.response.temperature == 1.5


# -- beside the conversion of the Agents SDK ---------------------------------------------------------------------------


def theirs(case: Case) -> list[Any]:
    """The events that openai-agents makes of a stream."""
    response = Response.construct(id="r", created_at=0, model="m", object="response", output=[], tools=[])

    async def chunks() -> AsyncIterator[ChatCompletionChunk]:
        for event in case.events():
            yield ChatCompletionChunk.construct(**event)

    async def collect() -> list[Any]:
        return [event async for event in ChatCmplStreamHandler.handle_stream(response, chunks())]  # type: ignore[arg-type]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(collect())


def is_plain(case: Case) -> bool:
    """One choice of text, in which the Agents SDK finds records and does not fail."""
    chunks = chunks_of(case)
    beside = any(c.reasoning_delta or c.refusal_delta or c.tool_call_deltas or c.index for c in chunks)
    known = all(r.logprob is not None for c in chunks for r in c.logprobs or ())
    openai_records = all(
        isinstance(e.get("logprobs"), dict | None) for o in case.events() for e in o.get("choices") or ()
    )
    return any(c.delta and c.logprobs for c in chunks) and not beside and known and openai_records


PLAIN = [case for case in CHUNKED if is_plain(case)]


@pytest.mark.parametrize("case", PLAIN, ids=NAME)
def test_the_agents_sdk_says_the_same_and_less(case: Case) -> None:
    """A-08, A-15, A-16: the same events but for output_text.done; our records are theirs and those they lose."""
    ours = [to_openai(event) for event in chunks_to_events(chunks_of(case))]
    expected = theirs(case)
    ours_texts: Any = [event for event in ours if isinstance(event, ResponseTextDeltaEvent)]
    their_texts = [event for event in expected if isinstance(event, ResponseTextDeltaEvent) and event.delta]
    assert [event.delta for event in ours_texts if event.delta] == [event.delta for event in their_texts]
    others = [event.type for event in ours if not event.type.endswith(("delta", "output_text.done"))]
    if others[-1] == "response.incomplete":
        others[-1] = "response.completed"  # theirs ends so, whatever the finish reason
    assert others == [event.type for event in expected if not event.type.endswith("delta")]
    mine = [entry.model_dump() for event in ours_texts for entry in event.logprobs]
    other = [entry.model_dump() for event in expected if event.type.endswith("text.delta") for entry in event.logprobs]
    assert [entry for entry in mine if entry in other] == other
    assert len(mine) >= len(other)


def test_there_are_streams_to_compare() -> None:
    assert len(PLAIN) >= 10
