"""The one kind of code for another library that is rewritten: scripts that use the OpenAI SDK and see all of it.

A script is simple where every use of the SDK is in one scope and means the same in nxlog: the client is made there,
each call is given literals, and of each reply only what both replies have is read. One use that is not, and all of it
is listed instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import libcst as cst
import libcst.matchers as m
from libcst.metadata import Assignment

from nxlog.migrate import bags
from nxlog.migrate.findings import Outcome, Refusal
from nxlog.migrate.layout import Remarks, Row
from nxlog.migrate.literals import text_of
from nxlog.migrate.options import Field, fields_of, take
from nxlog.migrate.replies import check_reply
from nxlog.migrate.spellings import meaning_of

if TYPE_CHECKING:
    from nxlog.migrate.names import Names
    from nxlog.migrate.plan import Plan

_CLASSES = {"OpenAI": "Client", "AsyncOpenAI": "AsyncClient"}
_FIELDS = frozenset(
    {"model", "messages", "logprobs", "top_logprobs", "temperature", "top_p", "max_tokens", "seed", "n", "stop"}
    | {"presence_penalty", "frequency_penalty", "extra_body"}
)
_ROLES = {"system", "developer", "user", "assistant"}
_BASE_URL = 'os.environ.get("OPENAI_BASE_URL")'


@dataclass
class _Script:
    """Everything in a module that has to do with the SDK."""

    imported: cst.ImportFrom
    made: list[tuple[cst.Call, str]] = field(default_factory=list[tuple[cst.Call, str]])
    """Clients where they are made, and their class."""
    calls: list[cst.Call] = field(default_factory=list[cst.Call])
    texts: list[cst.Attribute] = field(default_factory=list[cst.Attribute])
    """``.message.content`` of replies."""


def visit_scripts(plan: Plan) -> None:
    """Rewrite a script, or remember why it cannot be."""
    names = plan.names
    try:
        script = _script(names)
    except Refusal as refusal:
        plan.reasons["openai"] = str(refusal)
        return
    if script is None or not any(_asks(call, names) for call in script.calls):
        return
    plan.edit(script.imported, _edit_import)
    for made, kind in script.made:
        plan.edit(made, partial(_edit_client, kind=kind))
    plan.needed.add("os")
    for call in script.calls:
        fields = _extra_fields(call, names)
        plan.edit(call, partial(_edit_call, fields=fields))
        plan.settle(call)
        plan.say(call, Outcome.REWRITTEN, "chat.completions.create of the OpenAI SDK -> chat of nxlog")
    for text in script.texts:
        plan.edit(text, _edit_text)
    for made, kind in script.made:
        what = f"{kind} -> {_CLASSES[kind]}; OPENAI_ORG_ID and OPENAI_PROJECT_ID are no longer read"
        plan.say(made, Outcome.REWRITTEN, what)


# -- what is simple --------------------------------------------------------------------------------------------------


def _script(names: Names) -> _Script | None:
    """The script, or None where the module does not import the SDK.

    Raises:
        Refusal: it is not simple.
    """
    imports = [a for a in names.imports() if names.root_of(a) == "openai"]
    if not imports:
        return None
    statements = {a.node for a in imports}
    statement = statements.pop()
    if statements or not isinstance(statement, cst.ImportFrom) or isinstance(statement.names, cst.ImportStar):
        raise Refusal("more of openai is imported than `from openai import OpenAI`")
    if {names.code(alias.name) for alias in statement.names} - _CLASSES.keys() or names.code(
        statement.module or cst.Name("_")
    ) != "openai":
        raise Refusal("more of openai is imported than its clients")
    for taken in ("Client", "AsyncClient"):
        if names.binds(taken):
            raise Refusal(f"the name {taken} is taken")
    if names.binds("os") and not names.is_module("os"):
        raise Refusal("the name os is taken")
    script = _Script(statement)
    for assignment in imports:
        for access in assignment.references:
            _check_client(access.node, script, names)
    return script


def _check_client(name: cst.CSTNode, script: _Script, names: Names) -> None:
    made = names.parent(name)
    kind = (names.imported(name) or "").removeprefix("openai.")
    if not isinstance(made, cst.Call) or made.func is not name or kind not in _CLASSES:
        raise Refusal("a class of openai is used for more than to make a client")
    if any(arg.keyword is None or arg.keyword.value != "api_key" for arg in made.args):
        raise Refusal("the client is made with options")
    _check_scope(made, names)
    script.made.append((made, kind))
    variable = _variable(made, names)
    for access in variable.references:
        if access.scope is not variable.scope:
            raise Refusal("the client is used in another scope than the one that makes it")
        _check_use(access.node, script, names)


def _check_scope(node: cst.CSTNode, names: Names) -> None:
    """The module's own code or a private function: elsewhere, callers may rely on the exceptions of openai."""
    for around in names.around(node):
        if isinstance(around, cst.Try | cst.TryStar):
            raise Refusal("it is inside a try statement, and the exceptions are others")
        if isinstance(around, cst.ClassDef | cst.Lambda):
            raise Refusal("the client is made inside a class")
        if isinstance(around, cst.FunctionDef) and not _is_private(around):
            raise Refusal(f"callers of {around.name.value} may rely on the exceptions of openai")


def _is_private(function: cst.FunctionDef) -> bool:
    name = function.name.value
    return not function.decorators and (name == "main" or name.startswith("_"))


def _variable(made: cst.Call, names: Names) -> Assignment:
    """The name a value is given, once."""
    around = names.parent(made)
    around = names.parent(around) if isinstance(around, cst.Await) else around
    target: cst.CSTNode | None = None
    if isinstance(around, cst.Assign) and len(around.targets) == 1:
        target = around.targets[0].target
    elif isinstance(around, cst.WithItem) and around.asname is not None:
        target = around.asname.name
    if not isinstance(target, cst.Name):
        raise Refusal("a client or a reply is not simply given a name")
    found = names.assignments(target)
    if len(found) != 1 or not isinstance(found[0], Assignment):
        raise Refusal(f"{target.value} is assigned in several places")
    if names.at_top(found[0].scope) and target.value in names.exported():
        raise Refusal(f"{target.value} is exported")
    return found[0]


def _check_use(name: cst.CSTNode, script: _Script, names: Names) -> None:
    """One use of a client: a chat completion, the reply of which is only read in known ways."""
    create = names.parent(names.parent(names.parent(name) or name) or name)
    call = names.parent(create) if create is not None else None
    spelled = m.Attribute(m.Attribute(m.Attribute(m.Name(), m.Name("chat")), m.Name("completions")), m.Name("create"))
    if not isinstance(call, cst.Call) or call.func is not create or not m.matches(call.func, spelled):
        raise Refusal("the client is used for more than chat.completions.create")
    _check_scope(call, names)
    _check_arguments(call, names)
    script.calls.append(call)
    reply = _variable(call, names)
    for access in reply.references:
        if access.scope is not reply.scope:
            raise Refusal("a reply is used in another scope")
        script.texts += check_reply(access.node, names)


def _check_arguments(call: cst.Call, names: Names) -> None:
    for pair in bags.pairs(call):
        if pair.key not in _FIELDS:
            raise Refusal(f"the argument {names.code(call.args[pair.index])[:40]!r} is not simple")
        if pair.key == "messages":
            _check_messages(pair.value, names)
        elif pair.key == "model":
            if "/" in (text_of(pair.value) or "/"):
                raise Refusal("the model is not a plain name")
        elif pair.key == "extra_body":
            _extra_fields(call, names)
        elif not isinstance(pair.value, cst.Float | cst.SimpleString) and names.constant(pair.value) in {..., None}:
            raise Refusal(f"the value of {pair.key} is not written there")
    known = {pair.key: names.constant(pair.value) for pair in bags.pairs(call)}
    if not isinstance(known.get("logprobs", True), bool) or isinstance(known.get("top_logprobs", 0), bool):
        raise Refusal("logprobs is not given as a bool")
    if known.get("logprobs") is False and "top_logprobs" in known:
        raise Refusal("logprobs are turned off and asked for")


def _check_messages(value: cst.BaseExpression, names: Names) -> None:
    if isinstance(value, cst.Name):
        assignment = names.sole_assignment(value)
        uses = assignment.references if assignment is not None else ()
        if any(not m.matches(names.parent(use.node) or use.node, m.Arg(keyword=m.Name("messages"))) for use in uses):
            raise Refusal("the messages are used for something else as well")
        value = names.sole_value(value) or value
    if not isinstance(value, cst.List) or not value.elements:
        raise Refusal("the messages are not written there")
    for element in value.elements:
        message = element.value
        held = {pair.key: pair.value for pair in bags.pairs(message)} if isinstance(message, cst.Dict) else {}
        if set(held) != {"role", "content"} or text_of(held["role"]) not in _ROLES:
            raise Refusal("a message is more than a role and a content")


def _asks(call: cst.Call, names: Names) -> bool:
    given = [pair for pair in bags.pairs(call) if pair.key and (meaning_of(pair.key) or pair.key == "extra_body")]
    return any(names.constant(pair.value) not in {False, None} for pair in given)


def _extra_fields(call: cst.Call, names: Names) -> list[Field]:
    """The fields in ``extra_body``, which must hold nothing else."""
    extra = bags.find(call, "extra_body")
    if extra is None:
        return []
    bag = bags.as_bag(extra.value, names)
    taken = take(bag, names) if bag is not None else None
    if (
        taken is None
        or taken.rest is not None
        or any(ask.key not in {"logprobs", "top_logprobs"} for ask in taken.asks)
    ):
        raise Refusal("extra_body holds more than logprobs")
    fields = fields_of(taken, names)
    if any(bags.find(call, one.name) for one in fields) or any(names.constant(one.value) is ... for one in fields):
        raise Refusal("extra_body gives logprobs that are given, or not known")
    return fields


# -- what it becomes -------------------------------------------------------------------------------------------------


def _edit_import(updated: cst.ImportFrom) -> cst.ImportFrom:
    assert not isinstance(updated.names, cst.ImportStar)  # noqa: S101 - it was looked at
    names = [
        alias.with_changes(name=cst.Name(_CLASSES[cst.ensure_type(alias.name, cst.Name).value]))
        for alias in updated.names
    ]
    return updated.with_changes(module=cst.Name("nxlog"), names=names)


def _edit_client(updated: cst.Call, kind: str) -> cst.Call:
    func = updated.func
    if isinstance(func, cst.Name) and func.value == kind:
        func = cst.Name(_CLASSES[kind])
    made = cst.ensure_type(cst.parse_expression(f'f(provider="openai", base_url={_BASE_URL})'), cst.Call)
    if not updated.args:
        return updated.with_changes(func=func, args=made.args)
    row = Row.of(updated)
    front = [(arg, Remarks()) for arg in made.args]
    written = row.put(0, [*front, (row.entries[0], Remarks())]).write_to(updated)
    return written.with_changes(func=func)


def _edit_call(updated: cst.Call, fields: list[Field]) -> cst.Call:
    create = cst.ensure_type(updated.func, cst.Attribute)
    chat = cst.ensure_type(cst.ensure_type(create.value, cst.Attribute).value, cst.Attribute)
    updated = updated.with_changes(func=chat)
    extra = bags.find(updated, "extra_body")
    if extra is None:
        return updated
    row = Row.of(updated).put(extra.index, [(bags.entry(updated, f.name, f.value), f.remarks) for f in fields])
    return cst.ensure_type(row.write_to(updated), cst.Call)


def _edit_text(updated: cst.Attribute) -> cst.Attribute:
    """``.message.content`` becomes ``.text``."""
    return cst.ensure_type(updated.value, cst.Attribute).with_changes(attr=cst.Name("text"))
