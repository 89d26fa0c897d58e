"""Literal mappings: ``{"a": 1}``, ``dict(a=1)``, and the keyword arguments of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import libcst as cst

from nxlog.migrate.layout import Row
from nxlog.migrate.literals import text_of

if TYPE_CHECKING:
    from nxlog.migrate.names import Names

Bag: TypeAlias = cst.Dict | cst.Call


@dataclass(frozen=True)
class Pair:
    """One key and its value; a key of None is computed, spread, or a positional argument."""

    index: int
    key: str | None
    value: cst.BaseExpression


def as_bag(node: cst.BaseExpression, names: Names) -> Bag | None:
    """The node where it is a dict that can be read here."""
    if isinstance(node, cst.Dict):
        return node
    if isinstance(node, cst.Call) and names.is_builtin(node.func, "dict"):
        # dict(other, a=1) is another matter.
        return node if all(arg.keyword or arg.star == "**" for arg in node.args) else None
    return None


def pairs(bag: Bag) -> list[Pair]:
    """Its keys and values, in order."""
    if isinstance(bag, cst.Call):
        return [Pair(index, _keyword(arg), arg.value) for index, arg in enumerate(bag.args)]
    return [Pair(index, _key(element), element.value) for index, element in enumerate(bag.elements)]


def find(bag: Bag, key: str) -> Pair | None:
    """The last value under a key, which is the one that counts."""
    return next((pair for pair in reversed(pairs(bag)) if pair.key == key), None)


def keyword(name: str, value: cst.BaseExpression) -> cst.Arg:
    """A keyword argument."""
    none = cst.SimpleWhitespace("")
    return cst.Arg(value, keyword=cst.Name(name), equal=cst.AssignEqual(none, none))


def entry(bag: Bag, key: str, value: cst.BaseExpression) -> cst.Arg | cst.DictElement:
    """An entry as the bag writes them."""
    if isinstance(bag, cst.Call):
        return keyword(key, value)
    return cst.DictElement(cst.SimpleString(f'"{key}"'), value)


def with_value(bag: Bag, index: int, value: cst.BaseExpression) -> Bag:
    """The bag with another value at a place; everything else about the entry stays."""
    row = Row.of(bag)
    entries = list(row.entries)
    entries[index] = entries[index].with_changes(value=value)
    return Row(tuple(entries), row.gaps, row.trailing).write_to(bag)


def without(bag: Bag, index: int) -> Bag | None:
    """The bag without an entry, or None where it was the last."""
    row = Row.of(bag).without(index)
    return row.write_to(bag) if row.entries else None


def _key(element: cst.BaseDictElement) -> str | None:
    return text_of(element.key) if isinstance(element, cst.DictElement) else None


def _keyword(arg: cst.Arg) -> str | None:
    return arg.keyword.value if arg.keyword else None
