"""What a call gives back: ``ChatResponse`` for whole replies, ``StreamChunk`` in streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, PrivateAttr, SkipValidation
from pydantic_core import core_schema

from nxlog import _json
from nxlog.delivery_report import Asked, DeliveryReport, report
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.request import ChatRequest, ToolCall
from nxlog.spans import token_spans, tokens_in
from nxlog.turn import TurnTokenData, WeightVersion
from nxlog.turn_build import require_trainable, turn_of
from nxlog.usage import Usage
from nxlog.warnings import ParameterWarning

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

    from nxlog.logprobs import TokenLogprob
    from nxlog.spans import SpanChannel, TokenSpan
    from nxlog.turn_check import Decode

__all__ = [
    "ChatResponse",
    "Choice",
    "StreamChunk",
    "Text",
    "ToolCallDelta",
    "Usage",
    "with_asked",
    "with_body",
    "with_sent",
]

Text = Annotated[str, AfterValidator(_json.well_formed)]
"""A text that can be written to a file or as JSON, whatever the server made of its surrogate pairs."""


class Choice(BaseModel):
    """One answer."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    index: int = 0
    text: Text = ""
    """The answer's text; ``""`` where the server sent none (a refusal, tool calls only)."""
    refusal: Text | None = None
    reasoning: Text | None = None
    """The reasoning's text, where the server shows it."""
    tool_calls: list[ToolCall] = []
    finish_reason: Text | None = None
    """``stop``, ``length``, ``tool_calls``, ``content_filter``, or the server's own word."""
    logprobs: LogprobsData | None = None
    """None when no token record came back for this choice."""
    token_ids: SkipValidation[list[int] | None] = None
    """Ids of all that was generated, as the server lists them; None where it lists none."""
    stop_reason: str | int | None = None
    """The stop text or the id of the stop token that ended the answer, where the server names it."""
    weight_versions: tuple[WeightVersion, ...] = ()
    """The model's weights that generated it, where the server tells versions."""

    def spans(self) -> list[TokenSpan]:
        """Where each token is in the texts above; computed at each access."""
        return token_spans(self)

    def tokens(self, channel: SpanChannel) -> list[TokenLogprob]:
        """The token records of one channel of the spans: of the reasoning, where a server mixed it into content."""
        return tokens_in(self, channel)


class ChatResponse(BaseModel):
    """A whole reply. The properties ``text, logprobs, ...`` are those of the first choice."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    id: Text | None = None
    model: Text = ""
    """The model that served the request, as the server names it; it may differ from the one asked for."""
    provider: str = ""
    created: int | None = None
    """Unix time in seconds."""
    choices: list[Choice] = []
    usage: Usage | None = None
    prompt_token_ids: SkipValidation[list[int] | None] = None
    """Ids of the prompt as the model saw it, where the server lists them."""
    prompt_logprobs: LogprobsData | None = None
    """A record for each token of the prompt; the first follows nothing and has no value."""
    warnings: list[ParameterWarning] = []
    """What was asked for and not delivered as asked. Empty: everything was."""

    _body: bytes | None = PrivateAttr(default=None)
    _asked: Asked | None = PrivateAttr(default=None)
    _sent: ChatRequest | None = PrivateAttr(default=None)
    _endpoint: str | None = PrivateAttr(default=None)

    @property
    def raw(self) -> dict[str, Any] | None:
        """The server's whole JSON body, parsed anew at each access; None for a stream."""
        return None if self._body is None else _json.loads(self._body)

    @property
    def delivery(self) -> DeliveryReport:
        """What came back against what was asked, per channel, counted anew at each access."""
        return report(self, self._asked)

    @property
    def turn(self) -> TurnTokenData:
        """The first choice as a turn for training, made and checked anew at each access."""
        return self.turn_of()

    def turn_of(self, index: int = 0, *, strict: bool = False, decode: Decode | None = None) -> TurnTokenData:
        """A choice as a turn for training.

        Args:
            index: position of the choice in ``choices``.
            strict: whether a turn that is not trainable is an error.
            decode: see ``nxlog.turn_check.check_turn``.

        Raises:
            TurnError: with ``strict``, the turn is not trainable.
        """
        choice = self.choices[index] if self.choices else _NO_CHOICE
        turn = turn_of(self, choice, self._sent, self._endpoint, decode)
        return require_trainable(turn) if strict else turn

    @property
    def _first(self) -> Choice:
        return self.choices[0] if self.choices else _NO_CHOICE

    @property
    def text(self) -> str:
        """Text of the first choice."""
        return self._first.text

    @property
    def refusal(self) -> str | None:
        """Refusal of the first choice."""
        return self._first.refusal

    @property
    def reasoning(self) -> str | None:
        """Reasoning text of the first choice."""
        return self._first.reasoning

    @property
    def tool_calls(self) -> list[ToolCall]:
        """Tool calls of the first choice."""
        return self._first.tool_calls

    @property
    def finish_reason(self) -> str | None:
        """Finish reason of the first choice."""
        return self._first.finish_reason

    @property
    def logprobs(self) -> LogprobsData | None:
        """Token records of the first choice; None when none came back."""
        return self._first.logprobs

    def __eq__(self, other: object) -> bool:
        # The body is where the fields came from, not a part of the value.
        if not isinstance(other, ChatResponse):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in ChatResponse.model_fields)

    def __hash__(self) -> int:
        return hash((self.id, self.model, self.provider))

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return (
            f"ChatResponse({text!r}, model={self.model!r}, provider={self.provider!r}, "
            f"finish_reason={self.finish_reason!r}, logprobs={self.logprobs!r}, warnings={len(self.warnings)})"
        )

    __str__ = __repr__


_NO_CHOICE = Choice()


def with_body(response: ChatResponse, body: bytes) -> ChatResponse:
    """Remember the body for ``raw``; a slice of it is alive anyway as long as the token records are."""
    response._body = body  # noqa: SLF001 - the one place that sets it  # pyright: ignore[reportPrivateUsage]
    return response


def with_asked(response: ChatResponse, *, logprobs: bool, top_logprobs: int | None) -> ChatResponse:
    """Remember what was asked for ``delivery``."""
    response._asked = Asked(logprobs, top_logprobs)  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
    return response


def with_sent(response: ChatResponse, sent: ChatRequest, endpoint: str) -> ChatResponse:
    """Remember what was sent, and where to, for ``turn``."""
    response._sent, response._endpoint = sent, endpoint  # noqa: SLF001 - as above  # pyright: ignore[reportPrivateUsage]
    return response


class ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call: ``id`` and ``name`` come once, ``arguments`` in pieces of JSON text."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class StreamChunk(msgspec.Struct, frozen=True):
    """One chunk of a stream, for one choice.

    Attributes:
        delta: text added to the answer; ``""`` when the chunk has none, which does not mean it has no logprobs.
        index: index of the choice.
        logprobs: token records of this chunk, or None.
        finish_reason: why the choice ended, on the chunk that says so.
        usage: token counts, on the chunk that has them.
        reasoning_delta: text added to the reasoning.
        refusal_delta: text added to the refusal.
        tool_call_deltas: pieces of tool calls.
        closing_logprobs: all token records of the choice once more, where the server repeats them at the end with more
            than its chunks had (bytes, or records left out). They are no further tokens; ``response`` has them.
        id: the server's id of the reply.
        model: the model that serves the request.
        created: Unix time in seconds.
        token_ids: ids of what this chunk adds, where the server lists them.
        prompt_token_ids: ids of the prompt, on the chunk that has them.
        prompt_logprobs: records of the prompt, on the chunk that has them.
        stop_reason: what ended the choice, on the chunk that says so.
        weight_versions: the weights that generated the choice, on its last chunk.
    """

    delta: str = ""
    index: int = 0
    logprobs: StreamLogprobsDelta | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    reasoning_delta: str | None = None
    refusal_delta: str | None = None
    tool_call_deltas: tuple[ToolCallDelta, ...] = ()
    closing_logprobs: LogprobsData | None = None
    id: str | None = None
    model: str | None = None
    created: int | None = None
    token_ids: tuple[int, ...] | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    prompt_logprobs: LogprobsData | None = None
    stop_reason: str | int | None = None
    weight_versions: tuple[WeightVersion, ...] = ()

    @property
    def content(self) -> str:
        """The same as ``delta``."""
        return self.delta

    def model_dump(self) -> dict[str, Any]:
        """The chunk as a dict ready for JSON; what the chunk does not have is left out, except ``delta``."""
        out: dict[str, Any] = {"delta": self.delta, "index": self.index}
        for name in self.__struct_fields__[2:]:
            value = getattr(self, name)
            if value is None or value == ():
                continue
            if isinstance(value, StreamLogprobsDelta | LogprobsData):
                value = value.model_dump()
            elif isinstance(value, Usage):
                value = value.model_dump(exclude_none=True)
            elif isinstance(value, tuple):
                value = msgspec.to_builtins(value)
            out[name] = value
        return cast("dict[str, Any]", _json.json_safe(out))

    def model_dump_json(self) -> str:
        """The same as JSON."""
        return _json.dumps(self.model_dump())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(cls.model_dump)
        )
