"""Rendering by the server that will generate: its own template and tokenizer, so nothing can differ.

Generators without I/O, driven by the clients like those of ``call``: they yield HTTP requests and take the responses.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, cast

import msgspec

from nxlog._json import BROKEN
from nxlog.errors import DecodeError, InvalidRequestError, NxlogError, UnsupportedParameterError
from nxlog.exchange import HttpRequest
from nxlog.rendered import Rendered, RenderSource
from nxlog.request import ChatRequest, Message, TextPart
from nxlog.wire import get_wire
from nxlog.wire.base import encode_body, not_the_shape

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import TypeAlias, TypeVar

    from nxlog.call import Call
    from nxlog.exchange import HttpResponse

    T = TypeVar("T")
    Flow: TypeAlias = Generator[HttpRequest, HttpResponse | None, T]

_DECIDES = frozenset(
    {"model", "messages", "tools", "tool_choice", "response_format", "reasoning_effort", "provider_options"}
)
"""The fields that a prompt depends on."""
_CLOSED = frozenset({403, 404, 405, 501})
"""What servers answer where an endpoint is switched off or unknown."""


class _Ids(msgspec.Struct):
    token_ids: list[int]


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Prompt(msgspec.Struct):
    prompt: str


class _Content(msgspec.Struct):
    content: str


def about(model: str) -> ChatRequest:
    """The request of a call that is about a model and says nothing to it.

    Raises:
        InvalidRequestError: the model has no name.
    """
    if not model:
        raise InvalidRequestError("model: must not be empty", param="model")
    return ChatRequest(model=model, messages=[Message(role="user", content="")])


def without_answer(request: ChatRequest) -> ChatRequest:
    """The request with only what decides about the prompt; the rest could be refused.

    Raises:
        InvalidRequestError: it has no messages.
    """
    if not request.messages:
        raise InvalidRequestError("messages: nothing to render; ids are a prompt already", param="messages")
    others = request.model_fields_set - _DECIDES
    return request.model_copy(update=dict.fromkeys(others)) if others else request


def render(call: Call) -> Flow[Rendered]:
    """The prompt that the server makes of a request.

    Raises:
        UnsupportedParameterError: this provider renders nothing for others.
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        if _kind(call) == "vllm":
            return (yield from _render_vllm(call))
        return (yield from _render_llamacpp(call))
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def tokenize(call: Call, text: str, *, add_special: bool) -> Flow[array[int]]:
    """The ids of a text in which special tokens are spelled out.

    Raises:
        UnsupportedParameterError: this provider tokenizes nothing for others.
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        if _kind(call) == "vllm":
            body = {"model": call.target.model, "prompt": text, "add_special_tokens": add_special}
        else:
            body = {"content": text, "add_special": add_special, "parse_special": True}
        return _ids((yield from _ask(call, "/tokenize", encode_body(body, None), _Tokens)).tokens)
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def detokenize(call: Call, ids: Sequence[int]) -> Flow[str]:
    """The text of ids.

    Raises:
        UnsupportedParameterError: this provider has no such endpoint.
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        if _kind(call) == "vllm":
            body = encode_body({"model": call.target.model, "tokens": list(ids)}, None)
            return (yield from _ask(call, "/detokenize", body, _Prompt)).prompt
        body = encode_body({"tokens": list(ids)}, None)
        return (yield from _ask(call, "/detokenize", body, _Content)).content
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def _kind(call: Call) -> str:
    kind = call.target.rendering
    if kind is None:
        raise UnsupportedParameterError(
            f"{call.target.provider} has no endpoint that renders or tokenizes; nxlog.rendering.load does it here, "
            "from the model's files",
            param="render",
        )
    return kind


def _render_vllm(call: Call) -> Flow[Rendered]:
    """By the endpoint made for it, and by the tokenizer's where that is switched off, which it is by default."""
    response = yield from _post(call, "/v1/chat/completions/render", _chat_body(call))
    if response.status not in _CLOSED:
        return Rendered(_ids(_read(call, response, _Ids).token_ids), None, RenderSource.RENDER)
    found = yield from _ask(call, "/tokenize", _tokenize_body(call), _Tokens)
    return Rendered(_ids(found.tokens), None, RenderSource.TOKENIZE)


def _tokenize_body(call: Call) -> bytes:
    """What the tokenizer takes of a chat: it has no efforts and no choice of tools, only what the template reads."""
    request = call.asked
    chat: dict[str, Any] = {
        "model": call.target.model,
        "messages": [message.model_dump(exclude_none=True) for message in request.messages],
        "add_generation_prompt": True,
    }
    if request.tools is not None:
        chat["tools"] = [tool.model_dump(exclude_none=True) for tool in request.tools]
    if request.reasoning_effort is not None:
        chat["chat_template_kwargs"] = {"reasoning_effort": request.reasoning_effort}
    return encode_body(chat, request.provider_options, tables=("chat_template_kwargs",))


def _render_llamacpp(call: Call) -> Flow[Rendered]:
    _check_text_only(call.asked)
    prompt = (yield from _ask(call, "/apply-template", _chat_body(call), _Prompt)).prompt
    # As the server does with the prompt of a chat: it adds what the template leaves out.
    body = encode_body({"content": prompt, "add_special": True, "parse_special": True}, None)
    found = yield from _ask(call, "/tokenize", body, _Tokens)
    return Rendered(_ids(found.tokens), prompt, RenderSource.APPLY_TEMPLATE)


def _check_text_only(request: ChatRequest) -> None:
    for i, message in enumerate(request.messages):
        for part in message.content if isinstance(message.content, list) else ():
            if not isinstance(part, TextPart):
                raise InvalidRequestError(
                    f"messages.{i}: llama.cpp renders a part of type {part.type!r} to no tokens", param="messages"
                )


def _chat_body(call: Call) -> bytes:
    """The request as a chat, whatever wire the client speaks."""
    return get_wire("openai-chat").encode(call.asked, model=call.target.model, stream=False, spelling={})


def _ask(call: Call, path: str, body: bytes, shape: type[T]) -> Flow[T]:
    return _read(call, (yield from _post(call, path, body)), shape)


def _post(call: Call, path: str, body: bytes) -> Flow[HttpResponse]:
    request = HttpRequest(_url(call.target.base_url, path), call.target.headers, body, credential=call.credential)
    response = cast("HttpResponse", (yield request))
    if response.status == 401 and call.credential is not None and call.credential.renew():
        response = cast("HttpResponse", (yield request))
    return response


def _url(base_url: str, path: str) -> str:
    """These endpoints are beside ``/v1``, but for the one whose path says so."""
    address, mark, query = base_url.partition("?")
    return f"{address.rstrip('/').removesuffix('/v1')}{path}{mark}{query}"


def _read(call: Call, response: HttpResponse, shape: type[T]) -> T:
    if response.status >= 300:
        raise call.error_of(response)
    try:
        return msgspec.json.decode(response.content, type=shape)
    except BROKEN as error:
        raise not_the_shape("the answer of a rendering endpoint", response.content, str(error)) from None


def _ids(values: list[int]) -> array[int]:
    try:
        return array("i", values)
    except OverflowError:
        raise DecodeError("the server sent an id that is no 32-bit number") from None
