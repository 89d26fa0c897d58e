"""``LogprobsData`` and ``StreamLogprobsDelta``: sequences, values, JSON, pydantic, columns, the compact form.

Real here: everything but the wires. The property test draws any records there can be and sends them through every form.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
import sys
from array import array
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from nxlog import _records
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta, TokenLogprob, TopLogprob

NAN = math.nan

TOKENS: list[dict[str, Any]] = [
    {
        "token": "Hi",
        "logprob": -0.5,
        "bytes": [72, 105],
        "top_logprobs": [
            {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
            {"token": "Yo", "logprob": -9999.0, "bytes": None},
        ],
    },
    {"token": "!", "logprob": None, "bytes": None, "top_logprobs": []},
    {"token": "\ufffd", "logprob": -1.5, "bytes": [240, 159], "top_logprobs": [{"token": "a", "logprob": -0.25}]},
]
EVERYTHING: dict[str, Any] = {
    "content": [*TOKENS, {"token": "x", "logprob": NAN, "id": -1, "rank": 3, "more": {"y": NAN}}],
    "refusal": [{"token": "No", "logprob": -math.inf, "token_id": 2**70}],
    "reasoning_content": [{"token": "hm", "logprob": -0.0, "id": 7, "top_logprobs": [{"token": 5, "logprob": "x"}]}],
}


def data(**channels: Any) -> LogprobsData:
    return LogprobsData.model_validate(channels)


KINDS = pytest.mark.parametrize("kind", [LogprobsData, StreamLogprobsDelta])


# -- a sequence ------------------------------------------------------------------------------------------------------


def test_it_is_the_sequence_of_its_content() -> None:
    found = data(content=TOKENS, refusal=[{"token": "No", "logprob": -1}])
    assert len(found) == 3
    assert [token.token for token in found] == ["Hi", "!", "\ufffd"]
    assert found[0] is found.content[0]
    assert found[-1].bytes == b"\xf0\x9f"
    assert [token.token for token in found[1:]] == ["!", "\ufffd"]
    assert [token.token for token in reversed(found)] == ["\ufffd", "!", "Hi"]
    assert found[1] in found
    assert found.index(found[2]) == 2
    with pytest.raises(IndexError):
        found[3]


def test_channels() -> None:
    found = LogprobsData.model_validate(EVERYTHING)
    assert [token.token for token in found.refusal or ()] == ["No"]
    assert [token.token for token in found.reasoning or ()] == ["hm"]
    assert found.channel("reasoning") == found.reasoning
    assert data().content == []
    assert data().refusal is data().reasoning is None
    assert data(refusal=None, content=None) == LogprobsData()


def test_reasoning_has_two_spellings() -> None:
    token = {"token": "hm", "logprob": -1}
    for channels in (
        {"reasoning": [token]},
        {"reasoning_content": [token]},
        {"reasoning": [token], "reasoning_content": []},
    ):
        assert len(data(**channels).reasoning or ()) == 1
        assert len(LogprobsData.model_validate_json(json.dumps(channels)).reasoning or ()) == 1


def test_a_refusal_alone_is_something() -> None:
    assert data(refusal=[{"token": "No", "logprob": -1}])
    assert not data(content=[])
    assert not data()


def test_repr_is_short() -> None:
    assert repr(data(content=TOKENS)) == "LogprobsData(3 tokens, 'Hi!\ufffd')"
    assert repr(data()) == "LogprobsData(0 tokens)"
    long = repr(StreamLogprobsDelta.model_validate({"content": TOKENS * 100, "refusal": [], "reasoning": TOKENS}))
    assert long == "StreamLogprobsDelta(300 tokens, 'Hi!\ufffdHi!\ufffdHi!…', refusal=0, reasoning=3)"


# -- a value ---------------------------------------------------------------------------------------------------------


def test_equality() -> None:
    found = LogprobsData.model_validate(EVERYTHING)
    assert found == LogprobsData.model_validate(EVERYTHING)
    assert hash(found) == hash(LogprobsData.model_validate(EVERYTHING))
    for channel in EVERYTHING:
        assert found != LogprobsData.model_validate({**EVERYTHING, channel: None})
        assert found != LogprobsData.model_validate({**EVERYTHING, channel: EVERYTHING[channel][1:]})
    assert found != StreamLogprobsDelta.model_validate(EVERYTHING)
    assert found != EVERYTHING


def test_an_empty_channel_is_not_an_absent_one_b09() -> None:
    assert data(content=[]) != data()
    assert data(content=[]).model_dump() == {"content": []}
    assert data().model_dump() == {"content": None}


@KINDS
def test_copies(kind: type[LogprobsData]) -> None:
    found = kind.model_validate(EVERYTHING)
    for again in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert type(again) is kind
        assert again == found


# -- JSON and pydantic -----------------------------------------------------------------------------------------------


@KINDS
def test_json_is_exactly_openais_b04(kind: type[LogprobsData]) -> None:
    text = json.dumps({"content": TOKENS[:2]}, separators=(",", ":"))
    assert kind.model_validate_json(text).model_dump_json() == text
    assert kind.model_validate_json(text.encode()).model_dump() == {"content": TOKENS[:2]}


@KINDS
def test_json_round_trip_b40(kind: type[LogprobsData]) -> None:
    found = kind.model_validate(EVERYTHING | {"reasoning_content": [{"token": "hm", "logprob": -0.0, "id": 7}]})
    text = found.model_dump_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    again = kind.model_validate_json(text)
    assert again == found
    assert math.copysign(1, cast("Any", again.reasoning)[0].logprob) == -1
    assert kind.model_validate_json(found.model_dump_json(indent=2)) == found
    assert kind.model_validate(found.model_dump()) == found
    assert kind.model_validate(found.model_dump(mode="json")) == found


def test_json_is_read_lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(_records, "decode_alternatives", asked.append)
    found = LogprobsData.model_validate_json(json.dumps({"content": TOKENS}))
    assert [token.logprob for token in found] == [-0.5, None, -1.5]
    pickle.dumps(found)
    assert asked == []
    _ = found[0].top_logprobs
    assert len(asked) == 1


def test_not_finite_literals_are_read() -> None:
    text = '{"content":[{"token":"a","logprob":-Infinity,"top_logprobs":[{"token":"b","logprob":NaN}]}]}'
    (token,) = LogprobsData.model_validate_json(text)
    assert token.logprob == -math.inf
    assert math.isnan(token.top_logprobs[0].logprob or 0)


@pytest.mark.parametrize(
    "part", [42, "text", True, [], {}, [None], [[1]], [{"top_logprobs": 42}], {"token": "a", "logprob": -1}]
)
def test_malformed_channels_never_crash_b23(part: Any) -> None:
    found = data(content=part)
    assert LogprobsData.model_validate_json(json.dumps({"content": part})).model_dump() == found.model_dump()
    assert len(found) == (len(cast("list[Any]", part)) if isinstance(part, list) else isinstance(part, dict))


@pytest.mark.parametrize("text", ["", "42", "[]", "null", "{", "nan", "[" * 10])
def test_what_is_no_object_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected an object|Expecting"):
        LogprobsData.model_validate_json(text)


class Note(BaseModel):
    logprobs: LogprobsData | None = None
    delta: StreamLogprobsDelta | None = None


def test_as_fields_of_a_pydantic_model() -> None:
    note = Note(logprobs=data(content=TOKENS), delta=StreamLogprobsDelta.model_validate({"content": TOKENS[:1]}))
    assert Note.model_validate_json(note.model_dump_json()) == note
    assert Note.model_validate(note.model_dump()) == note
    assert Note.model_validate({"logprobs": EVERYTHING}).logprobs == LogprobsData.model_validate(EVERYTHING)
    assert note.model_dump()["delta"] == {"content": TOKENS[:1]}
    assert Note().model_dump() == {"logprobs": None, "delta": None}
    literal = Note.model_validate_json('{"logprobs":{"content":[{"token":"a","logprob":-Infinity}]}}').logprobs
    assert literal is not None
    assert literal[0].logprob == -math.inf
    with pytest.raises(ValidationError, match="expected an object with 'content', got int"):
        Note.model_validate({"logprobs": 42})


@KINDS
def test_type_adapter_and_schema(kind: type[LogprobsData]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    found = kind.model_validate(EVERYTHING)
    assert adapter.validate_python(found) is found
    assert adapter.validate_json(adapter.dump_json(found)).model_dump_json() == found.model_dump_json()
    for mode in ("validation", "serialization"):
        schema = adapter.json_schema(mode=mode)
        assert schema["title"] == kind.__name__
        record = schema["properties"]["content"]["anyOf"][0]["items"]
        assert set(record["properties"]) == {"token", "logprob", "bytes", "token_id", "top_logprobs"}


# -- columns ---------------------------------------------------------------------------------------------------------


def test_columns() -> None:
    columns = data(content=TOKENS).columns()
    assert columns.tokens == ["Hi", "!", "\ufffd"]
    assert columns.logprobs[0] == -0.5
    assert math.isnan(columns.logprobs[1])
    assert columns.token_ids is columns.top_token_ids is None
    assert list(columns.offsets) == [0, 2, 2, 3]
    assert columns.top_tokens == ["Hi", "Yo", "a"]
    assert list(columns.top_logprobs) == [-0.5, -9999.0, -0.25]
    assert len(columns) == 3
    assert repr(columns) == "Columns(3 tokens, 3 alternatives)"


def test_columns_of_other_channels_and_of_nothing() -> None:
    found = LogprobsData.model_validate(EVERYTHING)
    assert found.columns("reasoning").tokens == ["hm"]
    empty = data().columns("refusal")
    assert (empty.tokens, list(empty.logprobs), list(empty.offsets), empty.token_ids) == ([], [], [0], None)


def test_id_columns_mark_what_is_missing() -> None:
    top = [{"token": "token_id:4", "logprob": -1}, {"token": "b", "logprob": -2}]
    columns = data(
        content=[{"token": "a", "id": 3, "top_logprobs": top}, {"token": "b"}, {"token": "c", "id": 2**70}]
    ).columns()
    assert columns.token_ids == array("q", [3, -1, -1])
    assert columns.top_token_ids == array("q", [4, -1])


def test_columns_are_buffers() -> None:
    columns = LogprobsData.model_validate(EVERYTHING).columns()
    for column, kind in ((columns.logprobs, np.float64), (columns.offsets, np.int64), (columns.token_ids, np.int64)):
        view = np.asarray(column)
        assert view.dtype == kind
        assert np.shares_memory(view, np.asarray(column))  # no copy: both look into the array
    np.asarray(columns.top_logprobs)[0] = 1.0
    assert columns.top_logprobs[0] == 1.0


# -- compact ---------------------------------------------------------------------------------------------------------


def test_compact_is_equal_both_ways() -> None:
    found = LogprobsData.model_validate(EVERYTHING)
    packed = found.compact()
    assert packed == found
    assert found == packed
    assert hash(packed) == hash(found)
    assert packed.content == found.content
    assert found.content == packed.content
    assert packed.model_dump_json() == found.model_dump_json()
    assert packed[0] == found[0]
    assert packed[-1].extra.keys() == {"rank", "more"}
    assert packed[-1].token_id == -1
    assert packed[:2] == found[:2]
    assert cast("Any", packed.reasoning)[0].top_logprobs[0].extra == {"token": 5, "logprob": "x"}
    assert cast("Any", packed.refusal)[0].token_id == 2**70
    for again in (packed.compact(), copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert again == found
    assert repr(packed.content) == "CompactTokens(4 tokens, 3 alternatives)"
    with pytest.raises(IndexError):
        packed[4]


def test_compact_keeps_absent_and_empty_channels_apart() -> None:
    assert data(content=[]).compact() == data(content=[])
    assert data().compact() == data()
    assert data(refusal=[]).compact().refusal is not None


def test_compact_keeps_the_difference_of_missing_and_nan() -> None:
    found = data(content=[{"token": "a", "logprob": None}, {"token": "a", "logprob": NAN}]).compact()
    assert found[0].logprob is None
    assert math.isnan(found[1].logprob or 0)
    assert found[0] != found[1]


def test_compact_keeps_what_is_no_list_of_alternatives() -> None:
    found = LogprobsData.model_validate_json('{"content":[{"token":"a","logprob":-1,"top_logprobs":42,"bytes":"x"}]}')
    assert found.compact() == found
    assert found.compact()[0].extra == {"top_logprobs": 42, "bytes": "x"}


def test_compact_lets_the_text_of_the_reply_go() -> None:
    text = json.dumps({"content": [*TOKENS, {"token": "x", "logprob": -1, "rank": 1, "bytes": "odd"}]}).encode()
    alone = sys.getrefcount(text)
    found = LogprobsData.model_validate_json(text)
    assert sys.getrefcount(text) > alone
    packed = found.compact()
    del found
    assert sys.getrefcount(text) == alone
    assert packed[3].extra == {"rank": 1, "bytes": "odd"}


# -- any records -----------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=12)  # any Unicode that has a UTF-8
LOGPROBS = st.none() | st.floats() | st.sampled_from([-9999.0, -3.4028234663852886e38, 0.0, -0.0, NAN, -math.inf])
BYTES = st.none() | st.binary(max_size=6)
IDS = st.none() | st.integers(-(2**63), 2**64)
TOPS = st.builds(TopLogprob.build, TEXTS, LOGPROBS, bytes=BYTES, token_id=IDS)
BUILT = st.builds(
    TokenLogprob.build, TEXTS, LOGPROBS, bytes=BYTES, token_id=IDS, top_logprobs=st.lists(TOPS, max_size=4)
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
EXTRAS = st.dictionaries(TEXTS.map("x_".__add__), VALUES | st.lists(VALUES, max_size=2), max_size=2)


def with_extra(token: TokenLogprob, extra: dict[str, Any]) -> TokenLogprob:
    return TokenLogprob.model_validate(token.model_dump() | extra)


RECORDS = st.builds(with_extra, BUILT, EXTRAS)
CHANNELS = st.none() | st.lists(RECORDS, max_size=4)


@given(content=CHANNELS, refusal=CHANNELS, reasoning=CHANNELS)
@example(content=[TokenLogprob.build("a", NAN, token_id=-1)], refusal=None, reasoning=[])
def test_any_records_survive_every_form(content: Any, refusal: Any, reasoning: Any) -> None:
    found = LogprobsData(content, refusal=refusal, reasoning=reasoning)
    assert LogprobsData.model_validate_json(found.model_dump_json()) == found
    assert LogprobsData.model_validate(found.model_dump()) == found
    assert found.compact() == found
    assert pickle.loads(pickle.dumps(found)) == found
    assert copy.deepcopy(found.compact()) == found
    assert Note.model_validate_json(Note(logprobs=found).model_dump_json()).logprobs == found
    columns = found.columns()
    assert len(columns) == len(found)
    assert columns.offsets[-1] == len(columns.top_tokens) == sum(token.count_alternatives() for token in found)
    for token, value in zip(found, columns.logprobs, strict=True):
        assert repr(NAN if token.logprob is None else token.logprob) == repr(value)
