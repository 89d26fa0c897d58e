"""Conversions as a typed program uses them. Checked by mypy and pyright in strict mode, never run."""

from __future__ import annotations

from typing import assert_type

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseOutputItem, ResponseStreamEvent
from openai.types.responses.response_output_text import Logprob

from nxlog import ChatResponse, StreamChunk, TokenLogprob
from nxlog.convert import (
    Converted,
    OutputTextLogprob,
    TextDeltaLogprob,
    chat_to_responses,
    convert_logprobs_for_output_text,
    convert_logprobs_for_text_delta,
    responses_to_chat,
)
from nxlog.convert.openai import from_openai, to_openai
from nxlog.responses import Event, OutputItem, ResponsesReply


def converters(records: list[TokenLogprob]) -> None:
    assert_type(convert_logprobs_for_output_text(records), list[OutputTextLogprob] | None)
    assert_type(convert_logprobs_for_text_delta(records), list[TextDeltaLogprob] | None)


def answers(chat: ChatResponse) -> None:
    converted = chat_to_responses(chat)
    assert_type(converted, Converted)
    assert_type(responses_to_chat(converted), ChatResponse)


def to_theirs(
    chat: ChatResponse, reply: ResponsesReply, event: Event, item: OutputItem, entry: OutputTextLogprob
) -> None:
    assert_type(to_openai(chat), ChatCompletion)
    assert_type(to_openai(reply), Response)
    assert_type(to_openai(event), ResponseStreamEvent)
    assert_type(to_openai(item), ResponseOutputItem)
    assert_type(to_openai(entry), Logprob)


def from_theirs(
    completion: ChatCompletion,
    chunk: ChatCompletionChunk,
    response: Response,
    event: ResponseStreamEvent,
    item: ResponseOutputItem,
    entry: Logprob,
) -> None:
    assert_type(from_openai(completion), ChatResponse)
    assert_type(from_openai(chunk), list[StreamChunk])
    assert_type(from_openai(response), ResponsesReply)
    assert_type(from_openai(event), Event)
    assert_type(from_openai(item), OutputItem)
    assert_type(from_openai(entry), TokenLogprob)
