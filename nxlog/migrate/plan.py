"""What is to be done in one module: edits by the node they change, and findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from nxlog.migrate.findings import Finding, Outcome

if TYPE_CHECKING:
    import libcst as cst

    from nxlog.migrate.names import Names

Edit: TypeAlias = Callable[[Any], Any]
"""From a node, whose own children may have been edited already, to what takes its place."""


class Plan:
    """Edits and findings, collected by the rules."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.edits: dict[cst.CSTNode, Edit] = {}
        self.needed: set[str] = set()
        """Modules to import besides."""
        self.reasons: dict[str, str] = {}
        """Why code for another library is not rewritten, by library."""
        self._findings: dict[tuple[int, int], Finding] = {}
        self._settled: set[cst.CSTNode] = set()

    def edit(self, node: cst.CSTNode, edit: Edit) -> None:
        """Have a node changed; several edits of a node are made one after the other."""
        earlier = self.edits.get(node)
        self.edits[node] = edit if earlier is None else lambda updated: edit(earlier(updated))

    def settle(self, node: cst.CSTNode) -> None:
        """What is to be said about this node has been said."""
        self._settled.add(node)

    def settled(self, node: cst.CSTNode) -> bool:
        """Whether enough has been said about a node."""
        return node in self._settled

    def say(self, node: cst.CSTNode, outcome: Outcome, message: str, write: str | None = None) -> None:
        """Report a place. Of a place that is known already, nothing more is said."""
        line, column = self.names.place(node)
        self._findings.setdefault((line, column), Finding(line, column, outcome, message, write))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything said, in the order of the file."""
        return tuple(self._findings[place] for place in sorted(self._findings))
