"""What of a reply of the OpenAI SDK is the same in a reply of nxlog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst
import libcst.matchers as m
from libcst.metadata import Assignment

from nxlog.migrate.findings import Refusal

if TYPE_CHECKING:
    from nxlog.migrate.names import Names

_INDEX = "[]"
_SAME = {
    ("model",),
    ("choices", _INDEX, "finish_reason"),
    ("usage", "prompt_tokens"),
    ("usage", "completion_tokens"),
    ("usage", "total_tokens"),
}
_TEXT = ("choices", _INDEX, "message", "content")
_TOKENS = ("choices", _INDEX, "logprobs", "content")
_NUMBERS = {("token",), ("logprob",)}


def check_reply(name: cst.CSTNode, names: Names) -> list[cst.Attribute]:
    """Check one use of a reply, and return the expressions that are spelled otherwise.

    Raises:
        Refusal: it is read in a way that may differ.
    """
    node, path = _read(name, names)
    if path == _TEXT:
        if isinstance(names.parent(node), cst.ComparisonTarget | cst.Comparison):
            raise Refusal("the text of a reply is compared; nxlog has '' where openai has None")
        return [cst.ensure_type(node, cst.Attribute)]
    if path[: len(_TOKENS)] == _TOKENS:
        _check_tokens(node, path[len(_TOKENS) :], names)
    elif path not in _SAME:
        raise Refusal(f"a reply is used as `{_line(names.code(node))}`")
    return []


def _read(name: cst.CSTNode, names: Names) -> tuple[cst.CSTNode, tuple[str, ...]]:
    """The longest chain of attributes and indexes from a name on."""
    node, path = name, list[str]()
    while True:
        around = names.parent(node)
        if isinstance(around, cst.Attribute) and around.value is node:
            path.append(around.attr.value)
        elif isinstance(around, cst.Subscript) and around.value is node and _is_index(around):
            path.append(_INDEX)
        else:
            return node, tuple(path)
        node = around


def _is_index(node: cst.Subscript) -> bool:
    number = m.Integer() | m.UnaryOperation(operator=m.Minus(), expression=m.Integer())
    return m.matches(node, m.Subscript(slice=[m.SubscriptElement(m.Index(number))]))


def _check_tokens(node: cst.CSTNode, path: tuple[str, ...], names: Names) -> None:
    """A list of token records, and the path read from it."""
    if path and path[0] == _INDEX:
        _check_token(node, path[1:], names)
        return
    if path:
        raise Refusal("token records are read in another way than one by one")
    around = names.parent(node)
    call = names.parent(around) if isinstance(around, cst.Arg) else None
    if isinstance(call, cst.Call) and names.is_builtin(call.func, "len"):
        return
    numbered = isinstance(call, cst.Call) and names.is_builtin(call.func, "enumerate")
    if numbered and isinstance(call, cst.Call):
        node, around = call, names.parent(call)
    if not isinstance(around, cst.For | cst.CompFor) or around.iter is not node:
        raise Refusal("token records are handed on")
    target: cst.CSTNode = around.target
    if numbered and isinstance(target, cst.Tuple) and len(target.elements) == 2:
        target = target.elements[1].value
    if not isinstance(target, cst.Name):
        raise Refusal("token records are not simply looped over")
    found = names.assignments(target)
    if len(found) != 1 or not isinstance(found[0], Assignment):
        raise Refusal(f"{target.value} is assigned in several places")
    for access in found[0].references:
        end, read = _read(access.node, names)
        _check_token(end, read, names)


def _check_token(node: cst.CSTNode, path: tuple[str, ...], names: Names) -> None:
    """One token record, and the path read from it."""
    if path[:1] == ("top_logprobs",):
        _check_tokens(node, path[1:], names)
    elif path not in _NUMBERS:
        raise Refusal("of a token record more is used than its token, logprob and top_logprobs")


def _line(code: str) -> str:
    return " ".join(code.split())[:60]
