"""Server-sent events are cut in bytes, and where the packets end does not matter."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.errors import ResponseTooLargeError
from nxlog.wire.sse import EventSplitter

VECTORS = json.loads((Path(__file__).parent.parent / "fixtures" / "vectors" / "sse.json").read_text(encoding="utf-8"))
TESTS = VECTORS["tests"]
every_vector = pytest.mark.parametrize("test", TESTS, ids=[str(test["id"]) for test in TESTS])

# What an event may hold, and what may stand around it.
TEXT = st.text(st.sampled_from("ab {}:\u2028\u2029\x85\x0b\x0c\x1c\ufeffé€😀"), max_size=8)
LINE_END = st.sampled_from(["\n", "\r", "\r\n"])
OTHER_LINE = st.sampled_from([": comment", "event: message", "id: 1", "retry: 10", "dataset: x"])


def data_of(test: dict[str, Any]) -> bytes:
    return base64.b64decode(test["input_base64"]) if "input_base64" in test else test["input"].encode()


def feed(parts: list[bytes], **options: int) -> list[bytes]:
    splitter = EventSplitter(**options)
    return [payload for part in parts for payload in splitter.feed(part)]


def chunks_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@every_vector
def test_vector_in_packets_of_every_size(test: dict[str, Any]) -> None:
    data = data_of(test)
    for size in range(1, len(data) + 2):
        seen = [payload.decode("utf-8", "replace") for payload in feed(chunks_of(data, size))]
        assert seen == test["expected"], (test["comment"], size)


@st.composite
def events(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream in any mix of line ends, comments and fields, and the data that is in it."""
    out: list[str] = [draw(st.sampled_from(["", "\ufeff"]))]
    expected: list[bytes] = []
    for lines in draw(st.lists(st.lists(TEXT, min_size=1, max_size=3), max_size=5)):
        end = draw(LINE_END)
        for line in lines:
            if draw(st.booleans()):
                out.append(draw(OTHER_LINE) + end)
            # A value that begins with a space needs the space that belongs to the syntax.
            out.append("data:" + (" " if line.startswith(" ") or draw(st.booleans()) else "") + line + end)
        out.append(end)
        expected.append("\n".join(lines).encode())
    return "".join(out).encode(), [payload for payload in expected if payload]


@given(st.data())
def test_any_stream_cut_anywhere_gives_its_data(data: st.DataObject) -> None:
    stream, expected = data.draw(events())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parts = [stream[first:last] for first, last in itertools.pairwise([0, *cuts, len(stream)])]
    assert feed(parts) == expected


@given(st.binary(max_size=60), st.data())
def test_any_bytes_cut_anywhere_give_the_same_data(noise: bytes, data: st.DataObject) -> None:
    stream = noise.replace(b"\x00", b"\ndata:").replace(b"\x01", b"\r").replace(b"\x02", b"\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parts = [stream[first:last] for first, last in itertools.pairwise([0, *cuts, len(stream)])]
    assert feed(parts) == feed([stream])


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"data: [DONE]", [b"[DONE]"]),
        (b"data: [DONE]\n", [b"[DONE]"]),
        (b"data: [DONE]\r", [b"[DONE]"]),
        (b"data: [DONE]\n\n", []),
        (b": comment", []),
        (b"event: ping\n", []),
        (b"", []),
        (b"\xef\xbb", []),
    ],
)
def test_close_gives_the_event_whose_blank_line_never_came(tail: bytes, expected: list[bytes]) -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\n") == [b"a"]
    splitter.feed(tail)
    assert splitter.close() == expected
    assert splitter.close() == []


def test_an_event_may_reach_the_bound_and_no_more() -> None:
    event = b"data: " + b"x" * 94 + b"\n\n"
    assert feed(chunks_of(event, 7), max_event=100) == [b"x" * 94]
    with pytest.raises(ResponseTooLargeError, match="exceeds 100 bytes"):
        feed(chunks_of(b"data: " + b"x" * 95, 7), max_event=100)


def test_the_bound_is_on_one_event_and_not_on_the_stream() -> None:
    event = b"data: " + b"x" * 90 + b"\n\n"
    assert len(feed(chunks_of(event * 50, 11), max_event=100)) == 50
    assert len(feed([event * 50], max_event=100)) == 50


def test_events_before_one_that_is_too_large_are_not_lost() -> None:
    splitter = EventSplitter(max_event=10)
    assert splitter.feed(b"data: a\n\ndata: " + b"x" * 20) == [b"a"]
    with pytest.raises(ResponseTooLargeError):
        splitter.feed(b"x")


def test_many_small_packets_cost_no_copy_of_the_event_each() -> None:
    """Bytes that wait are joined once, when a line ends: a megabyte in single bytes stays linear."""
    splitter = EventSplitter()
    splitter.feed(b"data: ")
    for _ in range(1000):
        splitter.feed(b"x")
    assert len(splitter._pending) > 1000
    assert splitter.feed(b"\n\n") == [b"x" * 1000]
    assert len(splitter._pending) == 1


def test_an_event_of_many_lines_is_not_joined_again_with_every_packet() -> None:
    """A server could keep a processor busy for minutes with an event that never ends."""
    splitter = EventSplitter()
    copied = 0
    for _ in range(2000):
        splitter.feed(b"data: x\n")
        copied = max(copied, *map(len, splitter._pending))
    assert copied == len(b"data: x\n")
    assert splitter.feed(b"\n") == [b"\n".join([b"x"] * 2000)]
