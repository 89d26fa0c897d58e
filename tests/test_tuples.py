"""Records that are JSON arrays: read as alternatives, written, compared, compacted.

Real here: the records. The JSON is made up; what servers send is in the vectors of ``sglang-generate``.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from nxlog._json import raw_of
from nxlog._record_json import encode_alternatives
from nxlog._records import TokenLogprob, TopLogprob, decode_alternatives, decode_tokens
from nxlog.delivery import check_delivery
from nxlog.logprobs import LogprobsData
from nxlog.request import ChatRequest
from nxlog.response import ChatResponse, Choice

values = st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
arrays = st.lists(st.lists(values, max_size=5) | st.none() | st.dictionaries(st.text(max_size=3), values), max_size=4)


@pytest.mark.parametrize(
    ("text", "token", "logprob", "token_id", "extra"),
    [
        (b'[-0.5,7," low"]', " low", -0.5, 7, {}),
        (b"[-0.5,7]", "", -0.5, 7, {}),
        (b"[-0.5,7,null]", "", -0.5, 7, {}),
        (b"[null,7,null]", "", None, 7, {}),
        (b'[0,0,""]', "", 0.0, 0, {}),
        (b'[-Infinity,7,"x"]', "x", -math.inf, 7, {}),
        (b'[-0.5,7,"x",2]', "x", -0.5, 7, {"3": 2}),
        (b"[-0.5,7,5]", "", -0.5, 7, {"token": 5}),
        # Arrays of something else are no records: nothing in them becomes a number.
        (b'["x",7]', "", None, None, {"": ["x", 7]}),
        (b"[-0.5]", "", None, None, {"": [-0.5]}),
        (b"[-0.5,1.5]", "", None, None, {"": [-0.5, 1.5]}),
        (b"[]", "", None, None, {"": []}),
    ],
)
def test_array_as_record(
    text: bytes, token: str, logprob: float | None, token_id: int | None, extra: dict[str, Any]
) -> None:
    (top,) = decode_alternatives(Raw(b" [ " + text + b" ] "))
    assert (top.token, top.logprob, top.token_id, top.bytes, top.extra) == (token, logprob, token_id, None, extra)
    assert decode_tokens(Raw(b"[" + text + b"]"))[0].model_dump() == {**top.model_dump(), "top_logprobs": []}


@given(arrays)
def test_arrays_of_any_quality_are_read_and_written(items: list[Any]) -> None:
    tops = decode_alternatives(raw_of(items))
    assert len(tops) == len(items)
    assert decode_alternatives(encode_alternatives(tops)) == tops
    token = TokenLogprob("x", -1.0, raw_top_logprobs=raw_of(items))
    assert token.count_alternatives() == len(items)
    data = LogprobsData([token])
    assert data.compact() == data
    assert LogprobsData.model_validate_json(data.model_dump_json()).content[0].count_alternatives() == len(items)


def test_array_equals_the_object_that_says_the_same() -> None:
    built = TokenLogprob.build(" low", -0.5, token_id=7, top_logprobs=[TopLogprob.build(" high", -2.0, token_id=8)])
    read = TokenLogprob(" low", -0.5, raw_token_id=7, raw_top_logprobs=Raw(b'[[-2.0,8," high"]]'))
    assert read == built
    assert LogprobsData([read]).columns().top_token_ids == LogprobsData([built]).columns().top_token_ids


@pytest.mark.parametrize(
    ("tops", "codes"),
    [
        (b'[[-0.5,7,"a"],[-2.0,8,null]]', []),
        (b"[[-0.5,7],[-2.0,8]]", []),
        (b'[[-0.5,7,"a"]]', ["fewer_alternatives"]),
        (b'[[-0.5,7,"a"],[-3.4028234663852886e+38,8,"b"]]', ["masked"]),
    ],
)
def test_delivery_counts_and_finds_masked_ones(tops: bytes, codes: list[str]) -> None:
    token = TokenLogprob("a", -0.5, raw_token_id=7, raw_top_logprobs=Raw(tops))
    response = ChatResponse(choices=[Choice(text="a", logprobs=LogprobsData([token]))])
    sent = ChatRequest(model="m", messages=[{"role": "user", "content": "x"}], top_logprobs=2)
    assert [warning.code for warning in check_delivery(sent, response)] == codes
