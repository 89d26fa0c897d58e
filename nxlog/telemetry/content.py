"""What was said, as the JSON that the GenAI semantic conventions have for it. Only recorded when asked for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from nxlog import _json
from nxlog.request import ImagePart, TextPart

if TYPE_CHECKING:
    from nxlog.call import Call
    from nxlog.request import Message, Part, ToolCall
    from nxlog.response import ChatResponse, Choice
    from nxlog.telemetry.attributes import Attributes


def content_of_request(call: Call) -> Attributes:
    """The messages, the tools and the stop texts, as they were sent."""
    sent = call.sent
    found: Attributes = {"gen_ai.input.messages": _text(call, [_message(message) for message in sent.messages])}
    if sent.tools:
        tools = [{"type": "function", **tool.function.model_dump(exclude_none=True)} for tool in sent.tools]
        found["gen_ai.tool.definitions"] = _text(call, tools)
    if sent.stop:
        texts = [sent.stop] if isinstance(sent.stop, str) else sent.stop
        found["gen_ai.request.stop_sequences"] = [call.hide(text) for text in texts]
    return found


def content_of_reply(call: Call, reply: ChatResponse) -> Attributes:
    """The answers, one message for each choice."""
    return {"gen_ai.output.messages": _text(call, [_answer(choice) for choice in reply.choices])}


def _text(call: Call, value: Any) -> str:
    return call.hide(_json.dumps(_json.json_safe(value)))


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        response = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return {"role": "tool", "parts": [response]}
    content = message.content
    texts = [content] if isinstance(content, str) else []
    parts = [_of_text(text) for text in [*texts, *([message.refusal] if message.refusal else [])]]
    if isinstance(content, list):
        parts += [_part(part) for part in content]
    return {"role": message.role, "parts": parts + [_tool_call(call) for call in message.tool_calls or []]}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return _of_text(part.text)
    if isinstance(part, ImagePart) and not part.image_url.url.startswith("data:"):
        return {"type": "uri", "modality": "image", "uri": part.image_url.url}
    # Images and files in the request itself are larger than what exporters take.
    return {"type": part.type}


def _answer(choice: Choice) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if choice.reasoning:
        parts.append({"type": "reasoning", "content": choice.reasoning})
    parts += [_of_text(text) for text in (choice.text, choice.refusal) if text]
    parts += [_tool_call(call) for call in choice.tool_calls]
    return {"role": "assistant", "parts": parts, "finish_reason": choice.finish_reason or ""}


def _of_text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    arguments: Any = call.function.arguments
    with contextlib.suppress(ValueError):  # else as the model wrote it
        arguments = _json.loads(arguments.encode())
    return {"type": "tool_call", "id": call.id, "name": call.function.name, "arguments": arguments}
