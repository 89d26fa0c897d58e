"""The parts of a request in the form that ``anthropic-messages`` wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import InvalidRequestError
from nxlog.request import ImagePart
from nxlog.wire._conversation import Block, call_arguments, data_image, turns_of

if TYPE_CHECKING:
    from nxlog.request import ChatRequest, Message, Part, Tool

_TOOL_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def conversation(messages: list[Message]) -> tuple[list[Block], list[Block]]:
    """System blocks, and the messages with those of the same speaker in a row made one, as the wire wants it."""
    system, turns = turns_of(messages, _blocks)
    return system, [{"role": role, "content": shortest(blocks)} for role, blocks in turns]


def _blocks(message: Message, where: str) -> list[Block]:
    blocks = _content(message.content, where)
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": shortest(blocks)}]
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    for i, call in enumerate(message.tool_calls or ()):
        arguments = call_arguments(call, f"{where}.tool_calls.{i}")
        blocks.append({"type": "tool_use", "id": call.id, "name": call.function.name, "input": arguments})
    return blocks


def _content(content: str | list[Part] | None, where: str) -> list[Block]:
    if isinstance(content, list):
        return [_part(part, f"{where}.content.{i}") for i, part in enumerate(content)]
    # The wire refuses empty text, which assistant messages with tool calls have as a rule.
    return [{"type": "text", "text": content}] if content else []


def _part(part: Part, where: str) -> Block:
    if isinstance(part, ImagePart):
        return {"type": "image", "source": _image_source(part.image_url.url, where)} | (part.model_extra or {})
    return part.model_dump()


def _image_source(url: str, where: str) -> Block:
    image = data_image(url, where)
    if image is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def shortest(blocks: list[Block]) -> str | list[Block]:
    """Plain text as a string, anything else as blocks; no blocks are the empty string."""
    if not blocks:
        return ""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} else blocks


def tool_object(tool: Tool) -> Block:
    """A tool; the schema of its input is mandatory."""
    function = tool.function.model_dump(exclude_none=True)
    # A function without parameters has no schema in OpenAI's shape, while here it is mandatory.
    return {"input_schema": function.pop("parameters", {"type": "object", "properties": {}})} | function


def tool_choice(choice: str | dict[str, Any]) -> Block:
    """The choice; a dict that is not OpenAI's is passed on as it is."""
    if isinstance(choice, str):
        return {"type": _TOOL_CHOICES[choice]}
    if choice.get("type") != "function":
        return choice
    function = choice.get("function")
    name = cast("Block", function).get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise InvalidRequestError(
            "tool_choice: a function is named as {'type': 'function', 'function': {'name': ...}}", param="tool_choice"
        )
    return {"type": "tool", "name": name}


def output_options(request: ChatRequest) -> Block:
    """``reasoning_effort`` and ``response_format``, which share ``output_config``.

    Thinking is sent as adaptive, the only form that current models accept. Models before Claude 4.6 want a budget
    instead: ``provider_options={"thinking": {"type": "enabled", "budget_tokens": 2048}}``.
    """
    body: Block = {}
    config: Block = {}
    effort = request.reasoning_effort
    if effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif effort is not None:
        body["thinking"] = {"type": "adaptive"}
        config["effort"] = "low" if effort == "minimal" else effort
    response_format = request.response_format
    if response_format is not None and response_format.type == "json_object":
        raise InvalidRequestError(
            "response_format: this wire has no 'json_object'; give a 'json_schema'", param="response_format"
        )
    if response_format is not None and response_format.json_schema is not None:
        config["format"] = {"type": "json_schema", "schema": response_format.json_schema.json_schema}
    if config:
        body["output_config"] = config
    return body
