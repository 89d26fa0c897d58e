"""Damage to what a server sent is found, every time and by its right name; what is whole is trainable.

The replies are those of a toy model (see ``sampled``), read by the real wires. A list that was shifted as a whole, or
texts that were tokenized anew, can only be known by ids of the records, by alternatives, by the texts, or by the
model's tokenizer: the tests say which of them it is.
"""

from __future__ import annotations

import dataclasses
import json
from array import array
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nxlog.errors import TurnError
from nxlog.turn import CheckCode, Evidence, TurnTokenData
from nxlog.turn_check import check_turn
from nxlog.wire import get_wire
from tests.rl.sampled import END_ID, IDS, SERVERS, TEXTS, Sampled, answers, decode, encode, vllm

servers = pytest.mark.parametrize("server", SERVERS)
fuzzed = settings(deadline=None, max_examples=60)


def turn_of(server: str, answer: Sampled, *, by: str = "wire") -> TurnTokenData:
    write, wire = SERVERS[server]
    reply = get_wire(wire).decode(write(answer))
    return reply.turn_of(decode=decode if by == "tokenizer" else None)


def codes(turn: TurnTokenData) -> tuple[CheckCode, ...]:
    assert turn.checks is not None
    assert turn.trainable is (not turn.checks.findings)
    return turn.checks.codes


@servers
@fuzzed
@given(answer=answers())
def test_what_is_whole_is_trainable(server: str, answer: Sampled) -> None:
    for by in ("wire", "tokenizer"):
        turn = turn_of(server, answer, by=by)
        assert turn.reason is None
        assert turn.output_ids is not None
        assert turn.output_logprobs is not None
        assert (turn.output_ids.tolist(), turn.output_logprobs.tolist()) == (answer.ids, answer.logprobs)
        assert turn.stop_token_included is (True if answer.ended else None)


@servers
@fuzzed
@given(answer=answers(), data=st.data())
def test_a_null_that_was_dropped(server: str, answer: Sampled, data: st.DataObject) -> None:
    """The list without the one entry that had no value: all values behind it are those of other tokens."""
    at = data.draw(st.integers(0, len(answer.ids) - 2))
    ids, values = answer.ids.copy(), answer.logprobs.copy()
    del ids[at], values[at]
    assert CheckCode.COUNT in codes(turn_of(server, replace(answer, recorded=ids, logprobs=values)))


@servers
@fuzzed
@given(answer=answers(), data=st.data())
def test_a_null_that_is_there(server: str, answer: Sampled, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(answer.ids) - 1))
    values = answer.logprobs.copy()
    values[at] = None
    turn = turn_of(server, replace(answer, logprobs=values))
    assert turn.checks is not None
    assert codes(turn) == (CheckCode.MISSING,)
    assert turn.checks.findings[0].position == at


@servers
@fuzzed
@given(answer=answers())
def test_records_that_were_shifted_against_the_ids(server: str, answer: Sampled) -> None:
    """SGLang's have ids of their own; of the others' the texts are not that of the answer any more."""
    shifted = replace(
        answer,
        recorded=[answer.ids[-1], *answer.ids[:-1]],
        logprobs=[answer.logprobs[-1], *answer.logprobs[:-1]],
        listed=answer.ids,
    )
    expected = {"vllm": CheckCode.TEXT, "sglang": CheckCode.IDENTITY, "llamacpp": CheckCode.TEXT}[server]
    recorded = [token for token in shifted.recorded if token != END_ID]
    assume(server == "sglang" or decode(recorded) != answer.text)
    assert expected in codes(turn_of(server, shifted))


@fuzzed
@given(answer=answers())
def test_ids_that_were_shifted_against_the_records(answer: Sampled) -> None:
    """vLLM's records have no ids: where no text gives it away, the tokenizer knows."""
    shifted = replace(answer, listed=[answer.ids[-1], *answer.ids[:-1]])
    assume(any(a != b and _plain(a) and _plain(b) for a, b in zip(answer.ids, shifted.listed or (), strict=True)))
    assert {CheckCode.IDENTITY, CheckCode.TEXT} & {*codes(turn_of("vllm", shifted, by="tokenizer"))}
    assert CheckCode.IDENTITY in codes(turn_of("sglang", shifted))


def _plain(token: int) -> bool:
    return bool(TEXTS[token].strip()) and TEXTS[token].isascii()


@fuzzed
@given(answer=answers(), filler=st.floats(-30, -0.05))
def test_values_that_were_shifted_against_the_tokens(answer: Sampled, filler: float) -> None:
    """The tokens and their alternatives stay, every value moves on by one: the alternatives give it away."""
    values = [filler, *answer.logprobs[:-1]]
    assume(any(abs((a or 0) - (b or 0)) > 0.02 for a, b in zip(values, answer.logprobs, strict=True)))
    records = dict(zip(range(len(answer.ids)), answer.logprobs, strict=True))
    body = vllm(answer)
    assert codes(get_wire("openai-chat").decode(body).turn) == ()
    moved = body
    for i, token in enumerate(answer.ids):
        text = _json_text(TEXTS[token])
        old = f'"token": {text}, "logprob": {_number(records[i])}, "bytes": {list(TEXTS[token].encode())}'
        new = f'"token": {text}, "logprob": {_number(values[i])}, "bytes": {list(TEXTS[token].encode())}'
        moved = moved.replace(old.encode(), b"\x00" + str(i).encode() + b"\x00", 1)
        moved = moved.replace(b"\x00" + str(i).encode() + b"\x00", new.encode(), 1)
    assert moved != body
    assert CheckCode.IDENTITY in codes(get_wire("openai-chat").decode(moved).turn)


def _json_text(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


def _number(value: float | None) -> str:
    return "null" if value is None else repr(value)


@servers
@fuzzed
@given(answer=answers(ended=True), counted=st.booleans())
def test_a_stop_token_that_is_missing(server: str, answer: Sampled, counted: bool) -> None:
    """Whether or not the server counts the token that it left out."""
    ids, values = answer.ids[:-1], answer.logprobs[:-1]
    cut = replace(answer, recorded=ids, logprobs=values, listed=ids)
    if not counted:
        cut = replace(cut, ids=ids)
    turn = turn_of(server, cut)
    assert turn.stop_token_included is False
    assert CheckCode.STOP_TOKEN in codes(turn)


@servers
@fuzzed
@given(answer=answers(), data=st.data(), value=st.floats(2e-6, 40))
def test_a_value_above_zero(server: str, answer: Sampled, data: st.DataObject, value: float) -> None:
    at = data.draw(st.integers(0, len(answer.ids) - 1))
    values = answer.logprobs.copy()
    values[at] = value
    assert CheckCode.POSITIVE in codes(turn_of(server, replace(answer, logprobs=values)))


@servers
@pytest.mark.parametrize("value", [-9999.0, -3.4028234663852886e38, -1.27e30])
def test_a_marker_in_place_of_a_value(server: str, value: float) -> None:
    answer = Sampled([IDS["a"], IDS["bc"]], [-0.5, value], ended=False)
    assert codes(turn_of(server, answer)) == (CheckCode.SENTINEL,)


@servers
def test_certain_tokens_are_no_fault(server: str) -> None:
    """Exactly 0.0, and what single precision makes of it."""
    assert turn_of(server, Sampled([IDS["a"], IDS["bc"]], [0.0, 2e-7], ended=False)).trainable


@servers
@fuzzed
@given(answer=answers(ambiguous=True))
def test_a_text_that_was_tokenized_anew(server: str, answer: Sampled) -> None:
    """A client that encodes the text again has another number of ids, or other ids in the same places."""
    again = encode(answer.text) + [END_ID] * answer.ended
    if server == "llamacpp":
        # Its only ids are those of the records.
        turn = dataclasses.replace(turn_of(server, answer), output_ids=array("i", again))
        write, wire = SERVERS[server]
        found = check_turn(turn, get_wire(wire).decode(write(answer)).choices[0]).codes
    else:
        found = codes(turn_of(server, replace(answer, listed=again), by="tokenizer"))
    assert (CheckCode.COUNT if len(again) != len(answer.ids) else CheckCode.IDENTITY) in found


@fuzzed
@given(answer=answers())
def test_what_was_tokenized_anew_is_not_trainable_even_where_it_is_the_same(answer: Sampled) -> None:
    turn = turn_of("vllm", answer)
    again = dataclasses.replace(turn, evidence=Evidence.RETOKENIZED)
    again = dataclasses.replace(again, checks=check_turn(again))
    assert turn.trainable
    assert not again.trainable
    assert codes(again) == (CheckCode.NOT_NATIVE,)


@fuzzed
@given(answer=answers())
def test_nothing_without_native_ids_is_trainable(answer: Sampled) -> None:
    turn = get_wire("openai-chat").decode(vllm(answer, token_ids=None)).turn
    assert (turn.evidence, turn.output_ids) == (Evidence.WIRE_TEXT, None)
    assert not turn.trainable
    assert {CheckCode.NOT_NATIVE, CheckCode.NO_IDS} <= set(codes(turn))


def test_ids_without_logprobs_are_not_trainable() -> None:
    answer = Sampled([IDS["a"], IDS["bc"]], [-0.5, -1.0], ended=False)
    turn = get_wire("openai-chat").decode(vllm(answer, logprobs=None)).turn
    assert codes(turn) == (CheckCode.NO_LOGPROBS,)
    assert turn.output_logprobs is None


@servers
def test_a_stop_text_needs_no_stop_token(server: str) -> None:
    """vLLM and SGLang name the text; its tokens are among the records and cut off the answer."""
    answer = Sampled([IDS["a"], IDS["bc"], IDS["."]], [-0.5, -1.0, -0.1])
    write, wire = SERVERS[server]
    named = {
        "vllm": {"stop_reason": ".", "message": {"content": "abc"}},
        "sglang": {"finish_reason": {"type": "stop", "matched": "."}},
        "llamacpp": {"message": {"content": "abc"}},
    }[server]
    body = write(answer, **named)
    if server == "sglang":
        body = body.replace(b'"text": "abc."', b'"text": "abc"')
    turn = get_wire(wire).decode(body).turn
    assert turn.reason is None


def test_records_with_ids_in_place_of_texts_prove_every_id() -> None:
    """vLLM's ``return_tokens_as_token_ids``: each record has its id, and the text as bytes."""
    answer = Sampled([IDS["a"], IDS["🦜"], IDS["bc"], END_ID], [-0.5, -2.0, -1.0, -0.1])
    body = vllm(answer)
    for token in answer.ids:
        body = body.replace(f'"token": "{TEXTS[token]}"'.encode(), f'"token": "token_id:{token}"'.encode())
    wire = get_wire("openai-chat")
    assert wire.decode(body).turn.trainable
    ids = str(answer.ids).encode()
    shifted = body.replace(b'"token_ids": ' + ids, b'"token_ids": ' + str([END_ID, *answer.ids[:-1]]).encode())
    assert shifted != body
    assert CheckCode.IDENTITY in codes(wire.decode(shifted).turn)


def test_an_id_that_is_none() -> None:
    for odd in (-5, 2**31, 2**80):
        answer = Sampled([IDS["a"], IDS["bc"]], [-0.5, -1.0], ended=False, listed=[IDS["a"], odd])
        assert CheckCode.ID_RANGE in codes(turn_of("vllm", answer))


def test_strict_raises_with_the_reason() -> None:
    answer = Sampled([IDS["a"], IDS["bc"]], [-0.5, 3.0], ended=False)
    reply = get_wire("openai-chat").decode(vllm(answer))
    with pytest.raises(TurnError, match=r"not trainable: positive_logprob: 1 of 2 logprobs are above 0"):
        reply.turn_of(strict=True)
    assert reply.turn_of().reason == "positive_logprob: 1 of 2 logprobs are above 0"


# -- texts that a server took apart ----------------------------------------------------------------------------------


def taken_apart(tokens: list[str], **message: object) -> TurnTokenData:
    """A vLLM reply whose server has parsers for reasoning and tools."""
    records = [{"token": t, "logprob": -0.5, "bytes": list(t.encode()), "top_logprobs": []} for t in tokens]
    reply = {
        "choices": [
            {
                "message": {"content": None, **message},
                "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
                "logprobs": {"content": records},
                "token_ids": list(range(5, 5 + len(tokens))),
            }
        ]
    }
    return get_wire("openai-chat").decode(json.dumps(reply).encode()).turn


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": "Paris"}'}}


@pytest.mark.parametrize(
    "tokens",
    [
        [
            "<tool_call>",
            '\n{"name": "add", ',
            '"arguments": {"a": 1,',
            ' "b": "Paris"}}',
            "\n</tool_call>",
            "<|im_end|>",
        ],
        ["<tool_call>", '{"name":"add","arguments":', '{"b":"Paris","a":1}}', "</tool_call>", "<|im_end|>"],
        ["<tool_call>\n", "<function=add>", "<parameter=a>\n1\n", "<parameter=b>\nPar", "is\n", "</tool_call>", "</s>"],
    ],
    ids=["as it is", "its keys in another order", "made of another format"],
)
def test_a_tool_call_is_found_in_what_the_tokens_spell(tokens: list[str]) -> None:
    turn = taken_apart(tokens, tool_calls=[CALL])
    assert turn.reason is None
    assert [(call.name, call.status.value) for call in turn.tool_calls] == [("add", "ok")]


def test_a_tool_call_that_the_tokens_do_not_spell() -> None:
    tokens = ["<tool_call>", '{"name": "add", "arguments": {"a": 1, "b": "Rome"}}', "</tool_call>", "<|im_end|>"]
    assert codes(taken_apart(tokens, tool_calls=[CALL])) == (CheckCode.SPANS,)


@pytest.mark.parametrize("last", ["</tool_call>", "<|tool_calls_section_end|>", "}", "\n"])
def test_a_tool_call_without_the_end_of_the_turn(last: str) -> None:
    tokens = ["<tool_call>", '{"name": "add", "arguments": {"a": 1, "b": "Paris"}}', last]
    assert codes(taken_apart(tokens, tool_calls=[CALL])) == (CheckCode.STOP_TOKEN,)


def test_reasoning_is_found_or_said_to_be_missing() -> None:
    tokens = ["<think>", "two and ", "two", "</think>", "\n\n", "Four", ".", "<|im_end|>"]
    assert taken_apart(tokens, content="Four.", reasoning="two and two").reason is None
    assert codes(taken_apart(tokens, content="Four.", reasoning="one and one")) == (CheckCode.SPANS,)
    assert CheckCode.TEXT in codes(taken_apart(tokens, content="Five.", reasoning="two and two"))
    hidden = taken_apart(tokens, content="Four.")
    assert codes(hidden) == (CheckCode.SPANS,)  # the server keeps its reasoning to itself


# -- nonsense --------------------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["7", "version", "start"]), inner),
    max_leaves=5,
)
KEYS = {
    "vllm": [
        "prompt_token_ids",
        "prompt_logprobs",
        "metadata",
        "sglext",
        "token_ids",
        "stop_reason",
        "weight_versions",
    ],
    "llamacpp": ["response_token_ids", "matched_stop", "prompt_token_ids", "meta_info"],
    "sglang": ["output_ids", "weight_version", "weight_versions", "input_token_logprobs", "input_top_logprobs"],
}


@servers
@fuzzed
@given(answer=answers(), data=st.data())
def test_whatever_a_server_says_of_ids_a_turn_is_made_and_kept(
    server: str, answer: Sampled, data: st.DataObject
) -> None:
    write, wire = SERVERS[server]
    body = json.loads(write(answer))
    holders = [body, *body.get("choices", ()), *([body["meta_info"]] if "meta_info" in body else ())]
    for name in sorted(data.draw(st.sets(st.sampled_from(KEYS[server]), min_size=1))):
        for holder in holders:
            holder[name] = data.draw(JSON_VALUES)
    turn = get_wire(wire).decode(json.dumps(body).encode()).turn
    assert TurnTokenData.load(json.loads(json.dumps(turn.dump(), allow_nan=False))) == turn
    if turn.trainable:
        assert turn.output_ids is not None
        assert turn.output_ids.tolist() == answer.ids
