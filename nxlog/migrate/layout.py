"""Things separated by commas inside brackets: how they are taken out and put in with their comments and line breaks.

Between two entries is a gap. On its first line may stand a comment about the entry before it; the comments on lines of
their own are about the entry after it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Sequence

Whitespace: TypeAlias = cst.BaseParenthesizableWhitespace
Bracketed: TypeAlias = cst.Call | cst.Dict | cst.List
_Kind = TypeVar("_Kind", cst.Call, cst.Dict, cst.List, cst.Call | cst.Dict)
Entry: TypeAlias = cst.Arg | cst.BaseDictElement | cst.BaseElement

NO_SPACE = cst.SimpleWhitespace("")


@dataclass
class Remarks:
    """Comments that go with an entry."""

    above: list[str] = field(default_factory=list[str])
    beside: str | None = None

    def __bool__(self) -> bool:
        return bool(self.above or self.beside)

    def all(self) -> list[str]:
        """Every comment, in order."""
        return [*self.above, *([self.beside] if self.beside else [])]


@dataclass(frozen=True)
class Row:
    """The entries of a call, dict or list, and the gaps around them: one more than there are entries."""

    entries: tuple[Entry, ...]
    gaps: tuple[Whitespace, ...]
    trailing: bool
    """Whether a comma follows the last entry."""

    @classmethod
    def of(cls, node: Bracketed) -> Row:
        """The row of a node."""
        entries: tuple[Entry, ...] = _entries(node)
        first = node.whitespace_before_args if isinstance(node, cst.Call) else _opening(node).whitespace_after
        gaps: list[Whitespace] = [
            first,
            *(e.comma.whitespace_after if isinstance(e.comma, cst.Comma) else NO_SPACE for e in entries[:-1]),
        ]
        trailing = bool(entries) and isinstance(entries[-1].comma, cst.Comma)
        if entries:
            gaps.append(_closing_gap(node, entries[-1]))
        return cls(entries, tuple(gaps), trailing)

    def _break(self, index: int) -> cst.ParenthesizedWhitespace | None:
        """The line break that comes with an entry, where it does not stand on the line of its neighbor."""
        gap = self.gaps[1] if index == 0 and len(self.entries) > 1 else self.gaps[index]
        return gap if isinstance(gap, cst.ParenthesizedWhitespace) else None

    def remarks(self, index: int) -> Remarks:
        """The comments that go with an entry."""
        return Remarks(above_in(self.gaps[index]), beside_in(self.gaps[index + 1]))

    def without(self, index: int) -> Row:
        """The row without an entry; the comments that go with it are gone as well."""
        before, after = self.gaps[index], self.gaps[index + 1]
        last = index == len(self.entries) - 1
        merged = _merged(before, after, first=index == 0, last=last)
        return replace(
            self,
            entries=self.entries[:index] + self.entries[index + 1 :],
            gaps=(*self.gaps[:index], merged, *self.gaps[index + 2 :]),
            trailing=self.trailing and len(self.entries) > 1,
        )

    def put(self, index: int, entries: Sequence[tuple[Entry, Remarks]]) -> Row:
        """The row with an entry replaced by others, which bring comments along."""
        before, after = self.gaps[index], self.gaps[index + 1]
        like = self._break(index)
        gaps: list[Whitespace] = [_with(before, above=above_in(before) + entries[0][1].above, like=like)]
        for (_, left), (_, right) in itertools.pairwise(entries):
            gaps.append(_between(left.beside, right.above, like))
        beside = entries[-1][1].beside
        if beside and beside_in(after):
            # One line has room for one comment.
            gaps[-1] = _with(gaps[-1], above=[*above_in(gaps[-1]), beside], like=like)
            gaps.append(after)
        else:
            gaps.append(_with(after, beside=beside or beside_in(after), like=like, closing=True))
        return replace(
            self,
            entries=(*self.entries[:index], *(entry for entry, _ in entries), *self.entries[index + 1 :]),
            gaps=(*self.gaps[:index], *gaps, *self.gaps[index + 2 :]),
        )

    def write_to(self, node: _Kind) -> _Kind:
        """The node with these entries."""
        entries = [
            entry.with_changes(comma=_comma(entry, self.gaps[place]))
            for place, entry in enumerate(self.entries[:-1], 1)
        ]
        closing = self.gaps[-1]
        if isinstance(node, cst.Call):
            if self.entries:
                last = self.entries[-1]
                comma = _comma(last, closing) if self.trailing else cst.MaybeSentinel.DEFAULT
                after = NO_SPACE if self.trailing else closing
                entries.append(last.with_changes(comma=comma, whitespace_after_arg=after))
            return node.with_changes(args=entries, whitespace_before_args=self.gaps[0])
        if self.entries:
            last = self.entries[-1]
            comma = _comma(last, NO_SPACE) if self.trailing else cst.MaybeSentinel.DEFAULT
            entries.append(last.with_changes(comma=comma))
        opening = _opening(node).with_changes(whitespace_after=self.gaps[0])
        end = _ending(node).with_changes(whitespace_before=closing if self.entries else NO_SPACE)
        if isinstance(node, cst.Dict):
            return node.with_changes(elements=entries, lbrace=opening, rbrace=end)
        return node.with_changes(elements=entries, lbracket=opening, rbracket=end)


_LINE = cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace("    "))


def _between(beside: str | None, above: list[str], like: cst.ParenthesizedWhitespace | None) -> Whitespace:
    if like is None and not beside and not above:
        return cst.SimpleWhitespace(" ")
    plain = (like or _LINE).with_changes(first_line=cst.TrailingWhitespace(), empty_lines=[])
    return _with(plain, beside=beside, above=above, like=plain)


def _entries(node: Bracketed) -> tuple[Entry, ...]:
    return tuple(node.args) if isinstance(node, cst.Call) else tuple(node.elements)


def _opening(node: cst.Dict | cst.List) -> cst.LeftCurlyBrace | cst.LeftSquareBracket:
    return node.lbrace if isinstance(node, cst.Dict) else node.lbracket


def _ending(node: cst.Dict | cst.List) -> cst.RightCurlyBrace | cst.RightSquareBracket:
    return node.rbrace if isinstance(node, cst.Dict) else node.rbracket


def _closing_gap(node: Bracketed, last: Entry) -> Whitespace:
    if not isinstance(node, cst.Call):
        return _ending(node).whitespace_before
    if isinstance(last.comma, cst.Comma):
        return last.comma.whitespace_after
    return last.whitespace_after_arg if isinstance(last, cst.Arg) else NO_SPACE


def _comma(entry: Entry, after: Whitespace) -> cst.Comma:
    before = entry.comma.whitespace_before if isinstance(entry.comma, cst.Comma) else NO_SPACE
    return cst.Comma(whitespace_before=before, whitespace_after=after)


def above_in(gap: Whitespace) -> list[str]:
    """Comments on lines of their own."""
    if not isinstance(gap, cst.ParenthesizedWhitespace):
        return []
    return [line.comment.value for line in gap.empty_lines if line.comment]


def beside_in(gap: Whitespace) -> str | None:
    """The comment on the line before the break."""
    if not isinstance(gap, cst.ParenthesizedWhitespace) or gap.first_line.comment is None:
        return None
    return gap.first_line.comment.value


def _with(
    gap: Whitespace,
    *,
    above: list[str] | None = None,
    beside: str | None = None,
    like: cst.ParenthesizedWhitespace | None,
    closing: bool = False,
) -> Whitespace:
    """The gap with other comments; a break is made where there is none, since a comment ends its line."""
    above = above_in(gap) if above is None else above
    beside = beside if beside is not None else beside_in(gap)
    if above == above_in(gap) and beside == beside_in(gap):
        return gap
    if isinstance(gap, cst.ParenthesizedWhitespace):
        base = gap
    else:
        base = (like or _LINE).with_changes(empty_lines=[])
        base = base.with_changes(last_line=NO_SPACE) if closing else base
    first = base.first_line.with_changes(
        comment=cst.Comment(beside) if beside else None,
        whitespace=cst.SimpleWhitespace("  ") if beside else NO_SPACE,
    )
    kept = [line for line in base.empty_lines if not line.comment] if above != above_in(gap) else None
    lines = base.empty_lines if kept is None else [*kept, *(_comment_line(text, base) for text in above)]
    return base.with_changes(first_line=first, empty_lines=lines)


def _comment_line(text: str, gap: cst.ParenthesizedWhitespace) -> cst.EmptyLine:
    return cst.EmptyLine(indent=gap.indent, whitespace=gap.last_line, comment=cst.Comment(text))


def _merged(before: Whitespace, after: Whitespace, *, first: bool, last: bool) -> Whitespace:
    """One gap of the two around an entry that goes: its own comments go with it, those of its neighbors stay."""
    if isinstance(before, cst.ParenthesizedWhitespace) and isinstance(after, cst.ParenthesizedWhitespace):
        lines = list(after.empty_lines)
        while first and lines and not lines[0].comment:
            del lines[0]
        return after.with_changes(first_line=before.first_line, empty_lines=lines)
    if isinstance(before, cst.ParenthesizedWhitespace):
        if last and beside_in(before) is None:
            return after
        return before.with_changes(empty_lines=[line for line in before.empty_lines if not line.comment])
    if isinstance(after, cst.ParenthesizedWhitespace) and (above_in(after) or not first):
        return after.with_changes(first_line=cst.TrailingWhitespace())
    return after if last else before
