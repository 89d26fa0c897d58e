"""The rules for nxlog's own requests: ``provider_options`` that ask for logprobs become fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from nxlog.migrate import bags
from nxlog.migrate.findings import Outcome, Refusal
from nxlog.migrate.layout import Remarks, Row
from nxlog.migrate.names import ASYNC_CLIENT, CLIENT, REQUEST
from nxlog.migrate.options import Field, Taken, fields_of, hidden, take, traces

if TYPE_CHECKING:
    from libcst.metadata import Access, Assignment

    from nxlog.migrate.bags import Bag
    from nxlog.migrate.layout import Entry
    from nxlog.migrate.names import Names
    from nxlog.migrate.plan import Plan

OPTIONS = "provider_options"


def fields_bag(call: cst.Call, names: Names) -> Bag | None:
    """Where a call of nxlog has the fields of its request: its own arguments, or the dict it is given."""
    func = call.func
    if names.imported(func) == REQUEST:
        return call
    if not isinstance(func, cst.Attribute):
        return None
    method = func.attr.value
    if method in {"chat", "stream"} and names.type_of(func.value) in {CLIENT, ASYNC_CLIENT}:
        return call
    given: cst.BaseExpression | None = None
    if method == "model_validate" and names.imported(func.value) == REQUEST and len(call.args) == 1:
        given = call.args[0].value
    elif method == "model_copy" and names.type_of(func.value) == REQUEST:
        update = bags.find(call, "update")
        given = update.value if update else None
    return None if given is None else bags.as_bag(given, names)


def visit_fields(call: cst.Call, plan: Plan) -> None:
    """Look at one call of nxlog."""
    names = plan.names
    owner = fields_bag(call, names)
    if owner is None:
        return
    plan.settle(owner)
    options = bags.find(owner, OPTIONS)
    if options is None:
        for pair in bags.pairs(owner):
            if pair.key is None and _is_spread(owner, pair.index):
                _visit_spread(pair.value, plan)
        return
    bag = bags.as_bag(options.value, names)
    if bag is not None:
        _visit_literal(owner, bag, plan, copied=_copied(call))
    elif isinstance(options.value, cst.Name) and names.sole_bag(options.value) is not None:
        _visit_name(options.value, plan)
    else:
        _visit_unknown(options.value, plan)


def _is_spread(owner: Bag, index: int) -> bool:
    if isinstance(owner, cst.Call):
        return owner.args[index].star == "**"
    return isinstance(owner.elements[index], cst.StarredDictElement)


def _visit_spread(value: cst.BaseExpression, plan: Plan) -> None:
    code = plan.names.code(value)
    if found := next(traces(value, plan.names), None):
        for around in plan.names.around(found):
            plan.settle(around)
        plan.say(found, Outcome.BY_HAND, f"it comes into a request through **{code}", ANY)
    elif not _is_plain(value, plan.names):
        plan.say(value, Outcome.UNSEEN, f"**{code} may hold {OPTIONS} that ask for logprobs")


def _is_plain(value: cst.BaseExpression, names: Names) -> bool:
    """Whether it is a dict all of whose keys are written down, with options in it or without."""
    behind = names.sole_value(value) if isinstance(value, cst.Name) else value
    bag = bags.as_bag(behind, names) if behind is not None else None
    if bag is None or any(pair.key is None for pair in bags.pairs(bag)):
        return False
    options = bags.find(bag, OPTIONS)
    return options is None or bags.as_bag(options.value, names) is not None


def _visit_unknown(value: cst.BaseExpression, plan: Plan) -> None:
    names = plan.names
    if found := next(traces(value, names), None):
        why = f"the options are {_short(names.code(value))!r}, which is not a dict written in one place"
        plan.say(found, Outcome.BY_HAND, why, ANY)
    elif names.code(value) != "None":
        plan.say(value, Outcome.UNSEEN, f"{OPTIONS}={_short(names.code(value))} may ask for logprobs")


# -- a dict in the call ----------------------------------------------------------------------------------------------


def _copied(call: cst.Call) -> cst.BaseExpression | None:
    """The request that ``model_copy`` copies."""
    func = call.func
    return func.value if isinstance(func, cst.Attribute) and func.attr.value == "model_copy" else None


def check_fresh(node: cst.BaseExpression, names: Names) -> None:
    """New options replace those that were there: the request must be seen to have none.

    Raises:
        Refusal: it is no ``ChatRequest`` of nxlog, or may have options.
    """
    if names.type_of(node) != REQUEST:
        raise Refusal(f"{words(names.code(node))} is not seen to be a ChatRequest of nxlog")
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and names.imported(node.func) != REQUEST:
        if node.func.attr.value not in {"with_logprobs", "with_top_logprobs"}:
            raise Refusal(f"what the request already holds in {OPTIONS} cannot be seen")
        node = node.func.value
    if isinstance(node, cst.Name):
        node = names.sole_value(node) or node
    if not isinstance(node, cst.Call) or names.imported(node.func) != REQUEST:
        raise Refusal(f"what the request already holds in {OPTIONS} cannot be seen")
    held = [pair.key for pair in bags.pairs(node)]
    if None in held or OPTIONS in held:
        raise Refusal(f"the request already has {OPTIONS}")
    if {"logprobs", "top_logprobs"} & set(held):
        raise Refusal("the request already has logprobs")


def _visit_literal(owner: Bag, bag: Bag, plan: Plan, *, copied: cst.BaseExpression | None) -> None:
    options = bags.find(owner, OPTIONS)
    assert options is not None  # noqa: S101 - the caller has looked
    place = owner.args[options.index] if isinstance(owner, cst.Call) else owner.elements[options.index]
    plan.settle(bag)
    taken = _take(bag, place, plan)
    if taken is None:
        return
    try:
        if copied is not None:
            check_fresh(copied, plan.names)
        fields = _missing(owner, fields_of(taken, plan.names), plan.names)
        index, rest = options.index, taken.rest
        # Tried out on the node as it is: what is refused must be refused before anything is changed.
        _replaced(owner, index, fields, rest)
    except Refusal as refusal:
        plan.say(place, Outcome.BY_HAND, str(refusal), _spelled(taken, plan.names))
        return
    plan.edit(owner, lambda updated: _replaced(updated, index, fields, rest))
    plan.say(place, Outcome.REWRITTEN, _summary(taken, fields, plan.names))


def _take(bag: Bag, place: cst.CSTNode, plan: Plan) -> Taken | None:
    """What the options ask for; None where it is nothing, or nothing that can be taken, which is said."""
    try:
        taken = take(bag, plan.names)
    except Refusal as refusal:
        plan.say(place, Outcome.BY_HAND, str(refusal), ANY)
        return None
    if taken.rest is not None and (found := hidden(taken.rest, plan.names)) is not None:
        plan.say(found, Outcome.BY_HAND, f"it asks for logprobs here, and goes into {OPTIONS} by another name", ANY)
        return None
    if not taken.asks:
        spread = [pair.value for pair in bags.pairs(bag) if pair.key is None]
        if any(found for value in spread for found in traces(value, plan.names)):
            plan.say(place, Outcome.BY_HAND, f"it is spread into {OPTIONS}", ANY)
        elif spread:
            plan.say(place, Outcome.UNSEEN, f"what is spread into {OPTIONS} may ask for logprobs")
        return None
    return taken


def _missing(owner: Bag, fields: list[Field], names: Names) -> list[Field]:
    """The fields without those that the call gives already.

    Raises:
        Refusal: it gives them otherwise, or something in it cannot be seen.
    """
    for pair in bags.pairs(owner):
        if pair.key is None:
            raise Refusal("the call has arguments that cannot be seen from here; they may be logprobs, too")
    missing: list[Field] = []
    for field in fields:
        given = bags.find(owner, field.name)
        if given is None:
            missing.append(field)
        elif names.code(given.value) != names.code(field.value) or field.remarks:
            raise Refusal(f"{field.name}={names.code(given.value)} is given as well")
    turned_off = bags.find(owner, "logprobs")
    if missing and turned_off is not None and names.constant(turned_off.value) is not True:
        raise Refusal(f"logprobs={names.code(turned_off.value)} is given as well")
    return missing


def _replaced(owner: Bag, index: int, fields: list[Field], rest: cst.BaseExpression | None) -> Bag:
    """The call or dict with the fields before its options, or in their place."""
    row = Row.of(owner)
    entries: list[tuple[Entry, Remarks]] = [
        (bags.entry(owner, field.name, field.value), field.remarks) for field in fields
    ]
    if rest is not None:
        entries.append((row.entries[index].with_changes(value=rest), Remarks()))
    if entries:
        return row.put(index, entries).write_to(owner)
    if row.remarks(index):
        raise Refusal("its comments would be lost")
    return row.without(index).write_to(owner)


# -- a dict in a variable --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Variable:
    """A dict that is written once and only ever used as the options of requests."""

    name: str
    bag: Bag
    assignment: Assignment
    uses: tuple[tuple[cst.Call, Bag], ...]


def _variable(name: cst.Name, names: Names) -> _Variable:
    """The variable behind a name, where all of it is seen: one assignment, one scope, no other use.

    Raises:
        Refusal: something else may see the dict.
    """
    assignment, bag = names.sole_assignment(name), names.sole_bag(name)
    assert assignment is not None  # noqa: S101 - the caller has looked
    assert bag is not None  # noqa: S101
    if _exported(name.value, assignment, names):
        raise Refusal(f"other modules may use {name.value} as well")
    if isinstance(names.parent(assignment.node), cst.NamedExpr):
        raise Refusal(f"{name.value} is assigned inside an expression, which has its value, too")
    uses: list[tuple[cst.Call, Bag]] = []
    for access in assignment.references:
        use = _use(access, names)
        if access.scope is not assignment.scope:
            raise Refusal(f"{name.value} is used in another scope than the one it is assigned in")
        if use is None:
            raise Refusal(f"{name.value} is used for more than {OPTIONS} of requests")
        uses.append(use)
    return _Variable(name.value, bag, assignment, tuple(uses))


def _exported(name: str, assignment: Assignment, names: Names) -> bool:
    """Whether other modules are meant to use it: a constant of the module, a class attribute, a name in __all__."""
    if not names.is_global(assignment.scope):
        return False
    return not name.islower() or not names.at_top(assignment.scope) or name in names.exported()


def _use(access: Access, names: Names) -> tuple[cst.Call, Bag] | None:
    arg = names.parent(access.node)
    call = names.parent(arg) if isinstance(arg, cst.Arg) else None
    if not isinstance(arg, cst.Arg) or not isinstance(call, cst.Call):
        return None
    if arg.keyword is None or arg.keyword.value != OPTIONS or arg.value is not access.node:
        return None
    return (call, call) if fields_bag(call, names) is call else None


def _visit_name(name: cst.Name, plan: Plan) -> None:
    try:
        variable = _variable(name, plan.names)
    except Refusal as refusal:
        if found := next(traces(name, plan.names), None):
            plan.say(found, Outcome.BY_HAND, str(refusal), ANY)
        return
    _visit_variable(variable, plan)


def _visit_variable(variable: _Variable, plan: Plan) -> None:
    names = plan.names
    if plan.settled(variable.bag):
        return
    plan.settle(variable.bag)
    taken = _take(variable.bag, variable.assignment.node, plan)
    if taken is None:
        return
    places = [_option_of(owner) for _, owner in variable.uses]
    try:
        found = fields_of(taken, names)
        moved = [Field(field.name, _timeless(field, names)) for field in found]
        gone = _statement_that_goes(variable, taken, found, names)
        _check_remarks(found, gone)
        fields = {owner: _missing(owner, moved, names) for _, owner in variable.uses}
    except Refusal as refusal:
        plan.say(variable.assignment.node, Outcome.BY_HAND, str(refusal), _spelled(taken, names))
        return
    for (_, owner), (index, _) in zip(variable.uses, places, strict=True):
        _edit_use(owner, index, fields[owner], plan, keep=gone is None)
    if gone is not None:
        plan.edit(gone, lambda _: cst.RemoveFromParent())
    else:
        plan.edit(variable.bag, lambda updated: taken.rest or _emptied(updated))
    plan.say(variable.assignment.node, Outcome.REWRITTEN, _summary(taken, moved, names))


def _edit_use(owner: Bag, index: int, fields: list[Field], plan: Plan, *, keep: bool) -> None:
    def edit(updated: Bag) -> Bag:
        row = Row.of(updated)
        entries: list[tuple[Entry, Remarks]] = [
            (bags.entry(updated, field.name, field.value), Remarks()) for field in fields
        ]
        if keep:
            entries.append((row.entries[index], Remarks()))
        changed = row.put(index, entries) if entries else row.without(index)
        return changed.write_to(updated)

    plan.edit(owner, edit)


def _check_remarks(fields: list[Field], gone: cst.SimpleStatementLine | None) -> None:
    # The comments of a dict say nothing about the calls that it is used in.
    if gone is None and any(field.remarks for field in fields):
        raise Refusal("its comments would be lost")


def _option_of(owner: Bag) -> tuple[int, cst.BaseExpression]:
    pair = bags.find(owner, OPTIONS)
    assert pair is not None  # noqa: S101 - that is how the use was found
    return pair.index, pair.value


def _timeless(field: Field, names: Names) -> cst.BaseExpression:
    """The value, where it is the same at the call as where the dict is written."""
    if names.constant(field.value) is ...:
        raise Refusal(f"{field.name}: {names.code(field.value)} may have changed between the dict and the call")
    return field.value


def _statement_that_goes(
    variable: _Variable, taken: Taken, fields: list[Field], names: Names
) -> cst.SimpleStatementLine | None:
    """The assignment of a dict of which nothing is left, where no comment and no empty block would be left behind."""
    line = next((n for n in names.around(variable.assignment.node) if isinstance(n, cst.SimpleStatementLine)), None)
    if taken.rest is not None or line is None or len(line.body) != 1 or any(field.remarks for field in fields):
        return None
    if not isinstance(line.body[0], cst.Assign | cst.AnnAssign) or line.trailing_whitespace.comment:
        return None
    if any(empty.comment for empty in line.leading_lines):
        return None
    block = names.parent(line)
    return line if isinstance(block, cst.Module | cst.IndentedBlock) and len(block.body) > 1 else None


def _emptied(bag: Bag) -> Bag:
    return bag.with_changes(args=[]) if isinstance(bag, cst.Call) else cst.Dict([])


# -- words -----------------------------------------------------------------------------------------------------------

ANY = "logprobs=..., top_logprobs=..."


def _spelled(taken: Taken, names: Names) -> str:
    try:
        fields = fields_of(taken, names)
    except Refusal:
        return ANY
    return spelled(fields, names)


def spelled(fields: list[Field], names: Names) -> str:
    """Fields as they are written in a call."""
    return ", ".join(f"{field.name}={names.code(field.value)}" for field in fields)


def _summary(taken: Taken, fields: list[Field], names: Names) -> str:
    keys = " and ".join(repr(ask.key) for ask in taken.asks)
    return f"{keys} in {OPTIONS} -> {spelled(fields, names) or 'nothing: it is given already, or is None'}"


def words(code: str) -> str:
    """Code as a part of a sentence."""
    one_line = " ".join(code.split())
    return one_line if len(one_line) <= 40 else one_line[:37] + "..."


def _short(code: str) -> str:
    one_line = " ".join(code.split())
    return one_line if len(one_line) <= 60 else one_line[:57] + "..."
