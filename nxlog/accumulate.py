"""A stream's chunks, put together to the reply they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nxlog._json import well_formed
from nxlog.logprobs import CHANNELS, Channel, LogprobsData
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nxlog.logprobs import StreamLogprobsDelta, TokenLogprob
    from nxlog.response import StreamChunk, ToolCallDelta
    from nxlog.turn import WeightVersion


def accumulate(chunks: Iterable[StreamChunk]) -> ChatResponse:
    """The reply that the chunks of one stream make up."""
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.response()


class Accumulator:
    """Collects chunks; lists grow in place, so the cost is linear in the length of the stream."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._usage: Usage | None = None
        self._prompt_ids: list[int] | None = None
        self._prompt_logprobs: LogprobsData | None = None
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: StreamChunk) -> None:
        """Take one chunk in."""
        if self._id is None:
            self._id = chunk.id
        if self._model is None:
            self._model = chunk.model
        if self._created is None:
            self._created = chunk.created
        if self._prompt_ids is None:
            self._prompt_ids = None if chunk.prompt_token_ids is None else [*chunk.prompt_token_ids]
        if self._prompt_logprobs is None:
            self._prompt_logprobs = chunk.prompt_logprobs
        if chunk.usage is not None:
            self._usage = _merged(self._usage, chunk.usage)
        if _only_usage(chunk):
            return
        choice = self._choices.get(chunk.index)
        if choice is None:
            choice = self._choices[chunk.index] = _Choice()
        choice.add(chunk)

    def response(self) -> ChatResponse:
        """What has arrived so far."""
        return ChatResponse(
            id=self._id,
            model=self._model or "",
            created=self._created,
            choices=[choice.build(index) for index, choice in sorted(self._choices.items())],
            usage=self._usage,
            prompt_token_ids=self._prompt_ids,
            prompt_logprobs=self._prompt_logprobs,
        )


def _only_usage(chunk: StreamChunk) -> bool:
    return chunk.usage is not None and not (
        chunk.delta
        or chunk.logprobs
        or chunk.closing_logprobs
        or chunk.finish_reason
        or chunk.reasoning_delta
        or chunk.refusal_delta
        or chunk.tool_call_deltas
        or chunk.token_ids
    )


def _merged(old: Usage | None, new: Usage) -> Usage:
    # Anthropic counts the prompt at the start of a stream and the answer at its end.
    return new if old is None else old.model_copy(update=new.model_dump(exclude_none=True))


class _Choice:
    __slots__ = (
        *("finish_reason", "open_calls", "reasoning", "records", "refusal", "text", "tool_calls"),
        *("stop_reason", "token_ids", "weight_versions"),
    )

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self.stop_reason: str | int | None = None
        self.token_ids: list[int] = []
        self.weight_versions: tuple[WeightVersion, ...] = ()
        self.records: dict[Channel, list[TokenLogprob]] = {}
        self.tool_calls: list[_ToolCall] = []
        self.open_calls: dict[int, _ToolCall] = {}

    def add(self, chunk: StreamChunk) -> None:
        if chunk.delta:
            self.text.append(chunk.delta)
        if chunk.reasoning_delta:
            self.reasoning.append(chunk.reasoning_delta)
        if chunk.refusal_delta:
            self.refusal.append(chunk.refusal_delta)
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason
        if chunk.stop_reason is not None:
            self.stop_reason = chunk.stop_reason
        if chunk.token_ids:
            self.token_ids += chunk.token_ids
        self.weight_versions = chunk.weight_versions or self.weight_versions
        if chunk.logprobs is not None:
            self._add_records(chunk.logprobs)
        if chunk.closing_logprobs is not None:
            self._replace_records(chunk.closing_logprobs)
        for delta in chunk.tool_call_deltas:
            self._call(delta).add(delta)

    def _call(self, delta: ToolCallDelta) -> _ToolCall:
        call = self.open_calls.get(delta.index)
        # Some gateways number every call 0; another id is another call.
        if call is None or (delta.id and call.id and delta.id != call.id):
            call = self.open_calls[delta.index] = _ToolCall(delta.index)
            self.tool_calls.append(call)
        return call

    def _add_records(self, delta: StreamLogprobsDelta) -> None:
        for name in CHANNELS:
            part = delta.channel(name)
            if part:
                self.records.setdefault(name, []).extend(part)

    def _replace_records(self, whole: LogprobsData) -> None:
        for name in CHANNELS:
            part = whole.channel(name)
            if part:
                self.records[name] = list(part)

    def build(self, index: int) -> Choice:
        # Copies, because the lists may still grow.
        records = {name: list(part) for name, part in self.records.items()}
        logprobs = LogprobsData(**records) if records else None
        return Choice(
            index=index,
            text="".join(self.text),
            refusal="".join(self.refusal) or None,
            reasoning="".join(self.reasoning) or None,
            tool_calls=[call.build(i) for i, call in enumerate(sorted(self.tool_calls, key=_ToolCall.place))],
            finish_reason=self.finish_reason,
            logprobs=logprobs,
            token_ids=self.token_ids or None,
            stop_reason=self.stop_reason,
            weight_versions=self.weight_versions,
        )


class _ToolCall:
    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id: str | None = None
        self.name = ""
        self.arguments: list[str] = []

    def add(self, delta: ToolCallDelta) -> None:
        self.id = self.id or delta.id
        # Some servers repeat the name in every piece, none sends it in pieces.
        self.name = self.name or delta.name or ""
        self.arguments.append(delta.arguments)

    def place(self) -> int:
        return self.index

    def build(self, position: int) -> ToolCall:
        return ToolCall(
            id=well_formed(self.id or f"call_{position}"),
            # Only joined, because a piece may end in the middle of a surrogate pair.
            function=FunctionCall(name=well_formed(self.name), arguments=well_formed("".join(self.arguments))),
        )
