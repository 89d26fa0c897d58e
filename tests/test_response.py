"""``ChatResponse``, ``Choice``, ``StreamChunk``, ``Usage``: what a call gives back."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from pydantic import BaseModel, ValidationError

from nxlog.logprobs import LogprobsData, StreamLogprobsDelta, TokenLogprob, TopLogprob
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage, with_body
from nxlog.turn import WeightVersion
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

TOKEN = TokenLogprob.build("Hi", -0.5, bytes=b"Hi", token_id=3, top_logprobs=[TopLogprob.build("Yo", float("-inf"))])
CALL = ToolCall(id="c1", function=FunctionCall(name="look", arguments='{"a": 1}'))
WARNING = ParameterWarning(
    parameter="top_logprobs",
    code=WarningCode.CLAMPED,
    severity=WarningSeverity.WARNING,
    message="requested 50 alternatives, the provider's maximum is 20",
    requested=50,
    applied=20,
    provider="openai",
    model="gpt-4o",
    source=WarningSource.MANIFEST,
)


def response() -> ChatResponse:
    return ChatResponse(
        id="r1",
        model="gpt-4o-2024-08-06",
        provider="openai",
        created=1_700_000_000,
        choices=[
            Choice(
                text="Hi",
                refusal="no",
                reasoning="hm",
                tool_calls=[CALL],
                finish_reason="stop",
                logprobs=LogprobsData([TOKEN], refusal=[TOKEN], reasoning=[TOKEN, TOKEN]),
                token_ids=[7, 2],
                stop_reason=2,
                weight_versions=(WeightVersion("7", 0, 2),),
            ),
            Choice(index=1, text="Hello", finish_reason="length"),
        ],
        usage=Usage(prompt_tokens=3, completion_tokens=5, total_tokens=8, reasoning_tokens=1, cached_tokens=0),
        prompt_token_ids=[1, 5],
        prompt_logprobs=LogprobsData([TOKEN]),
        warnings=[WARNING],
    )


def test_properties_are_those_of_the_first_choice_b03() -> None:
    reply = response()
    first = reply.choices[0]
    assert (reply.text, reply.refusal, reply.reasoning) == ("Hi", "no", "hm")
    assert reply.tool_calls == [CALL]
    assert reply.finish_reason == "stop"
    assert reply.logprobs is first.logprobs
    assert reply.logprobs is not None
    assert reply.logprobs.content[0].top_logprobs[0].token == "Yo"


def test_no_choice_is_an_empty_answer() -> None:
    reply = ChatResponse()
    assert (reply.text, reply.refusal, reply.reasoning, reply.tool_calls) == ("", None, None, [])
    assert (reply.finish_reason, reply.logprobs, reply.usage, reply.warnings, reply.raw) == (None, None, None, [], None)


def test_json_round_trip_b11() -> None:
    reply = response()
    again = ChatResponse.model_validate_json(reply.model_dump_json())
    assert again == reply
    assert again.warnings == [WARNING]
    assert ChatResponse.model_validate(reply.model_dump()) == reply
    written = json.loads(reply.model_dump_json())
    assert written["choices"][0]["logprobs"]["content"][0] == {
        "token": "Hi",
        "logprob": -0.5,
        "bytes": [72, 105],
        "top_logprobs": [{"token": "Yo", "logprob": "-Infinity", "bytes": None}],
        "token_id": 3,
    }
    assert written["choices"][1]["logprobs"] is None
    assert "_body" not in written


def test_copies_and_pickles_are_equal_and_keep_the_body() -> None:
    reply = with_body(response(), b'{"id":"r1"}')
    for again in (copy.copy(reply), copy.deepcopy(reply), pickle.loads(pickle.dumps(reply)), reply.model_copy()):
        assert again == reply
        assert hash(again) == hash(reply)
        assert again.raw == {"id": "r1"}


def test_equality_looks_at_every_field_but_not_at_the_body() -> None:
    reply = response()
    assert reply == with_body(response(), b"{}")
    changes = ChatResponse(
        id="other", model="x", provider="x", created=1, choices=[Choice(text="x")], usage=Usage(), warnings=[]
    )
    for name in ChatResponse.model_fields:
        assert reply.model_copy(update={name: getattr(changes, name)}) != reply
    assert reply != "Hi"


def test_raw_is_the_whole_body_in_any_state() -> None:
    body = b'{"id":"r1","more":{"a":[1,NaN]},"text":"caf\xe9"}'
    raw = with_body(response(), body).raw
    assert raw is not None
    assert raw["text"] == "caf\ufffd"
    assert raw["more"]["a"][1] != raw["more"]["a"][1]
    assert with_body(response(), body).raw is not raw


def test_repr_is_one_short_line() -> None:
    assert (
        repr(response())
        == str(response())
        == (
            "ChatResponse('Hi', model='gpt-4o-2024-08-06', provider='openai', finish_reason='stop', "
            "logprobs=LogprobsData(1 tokens, 'Hi', refusal=1, reasoning=2), warnings=1)"
        )
    )
    assert len(repr(ChatResponse(choices=[Choice(text="word " * 1000)]))) < 200


def test_text_can_always_be_written() -> None:
    """A server that cuts in UTF-16 sends halves of surrogate pairs."""
    choice = Choice(text="a\ud83d\ude00", refusal="\ud83d", reasoning="\ude00b")
    assert (choice.text, choice.refusal, choice.reasoning) == ("a😀", "\ufffd", "\ufffdb")
    assert Choice.model_validate_json(choice.model_dump_json()) == choice


def test_results_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        response().model = "x"
    with pytest.raises(AttributeError):
        StreamChunk().delta = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# -- chunks ----------------------------------------------------------------------------------------------------------

CHUNK = StreamChunk(
    delta="H",
    index=1,
    logprobs=StreamLogprobsDelta([TOKEN]),
    finish_reason="stop",
    usage=Usage(completion_tokens=2),
    reasoning_delta="r",
    refusal_delta="n",
    tool_call_deltas=(ToolCallDelta(0, id="c1", name="look", arguments="{"), ToolCallDelta(0, arguments="}")),
    closing_logprobs=LogprobsData([TOKEN]),
    id="r1",
    model="m",
    created=1,
    token_ids=(7,),
    prompt_token_ids=(1, 5),
    prompt_logprobs=LogprobsData([TOKEN]),
    stop_reason="END",
    weight_versions=(WeightVersion("7", 0, 2),),
)


def test_default_chunk_omits_logprobs_b12_b40() -> None:
    assert StreamChunk().logprobs is None
    assert StreamChunk().model_dump() == {"delta": "", "index": 0}
    assert StreamChunk("a").model_dump_json() == '{"delta":"a","index":0}'


def test_chunk_dump() -> None:
    dumped = CHUNK.model_dump()
    assert set(dumped) == set(StreamChunk.__struct_fields__)
    assert dumped["logprobs"]["content"][0]["top_logprobs"][0]["logprob"] == "-Infinity"
    assert dumped["closing_logprobs"] == dumped["logprobs"]
    assert dumped["usage"] == {"completion_tokens": 2}
    assert dumped["tool_call_deltas"] == [
        {"index": 0, "id": "c1", "name": "look", "arguments": "{"},
        {"index": 0, "arguments": "}"},
    ]
    assert (dumped["token_ids"], dumped["weight_versions"]) == ([7], [{"version": "7", "start": 0, "end": 2}])
    assert json.loads(CHUNK.model_dump_json()) == dumped
    StreamChunk("\ud83d").model_dump_json().encode()


def test_content_is_another_name_of_delta() -> None:
    assert CHUNK.content == CHUNK.delta == "H"


def test_chunks_compare_copy_and_pickle() -> None:
    for again in (copy.copy(CHUNK), copy.deepcopy(CHUNK), pickle.loads(pickle.dumps(CHUNK))):
        assert again == CHUNK
        assert hash(again) == hash(CHUNK)
    assert StreamChunk("H") != CHUNK


class Log(BaseModel):
    chunks: list[StreamChunk]


def test_chunk_in_a_pydantic_model() -> None:
    log = Log(chunks=[CHUNK])
    assert log.model_dump() == {"chunks": [CHUNK.model_dump()]}
    assert json.loads(log.model_dump_json()) == {"chunks": [CHUNK.model_dump()]}
    with pytest.raises(ValidationError):
        Log.model_validate({"chunks": ["H"]})
