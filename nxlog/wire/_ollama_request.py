"""The parts of a request in the form that ``ollama`` wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.errors import InvalidRequestError
from nxlog.request import ImagePart, TextPart
from nxlog.wire._conversation import Block, call_arguments, data_image

if TYPE_CHECKING:
    from nxlog.request import ChatRequest, Message, Part, ResponseFormat

# The levels that the server documents, and those of the models that have no more than on and off.
_THINK: dict[str, str | bool] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def conversation(messages: list[Message]) -> list[Block]:
    """The messages. A tool's result names its tool, which is known from the call that it answers."""
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or ()}
    return [_message(message, f"messages.{i}", names) for i, message in enumerate(messages)]


def _message(message: Message, where: str, names: dict[str, str]) -> Block:
    parts = message.content if isinstance(message.content, list) else ()
    images = [image for i, part in enumerate(parts) if (image := _image(part, f"{where}.content.{i}"))]
    out: Block = {
        "role": "system" if message.role == "developer" else message.role,
        "content": message.text + (message.refusal or ""),
    }
    if images:
        out["images"] = images
    if message.tool_calls:
        out["tool_calls"] = [
            {
                "id": call.id,
                "function": {
                    "name": call.function.name,
                    "arguments": call_arguments(call, f"{where}.tool_calls.{i}"),
                },
            }
            for i, call in enumerate(message.tool_calls)
        ]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
        if name := message.name or names.get(message.tool_call_id):
            out["tool_name"] = name
    return out


def _image(part: Part, where: str) -> str | None:
    """The base64 of an image; None for text."""
    if isinstance(part, TextPart):
        return None
    if not isinstance(part, ImagePart):
        raise InvalidRequestError(f"{where}: this wire has no place for a part of type {part.type!r}", param="messages")
    image = data_image(part.image_url.url, where)
    if image is None:
        raise InvalidRequestError(
            f"{where}: this wire takes images in data: URLs only; the server fetches none", param="messages"
        )
    return image.data


def tools(request: ChatRequest) -> list[Block] | None:
    """The tools. The wire has no choice of tools: not to use any is not to name any, and none can be demanded.

    Raises:
        InvalidRequestError: a call is demanded.
    """
    if request.tools is None or request.tool_choice == "none":
        return None
    if request.tool_choice is not None and request.tool_choice != "auto":
        raise InvalidRequestError(
            "tool_choice: on this wire the model decides; leave it out, or give 'auto' or 'none'", param="tool_choice"
        )
    return [tool.model_dump(exclude_none=True) for tool in request.tools]


def format_of(wanted: ResponseFormat | None) -> str | dict[str, Any] | None:
    """``"json"``, or the schema itself."""
    if wanted is None or wanted.type == "text":
        return None
    return "json" if wanted.json_schema is None else wanted.json_schema.json_schema


def think(effort: str | None) -> str | bool | None:
    """How much to think: a level, or false. Models that only know on and off take the levels for on, or refuse them.

    For those, and for more than the wire's three levels: ``provider_options={"think": True}``.
    """
    return None if effort is None else _THINK[effort]
