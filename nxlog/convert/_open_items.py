"""Items of a response while they are streamed: each says what has come of it, and at its end all of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nxlog.responses import (
    ArgumentsDelta,
    ArgumentsDone,
    FunctionCall,
    ItemEvent,
    Message,
    OutputText,
    PartEvent,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    ReasoningText,
    Refusal,
    RefusalDelta,
    RefusalDone,
    TextDelta,
    TextDone,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from nxlog.logprobs import TokenLogprob
    from nxlog.response import ToolCallDelta
    from nxlog.responses import Event

_ItemT = TypeVar("_ItemT", Reasoning, Message, FunctionCall)


class OpenItem(ABC, Generic[_ItemT]):
    """An item that has begun, with its id and its place; ``item`` is there once it has ended."""

    def __init__(self, item_id: str, output_index: int) -> None:
        self.id = item_id
        self.item: _ItemT | None = None
        self._place: dict[str, Any] = {"item_id": item_id, "output_index": output_index}
        self._output_index = output_index

    def _added(self, item: _ItemT) -> ItemEvent:
        return ItemEvent(type="response.output_item.added", item=item, output_index=self._output_index)

    def close(self, status: str) -> Iterator[Event]:
        """The end: whole parts, then the item."""
        self.item = self._build(status)
        yield from self._ends(self.item)
        yield ItemEvent(type="response.output_item.done", item=self.item, output_index=self._output_index)

    @abstractmethod
    def _build(self, status: str) -> _ItemT:
        """The item as it is now."""

    @abstractmethod
    def _ends(self, item: _ItemT, /) -> Iterator[Event]:
        """The events that say once more what is in the item."""


class OpenReasoning(OpenItem[Reasoning]):
    """A reasoning: one part of text."""

    def __init__(self, item_id: str, output_index: int) -> None:
        super().__init__(item_id, output_index)
        self._text: list[str] = []
        self._records: list[TokenLogprob] = []

    def open(self) -> Iterator[Event]:
        """The beginning."""
        yield self._added(Reasoning(id=self.id, status="in_progress"))

    def add(self, delta: str, records: list[TokenLogprob]) -> Iterator[Event]:
        """More of it."""
        self._text.append(delta)
        self._records += records
        yield ReasoningDelta(
            type="response.reasoning_text.delta", **self._place, content_index=0, delta=delta, logprobs=records
        )

    def _build(self, status: str) -> Reasoning:
        content = [ReasoningText(text="".join(self._text))]
        return Reasoning(id=self.id, content=content, status=status, logprobs=self._records or None)

    def _ends(self, item: Reasoning, /) -> Iterator[Event]:
        yield ReasoningDone(type="response.reasoning_text.done", **self._place, content_index=0, text=item.text)


class OpenMessage(OpenItem[Message]):
    """A message: a text, a refusal, or both in the order in which they began."""

    def __init__(self, item_id: str, output_index: int) -> None:
        super().__init__(item_id, output_index)
        self._pieces: dict[type[OutputText | Refusal], list[str]] = {}
        self._records: dict[type[OutputText | Refusal], list[TokenLogprob]] = {}

    def open(self) -> Iterator[Event]:
        """The beginning."""
        yield self._added(Message(id=self.id, status="in_progress"))

    def has(self, kind: type[OutputText | Refusal]) -> bool:
        """Whether it has such a part, to which records can be attached."""
        return kind in self._pieces

    def add_text(self, delta: str, records: list[TokenLogprob]) -> Iterator[Event]:
        """More of the text, or records alone, of tokens that have no text of their own."""
        place = yield from self._add(OutputText, delta)
        yield TextDelta(type="response.output_text.delta", **place, delta=delta, logprobs=records)

    def add_refusal(self, delta: str) -> Iterator[Event]:
        """More of the refusal; its events have no place for records."""
        place = yield from self._add(Refusal, delta)
        yield RefusalDelta(type="response.refusal.delta", **place, delta=delta)

    def _add(self, kind: type[OutputText | Refusal], delta: str) -> Generator[Event, None, dict[str, Any]]:
        first = kind not in self._pieces
        self._pieces.setdefault(kind, []).append(delta)
        place = self._part(list(self._pieces).index(kind))
        if first:
            yield PartEvent(type="response.content_part.added", **place, part=kind())
        return place

    def _part(self, index: int) -> dict[str, Any]:
        return {**self._place, "content_index": index}

    def attach(self, kind: type[OutputText | Refusal], records: list[TokenLogprob] | None) -> None:
        """All records of one part."""
        if records:
            self._records[kind] = records

    def _build(self, status: str) -> Message:
        parts: list[OutputText | Refusal] = []
        for kind, pieces in self._pieces.items():
            name = "text" if kind is OutputText else "refusal"
            parts.append(kind.model_validate({name: "".join(pieces), "logprobs": self._records.get(kind)}))
        return Message(id=self.id, status=status, content=[*parts])

    def _ends(self, item: Message, /) -> Iterator[Event]:
        for index, part in enumerate(item.content):
            place = self._part(index)
            if isinstance(part, OutputText):
                records = part.logprobs or []
                yield TextDone(type="response.output_text.done", **place, text=part.text, logprobs=records)
            elif isinstance(part, Refusal):
                yield RefusalDone(type="response.refusal.done", **place, refusal=part.refusal)
            yield PartEvent(type="response.content_part.done", **place, part=part)


class OpenCall(OpenItem[FunctionCall]):
    """A function call. It begins when its name is known."""

    def __init__(self, item_id: str, output_index: int) -> None:
        super().__init__(item_id, output_index)
        self.call_id: str | None = None
        self._name = ""
        self._arguments: list[str] = []
        self._opened = False

    def add(self, piece: ToolCallDelta) -> Iterator[Event]:
        """More of it."""
        self.call_id = self.call_id or piece.id
        self._name = self._name or piece.name or ""
        self._arguments.append(piece.arguments)
        if not self._opened and self._name:
            yield from self._open()
        elif self._opened and piece.arguments:
            yield self._delta(piece.arguments)

    def _open(self) -> Iterator[Event]:
        self._opened = True
        # The result will refer to the call by it, so it must not change any more.
        self.call_id = self.call_id or self.id
        yield self._added(self._build("in_progress").model_copy(update={"arguments": ""}))
        if waiting := "".join(self._arguments):
            yield self._delta(waiting)

    def _delta(self, arguments: str) -> ArgumentsDelta:
        return ArgumentsDelta(type="response.function_call_arguments.delta", **self._place, delta=arguments)

    def close(self, status: str) -> Iterator[Event]:
        """The end."""
        if not self._opened:  # a server that never said the name
            yield from self._open()
        yield from super().close(status)

    def _build(self, status: str) -> FunctionCall:
        arguments = "".join(self._arguments)
        return FunctionCall(id=self.id, call_id=self.call_id or "", name=self._name, arguments=arguments, status=status)

    def _ends(self, item: FunctionCall, /) -> Iterator[Event]:
        kind = "response.function_call_arguments.done"
        yield ArgumentsDone(type=kind, **self._place, arguments=item.arguments)
