"""``ResponsesReply``: a response of the Responses API, whole or as far as it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PrivateAttr

from nxlog import _json
from nxlog.distribution import Distribution, DistributionSource
from nxlog.logprobs import LogprobsData
from nxlog.request import ChatRequest, ToolCall
from nxlog.request import FunctionCall as ChatFunction
from nxlog.response import ChatResponse, Choice, Text, Usage, with_asked, with_body
from nxlog.responses.items import (
    PARAGRAPH,
    FunctionCall,
    Message,
    OutputItem,
    OutputText,
    Reasoning,
    Refusal,
)
from nxlog.spans import ChannelText, locate
from nxlog.warnings import ParameterWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nxlog.delivery_report import DeliveryReport
    from nxlog.logprobs import TokenLogprob
    from nxlog.spans import TokenSpan

RUNNING = frozenset({"queued", "in_progress"})
"""The statuses of a response that is not at its end."""

_REASONS = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}


class _Open(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", frozen=True)


class IncompleteDetails(_Open):
    """Why a response is incomplete: ``max_output_tokens``, ``content_filter``, or the server's own word."""

    reason: Text | None = None


class ReplyError(_Open):
    """Why a response failed."""

    code: Text | int | None = None
    message: Text = ""


class RawMessage(_Open):
    """A message as the model saw or wrote it, token by token (vLLM, ``enable_response_messages``)."""

    type: str = ""
    message: Any = None
    tokens: list[int] = []


class Origin(BaseModel):
    """What a reply was asked for with; remembered for ``delivery`` and for asking after the same response again."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    asked: ChatRequest
    sent: ChatRequest
    distribution: Distribution = Distribution.UNKNOWN
    source: DistributionSource = DistributionSource.NOBODY


class ResponsesReply(BaseModel):
    """A response. ``text, logprobs, ...`` are taken together from all items of ``output``."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    id: Text | None = None
    model: Text = ""
    """The model that served the request, as the server names it; it may differ from the one asked for."""
    provider: str = ""
    created: int | None = None
    """Unix time in seconds."""
    status: Text | None = None
    """``queued``, ``in_progress``, ``completed``, ``incomplete``, ``failed`` or ``cancelled``."""
    output: list[OutputItem] = []
    """What the model put out, in order."""
    usage: Usage | None = None
    incomplete_details: IncompleteDetails | None = None
    error: ReplyError | None = None
    previous_response_id: Text | None = None
    background: bool | None = None
    store: bool | None = None
    input_messages: list[RawMessage] | None = None
    """The prompt with its token ids, where the server was asked for it (vLLM, ``enable_response_messages``)."""
    output_messages: list[RawMessage] | None = None
    """The same of what was generated."""
    warnings: list[ParameterWarning] = []
    """What was asked for and not delivered as asked. Empty: everything was."""

    _body: bytes | None = PrivateAttr(default=None)
    _origin: Origin | None = PrivateAttr(default=None)
    # Whether the server sent the records of the reasoning among those of the text.
    _mixed: bool = PrivateAttr(default=False)

    @property
    def raw(self) -> dict[str, Any] | None:
        """The server's whole JSON, parsed anew at each access; None for a reply that was put together."""
        return None if self._body is None else _json.loads(self._body)

    @property
    def is_running(self) -> bool:
        """Whether it is still queued or in progress."""
        return self.status in RUNNING

    @property
    def text(self) -> str:
        """The text of all messages."""
        return "".join(part.text for part in _parts(self.output, OutputText))

    @property
    def refusal(self) -> str | None:
        """The text of all refusals."""
        return "".join(part.refusal for part in _parts(self.output, Refusal)) or None

    @property
    def reasoning(self) -> str | None:
        """The text of the reasoning, or of its summary, where the server shows one."""
        return PARAGRAPH.join(item.text for item in self.output if isinstance(item, Reasoning) and item.text) or None

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The function calls."""
        return tool_calls(self.output)

    @property
    def logprobs(self) -> LogprobsData | None:
        """All token records by channel; None when none came back.

        A reasoning whose records were among those of the text has a channel of its own here, in contrast to
        ``to_chat()``, which leaves them where every chat server puts them.
        """
        return self._labeled(_records(self.output))

    @property
    def finish_reason(self) -> str | None:
        """OpenAI's chat word for the end; None while there is no end."""
        details = self.incomplete_details
        if details is not None and details.reason is not None:
            return _REASONS.get(details.reason, details.reason)
        if self.status == "completed":
            return "tool_calls" if any(isinstance(item, FunctionCall) for item in self.output) else "stop"
        return None if self.is_running else self.status

    @property
    def delivery(self) -> DeliveryReport:
        """What came back against what was asked, per channel, counted anew at each access."""
        return self.to_chat().delivery

    def to_chat(self) -> ChatResponse:
        """The same as a chat answer, which is what ``client.chat(..., wire="openai-responses")`` gives."""
        choice = Choice(
            text=self.text,
            refusal=self.refusal,
            reasoning=self.reasoning,
            tool_calls=self.tool_calls,
            finish_reason=self.finish_reason,
            logprobs=self._labeled(_records(rejoined(self).output)),
            token_ids=_ids(self.output_messages),
        )
        response = ChatResponse(
            id=self.id,
            model=self.model,
            provider=self.provider,
            created=self.created,
            choices=[choice],
            usage=self.usage,
            prompt_token_ids=_ids(self.input_messages),
            warnings=list(self.warnings),
        )
        if self._body is not None:
            response = with_body(response, self._body)
        if self._origin is None:
            return response
        asked = self._origin.asked
        return with_asked(response, logprobs=bool(asked.logprobs), top_logprobs=asked.top_logprobs)

    def _labeled(self, data: LogprobsData | None) -> LogprobsData | None:
        origin = self._origin
        return data if data is None or origin is None else data.with_distribution(origin.distribution, origin.source)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return (
            f"ResponsesReply({text!r}, id={self.id!r}, status={self.status!r}, model={self.model!r}, "
            f"provider={self.provider!r}, items={len(self.output)}, logprobs={self.logprobs!r}, "
            f"warnings={len(self.warnings)})"
        )

    __str__ = __repr__


def _ids(messages: list[RawMessage] | None) -> list[int] | None:
    ids = [token for message in messages or () for token in message.tokens]
    return ids if ids and all(message.tokens for message in messages or ()) else None


def with_memory(reply: ResponsesReply, *, body: bytes | None = None, origin: Origin | None = None) -> ResponsesReply:
    """Remember where a new reply comes from; a slice of the body is alive anyway as long as token records are."""
    # The one place that sets them.
    if body is not None:
        reply._body = body  # noqa: SLF001 - see above  # pyright: ignore[reportPrivateUsage]
    if origin is not None:
        reply._origin = origin  # noqa: SLF001 - see above  # pyright: ignore[reportPrivateUsage]
    return reply


def origin_of(reply: ResponsesReply) -> Origin | None:
    """What a reply was asked for with; None for one that was made by hand or read from a file."""
    return reply._origin  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]


def with_output(reply: ResponsesReply, output: list[OutputItem], *, mixed: bool = False) -> ResponsesReply:
    """The same with other items."""
    copied = reply.model_copy(update={"output": output})
    copied._mixed = mixed  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
    return copied


# -- records of the reasoning among those of the text ----------------------------------------------------------------


def texts_of(output: list[OutputItem]) -> list[tuple[int, int, OutputText]]:
    """The parts of text with their places: item and part."""
    return [
        (i, j, part)
        for i, item in enumerate(output)
        if isinstance(item, Message)
        for j, part in enumerate(item.content)
        if isinstance(part, OutputText)
    ]


def with_text(output: list[OutputItem], item: int, part: int, changed: OutputText) -> list[OutputItem]:
    """The items with another part of text in that place."""
    message = cast("Message", output[item])
    content = [changed if j == part else other for j, other in enumerate(message.content)]
    return [*output[:item], message.model_copy(update={"content": content}), *output[item + 1 :]]


def separated(reply: ResponsesReply) -> ResponsesReply:
    """The reply with the records of the reasoning moved to it, where they are among those of the text.

    vLLM has all tokens in the records of the text. They are taken apart only where it can be proven which are which:
    the tokens of the reasoning, then nothing but marks, then those of the text.
    """
    thoughts = [(i, item) for i, item in enumerate(reply.output) if isinstance(item, Reasoning) and item.text]
    held = [place for place in texts_of(reply.output) if place[2].logprobs]
    if len(thoughts) != 1 or len(held) != 1 or thoughts[0][1].logprobs:
        return reply
    (at, thought), (item, part, text) = thoughts[0], held[0]
    records = text.logprobs or []
    border = _border(locate(records, [ChannelText("reasoning", thought.text), ChannelText("content", text.text)]))
    if border is None:
        return reply
    output = with_text(reply.output, item, part, text.model_copy(update={"logprobs": records[border:]}))
    output[at] = thought.model_copy(update={"logprobs": records[:border]})
    return with_output(reply, output, mixed=True)


def _border(spans: list[TokenSpan]) -> int | None:
    """The first token behind the reasoning and its marks; None where that cannot be proven."""
    channels = [span.channel for span in spans]
    if "reasoning" not in channels:
        return None
    first = channels.index("content") if "content" in channels else len(channels)
    if "unaligned" in channels[:first] or "reasoning" in channels[first:]:
        return None
    return spans[first].tokens.start if first < len(spans) else spans[-1].tokens.stop


def rejoined(reply: ResponsesReply) -> ResponsesReply:
    """The reply as its server sent it: with the records of the reasoning before those of the text."""
    if not reply._mixed:  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
        return reply
    thoughts = [(i, item) for i, item in enumerate(reply.output) if isinstance(item, Reasoning) and item.logprobs]
    at, thought = thoughts[0]
    item, part, text = next(place for place in texts_of(reply.output) if place[2].logprobs is not None)
    together = [*(thought.logprobs or ()), *(text.logprobs or ())]
    output = with_text(reply.output, item, part, text.model_copy(update={"logprobs": together}))
    output[at] = thought.model_copy(update={"logprobs": None})
    return with_output(reply, output)


# -- from items ------------------------------------------------------------------------------------------------------

_PartT = TypeVar("_PartT", OutputText, Refusal)


def _parts(output: Iterable[OutputItem], kind: type[_PartT]) -> Iterator[_PartT]:
    return (part for item in output if isinstance(item, Message) for part in item.content if isinstance(part, kind))


def tool_calls(output: Iterable[OutputItem]) -> list[ToolCall]:
    """The function calls among items, in the form of a chat answer."""
    calls = [item for item in output if isinstance(item, FunctionCall)]
    return [
        ToolCall(
            id=call.call_id or call.id or f"call_{i}",
            function=ChatFunction(name=call.name, arguments=call.arguments),
        )
        for i, call in enumerate(calls)
    ]


def _records(output: list[OutputItem]) -> LogprobsData | None:
    """The records by channel."""
    content = _joined(part.logprobs for part in _parts(output, OutputText))
    refusal = _joined(part.logprobs for part in _parts(output, Refusal))
    reasoning = _joined(item.logprobs for item in output if isinstance(item, Reasoning))
    if not (content or refusal or reasoning):
        return None
    return LogprobsData(content or None, refusal=refusal or None, reasoning=reasoning or None)


def _joined(lists: Iterable[list[TokenLogprob] | None]) -> list[TokenLogprob]:
    return [record for part in lists for record in part or ()]
