"""JSON lines: cut at every byte, ended in every way, and bounded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.errors import ResponseTooLargeError
from nxlog.wire.ndjson import LineSplitter

STREAM = '{"a":"\u2028\x85"}\n\n  \r\n{"b":1}\r\n{"c":"😀"}'.encode()
LINES = ['{"a":"\u2028\x85"}'.encode(), b'{"b":1}', '{"c":"😀"}'.encode()]


def split(parts: list[bytes]) -> list[bytes]:
    splitter = LineSplitter()
    return [line for part in parts for line in splitter.feed(part)] + splitter.close()


def test_lines_end_in_a_line_feed_only() -> None:
    assert split([STREAM]) == LINES


def test_a_line_is_given_when_its_end_comes() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"a"') == []
    assert splitter.feed(b":1}\n") == [b'{"a":1}']
    assert splitter.feed(b"\n") == []
    assert splitter.close() == []


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(STREAM)]
    assert split([STREAM[first:last] for first, last in itertools.pairwise(bounds)]) == LINES


def test_byte_by_byte() -> None:
    assert split([bytes([byte]) for byte in STREAM]) == LINES


def test_a_line_is_bounded() -> None:
    splitter = LineSplitter(max_line=10)
    assert splitter.feed(b"12345\n1234567890") == [b"12345"]
    with pytest.raises(ResponseTooLargeError, match="one line of the stream exceeds 10 bytes"):
        splitter.feed(b"1")


def test_lines_before_one_that_is_too_long_are_not_lost() -> None:
    splitter = LineSplitter(max_line=10)
    assert splitter.feed(b"12345\n" + b"x" * 20) == [b"12345"]
    with pytest.raises(ResponseTooLargeError):
        splitter.feed(b"x")


def test_the_bound_is_one_lines_not_the_streams() -> None:
    splitter = LineSplitter(max_line=10)
    assert sum(len(splitter.feed(b"1234567\n")) for _ in range(1000)) == 1000
