"""The rule for ``request.with_provider_options(...)``, and what is said of options that go elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import libcst as cst
import libcst.matchers as m

from nxlog.migrate import bags
from nxlog.migrate.findings import Outcome, Refusal
from nxlog.migrate.options import Field, fields_of, hidden, take, traces
from nxlog.migrate.requests import ANY, OPTIONS, check_fresh, spelled, words

if TYPE_CHECKING:
    from nxlog.migrate.bags import Bag
    from nxlog.migrate.names import Names
    from nxlog.migrate.plan import Plan

_METHOD = "with_provider_options"
_Steps: TypeAlias = "list[tuple[str, cst.BaseExpression | None]]"


def visit_builder(call: cst.Call, plan: Plan) -> None:
    """Look at a call of ``with_provider_options``."""
    names = plan.names
    if not isinstance(call.func, cst.Attribute) or call.func.attr.value != _METHOD:
        return
    bag = _given(call, names)
    if bag is None:
        if found := next((trace for arg in call.args for trace in traces(arg.value, names)), None):
            plan.say(found, Outcome.BY_HAND, f"it goes into {_METHOD} by another name", _chain(ANY))
        return
    place = call.func.attr
    fields: list[Field] = []
    try:
        taken = take(bag, names)
        rest = taken.rest
        if not taken.asks:
            return
        fields = fields_of(taken, names)
        check_fresh(call.func.value, names)
        _check_rest(rest, names)
        _check_comments(bag, rest, fields)
        steps = _steps(fields, names)
    except Refusal as refusal:
        plan.say(place, Outcome.BY_HAND, str(refusal), _chain(spelled(fields, names) or ANY))
        return
    plan.settle(bag)
    plan.edit(call, lambda updated: _chained(updated, steps, rest))
    keys = " and ".join(repr(ask.key) for ask in taken.asks)
    plan.say(place, Outcome.REWRITTEN, f"{keys} in {_METHOD} -> {spelled(fields, names) or 'nothing'}")


def _given(call: cst.Call, names: Names) -> Bag | None:
    """The options: the one dict given, or the keyword arguments."""
    if len(call.args) == 1 and not call.args[0].star and call.args[0].keyword is None:
        return bags.as_bag(call.args[0].value, names)
    return call if call.args and all(arg.keyword for arg in call.args) else None


def _check_rest(rest: Bag | None, names: Names) -> None:
    if rest is not None and hidden(rest, names) is not None:
        raise Refusal("another dict that goes along asks for logprobs, too")


def _check_comments(bag: Bag, rest: Bag | None, fields: list[Field]) -> None:
    # A chain of calls has no place for the comments of a dict.
    if any(field.remarks for field in fields) or (rest is None and m.findall(bag, m.Comment())):
        raise Refusal("its comments would be lost")


def _steps(fields: list[Field], names: Names) -> _Steps:
    """The builders for the fields, each with its argument."""
    given = {field.name: field.value for field in fields}
    if "top_logprobs" in given:
        if not isinstance(names.constant(given["top_logprobs"]), int):
            raise Refusal("with_top_logprobs takes a number only, and it is not seen to be one")
        return [("with_top_logprobs", given["top_logprobs"])]
    if "logprobs" in given:
        known = names.constant(given["logprobs"])
        return [("with_logprobs", None if known is True else given["logprobs"])]
    return []


def _chained(
    call: cst.Call, steps: list[tuple[str, cst.BaseExpression | None]], rest: Bag | None
) -> cst.BaseExpression:
    func = cst.ensure_type(call.func, cst.Attribute)
    chain = func.value
    for method, value in steps:
        args = [] if value is None else [cst.Arg(value)]
        chain = cst.Call(func.with_changes(value=chain, attr=cst.Name(method)), args)
    if rest is not None:
        options = rest if isinstance(rest, cst.Dict) else cst.Call(cst.Name("dict"), rest.args)
        update = cst.Dict([cst.DictElement(cst.SimpleString(f'"{OPTIONS}"'), options)])
        copied = func.with_changes(value=chain, attr=cst.Name("model_copy"))
        chain = cst.Call(copied, [bags.keyword("update", update)])
    if isinstance(chain, cst.Call):
        return chain.with_changes(lpar=call.lpar, rpar=call.rpar)
    return chain


def visit_elsewhere(node: cst.Call | cst.Dict, plan: Plan) -> None:
    """Options that ask for logprobs and go somewhere that is not seen to be nxlog."""
    if plan.settled(node):
        return
    entries = node.args if isinstance(node, cst.Call) else node.elements
    for entry, pair in zip(entries, bags.pairs(node), strict=True):
        if pair.key == OPTIONS and any(traces(pair.value, plan.names)):
            where = f"the call of {words(plan.names.code(node.func))}" if isinstance(node, cst.Call) else "the dict"
            why = f"{where} is not seen to be a request of nxlog"
            plan.say(entry, Outcome.BY_HAND, why, ANY)


def _chain(fields: str) -> str:
    return f"request.model_copy(update=dict({fields}))"
