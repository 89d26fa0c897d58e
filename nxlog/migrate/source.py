"""One module's source: read, planned, rewritten, and checked once more before anybody gets to see it."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor, ImportItem
from libcst.metadata import MetadataWrapper

from nxlog.migrate.builders import visit_builder, visit_elsewhere
from nxlog.migrate.findings import Finding, Migration, Outcome
from nxlog.migrate.foreign import visit_foreign, visit_settings
from nxlog.migrate.names import Names
from nxlog.migrate.plan import Plan
from nxlog.migrate.requests import visit_fields
from nxlog.migrate.scripts import visit_scripts
from nxlog.migrate.spellings import mentioned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nxlog.migrate.plan import Edit


_PASSES = 5
"""What is rewritten may stand inside something else that is; the next pass finds it."""


def migrate_source(code: str) -> Migration:
    """Rewrite what can safely be rewritten in a module, and list the rest.

    The code is as it was wherever nothing had to change: comments, strings, line endings. A second run changes nothing.
    """
    found = _migrate_once(code)
    after = found.after
    findings = list(found.findings)
    for _ in range(_PASSES):
        again = _migrate_once(after)
        if not again.changed:
            break
        after = again.after
        findings += [finding for finding in again.findings if finding.outcome is Outcome.REWRITTEN]
    return Migration(code, after, tuple(findings))


def _migrate_once(code: str) -> Migration:
    if not mentioned(code):
        return Migration(code, code)
    try:
        # First, since libcst's own parser knows no limit of depth and ends the process.
        _parse(code)
        module = cst.parse_module(code)
        if module.code != code:
            return _unreadable(code, "it could not be written back unchanged")
        plan = _planned(MetadataWrapper(module))
        rewritten = _rewritten(plan)
    except SyntaxError as error:
        return _unreadable(code, f"it is not Python: {error.msg}", error.lineno or 1, error.offset or 1)
    except (cst.ParserSyntaxError, ValueError):
        return _unreadable(code, "it is not Python that can be read here")
    except (RecursionError, MemoryError):
        return _unreadable(code, "it is nested too deeply")
    if rewritten != code and (problem := _damage(code, rewritten)):
        return Migration(code, code, tuple(_withdrawn(finding, problem) for finding in plan.findings))
    return Migration(code, rewritten, plan.findings)


def _parse(code: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes and the like: the code is somebody else's
        ast.parse(code)


def _unreadable(code: str, why: str, line: int = 1, column: int = 1) -> Migration:
    return Migration(code, code, (Finding(line, column, Outcome.UNREADABLE, why),))


def _planned(wrapper: MetadataWrapper) -> Plan:
    plan = Plan(Names(wrapper))
    visit_scripts(plan)
    # What is a request of nxlog settles what its dicts are, so it comes before the rest.
    for rule in (visit_fields, visit_builder, visit_foreign):
        wrapper.module.visit(_Visitor(plan, rule))
    wrapper.module.visit(_Visitor(plan, visit_elsewhere, _visit_dict))
    return plan


def _visit_dict(node: cst.Dict, plan: Plan) -> None:
    visit_settings(node, plan)
    visit_elsewhere(node, plan)


class _Visitor(cst.CSTVisitor):
    """Shows calls to one rule, and dicts to another."""

    def __init__(
        self,
        plan: Plan,
        on_call: Callable[[cst.Call, Plan], None],
        on_dict: Callable[[cst.Dict, Plan], None] | None = None,
    ) -> None:
        super().__init__()
        self._plan, self._on_call, self._on_dict = plan, on_call, on_dict

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802 - libcst calls it
        self._on_call(node, self._plan)

    def visit_Dict(self, node: cst.Dict) -> None:  # noqa: N802
        if self._on_dict is not None:
            self._on_dict(node, self._plan)


class _Rewriter(cst.CSTTransformer):
    """Makes the edits of a plan."""

    def __init__(self, edits: Mapping[cst.CSTNode, Edit]) -> None:
        super().__init__()
        self._edits = edits

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        """Edit a node after its children."""
        edit = self._edits.get(original_node)
        return updated_node if edit is None else edit(updated_node)


def _rewritten(plan: Plan) -> str:
    module = plan.names.module
    if not plan.edits:
        return module.code
    module = module.visit(_Rewriter(plan.edits))
    needed = [ImportItem(name) for name in sorted(plan.needed)]
    return (AddImportsVisitor(CodemodContext(), needed).transform_module(module) if needed else module).code


def _damage(before: str, after: str) -> str | None:
    """What is wrong with the new code: the last word before anybody gets to see it."""
    try:
        _parse(after)
        lost = _comments(before) - _comments(after)
    except (SyntaxError, tokenize.TokenError, ValueError) as error:
        return f"the result would not be Python ({error})"
    return f"a comment would be lost: {next(iter(lost))}" if lost else None


def _comments(code: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


def _withdrawn(finding: Finding, problem: str) -> Finding:
    return (
        replace(finding, outcome=Outcome.BY_HAND, message=problem) if finding.outcome is Outcome.REWRITTEN else finding
    )
