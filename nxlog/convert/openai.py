"""nxlog's types and those of the package ``openai``, which are also those of ``openai-agents``, both ways.

What nxlog cannot tell or OpenAI's types have no place for:

- A missing logprob is NaN in them, and null as JSON; ``from_openai`` makes it None again. A missing count is 0.
- Null bytes are ``[]`` on an output text and left out of deltas, as the two shapes demand.
- The records of a refusal and of a reasoning are left out of responses; the channel of a chat answer keeps its name.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, overload

from msgspec import Raw
from openai import BaseModel
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionTokenLogprob
from openai.types.responses import (
    Response,
    ResponseStreamEvent,
    response_output_text,
    response_text_delta_event,
    response_text_done_event,
)
from pydantic import TypeAdapter

from nxlog.convert import _openai_shapes as shapes
from nxlog.convert._openai_shapes import Records
from nxlog.convert.logprobs import OutputTextLogprob, TextDeltaLogprob
from nxlog.logprobs import TokenLogprob
from nxlog.response import ChatResponse
from nxlog.responses import Event, ResponsesReply
from nxlog.wire import get_wire
from nxlog.wire._openai_responses_events import decode_event
from nxlog.wire._openai_responses_items import fields_of, item_of
from nxlog.wire._openai_responses_reply import decode_reply

if TYPE_CHECKING:
    from openai.types.responses import ResponseOutputItem

    from nxlog.response import StreamChunk
    from nxlog.responses import OutputItem

__all__ = ["Records", "from_openai", "to_openai"]

_TEXT_RECORD = TypeAdapter(response_output_text.Logprob)
_DELTA_RECORD = TypeAdapter(response_text_delta_event.Logprob)
_CHAT = "openai-chat"
_RECORDS = (
    ChatCompletionTokenLogprob,
    response_output_text.Logprob,
    response_text_delta_event.Logprob,
    response_text_done_event.Logprob,
)


def _event_types() -> dict[str, type[BaseModel]]:
    union = typing.get_args(ResponseStreamEvent)[0]
    found: dict[str, type[BaseModel]] = {}
    for cls in typing.get_args(union):
        found |= dict.fromkeys(typing.get_args(cls.model_fields["type"].annotation), cls)
    return found


_EVENTS = _event_types()


@overload
def to_openai(value: ChatResponse) -> ChatCompletion: ...
@overload
def to_openai(value: ResponsesReply, *, records: Records | None = None) -> Response: ...
@overload
def to_openai(value: Event, *, records: Records | None = None) -> ResponseStreamEvent: ...
@overload
def to_openai(value: OutputTextLogprob) -> response_output_text.Logprob: ...
@overload
def to_openai(value: TextDeltaLogprob) -> response_text_delta_event.Logprob: ...
@overload
def to_openai(value: OutputItem) -> ResponseOutputItem: ...
def to_openai(value: Any, *, records: Records | None = None) -> Any:
    """The same as one of OpenAI's types, built as its own client builds them: without validation.

    An event or item that the installed package does not know is one of its ``BaseModel``.

    Args:
        value: what to convert.
        records: one ``Records()`` for all events of a stream saves making the models of its records again.
    """
    records = Records() if records is None else records
    if isinstance(value, ChatResponse):
        return ChatCompletion.construct(**shapes.completion(value))
    if isinstance(value, ResponsesReply):
        return Response.construct(**shapes.response(value, records))
    if isinstance(value, Event):
        return _EVENTS.get(value.type, BaseModel).construct(**shapes.event(value, records))
    if isinstance(value, OutputTextLogprob):
        return shapes.validated(_TEXT_RECORD, value)
    if isinstance(value, TextDeltaLogprob):
        return shapes.validated(_DELTA_RECORD, value)
    # A list of items is where the client decides what an item is.
    return Response.construct(output=[shapes.item(value, records)]).output[0]


@overload
def from_openai(value: ChatCompletion) -> ChatResponse: ...
@overload
def from_openai(value: ChatCompletionChunk) -> list[StreamChunk]: ...
@overload
def from_openai(value: Response) -> ResponsesReply: ...
@overload
def from_openai(value: ResponseStreamEvent) -> Event: ...
@overload
def from_openai(value: ResponseOutputItem) -> OutputItem: ...
@overload
def from_openai(value: ChatCompletionTokenLogprob | response_output_text.Logprob) -> TokenLogprob: ...
def from_openai(value: Any) -> Any:
    """One of OpenAI's types as nxlog's, read as the JSON that it is; a chunk of a chat stream may be several.

    Raises:
        StatusError: a completion or a response that says that it failed.
        DecodeError: not the shape.
    """
    data: bytes = value.model_dump_json(by_alias=True, exclude_none=True, warnings=False).encode()
    if isinstance(value, ChatCompletion):
        return get_wire(_CHAT).decode(data)
    if isinstance(value, ChatCompletionChunk):
        return list(get_wire(_CHAT).stream_decoder().feed(b"data: " + data + b"\n\n"))
    if isinstance(value, _RECORDS):
        return TokenLogprob.model_validate_json(data)
    if isinstance(value, Response):
        return decode_reply(data)
    if isinstance(value, tuple(_EVENTS.values())):
        return decode_event(data)
    return item_of(fields_of(Raw(data)))
