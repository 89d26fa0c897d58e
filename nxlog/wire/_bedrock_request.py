"""The parts of a request in the form that ``bedrock-converse`` wants."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nxlog.errors import InvalidRequestError
from nxlog.request import ImagePart, TextPart
from nxlog.wire._conversation import Block, call_arguments, data_image, native_block, turns_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.request import ChatRequest, JsonSchemaFormat, Message, Part, Tool


def conversation(messages: list[Message]) -> tuple[list[Block], list[Block]]:
    """System blocks, and the messages with those of the same speaker in a row made one."""
    system, turns = turns_of(messages, _blocks)
    return system, [{"role": role, "content": blocks} for role, blocks in turns]


def _blocks(message: Message, where: str) -> list[Block]:
    blocks = _content(message.content, where)
    if message.role == "tool":
        return [{"toolResult": {"toolUseId": message.tool_call_id, "content": blocks}}]
    if message.refusal:
        blocks.append({"text": message.refusal})
    for i, call in enumerate(message.tool_calls or ()):
        arguments = call_arguments(call, f"{where}.tool_calls.{i}")
        blocks.append({"toolUse": {"toolUseId": call.id, "name": call.function.name, "input": arguments}})
    return blocks


def _content(content: str | list[Part] | None, where: str) -> list[Block]:
    if isinstance(content, list):
        return [_part(part, f"{where}.content.{i}") for i, part in enumerate(content)]
    # The wire refuses empty text, which assistant messages with tool calls have as a rule.
    return [{"text": content}] if content else []


def _part(part: Part, where: str) -> Block:
    if isinstance(part, ImagePart):
        return {"image": _image(part.image_url.url, where)}
    # A text has nothing beside it on this wire; any other part is a block of the wire's own.
    return {"text": part.text} if isinstance(part, TextPart) else native_block(part)


def _image(url: str, where: str) -> Block:
    image = data_image(url, where)
    if image is None:
        raise InvalidRequestError(
            f"{where}: this wire takes the bytes of an image and fetches none; give a data: URL, or the wire's own "
            "block with an 's3Location'",
            param="messages",
        )
    kind = image.media_type.partition("/")[2]
    return {"format": "jpeg" if kind == "jpg" else kind, "source": {"bytes": image.data}}


def tool_config(request: ChatRequest) -> Block:
    """Tools and which of them to use. Tools of the model's own, in the provider options, can be chosen as well."""
    config: Block = {}
    if request.tools:
        config["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        config["toolChoice"] = _tool_choice(request.tool_choice)
    return config


def _tool(tool: Tool) -> Block:
    function = tool.function
    # A function without parameters has no schema in OpenAI's shape, while here it is mandatory.
    schema: Block = {"type": "object", "properties": {}}
    spec: Block = {"name": function.name, "inputSchema": {"json": function.parameters or schema}}
    if function.description is not None:
        spec["description"] = function.description
    if function.strict is not None:
        spec["strict"] = function.strict
    return {"toolSpec": spec}


def _tool_choice(choice: str | dict[str, Any]) -> Block:
    """The choice; a dict that is not OpenAI's is passed on as it is."""
    if choice == "none":
        raise InvalidRequestError("tool_choice: this wire has no 'none'; leave the tools out", param="tool_choice")
    if isinstance(choice, str):
        return {"any" if choice == "required" else "auto": {}}
    if choice.get("type") == "function":
        return {"tool": {"name": choice.get("function", {}).get("name")}}
    return choice


def output_config(request: ChatRequest, spelling: Mapping[str, str]) -> Block:
    """``response_format`` and ``reasoning_effort``, which share a table.

    Raises:
        InvalidRequestError: the wire has no word for what is asked.
    """
    config: Block = {}
    asked, effort = request.response_format, request.reasoning_effort
    if asked is not None and asked.type == "json_object":
        raise InvalidRequestError(
            "response_format: this wire has no 'json_object'; give a 'json_schema'", param="response_format"
        )
    if asked is not None and asked.json_schema is not None:
        config["textFormat"] = _text_format(asked.json_schema)
    if effort == "none":
        raise InvalidRequestError(
            "reasoning_effort: this wire has no 'none'; leave it out, or say it in the words of the model in "
            "provider_options={'additionalModelRequestFields': {...}}",
            param="reasoning_effort",
        )
    if effort is not None and (key := spelling.get("reasoning_effort", "effort")):
        config[key] = "low" if effort == "minimal" else effort
    return config


def _text_format(asked: JsonSchemaFormat) -> Block:
    """A schema, which is a text on this wire."""
    schema: Block = {
        "schema": json.dumps(asked.json_schema, ensure_ascii=False, separators=(",", ":")),
        "name": asked.name,
    }
    if asked.description is not None:
        schema["description"] = asked.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
