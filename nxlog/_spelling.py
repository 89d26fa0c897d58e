"""What token records spell: their characters, and which tokens have which of them.

Servers write a token's bytes as bytes, as text with one character for each, and as U+FFFD or nothing where a token is
only a piece of a character.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, NamedTuple

from nxlog import _json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog._records import TokenLogprob

UNKNOWN = "\U0010ffff"
"""Stands for bytes that the server lost. It is no character of Unicode, so texts have none."""
_LOST = "\ufffd"


class Atom(NamedTuple):
    """Tokens ``first`` to ``last`` (exclusive) spell the characters ``start`` to ``end`` of what was generated."""

    first: int
    last: int
    start: int
    end: int


def spelled_bytes(record: TokenLogprob) -> bytes:
    """What a record says that its token spells: its bytes, else those of its text; nothing where that is an id."""
    known = _bytes(record)
    return record.token.encode(errors="replace") if known is None else known


def readings_of(records: Sequence[TokenLogprob]) -> list[Reading]:
    """What the records may spell; the first is what they say."""
    held = [_bytes(record) for record in records]
    texts = [record.token for record in records]
    plain = [spelled_bytes(record) for record in records]
    readings = [Reading(plain)]
    if any(known is None and not text.isascii() for known, text in zip(held, texts, strict=True)):
        single = [_one_byte_each(text) if known is None else known for known, text in zip(held, texts, strict=True)]
        readings += [] if None in single else [Reading([piece or b"" for piece in single])]
    gaps = [_with_gaps(*place) for place in zip(held, texts, plain, strict=True)]
    if gaps != plain:
        readings.append(Reading(gaps, has_gaps=True))
    return readings


def _bytes(record: TokenLogprob) -> bytes | None:
    known = record.bytes
    if _json.placeholder_id(record.token) is None:
        return known
    # The id is no text, so neither are its bytes.
    return b"" if known is None or known == record.token.encode() else known


def _one_byte_each(text: str) -> bytes | None:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return None


def _with_gaps(known: bytes | None, text: str, plain: bytes) -> bytes:
    if known is None and not text:
        return UNKNOWN.encode()
    if _LOST in text and (known is None or known == plain == text.encode(errors="replace")):
        return text.replace(_LOST, UNKNOWN).encode(errors="replace")
    return plain


class Reading:
    """What the tokens spell, and which tokens spell which characters of it."""

    def __init__(self, pieces: Sequence[bytes], *, has_gaps: bool = False) -> None:
        decoder = getincrementaldecoder("utf-8")("replace")
        parts: list[str] = []
        atoms: list[Atom] = []
        first = start = end = 0
        for i, piece in enumerate(pieces):
            parts.append(decoder.decode(piece, i + 1 == len(pieces)))
            end += len(parts[-1])
            if not decoder.getstate()[0]:
                atoms.append(Atom(first, i + 1, start, end))
                first, start = i + 1, end
        self.generated = "".join(parts)
        self.has_gaps = has_gaps
        self.atoms = _joined(atoms, self.generated, has_gaps=has_gaps)


def _joined(atoms: list[Atom], generated: str, *, has_gaps: bool) -> list[Atom]:
    """With what cannot be told apart: the empty pieces before a whole character, and gaps side by side."""
    joined: list[Atom] = []
    pieces = 0  # how many atoms at the end are empty
    for atom in atoms:
        if atom.start == atom.end:
            joined.append(atom)
            pieces += 1
            continue
        if pieces and not generated[atom.start : atom.end].isascii():
            atom = atom._replace(first=joined[-pieces].first)  # noqa: PLW2901 - the same with its pieces
            del joined[-pieces:]
        elif has_gaps and joined and generated[atom.start] == UNKNOWN == generated[atom.start - 1 : atom.start]:
            before = joined.pop()
            atom = Atom(before.first, atom.last, before.start, atom.end)  # noqa: PLW2901 - as above
        joined.append(atom)
        pieces = 0
    return joined
