"""The parts of a request in the form that ``gemini`` wants."""

from __future__ import annotations

import json
import mimetypes
import re
from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import InvalidRequestError
from nxlog.request import ImagePart, TextPart
from nxlog.wire._conversation import Block, call_arguments, data_image, merge_turns, native_block
from nxlog.wire.base import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.request import ChatRequest, Message, Part, ReasoningEffort, ResponseFormat, Tool

_CONFIG_FIELDS = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
}

_TOOL_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}

# What Google's own translation of reasoning_effort sends; above "high" there is nothing.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192}
_MOST_BUDGET = 24576
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
_HAS_BUDGET = re.compile(r"gemini-[12]\b")

_MADE_UP_ID = re.compile(r"call_\d+")


# -- the conversation ------------------------------------------------------------------------------------------------


def conversation(messages: list[Message]) -> tuple[list[Block], list[Block]]:
    """The parts of the system instruction, and the contents with those of the same speaker in a row made one."""
    called = {call.id: call.function.name for message in messages for call in message.tool_calls or ()}
    system: list[Block] = []
    turns: list[tuple[str, list[Block]]] = []
    for i, message in enumerate(messages):
        where = f"messages.{i}"
        if message.role in {"system", "developer"}:
            system += _content(message.content, where)
        elif message.role == "tool":
            turns.append(("user", [_function_response(message, called, where), *_beside_text(message, where)]))
        elif message.role == "assistant":
            turns.append(("model", _answer(message, where)))
        else:
            turns.append(("user", _content(message.content, where)))
    return system, [{"role": role, "parts": parts} for role, parts in merge_turns(turns)]


def _answer(message: Message, where: str) -> list[Block]:
    parts = _content(message.content, where)
    if message.refusal:
        parts.append({"text": message.refusal})
    for i, call in enumerate(message.tool_calls or ()):
        arguments = call_arguments(call, f"{where}.tool_calls.{i}")
        parts.append({"functionCall": {**_id(call.id), "name": call.function.name, "args": arguments}})
    return parts


def _id(call: str) -> Block:
    # A server that gave no id may not know the key at all, so an id that stands in for one stays here.
    return {} if _MADE_UP_ID.fullmatch(call) else {"id": call}


def _function_response(message: Message, called: Mapping[str, str], where: str) -> Block:
    call = message.tool_call_id or ""
    name = message.name or called.get(call)
    if name is None:
        raise InvalidRequestError(
            f"{where}: this wire answers a function by its name, and no earlier message has a call with the id "
            f"{call!r}; give the function's 'name' beside 'tool_call_id'",
            param="messages",
        )
    return {"functionResponse": {**_id(call), "name": name, "response": _result(message.text)}}


def _beside_text(message: Message, where: str) -> list[Block]:
    # An image that a function gives has no place in the object of its response.
    parts = message.content if isinstance(message.content, list) else []
    return [_part(part, f"{where}.content.{i}") for i, part in enumerate(parts) if not isinstance(part, TextPart)]


def _result(text: str) -> Block:
    """A result must be an object; a text that is none is what the wire calls the ``output``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return cast("Block", value) if isinstance(value, dict) else {"output": text}


def _content(content: str | list[Part] | None, where: str) -> list[Block]:
    if isinstance(content, list):
        return [_part(part, f"{where}.content.{i}") for i, part in enumerate(content)]
    return [{"text": content}] if content else []


def _part(part: Part, where: str) -> Block:
    if isinstance(part, TextPart):
        return native_block(part)
    if isinstance(part, ImagePart):
        return _image(part.image_url.url, where) | (part.model_extra or {})
    # Any part of the wire's own, such as a functionCall with the thoughtSignature that came with it.
    return native_block(part)


def _image(url: str, where: str) -> Block:
    image = data_image(url, where)
    if image is not None:
        return {"inlineData": {"mimeType": image.media_type, "data": image.data}}
    # Vertex demands the type; a URL without a telling suffix is sent without and left to the server.
    guessed, _ = mimetypes.guess_type(url.partition("?")[0])
    return {"fileData": ({"mimeType": guessed} if guessed else {}) | {"fileUri": url}}


# -- everything else -------------------------------------------------------------------------------------------------


def tool_objects(tools: list[Tool]) -> list[Block]:
    """The tools as one object, whose schemas are JSON schemas; ``parameters`` would be a dialect of OpenAPI's."""
    return [{"functionDeclarations": [_declaration(tool) for tool in tools]}] if tools else []


def _declaration(tool: Tool) -> Block:
    function = tool.function
    out: Block = {"name": function.name}
    if function.description is not None:
        out["description"] = function.description
    if function.parameters is not None:
        out["parametersJsonSchema"] = function.parameters
    return out


def tool_config(choice: str | dict[str, Any]) -> Block:
    """The choice; a dict that is not OpenAI's is passed on as it is."""
    if isinstance(choice, str):
        return {"functionCallingConfig": {"mode": _TOOL_MODES[choice]}}
    if choice.get("type") == "function":
        name = choice.get("function", {}).get("name")
        return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}}
    return choice


def generation_config(request: ChatRequest, model: str, spelling: Mapping[str, str]) -> Block:
    """Everything about how to generate, which the wire keeps in one table."""
    config = spelled(request, _CONFIG_FIELDS, spelling)
    # Both count alike: the wire's number includes the sampled token, and so do OpenAI's k most likely, in which it
    # nearly always is. None asked is said by leaving the field out: 0 is below what Vertex documents.
    if request.top_logprobs and (key := spelling.get("top_logprobs", "logprobs")):
        config[key] = request.top_logprobs
    if request.response_format is not None:
        config |= _response_format(request.response_format, spelling.get("response_format", "responseJsonSchema"))
    if request.reasoning_effort is not None and (key := spelling.get("reasoning_effort", "thinkingConfig")):
        config[key] = _thinking(request.reasoning_effort, model)
    return config


def _response_format(response_format: ResponseFormat, schema_key: str) -> Block:
    if response_format.type == "text":
        return {}
    config: Block = {"responseMimeType": "application/json"}
    if response_format.json_schema is not None and schema_key:
        config[schema_key] = response_format.json_schema.json_schema
    return config


def _thinking(effort: ReasoningEffort, model: str) -> Block:
    """Up to Gemini 2.5 a budget of tokens, from 3 on a level; "none" is a budget of 0 for all.

    Models that always think refuse the 0, which is more honest than a level that thinks a little.
    """
    if effort == "none":
        return {"thinkingBudget": 0}
    if _HAS_BUDGET.search(model):
        return {"thinkingBudget": _BUDGETS.get(effort, _MOST_BUDGET)}
    return {"thinkingLevel": _LEVELS.get(effort, "HIGH")}
