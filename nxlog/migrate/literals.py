"""What a literal says."""

from __future__ import annotations

import libcst as cst


def text_of(node: cst.BaseExpression) -> str | None:
    """The text of a string literal."""
    if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None
