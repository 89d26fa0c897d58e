"""What nxlog's types are as JSON objects of OpenAI's API, with every key that its types demand.

A type of OpenAI has no null where a number belongs. A missing logprob is NaN there, which is a number for the type
checker, no probability, and null again as JSON; a missing count is 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from openai.types.responses import response_output_text, response_text_delta_event
from pydantic import TypeAdapter, ValidationError

from nxlog.convert.logprobs import convert_logprobs_for_output_text, convert_logprobs_for_text_delta
from nxlog.logprobs import CHANNELS
from nxlog.responses import (
    ItemEvent,
    Message,
    OtherEvent,
    OutputText,
    PartEvent,
    Reasoning,
    ResponseEvent,
    TextDelta,
    TextDone,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog.logprobs import LogprobsData, TokenLogprob
    from nxlog.response import ChatResponse, Choice, Usage
    from nxlog.responses import Event, OutputItem, ReasoningText, ResponsesReply
    from nxlog.responses.items import OutputPart

Json = dict[str, Any]


_T = TypeVar("_T")
_TEXT_RECORDS = TypeAdapter(list[response_output_text.Logprob])
_DELTA_RECORDS = TypeAdapter(list[response_text_delta_event.Logprob])


class Records:
    """OpenAI's models of token records, each made once, although the events that end a stream repeat all of them."""

    def __init__(self) -> None:
        # By identity; what is held here keeps its own.
        self._texts: dict[int, tuple[list[TokenLogprob], list[response_output_text.Logprob]]] = {}
        self._deltas: dict[int, tuple[TokenLogprob, response_text_delta_event.Logprob]] = {}

    def text(self, records: list[TokenLogprob]) -> list[response_output_text.Logprob]:
        """The records of an output text."""
        if id(records) not in self._texts:
            made = validated(_TEXT_RECORDS, convert_logprobs_for_output_text(records) or [])
            self._texts[id(records)] = (records, made)
        return list(self._texts[id(records)][1])

    def delta(self, records: list[TokenLogprob]) -> list[response_text_delta_event.Logprob]:
        """The records of a text delta, which are also those of the whole text in ``response.output_text.done``."""
        new = [record for record in records if id(record) not in self._deltas]
        made = validated(_DELTA_RECORDS, convert_logprobs_for_text_delta(new) or [])
        self._deltas |= {id(record): (record, model) for record, model in zip(new, made, strict=True)}
        return [self._deltas[id(record)][1] for record in records]


def validated(adapter: TypeAdapter[_T], entries: object) -> _T:
    """Entries as OpenAI's models."""
    try:
        return adapter.validate_python(entries, from_attributes=True)
    except ValidationError:
        return adapter.validate_python(_numbered(msgspec.to_builtins(entries)))


def _numbered(value: Any) -> Any:
    """The same with NaN for each missing logprob."""
    if isinstance(value, list):
        return [_numbered(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        given = cast("Json", value)
        return {key: math.nan if key == "logprob" and item is None else _numbered(item) for key, item in given.items()}
    return value


# -- the Responses API -------------------------------------------------------------------------------------------------


def part(value: OutputPart | ReasoningText, records: Records) -> Json:
    """A part of a message or a reasoning. The records of a refusal have no place."""
    out = value.model_dump(exclude={"logprobs"}, exclude_none=True)
    if isinstance(value, OutputText):
        out["logprobs"] = None if value.logprobs is None else records.text(value.logprobs)
    return out


def item(value: OutputItem, records: Records) -> Json:
    """An item. The records of a reasoning have no place."""
    out = value.model_dump(exclude={"content", "logprobs"}, exclude_none=True)
    if isinstance(value, Message):
        out |= {"id": value.id or "", "status": value.status or "completed"}
        out["content"] = [part(one, records) for one in value.content]
    elif isinstance(value, Reasoning):
        out |= {"id": value.id or ""}
        out["content"] = None if value.content is None else [part(one, records) for one in value.content]
    elif "content" in (value.model_extra or {}):
        out["content"] = (value.model_extra or {})["content"]
    return out


def response(value: ResponsesReply, records: Records) -> Json:
    """A response; what nxlog has no field for is as the server sent it."""
    unknown: Json = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    details, error = value.incomplete_details, value.error
    return {
        **unknown,
        **(value.raw or {}),
        "id": value.id or "",
        "object": "response",
        "created_at": float(value.created or 0),
        "model": value.model,
        "status": value.status,
        "output": [item(one, records) for one in value.output],
        "usage": usage(value.usage),
        "incomplete_details": None if details is None else details.model_dump(),
        "error": None if error is None else error.model_dump(),
        "previous_response_id": value.previous_response_id,
        "background": value.background,
    }


def usage(value: Usage | None) -> Json | None:
    """The counts of a response."""
    if value is None:
        return None
    prompt, generated = value.prompt_tokens or 0, value.completion_tokens or 0
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": value.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": generated,
        "output_tokens_details": {"reasoning_tokens": value.reasoning_tokens or 0},
        "total_tokens": value.total_tokens if value.total_tokens is not None else prompt + generated,
    }


_NOT_PLAIN = frozenset({"payload", "data", "response", "item", "part", "logprobs"})


def event(value: Event, records: Records) -> Json:
    """An event. One without a number gets 0."""
    fields = [name for name in value.__struct_fields__ if name not in _NOT_PLAIN and getattr(value, name) is not None]
    out: Json = {name: getattr(value, name) for name in fields}
    out["sequence_number"] = value.sequence_number or 0
    if isinstance(value, OtherEvent):
        return value.data | out
    if isinstance(value, ResponseEvent):
        out["response"] = response(value.response, records)
    elif isinstance(value, ItemEvent):
        out["item"] = item(value.item, records)
    elif isinstance(value, PartEvent):
        out["part"] = part(value.part, records)
    elif isinstance(value, TextDelta | TextDone):
        out["logprobs"] = records.delta(value.logprobs)
    return out


# -- Chat Completions --------------------------------------------------------------------------------------------------


def completion(value: ChatResponse) -> Json:
    """A chat answer; without the server's other keys, because its body need not be of this wire."""
    return {
        "id": value.id or "",
        "object": "chat.completion",
        "created": value.created or 0,
        "model": value.model,
        "choices": [_choice(choice) for choice in value.choices],
        "usage": _chat_usage(value.usage),
    }


def _choice(value: Choice) -> Json:
    message: Json = {"role": "assistant", "content": value.text or None, "refusal": value.refusal}
    if value.reasoning is not None:
        message["reasoning_content"] = value.reasoning  # what most servers call it
    if value.tool_calls:
        message["tool_calls"] = [call.model_dump() for call in value.tool_calls]
    logprobs = None if value.logprobs is None else _channels(value.logprobs)
    return {
        "index": value.index,
        "message": message,
        "finish_reason": value.finish_reason or "stop",
        "logprobs": logprobs,
    }


def _channels(value: LogprobsData) -> Json:
    names = {"content": "content", "refusal": "refusal", "reasoning": "reasoning_content"}
    channels = ((names[name], value.channel(name)) for name in CHANNELS)
    return {key: _records(records) for key, records in channels if records is not None or key != "reasoning_content"}


def _records(records: Sequence[TokenLogprob] | None) -> list[Json] | None:
    return None if records is None else [_numbered(record.model_dump()) for record in records]


def _chat_usage(value: Usage | None) -> Json | None:
    if value is None:
        return None
    prompt, generated = value.prompt_tokens or 0, value.completion_tokens or 0
    return {
        "prompt_tokens": prompt,
        "prompt_tokens_details": {"cached_tokens": value.cached_tokens},
        "completion_tokens": generated,
        "completion_tokens_details": {"reasoning_tokens": value.reasoning_tokens},
        "total_tokens": value.total_tokens if value.total_tokens is not None else prompt + generated,
    }
