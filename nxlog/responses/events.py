"""The events of a streamed response, one class per shape; ``type`` tells those of one shape apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from pydantic import BaseModel

from nxlog import _json
from nxlog._record_json import record_to_object
from nxlog._records import TokenLogprob
from nxlog.responses.items import OutputItem, OutputPart, ReasoningText
from nxlog.responses.reply import ResponsesReply

if TYPE_CHECKING:
    from collections.abc import Sequence


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Any event.

    Attributes:
        type: the server's name for it.
        sequence_number: its place in the stream; None where the server does not count.
        payload: the JSON it was read from; empty for one that was made by hand.
    """

    type: str
    sequence_number: int | None = None
    payload: bytes = b""

    @property
    def raw(self) -> dict[str, Any] | None:
        """The server's whole JSON, parsed anew at each access; None for one that was made by hand."""
        return _json.loads(self.payload) if self.payload else None

    def model_dump(self) -> dict[str, Any]:
        """The event as the API's JSON object."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "payload"}
        return cast("dict[str, Any]", _json.json_safe(_plain({k: v for k, v in fields.items() if v is not None})))


def _plain(value: object) -> Any:
    if isinstance(value, TokenLogprob):
        return record_to_object(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    return value


class ResponseEvent(Event, frozen=True, kw_only=True):
    """The state of the whole response: ``response.created``, ``.in_progress``, ``.completed``, ``.failed``, ..."""

    response: ResponsesReply


class ItemEvent(Event, frozen=True, kw_only=True):
    """An item begins or is complete: ``response.output_item.added``, ``.done``."""

    item: OutputItem
    output_index: int | None = None


class _InItem(Event, frozen=True, kw_only=True):
    """Something inside an item; ``item_id`` may be empty and ``content_index`` always 0, depending on the server."""

    item_id: str | None = None
    output_index: int | None = None


class PartEvent(_InItem, frozen=True, kw_only=True):
    """A part begins or is complete: ``response.content_part.added``, ``.done``, ``.reasoning_summary_part.*``."""

    part: OutputPart | ReasoningText
    content_index: int | None = None
    summary_index: int | None = None


class TextDelta(_InItem, frozen=True, kw_only=True):
    """``response.output_text.delta``: more of the text, with its token records; often without bytes."""

    delta: str = ""
    logprobs: list[TokenLogprob] = []
    content_index: int | None = None


class TextDone(_InItem, frozen=True, kw_only=True):
    """``response.output_text.done``: the whole text. Its records repeat those of the deltas, or there are none."""

    text: str = ""
    logprobs: list[TokenLogprob] = []
    content_index: int | None = None


class RefusalDelta(_InItem, frozen=True, kw_only=True):
    """``response.refusal.delta``: more of a refusal."""

    delta: str = ""
    content_index: int | None = None


class RefusalDone(_InItem, frozen=True, kw_only=True):
    """``response.refusal.done``: the whole refusal."""

    refusal: str = ""
    content_index: int | None = None


class ReasoningDelta(_InItem, frozen=True, kw_only=True):
    """More of the reasoning: ``response.reasoning_text.delta``, ``.reasoning_summary_text.delta``."""

    delta: str = ""
    logprobs: list[TokenLogprob] = []
    content_index: int | None = None
    summary_index: int | None = None


class ReasoningDone(_InItem, frozen=True, kw_only=True):
    """All of it: ``response.reasoning_text.done``, ``.reasoning_summary_text.done``."""

    text: str = ""
    content_index: int | None = None
    summary_index: int | None = None


class ArgumentsDelta(_InItem, frozen=True, kw_only=True):
    """``response.function_call_arguments.delta``: more of the arguments of a call."""

    delta: str = ""


class ArgumentsDone(_InItem, frozen=True, kw_only=True):
    """``response.function_call_arguments.done``: all of the arguments."""

    arguments: str = ""


class CodeDelta(_InItem, frozen=True, kw_only=True):
    """``response.code_interpreter_call_code.delta``: more of the code that the server will run."""

    delta: str = ""


class CodeDone(_InItem, frozen=True, kw_only=True):
    """``response.code_interpreter_call_code.done``: all of the code."""

    code: str = ""


class ToolEvent(_InItem, frozen=True, kw_only=True):
    """A tool of the server goes on: ``response.web_search_call.searching`` and the like."""

    @property
    def tool(self) -> str:
        """Which one: ``web_search_call``."""
        return self.type.split(".")[-2]

    @property
    def state(self) -> str:
        """What it does: ``searching``."""
        return self.type.split(".")[-1]


class OtherEvent(Event, frozen=True, kw_only=True):
    """An event that nxlog does not know, kept whole."""

    data: dict[str, Any] = {}

    def model_dump(self) -> dict[str, Any]:
        """The event as the server sent it."""
        return cast("dict[str, Any]", _json.json_safe(self.data))
