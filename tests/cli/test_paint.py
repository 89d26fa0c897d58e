"""Which text belongs to which token: the shapes that servers really send. No I/O."""

from __future__ import annotations

import math

import pytest

from nxlog import TokenLogprob
from nxlog.cli.paint import Painter, Span

HALF = math.log(0.5)


def token(text: str, probability: float | None = 0.5, data: bytes | None = None) -> TokenLogprob:
    logprob = None if probability is None else math.log(probability)
    return TokenLogprob.build(text, logprob, bytes=text.encode() if data is None else data)


def paint(*chunks: tuple[str, list[TokenLogprob]]) -> list[tuple[str, float | None]]:
    """Feed the chunks; probabilities are rounded."""
    painter = Painter()
    spans: list[Span] = []
    for text, records in chunks:
        spans += painter.feed(text, records)
    spans += painter.finish()
    assert "".join(span.text for span in spans) == "".join(text for text, _ in chunks)
    return [(text, None if value is None else round(value, 6)) for text, value in spans]


def test_each_token_has_its_text() -> None:
    chunks = [("The", [token("The", 0.9)]), (" cat sat", [token(" cat", 0.5), token(" sat", 0.1)])]
    assert paint(*chunks) == [("The", 0.9), (" cat", 0.5), (" sat", 0.1)]


def test_a_character_in_pieces_is_as_certain_as_its_least_certain_piece() -> None:
    snake = "🐍".encode()
    pieces = [token("\\xf0\\x9f", 0.9, snake[:2]), token("\\x90", 0.2, snake[2:3]), token("\\x8d", 0.8, snake[3:])]
    assert paint(("🐍", pieces)) == [("🐍", 0.2)]
    # The pieces come before the character, in chunks without text.
    assert paint(("", pieces[:1]), ("", pieces[1:2]), ("🐍!", [*pieces[2:], token("!")])) == [("🐍", 0.2), ("!", 0.5)]


def test_pieces_without_text_go_with_the_one_that_completes_the_character() -> None:
    chunks = [("", [token("", 0.3, b"")]), ("", [token("", 0.9, b"")]), ("🐍", [token("🐍", 0.8)])]
    assert paint(*chunks) == [("🐍", 0.3)]


def test_a_merged_record_is_one_span() -> None:
    assert paint(("naïve", [token("na", 0.9), token("ïve", 0.4)])) == [("na", 0.9), ("ïve", 0.4)]


def test_broken_bytes_are_matched_by_the_servers_text() -> None:
    assert paint(("a\ufffdb", [token("a"), token("\ufffd", 0.1, b"\x9d"), token("b")])) == [
        ("a", 0.5),
        ("\ufffd", 0.1),
        ("b", 0.5),
    ]


def test_the_token_that_ends_the_turn_has_no_text() -> None:
    assert paint(("Yes", [token("Yes", 0.9)]), ("", [token("<|im_end|>", 1.0)])) == [("Yes", 0.9)]


def test_text_without_records_has_no_color_and_does_not_wait() -> None:
    painter = Painter()
    assert painter.feed("lost ", []) == [Span("lost ", None)]
    assert [text for text, _ in painter.feed("found", [token("found")])] == ["found"]


def test_text_that_is_late_waits_for_the_rest_of_its_token() -> None:
    painter = Painter()
    assert painter.feed("hel", [token("hello")]) == []
    assert [text for text, _ in painter.feed("lo", [])] == ["hello"]


@pytest.mark.parametrize(
    "records",
    [
        [token("other")],
        [token("te", 0.9, b"te\xff")],
        [token("\\xff", 0.5, b"\xff")],
        [token("", 0.5, b""), token("x")],
        [token("longer text"), token("text")],
    ],
)
def test_records_of_another_text_color_nothing_of_what_follows(records: list[TokenLogprob]) -> None:
    spans = paint(("text", records), (" on", [token(" on", 0.7)]))
    assert spans[-1] == (" on", 0.7)
    assert all(value is None for text, value in spans[:-1] if text != "te")


def test_a_value_that_is_missing_or_masked_gives_no_color() -> None:
    masked = TokenLogprob.build("b", -9999.0, bytes=b"b")
    assert paint(("ab", [token("a", None), masked])) == [("a", None), ("b", None)]


def test_a_record_without_bytes_is_matched_by_its_text() -> None:
    bare = TokenLogprob.build("é", HALF)
    assert bare.bytes is None
    assert paint(("é", [bare])) == [("é", 0.5)]
