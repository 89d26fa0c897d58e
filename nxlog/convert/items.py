"""Chat answers as responses of the Responses API, and back.

A response has one answer, and token records on its text. So what a chat answer has beyond that is kept beside the
response, with a warning: records of an answer without a text (tool calls only), and further choices. nxlog's items have
a place for the records of a refusal and of a reasoning, which those of OpenAI have not.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nxlog.logprobs import CHANNELS
from nxlog.response import Choice
from nxlog.responses import (
    FunctionCall,
    IncompleteDetails,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    ResponsesReply,
)
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nxlog.logprobs import Channel, LogprobsData, TokenLogprob
    from nxlog.request import ToolCall
    from nxlog.response import ChatResponse
    from nxlog.responses import OutputItem

NewId = Callable[[str], str]
"""Makes the id of a response or an item; it is given the prefix: ``resp``, ``msg``, ``rs`` or ``fc``."""

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Chat's words for an end before the end, and those of the Responses API."""


def fresh_id(prefix: str) -> str:
    """An id that nothing else has."""
    return f"{prefix}_{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Converted:
    """A chat answer as a response, and what has no place in one.

    Attributes:
        reply: the response; its ``warnings`` are those of the answer, and one for each kind of thing left out.
        logprobs: all token records of the first choice by channel, also those that no item of the response has.
        choices: the further choices.
        finish_reason: the server's word for the end, of which a response keeps only the meaning.
        id: the server's id of the answer; a response has one also where the server gave none.
        tokens: what the answer says of token ids and weights: fields of the first choice, then of the answer.
    """

    reply: ResponsesReply
    logprobs: LogprobsData | None = None
    choices: list[Choice] = field(default_factory=list[Choice])
    finish_reason: str | None = None
    id: str | None = None
    tokens: tuple[dict[str, Any], dict[str, Any]] = ({}, {})


def chat_to_responses(chat: ChatResponse, *, new_id: NewId = fresh_id) -> Converted:
    """A chat answer as a response.

    The records of the first choice go to the first text of its message, all of them, as they are.

    Args:
        chat: the answer.
        new_id: makes the ids of items; also that of the response, where the answer has none.
    """
    first, *others = chat.choices or [Choice()]
    output, left = choice_to_items(first, new_id=new_id)
    reply = ResponsesReply(
        id=chat.id or new_id("resp"),
        model=chat.model,
        provider=chat.provider,
        created=chat.created,
        output=output,
        usage=chat.usage,
        warnings=[*chat.warnings, *warnings_of(left, others, provider=chat.provider, model=chat.model)],
        **end_of(first.finish_reason),
    )
    return Converted(reply, first.logprobs, others, first.finish_reason, chat.id, tokens_of(first, chat))


def tokens_of(first: Choice, chat: ChatResponse) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``Converted.tokens`` holds."""
    of_choice = {name: getattr(first, name) for name in ("token_ids", "stop_reason", "weight_versions")}
    return of_choice, {name: getattr(chat, name) for name in ("prompt_token_ids", "prompt_logprobs")}


def responses_to_chat(response: ResponsesReply | Converted) -> ChatResponse:
    """A response as a chat answer; of what ``chat_to_responses`` gave, the answer it was made of."""
    if isinstance(response, ResponsesReply):
        return response.to_chat()
    chat = response.reply.to_chat()
    of_choice, of_chat = response.tokens
    known = {"logprobs": response.logprobs, "finish_reason": response.finish_reason}
    first = chat.choices[0].model_copy(update=known | of_choice)
    warnings = [warning for warning in chat.warnings if warning.code is not WarningCode.NO_PLACE]
    found = {"id": response.id, "choices": [first, *response.choices], "warnings": warnings}
    return chat.model_copy(update=found | of_chat)


def choice_to_items(choice: Choice, *, new_id: NewId = fresh_id) -> tuple[list[OutputItem], dict[Channel, int]]:
    """The items of one choice, in the order reasoning, message, calls; and how many records none of them has."""
    data = choice.logprobs
    records: dict[Channel, Sequence[TokenLogprob]] = {}
    if data is not None:
        records = {name: found for name in CHANNELS if (found := data.channel(name))}
    status = item_status(choice.finish_reason)
    items: list[OutputItem] = []
    if choice.reasoning:
        content = [ReasoningText(text=choice.reasoning)]
        logprobs = records.pop("reasoning", None)
        items.append(Reasoning(id=new_id("rs"), content=content, status=status, logprobs=_listed(logprobs)))
    parts: list[OutputText | Refusal] = []
    if choice.text:
        parts.append(OutputText(text=choice.text, logprobs=_listed(records.pop("content", None))))
    if choice.refusal:
        parts.append(Refusal(refusal=choice.refusal, logprobs=_listed(records.pop("refusal", None))))
    if parts:
        items.append(Message(id=new_id("msg"), status=status, content=[*parts]))
    items += [call_item(call, id=new_id("fc"), status=status) for call in choice.tool_calls]
    return items, {name: len(found) for name, found in records.items()}


def _listed(records: Sequence[TokenLogprob] | None) -> list[TokenLogprob] | None:
    return None if records is None else list(records)


def call_item(call: ToolCall, *, id: str, status: str) -> FunctionCall:  # noqa: A002 - the item's own key
    """The item of a tool call; ``id`` is that of the item, the result of the call refers to the call's own."""
    function = call.function
    return FunctionCall(id=id, call_id=call.id, name=function.name, arguments=function.arguments, status=status)


def item_status(finish_reason: str | None) -> str:
    """The status of an item of an answer that ended so."""
    return "incomplete" if finish_reason in INCOMPLETE else "completed"


def end_of(finish_reason: str | None) -> dict[str, Any]:
    """The fields of a response that say how it ended."""
    reason = INCOMPLETE.get(finish_reason or "")
    details = None if reason is None else IncompleteDetails(reason=reason)
    return {"status": item_status(finish_reason), "incomplete_details": details}


def warnings_of(
    left: Mapping[Channel, int], others: Sequence[Choice], *, provider: str, model: str
) -> Iterator[ParameterWarning]:
    """What the response could not take up: how many records of each channel, and which choices."""
    said: list[tuple[str, int, str]] = []
    if left:
        named = ", ".join(f"{name} {count}" for name, count in left.items())
        message = f"no item has the text of these token records, which the conversion keeps beside the items: {named}"
        said.append(("logprobs", sum(left.values()), message))
    if others:
        message = f"a response has one answer; the conversion keeps {len(others)} more beside it"
        said.append(("n", len(others), message))
    for parameter, count, message in said:
        yield ParameterWarning(
            parameter=parameter,
            code=WarningCode.NO_PLACE,
            severity=WarningSeverity.WARNING,
            message=message,
            requested=count,
            provider=provider or None,
            model=model or None,
            source=WarningSource.RESPONSE,
        )
