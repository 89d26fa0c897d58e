"""Messages as chat templates read them, from whatever a caller holds them in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from nxlog._json import json_safe
from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WRAPPED = ("func_response", "function_response")
"""Where the objects that agents wrap the result of a function in have what the function returned."""


def template_messages(messages: Iterable[object]) -> list[dict[str, Any]]:
    """The messages in OpenAI's form, as templates want it: text is one string, arguments of calls are objects.

    Args:
        messages: dicts, ``nxlog.Message`` or objects of another library that have ``model_dump``.

    Raises:
        InvalidRequestError: a message has no role, or parts that are not text.
    """
    return [_message(as_dict(message), f"messages.{i}") for i, message in enumerate(messages)]


def template_tools(tools: Iterable[object] | None) -> list[dict[str, Any]] | None:
    """The tools as dicts; None where there are none, because templates ask ``if tools``."""
    return [as_dict(tool) for tool in tools or ()] or None


def as_dict(value: object) -> dict[str, Any]:
    """A dict, or what an object dumps, without what it leaves unset."""
    if isinstance(value, dict):
        return {key: item for key, item in cast("dict[str, Any]", value).items() if item is not None}
    dump: Any = getattr(value, "model_dump", None)
    if dump is None:
        raise InvalidRequestError(
            f"messages: expected dicts or objects with model_dump, got {type(value).__name__}", param="messages"
        )
    return cast("dict[str, Any]", dump(exclude_none=True))


def _message(message: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(message.get("role"), str):
        raise InvalidRequestError(f"{where}: a message needs a 'role'", param="messages")
    # Templates add and compare strings, so a missing content is an empty one.
    content = _text(message.get("content", ""), where)
    read = {**message, "content": content}
    if calls := message.get("tool_calls"):
        read["tool_calls"] = [_call(as_dict(call)) for call in calls]
    return read


def _text(content: object, where: str) -> str:
    """The text of a content; engines join its parts with a line break, so this does too."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise InvalidRequestError(f"{where}.content: must be text, got {type(content).__name__}", param="messages")
    parts = [part if isinstance(part, str) else as_dict(part) for part in cast("list[object]", content)]
    for i, part in enumerate(parts):
        if isinstance(part, dict) and not isinstance(part.get("text"), str):
            kind = part.get("type", "unknown")
            raise InvalidRequestError(
                f"{where}.content.{i}: a part of type {kind!r} has no text, and only text is rendered", param="messages"
            )
    return "\n".join(part if isinstance(part, str) else part["text"] for part in parts)


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = as_dict(call.get("function", call))
    # Templates write arguments as JSON themselves; the text of a JSON object would be quoted once more.
    return {**call, "type": "function", "function": {**function, "arguments": _arguments(function.get("arguments"))}}


def _arguments(arguments: object) -> object:
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    return cast("object", value) if isinstance(value, dict) else arguments


def tool_result_text(result: object) -> str:
    """The text that a model reads as the result of a tool.

    A string is that text. A tool message, or an object that an agent keeps the result in (``func_response``), is asked
    for what the function returned; its status, times and output streams are not part of that. Any other value is
    written as JSON.

    >>> tool_result_text({"status": "OK", "time": "12:00", "func_response": "42"}), tool_result_text({"n": 1})
    ('42', '{"n": 1}')
    """
    if isinstance(result, str):
        return result
    for name in _WRAPPED:
        inner = _field(result, name)
        if inner is not None:
            return tool_result_text(inner)
    if _field(result, "role") == "tool":
        return _text(_field(result, "content") or "", "content")
    return to_json(as_dict(result) if hasattr(result, "model_dump") else result)


def to_json(value: object) -> str:
    """JSON as models are shown it: a space after commas and colons, and characters as they are.

    Raises:
        InvalidRequestError: the value has no JSON.
    """
    try:
        return json.dumps(json_safe(value), ensure_ascii=False)
    except TypeError as error:
        raise InvalidRequestError(f"messages: {error}", param="messages") from None


def _field(value: object, name: str) -> object:
    return cast("Mapping[str, object]", value).get(name) if isinstance(value, dict) else getattr(value, name, None)
