"""What a name means where it is used: the import behind it, the class of the object, the one value it was given.

Everything here says None where the code leaves it open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import libcst as cst
import libcst.matchers as m
from libcst.metadata import (
    Assignment,
    ClassScope,
    GlobalScope,
    ImportAssignment,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameSource,
    Scope,
    ScopeProvider,
)

from nxlog.migrate.bags import as_bag
from nxlog.migrate.literals import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libcst.metadata import MetadataWrapper

    from nxlog.migrate.bags import Bag

_DEPTH = 20
"""How many names are followed; code that defines names in a circle is looked at like any other."""

REQUEST = "nxlog.ChatRequest"
CLIENT = "nxlog.Client"
ASYNC_CLIENT = "nxlog.AsyncClient"

# Where the public names live; the report and the rules speak of the public ones only.
_PUBLIC = {
    "nxlog.request.ChatRequest": REQUEST,
    "nxlog.client.Client": CLIENT,
    "nxlog.client.AsyncClient": ASYNC_CLIENT,
}
_BUILDERS = {"with_logprobs", "with_top_logprobs", "with_provider_options", "model_copy"}
_ENTERED = {"enter_context", "enter_async_context"}


class Names:
    """The names of one module."""

    def __init__(self, wrapper: MetadataWrapper) -> None:
        self.module: cst.Module = wrapper.module
        self._scopes = cast("dict[cst.CSTNode, Scope | None]", wrapper.resolve(ScopeProvider))
        self._parents = cast("dict[cst.CSTNode, cst.CSTNode]", wrapper.resolve(ParentNodeProvider))
        self._positions = cast("dict[cst.CSTNode, Any]", wrapper.resolve(PositionProvider))

    # -- places ------------------------------------------------------------------------------------------------------

    def scope(self, node: cst.CSTNode) -> Scope | None:
        """The scope a node is evaluated in."""
        return self._scopes.get(node)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node around it."""
        return self._parents.get(node)

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes around it, from the inside out."""
        found = self.parent(node)
        while found is not None:
            yield found
            found = self.parent(found)

    def place(self, node: cst.CSTNode) -> tuple[int, int]:
        """Line and column, both from 1."""
        start = self._positions[node].start
        return start.line, start.column + 1

    def code(self, node: cst.CSTNode) -> str:
        """The code of a node."""
        return self.module.code_for_node(node)

    # -- imports -----------------------------------------------------------------------------------------------------

    def imported(self, node: cst.CSTNode) -> str | None:
        """The full name of what was imported, ``"nxlog.Client"``, whatever it is called here."""
        return self._one(node, QualifiedNameSource.IMPORT)

    def is_builtin(self, node: cst.CSTNode, name: str) -> bool:
        """Whether it is that builtin and nothing has taken its name."""
        return self._one(node, QualifiedNameSource.BUILTIN) == f"builtins.{name}"

    def _one(self, node: cst.CSTNode, source: QualifiedNameSource) -> str | None:
        scope, root = self.scope(node), node
        while isinstance(root, cst.Attribute):
            root = root.value
        # Of what a call returns, libcst would give the name of what was called.
        if scope is None or not isinstance(node, cst.Name | cst.Attribute) or not isinstance(root, cst.Name):
            return None
        found = {_PUBLIC.get(entry.name, entry.name): entry.source for entry in scope.get_qualified_names_for(node)}
        if len(found) != 1:
            return None
        name, kind = found.popitem()
        return name if kind is source else None

    def imports_any(self, *packages: str) -> bool:
        """Whether the module imports one of the packages, wherever it does."""
        roots = {name.partition(".")[0] for name in self._imported_names()}
        return any(root in packages or any(root.startswith(f"{package}_") for package in packages) for root in roots)

    def _imported_names(self) -> Iterator[str]:
        for assignment in self.imports():
            yield from (entry.name for entry in assignment.get_qualified_names_for(assignment.name))

    def imports(self) -> list[ImportAssignment]:
        """Every name that an import gives a meaning, in any scope."""
        return [found for found in self._all_assignments() if isinstance(found, ImportAssignment)]

    def root_of(self, assignment: ImportAssignment) -> str:
        """The package that it imports from."""
        found = assignment.get_qualified_names_for(assignment.name)
        return next((entry.name.partition(".")[0] for entry in found), "")

    def binds(self, name: str) -> bool:
        """Whether the name is given a meaning anywhere in the module."""
        return any(found.name == name for found in self._all_assignments())

    def is_module(self, name: str) -> bool:
        """Whether the name is only ever that of the module of the same name."""
        found = [one for one in self._all_assignments() if one.name == name]
        return all(
            isinstance(one, ImportAssignment) and isinstance(one.node, cst.Import) and self.root_of(one) == name
            for one in found
        )

    def _all_assignments(self) -> Iterator[Any]:
        for scope in {scope for scope in self._scopes.values() if scope is not None}:
            # The builtins are assignments, too, of a scope that no node is in.
            yield from scope.assignments

    # -- values ------------------------------------------------------------------------------------------------------

    def assignments(self, name: cst.Name) -> list[Any]:
        """Everything in the scope of a name that gives it a value."""
        scope = self.scope(name)
        return list(scope[name.value]) if scope is not None and name.value in scope else []

    def sole_assignment(self, name: cst.Name) -> Assignment | None:
        """The only assignment of a name, where it is one by ``name = value``."""
        found = self.assignments(name)
        if len(found) != 1 or not isinstance(found[0], Assignment):
            return None
        return found[0] if self._value_of(found[0]) is not None else None

    def sole_value(self, name: cst.Name) -> cst.BaseExpression | None:
        """The value of a name that is given one in one place."""
        found = self.sole_assignment(name)
        return self._value_of(found) if found is not None else None

    def sole_bag(self, name: cst.Name) -> Bag | None:
        """The dict behind a name that is given a value in one place."""
        value = self.sole_value(name)
        return as_bag(value, self) if value is not None else None

    def _value_of(self, assignment: Assignment) -> cst.BaseExpression | None:
        parent = self.parent(assignment.node)
        if isinstance(parent, cst.AssignTarget):
            statement = self.parent(parent)
            return statement.value if isinstance(statement, cst.Assign) and len(statement.targets) == 1 else None
        if isinstance(parent, cst.AnnAssign) and parent.target is assignment.node:
            return parent.value
        if isinstance(parent, cst.NamedExpr):
            return parent.value
        return None

    def annotation(self, name: cst.Name) -> str | None:
        """The annotation of a parameter that is never assigned, as code."""
        found = self.assignments(name)
        if len(found) != 1 or not isinstance(found[0], Assignment) or not isinstance(found[0].node, cst.Param):
            return None
        param = found[0].node
        if param.star or param.annotation is None:
            return None
        return self.code(param.annotation.annotation)

    def constant(self, node: cst.BaseExpression) -> object:
        """The bool, int or None behind an expression, also through a name assigned once; else ``...``."""
        if isinstance(node, cst.Name):
            if node.value in {"True", "False", "None"}:
                return {"True": True, "False": False, "None": None}[node.value]
            value = self.sole_value(node)
            return (
                ...
                if value is None or (isinstance(value, cst.Name) and value.value == node.value)
                else self._literal(value)
            )
        return self._literal(node)

    def _literal(self, node: cst.BaseExpression) -> object:
        if isinstance(node, cst.Integer):
            return node.evaluated_value
        if isinstance(node, cst.Name) and node.value in {"True", "False", "None"}:
            return {"True": True, "False": False, "None": None}[node.value]
        if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
            inner = self._literal(node.expression)
            return -inner if isinstance(inner, int) else ...
        return ...

    # -- classes -----------------------------------------------------------------------------------------------------

    def type_of(self, node: cst.BaseExpression, depth: int = _DEPTH) -> str | None:
        """The full name of the class of an object, where every way to it agrees."""
        if depth == 0:
            return None
        if isinstance(node, cst.Await):
            return self.type_of(node.expression, depth - 1)
        if isinstance(node, cst.NamedExpr):
            return self.type_of(node.value, depth - 1)
        if isinstance(node, cst.Call):
            return self._type_of_call(node, depth)
        if isinstance(node, cst.Name):
            kinds = {self._type_of_assignment(found, depth - 1) for found in self.assignments(node)}
            return kinds.pop() if len(kinds) == 1 else None
        if isinstance(node, cst.Attribute) and isinstance(node.value, cst.Name):
            return self._type_of_attribute(node.value, node.attr.value, depth - 1)
        return None

    def _type_of_call(self, node: cst.Call, depth: int) -> str | None:
        if (imported := self.imported(node.func)) and _is_class(imported):
            return imported
        if isinstance(node.func, cst.Attribute):
            method = node.func.attr.value
            if method in _BUILDERS and self.type_of(node.func.value, depth - 1) == REQUEST:
                return REQUEST
            if method == "model_validate" and self.imported(node.func.value) == REQUEST:
                return REQUEST
            if method in _ENTERED and len(node.args) == 1:
                return self.type_of(node.args[0].value, depth - 1)
        return None

    def _type_of_assignment(self, assignment: Any, depth: int) -> str | None:
        if not isinstance(assignment, Assignment):
            return None
        value = self._value_of(assignment)
        if value is not None and (kind := self.type_of(value, depth)) is not None:
            return kind
        node = assignment.node
        if isinstance(node, cst.Param):
            return self._class_named(node.annotation.annotation) if node.annotation and not node.star else None
        parent = self.parent(node)
        if isinstance(parent, cst.AnnAssign):
            return self._class_named(parent.annotation.annotation)
        item = self.parent(parent) if isinstance(parent, cst.AsName) else None
        if isinstance(item, cst.WithItem):
            entered = self.type_of(item.item, depth)
            # Only of ours is it known that they enter as themselves.
            return entered if entered in {CLIENT, ASYNC_CLIENT} or (entered or "").startswith("openai.") else None
        return None

    def _class_named(self, node: cst.BaseExpression) -> str | None:
        """The class an annotation names, alone or with None."""
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.BitOr):
            sides = [side for side in (node.left, node.right) if self.code(side) != "None"]
            return self._class_named(sides[0]) if len(sides) == 1 else None
        if isinstance(node, cst.SimpleString):
            # The scope of a quoted name is that of the annotation.
            text, scope = node.evaluated_value, self.scope(node)
            parts = {part.strip() for part in text.split("|")} - {"None"} if isinstance(text, str) else set[str]()
            if len(parts) != 1 or scope is None:
                return None
            found = {_PUBLIC.get(entry.name, entry.name) for entry in scope.get_qualified_names_for(parts.pop())}
            return found.pop() if len(found) == 1 else None
        return self.imported(node)

    def _type_of_attribute(self, owner: cst.Name, attribute: str, depth: int) -> str | None:
        """The class of ``self.name``, by what the methods of the class around assign to it."""
        if owner.value != "self":
            return None
        around = next((node for node in self.around(owner) if isinstance(node, cst.ClassDef)), None)
        if around is None:
            return None
        found = _SelfValues(around, attribute)
        around.visit(found)
        if found.annotation is not None:
            return self._class_named(found.annotation)
        kinds = {self.type_of(value, depth) for value in found.values}
        return kinds.pop() if len(kinds) == 1 else None

    def is_global(self, scope: Scope | None) -> bool:
        """Whether a scope is that of the module, or of a class: names in it can be had from elsewhere."""
        return isinstance(scope, GlobalScope | ClassScope)

    def at_top(self, scope: Scope | None) -> bool:
        """Whether a scope is that of the module."""
        return isinstance(scope, GlobalScope)

    def exported(self) -> set[str]:
        """The names in ``__all__``, and every other string beside them."""
        found: set[str] = set()
        for line in self.module.body:
            code = self.code(line)
            if "__all__" in code:
                texts = [
                    text_of(node) for node in m.findall(line, m.SimpleString()) if isinstance(node, cst.SimpleString)
                ]
                found |= {text for text in texts if text}
        return found


class _SelfValues(cst.CSTVisitor):
    """Everything that is assigned to one attribute of self; what cannot be followed is an unknown value."""

    def __init__(self, around: cst.ClassDef, attribute: str) -> None:
        super().__init__()
        self._around, self._attribute = around, attribute
        self.values: list[cst.BaseExpression] = []
        self.annotation: cst.BaseExpression | None = None
        declared = m.AnnAssign(target=m.Name(attribute))
        for line in around.body.body:
            if m.matches(line, m.SimpleStatementLine([declared])):
                found = cst.ensure_type(cst.ensure_type(line, cst.SimpleStatementLine).body[0], cst.AnnAssign)
                self.annotation = found.annotation.annotation

    def visit_Assign(self, node: cst.Assign) -> None:  # noqa: N802 - libcst calls it
        for target in node.targets:
            if self._is_it(target.target):
                self.values.append(node.value)
            elif m.findall(target.target, m.Attribute(m.Name("self"), m.Name(self._attribute))):
                self.values.append(cst.Ellipsis())

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:  # noqa: N802
        if self._is_it(node.target):
            self.annotation = node.annotation.annotation

    def visit_AugAssign(self, node: cst.AugAssign) -> None:  # noqa: N802
        if self._is_it(node.target):
            self.values.append(cst.Ellipsis())

    def visit_AsName(self, node: cst.AsName) -> None:  # noqa: N802
        if self._is_it(node.name):
            self.values.append(cst.Ellipsis())

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:  # noqa: N802
        # The self of a class inside is another.
        return node is self._around

    def _is_it(self, node: cst.CSTNode) -> bool:
        return (
            isinstance(node, cst.Attribute)
            and isinstance(node.value, cst.Name)
            and node.value.value == "self"
            and node.attr.value == self._attribute
        )


def _is_class(name: str) -> bool:
    """Whether a full name is that of a class by its spelling: what a function returns is not known here."""
    return name.rpartition(".")[2].lstrip("_")[:1].isupper()
