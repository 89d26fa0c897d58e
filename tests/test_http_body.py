"""Undoing compression piece by piece, with nothing around it."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.errors import DecodeError, ResponseTooLargeError
from nxlog.http.body import Body


def body_of(encoding: str, limit: int = 1 << 20) -> Body:
    return Body({"content-encoding": encoding}, status=200, limit=limit)


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def two_members(data: bytes) -> bytes:
    return gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("", bytes),
        ("gzip", gzip.compress),
        ("gzip", two_members),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
    ],
)
@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2100), max_size=8))
def test_any_cut_gives_the_same(encoding: str, compress: Any, data: bytes, cuts: list[int]) -> None:
    wire = compress(data)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    body = body_of(encoding)
    pieces = [piece for start, end in itertools.pairwise(edges) for piece in body.feed(wire[start:end])]
    body.finish()
    assert b"".join(pieces) == data
    assert b"" not in pieces


def test_a_bomb_never_becomes_a_large_object() -> None:
    bomb = gzip.compress(bytes(100 << 20))
    body = body_of("gzip", limit=2 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ResponseTooLargeError):
            body.feed(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_errors_carry_the_status() -> None:
    body = Body({"content-encoding": "gzip"}, status=503, limit=10)
    with pytest.raises(DecodeError) as caught:
        body.feed(b"<html>")
    assert caught.value.status_code == 503
    with pytest.raises(ResponseTooLargeError) as too_large:
        Body({"content-length": "11"}, status=503, limit=10)
    assert too_large.value.status_code == 503


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_encodings_that_were_not_offered(encoding: str) -> None:
    with pytest.raises(DecodeError, match="was not offered"):
        body_of(encoding)
