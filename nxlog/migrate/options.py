"""What a dict of provider options asks for, as fields of ``ChatRequest``, and what stays in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst
import libcst.matchers as m

from nxlog.migrate import bags
from nxlog.migrate.findings import Refusal
from nxlog.migrate.layout import Remarks, Row, above_in, beside_in
from nxlog.migrate.literals import text_of
from nxlog.migrate.spellings import INCLUDE, ZERO_IS_NONE, Meaning, letters, meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog.migrate.bags import Bag
    from nxlog.migrate.names import Names

TRUE, FALSE = cst.Name("True"), cst.Name("False")


@dataclass(frozen=True)
class Ask:
    """One spelling found in the options."""

    key: str
    """With the keys around it: ``generationConfig.responseLogprobs``."""
    meaning: Meaning
    value: cst.BaseExpression
    remarks: Remarks
    zero_is_none: bool = False


@dataclass
class Taken:
    """Options without what asked for logprobs."""

    asks: list[Ask] = field(default_factory=list[Ask])
    rest: Bag | None = None
    """None where nothing is left."""
    loose: list[str] = field(default_factory=list[str])
    """Comments that belong to none of the keys that stay."""
    ending: list[str] = field(default_factory=list[str])
    """The same, from below the last key."""


@dataclass(frozen=True)
class Field:
    """A field of ``ChatRequest`` and its value."""

    name: str
    value: cst.BaseExpression
    remarks: Remarks = field(default_factory=Remarks)


def take(bag: Bag, names: Names, place: str = "") -> Taken:
    """Take out what asks for logprobs, also from the dicts inside.

    Raises:
        Refusal: logprobs are asked for in a way that cannot be taken out.
    """
    taken = Taken(rest=bag)
    for pair in reversed(bags.pairs(bag)):
        if taken.rest is None or pair.key is None:
            continue
        if meaning := meaning_of(pair.key):
            remarks = Row.of(taken.rest).remarks(pair.index)
            zero_is_none = letters(pair.key) in ZERO_IS_NONE
            taken.asks.insert(0, Ask(place + pair.key, meaning, pair.value, remarks, zero_is_none))
            _shrink(taken, pair.index, None)
        elif pair.key == "include" and holds_include(pair.value):
            rest = _without_include(pair.value)
            remarks = Row.of(taken.rest).remarks(pair.index) if rest is None else Remarks()
            taken.asks.insert(0, Ask(place + pair.key, Meaning.FLAG, TRUE, remarks))
            _shrink(taken, pair.index, rest)
        elif (inner := bags.as_bag(pair.value, names)) is not None:
            found = take(inner, names, f"{place}{pair.key}.")
            if found.asks:
                taken.asks = found.asks + taken.asks
                gone = Row.of(taken.rest).remarks(pair.index) if found.rest is None else Remarks()
                taken.loose = [*gone.above, *found.loose, *taken.loose]
                taken.ending = [*found.ending, *([gone.beside] if gone.beside else []), *taken.ending]
                _shrink(taken, pair.index, found.rest)
    if taken.asks:
        if any(pair.key is None for pair in bags.pairs(bag)):
            raise Refusal("other options are spread into it or have computed keys; they may ask for logprobs, too")
        _check_order(taken, bag)
    return taken


def _shrink(taken: Taken, index: int, value: cst.BaseExpression | None) -> None:
    assert taken.rest is not None  # noqa: S101 - the caller has looked
    if value is not None:
        taken.rest = bags.with_value(taken.rest, index, value)
        return
    before = taken.rest
    taken.rest = bags.without(before, index)
    if taken.rest is None:
        row = Row.of(before)
        opening, closing = beside_in(row.gaps[0]), above_in(row.gaps[-1])
        taken.loose = [*([opening] if opening else []), *taken.loose]
        taken.ending = [*taken.ending, *closing]


def _check_order(taken: Taken, bag: Bag) -> None:
    """Values move: that must not change what is evaluated before what."""
    for ask in taken.asks:
        if m.findall(ask.value, m.Await() | m.Yield() | m.NamedExpr() | m.Lambda()):
            raise Refusal(f"the value of {ask.key!r} does more than give a value")
    calls = [pair for pair in bags.pairs(bag) if m.findall(pair.value, m.Call(func=~m.Name("dict")) | m.Await())]
    if len(calls) > 1 and any(m.findall(ask.value, m.Call()) for ask in taken.asks):
        raise Refusal("several of its values are calls, and moving one would change their order")


def holds_include(value: cst.BaseExpression) -> bool:
    """Whether a list names the logprobs of the Responses API."""
    return isinstance(value, cst.List) and any(text_of(item.value) == INCLUDE for item in value.elements)


def _without_include(value: cst.BaseExpression) -> cst.BaseExpression | None:
    assert isinstance(value, cst.List)  # noqa: S101 - the caller has looked
    row = Row.of(value)
    for index in reversed(range(len(value.elements))):
        if text_of(value.elements[index].value) == INCLUDE:
            if row.remarks(index):
                raise Refusal("a comment in the list 'include' would be lost")
            row = row.without(index)
    return row.write_to(value) if row.entries else None


# -- from spellings to fields ----------------------------------------------------------------------------------------


@dataclass
class _Sum:
    """What all spellings together say."""

    flags: list[tuple[cst.BaseExpression, object]] = field(default_factory=list[tuple[cst.BaseExpression, object]])
    counts: list[tuple[cst.BaseExpression, object]] = field(default_factory=list[tuple[cst.BaseExpression, object]])
    on: Remarks = field(default_factory=Remarks)
    top: Remarks = field(default_factory=Remarks)


def fields_of(taken: Taken, names: Names) -> list[Field]:
    """The fields that ask for the same, with the comments of the keys they come from.

    Raises:
        Refusal: the spellings contradict each other, or a value could be one that the field does not take.
    """
    total = _Sum()
    for ask in taken.asks:
        known = names.constant(ask.value)
        if known is None:
            _remember(total.on, ask.remarks)
        elif _counts(ask, known, names):
            total.counts.append((ask.value, known))
            _remember(total.top, ask.remarks)
        else:
            total.flags.append((ask.value, known))
            _remember(total.on, ask.remarks)
    flag, count = _agreed(total.flags, "logprobs", names), _agreed(total.counts, "top_logprobs", names)
    fields = _fields(flag, count, total, explicit=bool(total.flags))
    if fields:
        first = fields[0].remarks
        first.above[:0] = taken.loose
        for remarks in (total.on, total.top):
            if all(remarks is not given.remarks for given in fields):
                first.above[:0] = remarks.all()
        first.above += taken.ending
    elif taken.loose or taken.ending or total.on:
        raise Refusal("its comments would be lost")
    return fields


def _fields(
    flag: tuple[cst.BaseExpression, object] | None,
    count: tuple[cst.BaseExpression, object] | None,
    total: _Sum,
    *,
    explicit: bool,
) -> list[Field]:
    if count is None:
        return [Field("logprobs", flag[0], total.on)] if flag else []
    value, known = count
    top = Field("top_logprobs", value, total.top)
    if flag is None:
        # A count that is only known at run time may be None, which asks for nothing.
        return [Field("logprobs", TRUE, total.on), top] if known is not ... or explicit else [top]
    if flag[1] is True:
        return [Field("logprobs", flag[0], total.on), top]
    if flag[1] is False:
        raise Refusal("it turns logprobs off and asks for alternatives")
    raise Refusal("whether logprobs are on is only known at run time, and top_logprobs is not taken when they are off")


def _counts(ask: Ask, known: object, names: Names) -> bool:
    """Whether the value is a number of alternatives; if not, it is a bool."""
    if ask.meaning is not Meaning.COUNT and (isinstance(known, bool) or _is_bool(ask.value, names)):
        return False
    if ask.meaning is Meaning.FLAG:
        raise Refusal(f"{ask.key!r}: cannot see that {names.code(ask.value)} is a bool")
    if isinstance(known, int) and not isinstance(known, bool):
        if known < 0:
            raise Refusal(f"{ask.key!r}: {known} is no number of alternatives")
        if known == 0 and (ask.zero_is_none or ask.meaning is Meaning.EITHER):
            raise Refusal(f"{ask.key!r}: 0 means no logprobs to some servers and no alternatives to others")
        return True
    if known is not ...:
        raise Refusal(f"{ask.key!r}: {names.code(ask.value)} is no number of alternatives")
    if ask.meaning is Meaning.EITHER and not _annotated(ask.value, names, {"int"}):
        raise Refusal(f"{ask.key!r}: cannot see whether {names.code(ask.value)} is a bool or a number of alternatives")
    if ask.zero_is_none:
        raise Refusal(f"{ask.key!r}: {names.code(ask.value)} may be 0, which means no logprobs there")
    if not isinstance(ask.value, cst.Name | cst.Attribute | cst.Call | cst.Subscript | cst.BinaryOperation):
        raise Refusal(f"{ask.key!r}: cannot see that {names.code(ask.value)} is a number of alternatives")
    return True


def _is_bool(value: cst.BaseExpression, names: Names) -> bool:
    if isinstance(value, cst.Comparison):
        return True
    if isinstance(value, cst.UnaryOperation):
        return isinstance(value.operator, cst.Not)
    if isinstance(value, cst.Call):
        return names.is_builtin(value.func, "bool")
    return _annotated(value, names, {"bool", "bool | None", "Optional[bool]"})


def _annotated(value: cst.BaseExpression, names: Names, kinds: set[str]) -> bool:
    return isinstance(value, cst.Name) and names.annotation(value) in kinds


def _agreed(
    found: list[tuple[cst.BaseExpression, object]], field_name: str, names: Names
) -> tuple[cst.BaseExpression, object] | None:
    if not found:
        return None
    first = found[0]
    for value, known in found[1:]:
        same = known == first[1] if known is not ... else names.code(value) == names.code(first[0])
        if not same:
            raise Refusal(f"several keys ask for {field_name}, and not for the same")
    return first


def _remember(into: Remarks, remarks: Remarks) -> None:
    if into.beside:
        into.above.append(into.beside)
        into.beside = None
    into.above += remarks.above
    into.beside = remarks.beside


# -- what cannot be read ---------------------------------------------------------------------------------------------


def traces(node: cst.CSTNode, names: Names, depth: int = 4) -> Iterator[cst.CSTNode]:
    """Places inside an expression, and behind the names in it, that spell out a wish for logprobs."""
    for found in m.findall(node, m.SimpleString() | m.Arg() | m.Name()):
        if isinstance(found, cst.SimpleString):
            text = text_of(found)
            if text is not None and (meaning_of(text) or text == INCLUDE):
                yield found
        elif isinstance(found, cst.Arg):
            if found.keyword and meaning_of(found.keyword.value):
                yield found
        elif isinstance(found, cst.Name) and depth:
            yield from _behind(found, names, depth - 1)


def hidden(node: cst.CSTNode, names: Names) -> cst.CSTNode | None:
    """The first place behind a name in the expression that asks for logprobs."""
    for name in m.findall(node, m.Name()):
        if isinstance(name, cst.Name) and (found := next(_behind(name, names, 3), None)) is not None:
            return found
    return None


def _behind(name: cst.Name, names: Names, depth: int) -> Iterator[cst.CSTNode]:
    """Where a name gets its values, and where they are changed."""
    for assignment in names.assignments(name):
        source = _source(getattr(assignment, "node", None), names)
        if source is None:
            continue
        yield from traces(source, names, depth)
        for access in assignment.references:
            yield from _changes(access.node, names)


def _source(node: cst.CSTNode | None, names: Names) -> cst.BaseExpression | None:
    """The expression that what is assigned comes from, whole or in part."""
    if isinstance(node, cst.Param):
        return node.default
    if isinstance(node, cst.Name):
        for around in names.around(node):
            if isinstance(around, cst.Assign | cst.AnnAssign | cst.NamedExpr):
                return around.value
            if isinstance(around, cst.For | cst.CompFor):
                return around.iter
            if isinstance(around, cst.BaseSmallStatement | cst.BaseCompoundStatement):
                break
    return None


def _changes(use: cst.CSTNode, names: Names) -> Iterator[cst.CSTNode]:
    """``options["logprobs"] = ...``, ``options.update(logprobs=...)``, ``options.setdefault("logprobs", ...)``."""
    around = names.parent(use)
    if isinstance(around, cst.Subscript) and around.value is use and isinstance(names.parent(around), cst.AssignTarget):
        yield from traces(around, names, 0)
    elif isinstance(around, cst.Attribute) and around.value is use and around.attr.value in {"update", "setdefault"}:
        call = names.parent(around)
        if call is not None:
            yield from traces(call, names, 0)
    elif isinstance(around, cst.AugAssign) and around.target is use:
        yield from traces(around.value, names, 0)
