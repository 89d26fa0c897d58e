"""The body of a request in the form that ``openai-responses`` wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nxlog.request import INCLUDE_LOGPROBS, ImagePart, TextPart
from nxlog.responses.items import as_input
from nxlog.wire.base import encode_body, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog.request import ChatRequest, Message, Part, ResponseFormat, Tool
    from nxlog.responses.request import ResponsesRequest

Object = dict[str, Any]

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}


def input_items(messages: list[Message]) -> list[Object]:
    """The conversation as items.

    System and developer messages stay messages. The wire's ``instructions`` are one text that stands before everything
    else: several of them, one in the middle, or one with parts would have no place there.
    """
    return [item for message in messages for item in _items(message)]


def _items(message: Message) -> Iterator[Object]:
    if message.role == "tool":
        output = _content(message, "input_text")
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": output}
    elif message.role == "assistant":
        yield from _assistant(message)
    else:
        yield {"role": message.role, "content": _content(message, "input_text")}


def _assistant(message: Message) -> Iterator[Object]:
    content = _content(message, "output_text")
    if message.refusal:
        parts: list[Object] = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
        content = [part for part in parts if part.get("text") != ""]
        content.append({"type": "refusal", "refusal": message.refusal})
    if content or not message.tool_calls:
        # The type may be left out, except that llama.cpp then does not know what kind of item it is.
        yield {"type": "message", "role": "assistant", "content": content}
    for call in message.tool_calls or ():
        function = call.function
        yield {"type": "function_call", "call_id": call.id, "name": function.name, "arguments": function.arguments}


def _content(message: Message, text_type: str) -> str | list[Object]:
    """Plain text as one string, which every server takes; anything else as parts."""
    content = message.content
    if isinstance(content, list) and not all(_is_plain(part) for part in content):
        return [_part(part, text_type) for part in content]
    return message.text


def _is_plain(part: Part) -> bool:
    return isinstance(part, TextPart) and not part.model_extra


def _part(part: Part, text_type: str) -> Object:
    extra = part.model_extra or {}
    if isinstance(part, TextPart):
        return {"type": text_type, "text": part.text} | extra
    if isinstance(part, ImagePart):
        # Servers that check against OpenAI's types demand the detail; "auto" is what its absence means.
        image = part.image_url
        return {"type": "input_image", "image_url": image.url, "detail": image.detail or "auto"} | extra
    return part.model_dump()


def tool_object(tool: Tool) -> Object:
    """A tool, said so that it means what it means on ``openai-chat``.

    There a function without parameters takes none, and one without ``strict`` is not strict; here the schema is
    mandatory, and strict is what OpenAI assumes.
    """
    function = tool.function
    out: Object = {"type": "function", "name": function.name}
    if function.description is not None:
        out["description"] = function.description
    out["parameters"] = {"type": "object", "properties": {}} if function.parameters is None else function.parameters
    out["strict"] = bool(function.strict)
    return out


def tool_choice(choice: str | Object) -> str | Object:
    """The choice; a dict that is not OpenAI's for a function is passed on as it is."""
    if isinstance(choice, dict) and choice.get("type") == "function" and isinstance(choice.get("function"), dict):
        return {"type": "function", "name": choice["function"].get("name")}
    return choice


def text_format(response_format: ResponseFormat) -> Object:
    """The form of the answer, for ``text.format``."""
    schema = response_format.json_schema
    if schema is None:
        return {"type": response_format.type}
    return {"type": "json_schema", **schema.model_dump(exclude_none=True, by_alias=True)}


def logprobs_fields(request: ChatRequest, spelling: Mapping[str, str]) -> Object:
    """What asks for records. The wire has no word for ``logprobs=False``, which is what its absence means."""
    out: Object = {}
    if request.logprobs and (key := spelling.get("logprobs", "include")):
        out[key] = [INCLUDE_LOGPROBS] if key == "include" else True
    if request.top_logprobs is not None and (key := spelling.get("top_logprobs", "top_logprobs")):
        out[key] = request.top_logprobs
    return out


def sampling_fields(request: ChatRequest, spelling: Mapping[str, str]) -> Object:
    """The numbers."""
    return spelled(request, _SAMPLING, spelling)


def encode(body: Object, options: dict[str, Any] | None, *, stream: bool) -> bytes:
    """The body as JSON, with what both sides want included in one list."""
    # Said either way, because there are servers that stream unless told not to.
    body["stream"] = stream
    asked, given = body.get("include"), (options or {}).get("include")
    if options is not None and asked is not None and isinstance(given, list):
        names = [name for name in cast("list[Any]", given) if name not in asked]
        options = {**options, "include": asked + names}
    return encode_body(body, options, tables=("text", "reasoning"))


# -- requests of the Responses API itself ----------------------------------------------------------------------------

_OWN = (
    *("previous_response_id", "store", "background"),
    *("parallel_tool_calls", "max_tool_calls", "truncation", "metadata"),
)


def encode_own(
    request: ResponsesRequest, sent: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]
) -> bytes:
    """A request of the Responses API, with what the gate left of the fields that it judges.

    Args:
        request: the request.
        sent: what the gate made of ``request.as_chat()``.
        model: the provider's name of the model.
        stream: whether the answer is streamed.
        spelling: what the provider calls fields otherwise; ``""`` leaves one out.
    """
    asked = request.as_chat()
    given = request.input
    body: Object = {"model": model, "input": given if isinstance(given, str) else [as_input(item) for item in given]}
    instructions = request.instructions if sent.messages == asked.messages else sent.messages[0].text
    body |= {} if instructions is None else {"instructions": instructions}
    body |= {name: value for name in _OWN if (value := getattr(request, name)) is not None}
    body |= sampling_fields(sent, spelling)
    if request.tools and (sent.tools or not asked.tools):
        body["tools"] = request.tools
    if sent.tool_choice is not None and (key := spelling.get("tool_choice", "tool_choice")):
        body[key] = tool_choice(sent.tool_choice)
    body |= _options(request, asked, sent, spelling)
    logprobs = logprobs_fields(sent, spelling)
    if include := [*(request.include or ()), *logprobs.pop("include", ())]:
        body["include"] = include
    return encode(body | logprobs, sent.provider_options, stream=stream)


def _options(request: ResponsesRequest, asked: ChatRequest, sent: ChatRequest, spelling: Mapping[str, str]) -> Object:
    """The form of the answer and how much the model reasons, as far as the gate left them alone."""
    out: Object = {}
    text = {} if request.text is None else request.text.model_dump(exclude_none=True)
    if sent.response_format != asked.response_format:
        text.pop("format", None)
        text |= {} if sent.response_format is None else {"format": text_format(sent.response_format)}
    reasoning = {} if request.reasoning is None else request.reasoning.model_dump(exclude_none=True)
    if sent.reasoning_effort != asked.reasoning_effort:
        reasoning.pop("effort", None)
    key = spelling.get("reasoning_effort", "reasoning")
    if key != "reasoning" and (effort := reasoning.pop("effort", None)) and key:
        out[key] = effort
    return out | ({"text": text} if text else {}) | ({"reasoning": reasoning} if reasoning else {})
