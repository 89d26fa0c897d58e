"""The calls of the Responses API as flows, without I/O."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from pydantic import TypeAdapter, ValidationError

from nxlog._json import loads_anything
from nxlog.call import Call
from nxlog.errors import InvalidRequestError, NxlogError
from nxlog.exchange import HttpRequest, HttpResponse, Pause, Sleep
from nxlog.request import INCLUDE_LOGPROBS, ChatRequest
from nxlog.responses.items import InputItem, OtherItem
from nxlog.responses.reply import Origin, ResponsesReply, origin_of, rejoined, with_memory
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource
from nxlog.wire._openai_responses_items import fields_of, list_of, text_of
from nxlog.wire._openai_responses_reply import NAME, decode_reply, raise_failure
from nxlog.wire._openai_responses_request import encode_own

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from typing import TypeAlias

    from nxlog._config import Config
    from nxlog.responses.request import ResponsesRequest

    Exchange: TypeAlias = Generator[HttpRequest | Pause, HttpResponse | None, HttpResponse]
    Flow: TypeAlias = Generator[HttpRequest | Pause | Sleep, HttpResponse | None, ResponsesReply]

_one_item: TypeAdapter[InputItem] = TypeAdapter(InputItem)


def new_call(config: Config, request: ResponsesRequest, *, stream: bool, read: float | None = None) -> Call:
    """The call for a request: resolved, adapted, nothing sent."""
    target = config.target(request.model, wire=NAME)
    encode = partial(encode_own, request, model=target.model, stream=stream, spelling=target.spelling)
    return Call(target, config.policy, request.as_chat(), stream, encode, read)


def later_call(
    config: Config,
    response: ResponsesReply | str,
    model: str | None,
    *,
    stream: bool = False,
    read: float | None = None,
) -> Call:
    """The call about a response that there is already; ``model`` says where it is, when nothing else does.

    Raises:
        InvalidRequestError: the response has no id, or it is not said which provider has it.
    """
    id_of(response)
    origin = None if isinstance(response, str) else origin_of(response)
    if origin is None:
        if model is None and not config.has_provider:
            raise InvalidRequestError(
                "model: say which provider has the response: retrieve(id, model='openai/gpt-4o-mini'), "
                "or give the client a provider",
                param="model",
            )
        asked = ChatRequest(model=model or "any", messages=[{"role": "user", "content": ""}])
        target = config.target(asked.model, wire=NAME)
        # Which model it was is not known, and is not to be made up.
        target = target if model is not None else replace(target, model="")
        return Call(target, config.policy, asked, stream, read=read)
    call = Call(config.target(origin.asked.model, wire=NAME), config.policy, origin.asked, stream, read=read)
    # As it was sent, with what was said about that.
    call.sent, call.warnings = origin.sent, [] if isinstance(response, str) else list(response.warnings)
    return call


def id_of(response: object) -> str:
    """The id of a response.

    Raises:
        InvalidRequestError: it has none, or is no response.
    """
    if not isinstance(response, str | ResponsesReply):
        kind = type(response).__name__
        raise InvalidRequestError(
            f"response_id: give a ResponsesReply or its id, not a value of type {kind}", param="response_id"
        )
    found = response if isinstance(response, str) else response.id
    if not found:
        raise InvalidRequestError("response_id: the response has no id", param="response_id")
    return found


def http_request(
    call: Call,
    method: str,
    response_id: str,
    suffix: str = "",
    query: Mapping[str, Any] | None = None,
    *,
    stream: bool = False,
) -> HttpRequest:
    """A request about one response. A query of the address (``?api-version=...``) stays."""
    path, _, own = call.target.url.partition("?")
    both = "&".join(filter(None, (own, urlencode(query or {}))))
    url = f"{path}/{quote(response_id, safe='')}{suffix}" + (f"?{both}" if both else "")
    read = call.read if stream else None
    return HttpRequest(url, call.target.headers, b"", stream, call.credential, read, method)


def included(call: Call) -> dict[str, str]:
    """The query that asks for logprobs again, where they were asked for."""
    return {"include[]": INCLUDE_LOGPROBS} if call.sent.logprobs else {}


# -- flows -----------------------------------------------------------------------------------------------------------


def create(call: Call, request: ResponsesRequest) -> Flow:
    """A whole reply, or in the background its beginning.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        response = yield from call.opened()
        reply = decode_reply(response.content)
        if not request.background:
            raise_failure(reply, response.content)
        return completed(call, reply)
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def ask(call: Call, response_id: str) -> Flow:
    """The response as it stands, unchecked.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    return (yield from _reply(call, http_request(call, "GET", response_id, query=included(call))))


def cancel(call: Call, response_id: str) -> Flow:
    """Cancel the response, wherever it stands.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    return (yield from _reply(call, http_request(call, "POST", response_id, "/cancel")))


def _reply(call: Call, request: HttpRequest) -> Flow:
    try:
        response = yield from call.exchanged(request)
        return decode_reply(response.content).model_copy(update={"provider": call.target.provider})
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def checked(call: Call, flow: Flow) -> Flow:
    """The reply that the flow ends with, checked against what was asked."""
    return completed(call, (yield from flow))


def delete(call: Call, response_id: str) -> Exchange:
    """Nothing of the response is left at the server.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        return (yield from call.exchanged(http_request(call, "DELETE", response_id)))
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def input_items(call: Call, response_id: str) -> Generator[HttpRequest | Pause, HttpResponse | None, list[InputItem]]:
    """All that the response was given, oldest first, page by page.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    query: dict[str, str] = {"order": "asc"}
    found: list[InputItem] = []
    try:
        while True:
            response = yield from call.exchanged(http_request(call, "GET", response_id, "/input_items", query))
            page = fields_of(msgspec.Raw(response.content))
            items = list_of(page.get("data", msgspec.Raw(b"[]"))) or []
            found += [_item(item) for item in items]
            last = text_of(page.get("last_id", msgspec.Raw(b"null")))
            more = bytes(page.get("has_more", b"")) == b"true"
            if not (more and items and last) or last == query.get("after"):
                return found
            query["after"] = last
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def _item(raw: msgspec.Raw) -> InputItem:
    value = loads_anything(raw)
    try:
        return _one_item.validate_python(value)
    except ValidationError:
        return OtherItem.model_validate(value if isinstance(value, dict) else {})


# -- what came back --------------------------------------------------------------------------------------------------


def completed(call: Call, reply: ResponsesReply, *, found: Sequence[ParameterWarning] = ()) -> ResponsesReply:
    """The reply with its provider and its warnings; at its end it is checked against what was sent.

    Args:
        call: the call that it answers.
        reply: the reply.
        found: what else is wrong with it.
    """
    label, source = call.distribution
    reply = with_memory(reply, origin=Origin(asked=call.asked, sent=call.sent, distribution=label, source=source))
    call.warnings += found
    if reply.is_running:
        chat = call.so_far(reply.to_chat())
    else:
        chat = call.complete(reply.to_chat())
        call.warnings += _ids_against_records(reply, chat.provider)
    # What was said of an earlier state of the response is said once.
    call.warnings[:] = dict.fromkeys(call.warnings)
    return reply.model_copy(update={"provider": chat.provider, "warnings": list(call.warnings)})


def _ids_against_records(reply: ResponsesReply, provider: str) -> list[ParameterWarning]:
    """A warning where the server lists another number of token ids than of token records."""
    ids = sum(len(message.tokens) for message in reply.output_messages or ())
    data = rejoined(reply).logprobs
    records = 0 if data is None else len(data.content)
    if not ids or not records or ids == records:
        return []
    message = f"{records} token records and {ids} token ids: which belongs to which is not known"
    return [
        ParameterWarning(
            parameter="logprobs",
            code=WarningCode.MISALIGNED,
            severity=WarningSeverity.WARNING,
            message=message,
            requested=ids,
            applied=records,
            provider=provider or None,
            model=reply.model or None,
            source=WarningSource.RESPONSE,
        )
    ]
