"""One token record: what servers send, what is kept of it, and at what cost.

Real here: the records and all three readers (strict, lax, tolerant). The JSON is written by hand, after replies of real
servers.
"""

from __future__ import annotations

import json
import math
import pickle
import sys
from typing import Any

import pytest
from msgspec import Raw

from nxlog import _records
from nxlog._records import decode_alternatives, decode_tokens, record_from_object
from nxlog.logprobs import TokenLogprob, TopLogprob

PLAIN = '{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105]}]}'


def lazy(text: str | bytes) -> TokenLogprob:
    """A record as the wires read it."""
    data = text.encode() if isinstance(text, str) else text
    (record,) = decode_tokens(Raw(b"[" + data + b"]"))
    return record


def parsed(text: str | bytes) -> TokenLogprob:
    """The same record by way of Python's JSON."""
    data = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return record_from_object(json.loads(data), TokenLogprob)


# -- values ----------------------------------------------------------------------------------------------------------


def test_fields_b03_b04() -> None:
    token = lazy(PLAIN)
    assert (token.token, token.logprob, token.bytes, token.token_id) == ("Hi", -0.5, b"Hi", None)
    (top,) = token.top_logprobs
    assert isinstance(top, TopLogprob)
    assert (top.token, top.logprob, top.bytes, top.token_id) == ("Hi", -0.5, b"Hi", None)
    assert token.extra == top.extra == {}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("-0.31725305318832397", -0.31725305318832397),  # B-34: 64-bit floats
        ("0", 0.0),
        ("0.0", 0.0),
        ("-0.0", -0.0),
        ("-1e-7", -1e-7),
        ("-9999.0", -9999.0),
        ("-3.4028234663852886e+38", -3.4028234663852886e38),
        ("-340282346638528859811704183484516925440", -3.4028234663852886e38),
        ("-1.2676506e+30", -1.2676506e30),
        ("-Infinity", -math.inf),
        ("Infinity", math.inf),
        ("-1e999", -math.inf),
        ("NaN", math.nan),
        ('"NaN"', math.nan),
        ('"-Infinity"', -math.inf),
        ("null", None),
    ],
)
@pytest.mark.parametrize("read", [lazy, parsed])
def test_logprob_values_are_kept(read: Any, written: str, value: float | None) -> None:
    record = '{"token":"a","logprob":' + written + "}"
    token = read(record[:-1] + f',"top_logprobs":[{record}]}}')
    for found in (token.logprob, token.top_logprobs[0].logprob):
        if value is None:
            assert found is None
        else:
            assert type(found) is float
            assert repr(found) == repr(value)  # the sign of zero and NaN included
    assert token.extra == {}


@pytest.mark.parametrize("read", [lazy, parsed])
def test_missing_is_none_and_never_zero_b23(read: Any) -> None:
    token = read("{}")
    assert (token.token, token.logprob, token.bytes, token.token_id, token.top_logprobs) == ("", None, None, None, [])
    assert token.probability is None
    assert not token.is_masked
    assert read('{"token":null,"logprob":null,"bytes":null,"top_logprobs":null,"id":null}') == token


@pytest.mark.parametrize(
    ("logprob", "masked", "probability"),
    [
        (0.0, False, 1.0),
        (-0.6931471805599453, False, 0.5),
        (-9998.9, False, 0.0),
        (-9999.0, True, 0.0),
        (-3.4e38, True, 0.0),
        (-math.inf, True, 0.0),
        (3.0, False, math.exp(3.0)),
        (1e5, False, math.inf),
    ],
)
def test_sentinels_are_flagged_and_harmless(logprob: float, masked: bool, probability: float) -> None:
    token = TokenLogprob.build("a", logprob)
    assert token.is_masked is masked
    assert token.probability == pytest.approx(probability)


def test_nan_has_no_probability_and_is_not_masked() -> None:
    token = TokenLogprob.build("a", math.nan)
    assert not token.is_masked
    assert math.isnan(token.probability or 0.0)


@pytest.mark.parametrize(
    ("record", "token_id"),
    [
        ('{"token":"a","id":5}', 5),
        ('{"token":"a","token_id":0}', 0),
        ('{"token":"a","id":5,"token_id":5}', 5),
        ('{"token":"token_id:504"}', 504),
        ('{"token":"token_id:504","token_id":505}', 505),
        ('{"token":" token_id:504"}', None),
        ('{"token":"token_id:504\\n"}', None),
        ('{"token":"token_id:\\u0665"}', None),
        ('{"token":"token_id:%s"}' % ("9" * 5000), None),
    ],
)
@pytest.mark.parametrize("read", [lazy, parsed])
def test_token_id_spellings(read: Any, record: str, token_id: int | None) -> None:
    token = read(record[:-1] + f',"logprob":-1,"top_logprobs":[{record}]}}')
    assert token.token_id == token_id
    assert token.top_logprobs[0].token_id == token_id


def test_bytes_of_a_placeholder_alternative_are_not_those_of_a_token() -> None:
    """As vLLM sends them with return_tokens_as_token_ids: true bytes on the token, the placeholder's on the others."""
    top = '{"token":"token_id:504","logprob":-1,"bytes":[116,111,107]}'
    token = lazy('{"token":"token_id:504","logprob":-1,"bytes":[84,104,101],"top_logprobs":[' + top + "]}")
    assert token.bytes == b"The"
    assert token.top_logprobs[0].bytes is None
    assert token.top_logprobs[0].extra == {}


def test_bytes_need_not_be_utf8() -> None:
    token = lazy('{"token":"\\ufffd","logprob":-1,"bytes":[240,159]}')
    assert token.bytes == b"\xf0\x9f"
    assert TokenLogprob.model_validate_json(token.model_dump_json()) == token


# -- laziness --------------------------------------------------------------------------------------------------------


def test_a_strict_record_makes_no_alternative_until_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Raw] = []

    def watched(raw: Raw) -> list[TopLogprob]:
        asked.append(raw)
        return decode_alternatives(raw)

    monkeypatch.setattr(_records, "decode_alternatives", watched)
    token = lazy(PLAIN)
    assert type(token.raw_top_logprobs) is Raw
    assert type(token.raw_bytes) is Raw
    assert (token.token, token.logprob, token.bytes) == ("Hi", -0.5, b"Hi")
    assert token.count_alternatives() == 1
    assert repr(token)
    assert token == lazy(PLAIN)
    assert asked == []
    assert len(token.top_logprobs) == 1
    assert len(asked) == 1


def test_raw_fields_are_slices_of_the_reply() -> None:
    data = ("[" + PLAIN + "]").encode()
    before = sys.getrefcount(data)
    tokens = decode_tokens(Raw(data))
    assert sys.getrefcount(data) > before  # bytes and top_logprobs point into it
    del tokens
    assert sys.getrefcount(data) == before


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"[]", 0),
        (b"null", 0),
        (b'[{"logprob" : -1}, {"token":"\\"logprob\\":{"}]', 2),
        (b'[{"token":"a"},{"token":"b","logprob":-1,"more":{"logprob":1}}]', 2),
        (b'[{"token":"a","logprob":NaN},{"token":"b","logprob":-1}]', 2),
        (b'{"token":"a","logprob":-1}', 1),
        (b"42", 0),
    ],
)
def test_alternatives_are_counted_as_they_would_be_decoded(raw: bytes, count: int) -> None:
    token = TokenLogprob(raw_top_logprobs=Raw(raw))
    assert token.count_alternatives() == len(token.top_logprobs) == count


# -- what nxlog does not know ----------------------------------------------------------------------------------------

ODD: list[tuple[str, dict[str, Any]]] = [
    (
        '{"token":"a","logprob":-1,"text_offset":7,"sampling_logprob":null}',
        {"text_offset": 7, "sampling_logprob": None},
    ),
    ('{"token":"a","logprob":-1,"routing":{"deep":[1,{"x":"é"}]}}', {"routing": {"deep": [1, {"x": "é"}]}}),
    ('{"token":5,"logprob":-1}', {"token": 5}),
    ('{"token":"a","logprob":"high"}', {"logprob": "high"}),
    ('{"token":"a","logprob":true}', {"logprob": True}),
    ('{"token":"a","logprob":-1,"bytes":"abc"}', {"bytes": "abc"}),
    ('{"token":"a","logprob":-1,"bytes":[1,300]}', {"bytes": [1, 300]}),
    ('{"token":"a","logprob":-1,"bytes":[-1]}', {"bytes": [-1]}),
    ('{"token":"a","logprob":-1,"bytes":{}}', {"bytes": {}}),
    ('{"token":"a","logprob":-1,"id":"abc"}', {"id": "abc"}),
    ('{"token":"a","logprob":-1,"token_id":1.5}', {"token_id": 1.5}),
    ('{"token":"a","logprob":-1,"top_logprobs":42}', {"top_logprobs": 42}),
    ('{"token":"a","logprob":-1,"top_logprobs":"x","k":1}', {"top_logprobs": "x", "k": 1}),
    ("42", {"": 42}),
    ('"text"', {"": "text"}),
    ("[1]", {"": [1]}),
]


@pytest.mark.parametrize(("record", "extra"), ODD, ids=[record for record, _ in ODD])
@pytest.mark.parametrize("read", [lazy, parsed])
def test_unknown_keys_and_wrong_types_are_in_extra(read: Any, record: str, extra: dict[str, Any]) -> None:
    assert read(record).extra == extra


@pytest.mark.parametrize("record", [record for record, _ in ODD] + [PLAIN, "{}", '{"logprob":NaN,"x":[NaN,-0.0]}'])
def test_every_reader_gives_the_same_record(record: str) -> None:
    token = lazy(record)
    assert type(token) is TokenLogprob
    assert token == parsed(record)
    assert hash(token) == hash(parsed(record))
    assert pickle.loads(pickle.dumps(token)) == token
    top = decode_alternatives(Raw(f"[{record}]".encode()))[0]
    assert type(top) is TopLogprob
    assert top.extra.keys() - {"top_logprobs"} == token.extra.keys() - {"top_logprobs"}


def test_unknown_keys_survive_json() -> None:
    token = lazy('{"token":"a","logprob":-1,"id":3,"rank":1,"more":{"x":NaN}}')
    again = TokenLogprob.model_validate_json(token.model_dump_json())
    assert again == token
    assert again.extra["rank"] == 1
    assert token.model_dump() | {"more": 0} == {
        "token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": [], "token_id": 3, "rank": 1, "more": 0,
    }  # fmt: skip


def test_dumped_known_keys_have_their_types() -> None:
    """Who reads OpenAI's shape finds null where the server wrote nonsense."""
    token = lazy('{"token":5,"logprob":"x","bytes":"abc","id":"q","top_logprobs":[7]}')
    assert token.model_dump() == {
        "token": "", "logprob": None, "bytes": None, "id": "q",
        "top_logprobs": [{"token": "", "logprob": None, "bytes": None, "": 7}],
    }  # fmt: skip


NONSENSE = [
    b"null", b"0", b'""', b"{}", b"[]", b"[[]]", b"[null]", b"[1,2]", b'{"content":1}', b"true", b'{"":{}}',
    b'[{"token":{"a":[1]},"logprob":[],"bytes":[[1]],"top_logprobs":{"top_logprobs":[3]},"id":{}}]',
    b'[{"token":"\xff\xfe","logprob":-1,"bytes":"\xff","x":"\xff","top_logprobs":[{"token":"\xff"}]}]',
    b'[{"token":"\\ud83d","logprob":-1,"top_logprobs":[{"token":"\\ude00","logprob":-1}]}]',
    b'[{"id":%s,"logprob":%s}]' % (b"9" * 5000, b"9" * 5000),
    b'[{"token":"a","x":' + b"[" * 3000 + b"]" * 3000 + b"}]",
    b'[{"token":"a","top_logprobs":' + b"[" * 3000 + b"]" * 3000 + b"}]",
]  # fmt: skip


@pytest.mark.parametrize("raw", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_never_raises_b23(raw: bytes) -> None:
    """A known client library fails for ``logprobs: 42`` and for null; here every access works."""
    for token in decode_tokens(Raw(raw)):
        assert token == token
        assert isinstance(token.extra, dict)
        assert isinstance(token.token_id, int | None)
        assert all(isinstance(top.bytes, bytes | None) for top in token.top_logprobs)
        assert repr(token)
        json.dumps(token.model_dump(mode="json"), allow_nan=False).encode()
        TokenLogprob.model_validate_json(token.model_dump_json())
