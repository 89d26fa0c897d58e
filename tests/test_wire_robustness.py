"""What a broken or hostile server may send: the answer is a reply or an error of nxlog, never another exception.

Real here: the wires' decoders and the records. The replies are those of the vectors, damaged by hypothesis.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nxlog.accumulate import accumulate
from nxlog.errors import DecodeError, NxlogError
from nxlog.wire import NAMES, get_wire

if TYPE_CHECKING:
    from nxlog.response import ChatResponse
    from nxlog.wire.base import Wire

VECTORS = Path(__file__).parent.parent / "fixtures" / "vectors"
Json = dict[str, Any]

NUMBERS = [0, -1, 3.5, 1e308, float("nan"), float("inf"), 10**30, True]
TEXTS = ["", "null", "é\u2028", "\ud83d", "\x00", "-Infinity"]
values = st.recursive(
    st.none() | st.sampled_from([*NUMBERS, *TEXTS]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["token", "text", "type"]), inner),
    max_leaves=4,
)


def replies(wire: str) -> list[Json]:
    """The whole replies of the vectors, and the events of a stream, that are JSON objects."""
    out: list[Json] = []
    for test in json.loads((VECTORS / f"{wire}.json").read_text(encoding="utf-8"))["tests"]:
        lines = test.get("input", "").split("\n") if test["kind"] == "stream" else [test.get("input", "")]
        for line in lines:
            try:
                value = json.loads(line.removeprefix("data:"))
            except ValueError:
                continue
            if isinstance(value, dict):
                out.append(value)
    return out


REPLIES = {name: replies(name) for name in NAMES}
wires = pytest.mark.parametrize("wire", [get_wire(name) for name in NAMES], ids=NAMES)


@st.composite
def damaged(draw: st.DrawFn, wire: str) -> Json:
    """A reply in which one value anywhere is another."""
    reply = copy.deepcopy(draw(st.sampled_from(REPLIES[wire])))
    node: Any = reply
    while True:
        keys: list[Any] = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return reply
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or draw(st.integers(0, 4)) == 0:
            node[key] = draw(values)
            return reply
        node = node[key]


def touch(response: ChatResponse) -> None:
    """Look at everything that is decoded only when somebody looks."""
    assert response == response.model_copy()
    response.model_dump_json()
    for choice in response.choices:
        if choice.logprobs is None:
            continue
        choice.logprobs.model_dump_json()
        for name in ("content", "refusal", "reasoning"):
            choice.logprobs.columns(name)
            for token in choice.logprobs.channel(name) or ():
                assert token.logprob is None or isinstance(token.logprob, float)
                assert token.bytes is None or isinstance(token.bytes, bytes)
                assert token.count_alternatives() == len(token.top_logprobs)
                assert all(top.logprob is None or isinstance(top.logprob, float) for top in token.top_logprobs)
                assert isinstance(token.extra, dict)
        assert choice.logprobs.compact() == choice.logprobs


def decode_whole(wire: Wire, data: bytes) -> None:
    try:
        response = wire.decode(data)
    except NxlogError:
        return
    touch(response)


def decode_event(wire: Wire, data: bytes) -> None:
    decoder = wire.stream_decoder()
    chunks = []
    try:
        chunks += decoder.feed(b"data: " + data + b"\n\n")
        chunks += decoder.close()
    except NxlogError:
        pass
    for chunk in chunks:
        chunk.model_dump_json()
    touch(accumulate(chunks))


@wires
@given(st.data())
def test_one_wrong_value_raises_nothing_else(wire: Wire, data: st.DataObject) -> None:
    body = json.dumps(data.draw(damaged(wire.name))).encode()
    decode_whole(wire, body)
    decode_event(wire, body)


@wires
@given(st.binary())
@example(b"\xff\xfe")
@example(b"1" * 5000)
@example(b'"\\ud83d"')
def test_any_bytes_raise_nothing_else(wire: Wire, data: bytes) -> None:
    decode_whole(wire, data)
    decode_event(wire, data.replace(b"\n", b" "))


@wires
@pytest.mark.parametrize("head", [b"", b'{"error":', b'{"choices":[{"message":{"content":', b'{"content":'])
@pytest.mark.parametrize("level", [b"[", b'{"x":'], ids=["lists", "objects"])
def test_depth_that_no_parser_takes_is_a_decode_error(wire: Wire, head: bytes, level: bytes) -> None:
    with pytest.raises(DecodeError):
        wire.decode(head + level * 50_000)


@wires
@pytest.mark.parametrize("body", [b"", b" \n", b"<html>502</html>", b"[]", b"null", b"{}", b'{"object":"list"}'])
def test_what_is_no_reply_is_a_decode_error_that_shows_it(wire: Wire, body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        wire.decode(body)
    assert wire.name in str(caught.value)
    assert caught.value.body == (body.decode() if body.strip() else "")
