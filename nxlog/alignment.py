"""Whether the records of a channel spell its text, and where they stop doing so.

Servers list tokens that the text omits (the end of the turn, a stop string, markers, reasoning), and lose records or
merge several tokens to one. A position in the records is a position in the text only where both are the same bytes.
"""

from __future__ import annotations

import codecs
import enum
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from nxlog._spelling import spelled_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nxlog._records import TokenLogprob


class AlignmentKind(enum.StrEnum):
    """How the bytes of a channel's records, joined, compare with the bytes of its text."""

    EXACT = "exact"
    """They are the same."""
    STRUCTURAL_TOKENS = "structural-tokens"
    """The same, but for records that the text omits: the end of the turn, a stop token, markers, tool calls."""
    REASONING_INCLUDED = "reasoning-included"
    """The records are those of the reasoning and of the answer, with the markers between them."""
    MERGED = "merged"
    """The same, but a record has the bytes of several tokens, so the logprobs do not add up to that of the text."""
    PREFIX = "prefix"
    """One of the two ends earlier; up to there they are the same."""
    MISMATCH = "mismatch"
    """They differ."""
    UNKNOWN = "unknown"
    """There is nothing to compare: no records, records without texts, or a text that is not shown."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The comparison for one channel.

    Attributes:
        kind: how records and text compare.
        byte_offset: where they first differ, in bytes of UTF-8; None where they do not.
        char_offset: the same in characters of the text.
        token_index: the record at that place; the number of records where they end there.
        omitted: texts of the records that the text does not have, in order.
        spelled: what the records say from the offset on, at most 120 bytes.
        written: what the text says from there.
    """

    kind: AlignmentKind
    byte_offset: int | None = None
    char_offset: int | None = None
    token_index: int | None = None
    omitted: tuple[str, ...] = ()
    spelled: bytes = b""
    written: bytes = b""

    @property
    def is_lossless(self) -> bool:
        """Whether every byte of the text has a record of its own."""
        return self.kind in _LOSSLESS

    @property
    def is_end_only(self) -> bool:
        """Whether the text is all of it but for one record at the end, which stands for the end."""
        return self.kind is AlignmentKind.STRUCTURAL_TOKENS and len(self.omitted) == 1 and not self.written

    def __str__(self) -> str:
        if self.kind is AlignmentKind.EXACT:
            return "the records spell the text"
        if self.kind is AlignmentKind.UNKNOWN:
            return "there is nothing to compare"
        if self.kind is AlignmentKind.MERGED:
            return "the records spell the text, and some stand for several tokens"
        if self.is_lossless:
            what = "the text" if self.kind is AlignmentKind.STRUCTURAL_TOKENS else "the reasoning and the text"
            named = ", ".join(map(repr, self.omitted[:4])) + (", ..." if len(self.omitted) > 4 else "")
            others = f", and {len(self.omitted)} tokens more: {named}" if self.omitted else ""
            return f"the records spell {what}{others}"
        said, written = _preview(self.spelled), _preview(self.written)
        return f"from byte {self.byte_offset} on the tokens say {said} and the text {written}"


_LOSSLESS = frozenset({AlignmentKind.EXACT, AlignmentKind.STRUCTURAL_TOKENS, AlignmentKind.REASONING_INCLUDED})


def align(
    records: Sequence[TokenLogprob], text: str, *, reasoning: str = "", tool_names: Iterable[str] = ()
) -> Alignment:
    """Compare the records of one channel with its text.

    Args:
        records: the channel's records.
        text: the channel's text.
        reasoning: the text of the reasoning, where it has no records of its own.
        tool_names: names of the functions that were called, whose calls may be among the records.
    """
    pieces = [spelled_bytes(token) for token in records]
    wanted = text.encode("utf-8", "replace")
    if not any(pieces) and (wanted or not pieces):
        return Alignment(AlignmentKind.UNKNOWN)
    spelled = b"".join(pieces)
    if spelled == wanted or _is_cut(spelled, text):
        return Alignment(AlignmentKind.EXACT)
    offset = _same(spelled, wanted)
    kind, kept = AlignmentKind.MISMATCH, frozenset[int]()
    if reasoning and (found := _with_reasoning(pieces, wanted, reasoning.encode("utf-8", "replace"))) is not None:
        kind, kept = AlignmentKind.REASONING_INCLUDED, found
    elif (found := _without_others(pieces, wanted, tool_names)) is not None:
        kind, kept = AlignmentKind.STRUCTURAL_TOKENS, found
    elif offset in {len(spelled), len(wanted)} or _is_start(pieces, wanted):
        kind = AlignmentKind.PREFIX
    omitted = [piece for i, piece in enumerate(pieces) if piece and i not in kept] if kind in _LOSSLESS else []
    return Alignment(
        kind,
        byte_offset=offset,
        char_offset=len(wanted[:offset].decode("utf-8", "ignore")),
        token_index=_index(pieces, offset),
        omitted=tuple(piece.decode("utf-8", "replace") for piece in omitted),
        spelled=spelled[offset : offset + 120],
        written=wanted[offset : offset + 120],
    )


def spells(records: Sequence[TokenLogprob], text: str) -> bool:
    """Whether the texts of the records, but for one at the end, are the text: a test that looks at no bytes."""
    joined = "".join([token.token for token in records])
    return joined == text or (bool(records) and joined[: len(joined) - len(records[-1].token)] == text)


def could_merge(records: Sequence[TokenLogprob], short: int) -> bool:
    """Whether so many tokens may be in the records of others: characters of several bytes, each one record."""
    pieces = [spelled_bytes(token) for token in records]
    return 0 < short <= sum(len(piece) - 1 for piece in pieces if piece and not piece.isascii())


def count_duplicates(records: Sequence[TokenLogprob], text: str) -> int:
    """Records that are there again, so that the others are the text. 0 where that does not explain the rest."""
    wanted, position, found = text.encode("utf-8", "replace"), 0, 0
    seen: set[tuple[bytes, float | None]] = set()
    for token in records:
        piece = spelled_bytes(token)
        if piece and wanted.startswith(piece, position):
            position += len(piece)
        elif piece and (piece, token.logprob) in seen:
            found += 1
        elif piece and not _is_mark(piece):
            return 0
        seen.add((piece, token.logprob))
    return found if position == len(wanted) else 0


def _is_cut(spelled: bytes, text: str) -> bool:
    """Whether the text has a replacement character for the start of a character with which the bytes end."""
    if not text.endswith("\ufffd"):
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        whole = decoder.decode(spelled)
    except UnicodeDecodeError:
        return False
    started = len(decoder.getstate()[0])
    return any(whole + "\ufffd" * count == text for count in range(1, started + 1))


def _same(a: bytes, b: bytes) -> int:
    """Length of the common start."""
    shorter = min(len(a), len(b))
    if a[:shorter] == b[:shorter]:
        return shorter
    return next(i for i in range(shorter) if a[i] != b[i])


def _index(pieces: list[bytes], offset: int) -> int:
    end = 0
    for i, piece in enumerate(pieces):
        end += len(piece)
        if end > offset:
            return i
    return len(pieces)


_MARK = re.compile(rb"\s*(<[^<>\s]{1,64}>|\[/?[A-Z_]{2,32}\])\s*")


def _is_mark(piece: bytes) -> bool:
    return _MARK.fullmatch(piece) is not None


def _is_start(pieces: list[bytes], wanted: bytes) -> bool:
    """Whether the pieces without the marks at their end start the text."""
    last = len(pieces)
    while last and (not pieces[last - 1] or _is_mark(pieces[last - 1])):
        last -= 1
    start = b"".join(pieces[:last])
    return bool(start) and wanted.startswith(start)


def _within(pieces: list[bytes], *spans: tuple[int, int]) -> frozenset[int]:
    """The pieces that reach into one of the spans of bytes."""
    found: set[int] = set()
    start = 0
    for i, piece in enumerate(pieces):
        end = start + len(piece)
        if any(start < last and end > first for first, last in spans):
            found.add(i)
        start = end
    return frozenset(found)


_BETWEEN = 80
"""Bytes that the marks around a reasoning may have."""


def _with_reasoning(pieces: list[bytes], wanted: bytes, reasoning: bytes) -> frozenset[int] | None:
    spelled, thought = b"".join(pieces), reasoning.strip()
    first = spelled.find(thought)
    if not thought or not 0 <= first <= _BETWEEN:
        return None
    middle = first + len(thought)
    start = spelled.find(wanted, middle)
    if start < 0 or start - middle > _BETWEEN or len(spelled) - start - len(wanted) > _BETWEEN:
        return None
    return _within(pieces, (first, middle), (start, start + len(wanted)))


def _without_others(pieces: list[bytes], wanted: bytes, tool_names: Iterable[str]) -> frozenset[int] | None:
    """The pieces that are the text, where all others are no part of it."""
    spelled = b"".join(pieces)
    ends = list(accumulate(map(len, pieces), initial=0))
    if spelled.startswith(wanted) and len(wanted) in ends:
        kept = _within(pieces, (0, len(wanted)))
        others = sum(1 for i, piece in enumerate(pieces) if piece and i not in kept)
        named = [name.encode() for name in tool_names]
        if others == 1 or (named and all(name in spelled[len(wanted) :] for name in named)):
            return kept
    return _without_marks(pieces, wanted) or _part(pieces, wanted, ends)


def _without_marks(pieces: list[bytes], wanted: bytes) -> frozenset[int] | None:
    kept: set[int] = set()
    position = 0
    for i, piece in enumerate(pieces):
        if piece and wanted.startswith(piece, position):
            kept.add(i)
            position += len(piece)
        elif piece and not _is_mark(piece):
            return None
    return frozenset(kept) if position == len(wanted) else None


def _part(pieces: list[bytes], wanted: bytes, ends: list[int]) -> frozenset[int] | None:
    """The text inside a wrapping that the server took away, as code fences around JSON."""
    first = b"".join(pieces).find(wanted, 1)
    if not wanted or first < 0 or first not in ends or first + len(wanted) not in ends:
        return None
    return _within(pieces, (first, first + len(wanted)))


def _preview(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return repr(text[:30] + ("..." if len(text) > 30 else "")) if text else "nothing more"
