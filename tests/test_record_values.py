"""A token record as a Python value: compared, copied, pickled, built, and read and written by pydantic."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import Raw
from pydantic import TypeAdapter, ValidationError

from nxlog._json import json_safe, well_formed
from nxlog._records import decode_tokens
from nxlog.logprobs import TokenLogprob, TopLogprob

PLAIN = '{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105]}]}'


def lazy(text: str) -> TokenLogprob:
    """A record as the wires read it."""
    (record,) = decode_tokens(Raw(f"[{text}]".encode()))
    return record


def test_repr_is_short() -> None:
    assert repr(lazy(PLAIN)) == "TokenLogprob('Hi', -0.5, 1 alternatives)"
    assert repr(TokenLogprob.build("\n", None)) == "TokenLogprob('\\n', None)"
    assert repr(TopLogprob.build("x", -1.23456789)) == "TopLogprob('x', -1.235)"
    assert repr(lazy('{"token":"a","logprob":-1,"extra_key":1}')) == "TokenLogprob('a', -1)"


def test_equality_looks_at_every_field() -> None:
    base: dict[str, Any] = {
        "token": "a",
        "logprob": -1.0,
        "bytes": [97],
        "token_id": 1,
        "top_logprobs": [{"token": "b"}],
        "rank": 1,
    }
    token = TokenLogprob.model_validate(base)
    assert token == TokenLogprob.model_validate(dict(base))
    changes: list[dict[str, Any]] = [
        *({"token": "b"}, {"logprob": None}, {"logprob": math.nan}, {"bytes": None}, {"token_id": 2}),
        *({"top_logprobs": []}, {"top_logprobs": [{"token": "c"}]}, {"rank": 2}, {"rank": None}),
    ]
    for change in changes:
        assert TokenLogprob.model_validate(base | change) != token
    assert token != "a"


def test_nan_equals_nan_and_hashes_alike() -> None:
    first, second = (
        TokenLogprob.build("a", float("nan"), top_logprobs=[TopLogprob.build("b", float("nan"))]) for _ in "12"
    )
    assert first == second
    assert hash(first) == hash(second)
    assert len({first, second}) == 1


def test_a_sampled_token_is_no_alternative() -> None:
    assert TokenLogprob.build("a", -1.0) != TopLogprob.build("a", -1.0)
    assert TopLogprob.build("a", -1.0) != TokenLogprob.build("a", -1.0, top_logprobs=[TopLogprob.build("b", -2.0)])


def test_records_are_immutable() -> None:
    with pytest.raises(AttributeError):
        lazy(PLAIN).token = "x"  # type: ignore[misc]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("record", [PLAIN, '{"token":"a","logprob":NaN,"rank":1}', '{"token":"a","bytes":"abc"}'])
def test_copies_are_equal(again: Any, record: str) -> None:
    token = lazy(record)
    assert again(token) == token
    assert again(token).top_logprobs == token.top_logprobs


def test_a_pickle_holds_the_record_and_not_the_reply() -> None:
    (token, *_) = decode_tokens(Raw(("[" + ",".join([PLAIN] * 1000) + "]").encode()))
    assert len(pickle.dumps(token)) < 1000


def test_build_takes_any_real_number() -> None:
    top = TopLogprob.build("b", np.float32(-2.5), bytes=b"b", token_id=7)
    token = TokenLogprob.build("a", np.float64(-1.5), bytes=b"\xff", token_id=8, top_logprobs=[top])
    assert type(token.logprob) is float
    assert token.top_logprobs == [top]
    assert (token.bytes, token.token_id, top.token_id) == (b"\xff", 8, 7)
    assert TokenLogprob.model_validate_json(token.model_dump_json()) == token


# -- the pydantic verbs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TokenLogprob, TopLogprob])
def test_pydantic_reads_and_writes_records(kind: type[TokenLogprob | TopLogprob]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(list[kind])  # type: ignore[valid-type]
    text = '[{"token":"a","logprob":-Infinity,"bytes":[97],"id":4},{"token":"b","logprob":null}]'
    records = adapter.validate_json(text)
    assert [type(record) for record in records] == [kind, kind]
    assert records[0].logprob == -math.inf
    assert adapter.validate_json(adapter.dump_json(records)) == records
    assert adapter.validate_python(adapter.dump_python(records)) == records
    assert adapter.validate_python(records)[0] is records[0]
    schema = adapter.json_schema()["items"]
    assert ("top_logprobs" in schema["properties"]) is (kind is TokenLogprob)
    with pytest.raises(ValidationError, match=kind.__name__):
        adapter.validate_python([42])


def test_python_values_in_objects() -> None:
    top = TopLogprob.build("b", -2.0)
    token = TokenLogprob.model_validate({"token": "a", "logprob": -1, "bytes": b"a", "top_logprobs": [top]})
    assert token == TokenLogprob.build("a", -1.0, bytes=b"a", top_logprobs=[top])
    assert TokenLogprob.model_validate(top) == TokenLogprob.build("b", -2.0)
    with pytest.raises(ValueError, match="set in a token record"):
        TokenLogprob.model_validate({"token": "a", "more": {1, 2}})


def test_json_is_strict() -> None:
    text = TokenLogprob.build("a", math.nan).model_dump_json()
    assert msgspec.json.decode(text)["logprob"] == "NaN"
    assert TokenLogprob.model_validate_json(text) == TokenLogprob.build("a", math.nan)
    assert "\n" in TokenLogprob.build("a", -1.0).model_dump_json(indent=2)


def test_halves_of_a_surrogate_pair_are_joined_or_replaced_in_json() -> None:
    assert well_formed("a\ud83d\ude00b") == "a😀b"
    assert well_formed("a\ud83d") == "a\ufffd"
    assert json_safe({"\ud83d": ["\ud83d", 1]}) == {"\ufffd": ["\ufffd", 1]}
    lazy('{"token":"\\ud83d","logprob":-1}').model_dump_json().encode()
