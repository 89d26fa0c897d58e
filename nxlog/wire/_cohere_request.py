"""The parts of a request in the form that ``cohere-chat`` wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from nxlog.request import ChatRequest, Message, Part, ResponseFormat, Tool
    from nxlog.wire._conversation import Block

_TOOL_CHOICES = {"required": "REQUIRED", "none": "NONE"}


def message_object(message: Message) -> Block:
    """A message; the shape is nearly OpenAI's. A refusal of the past is text."""
    out: Block = {"role": "system" if message.role == "developer" else message.role}
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    if content := _content(message.content, message.refusal):
        out["content"] = content
    elif not message.tool_calls:
        out["content"] = ""
    if message.tool_calls:
        out["tool_calls"] = [call.model_dump() for call in message.tool_calls]
    return out


def _content(content: str | list[Part] | None, refusal: str | None) -> str | list[Block]:
    if isinstance(content, list):
        parts = [part.model_dump(exclude_none=True) for part in content]
        return [*parts, {"type": "text", "text": refusal}] if refusal else parts
    return (content or "") + (refusal or "")


def tool_fields(tools: list[Tool]) -> Block:
    """The tools. Whether to be strict is one word for all of them: strict, when one asks for it."""
    out: Block = {"tools": [_tool(tool) for tool in tools]}
    if any(tool.function.strict for tool in tools):
        out["strict_tools"] = True
    return out


def _tool(tool: Tool) -> Block:
    function = tool.function.model_dump(exclude_none=True, exclude={"strict"})
    # A function without parameters has no schema in OpenAI's shape, while here it is mandatory.
    return {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}} | function}


def tool_choice(choice: str | dict[str, Any]) -> str | None:
    """The choice; None for "auto", for which the wire has no word.

    Raises:
        InvalidRequestError: it names a tool.
    """
    if isinstance(choice, str):
        return _TOOL_CHOICES.get(choice)
    raise InvalidRequestError(
        "tool_choice: this wire cannot name a tool; give only that tool, and 'required'", param="tool_choice"
    )


def response_format(asked: ResponseFormat) -> Block:
    """The format: a schema goes with the type ``json_object``."""
    if asked.json_schema is None:
        return {"type": asked.type}
    return {"type": "json_object", "json_schema": asked.json_schema.json_schema}


def thinking(request: ChatRequest) -> Block | None:
    """Thinking is on or off, whatever the effort.

    How much is a budget: ``provider_options={"thinking": {"type": "enabled", "token_budget": 2048}}``.
    """
    if request.reasoning_effort is None:
        return None
    return {"type": "disabled" if request.reasoning_effort == "none" else "enabled"}
