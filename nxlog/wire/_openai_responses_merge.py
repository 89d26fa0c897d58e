"""One response out of the events of a stream, which say everything up to five times.

The deltas come first and have the exact values. ``*.done``, the item and the last event repeat them: rounded on OpenAI,
with bytes on vLLM, with records that the deltas left out on others. Each list is merged into what is known, so that no
token is counted twice and every one has the best that was said of it; what contradicts the deltas is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from nxlog._json import well_formed
from nxlog.responses.events import (
    ArgumentsDelta,
    ArgumentsDone,
    CodeDelta,
    CodeDone,
    Event,
    ItemEvent,
    PartEvent,
    ReasoningDelta,
    ReasoningDone,
    RefusalDelta,
    RefusalDone,
    ResponseEvent,
    TextDelta,
    TextDone,
)
from nxlog.responses.items import (
    CodeInterpreterCall,
    FunctionCall,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
)
from nxlog.responses.reply import ResponsesReply, rejoined, separated, with_output
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource
from nxlog.wire._closing import close, is_about
from nxlog.wire._openai_responses_events import ENDS
from nxlog.wire._sequence import Numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog._records import TokenLogprob
    from nxlog.responses.items import OutputItem, OutputPart

Kind = Literal["message", "reasoning", "function_call", "code_interpreter_call", "other"]


class _Piece:
    """One text, as far as its deltas and what repeats them have told."""

    __slots__ = ("_given", "_late", "contradicted", "records")

    def __init__(self, *, late: bool) -> None:
        self._given: list[str] = []
        # The stream began in the middle, so what was given may be the end of it only.
        self._late = late
        self.records: list[TokenLogprob] = []
        self.contradicted = False

    @property
    def text(self) -> str:
        if len(self._given) > 1:
            self._given = ["".join(self._given)]
        # Only what is joined, because a delta may end in the middle of a surrogate pair.
        return well_formed("".join(self._given))

    def add(self, delta: str, records: list[TokenLogprob] | None = None) -> None:
        self._given.append(delta)
        self.records += records or ()

    def close(self, text: str, records: list[TokenLogprob] | None = None) -> None:
        """Take in what repeats all of it."""
        given = self.text
        if text.startswith(given) or (self._late and text.endswith(given)):
            self._given = [text]
        elif text:
            self.contradicted = True
        if records:
            self._close_records(records)

    def _close_records(self, records: list[TokenLogprob]) -> None:
        before: list[TokenLogprob] = []
        if self._late and len(records) > len(self.records):
            border = len(records) - len(self.records)
            before, records = records[:border], records[border:]
        if not is_about(self.records, records):
            self.contradicted = not self._late
            self.records = [*before, *records] if self._late else self.records
            return
        trailing, whole = close(self.records, records)
        self.records = before + ([*self.records, *trailing] if whole is None else whole)


class _Group:
    """What belongs to one item."""

    def __init__(self, kind: Kind, item_id: str | None, index: int | None, *, late: bool) -> None:
        self.kind = kind
        self._late = late
        self.id = item_id or None
        self.index = index
        self.item: OutputItem | None = None
        self._pieces: dict[tuple[str, int], _Piece] = {}

    def piece(self, name: str, index: int | None = None) -> _Piece:
        return self._pieces.setdefault((name, index or 0), _Piece(late=self._late))

    def named(self, name: str) -> list[_Piece]:
        return [piece for (own, _), piece in sorted(self._pieces.items(), key=lambda entry: entry[0]) if own == name]

    @property
    def contradicted(self) -> bool:
        return any(piece.contradicted for piece in self._pieces.values())

    def close(self, item: OutputItem) -> None:
        """Take in the whole item."""
        self.item, self.id = item, self.id or _id_of(item)
        if isinstance(item, Message):
            for i, part in enumerate(item.content):
                if isinstance(part, OutputText | Refusal):
                    text = part.text if isinstance(part, OutputText) else part.refusal
                    same = [other for other in item.content if other.type == part.type]
                    lone = len(same) == len(self.named(part.type)) == 1
                    (self.named(part.type)[0] if lone else self.piece(part.type, i)).close(text, part.logprobs)
        elif isinstance(item, Reasoning):
            for name, texts in (("summary_text", item.summary), ("reasoning_text", item.content or [])):
                for i, thought in enumerate(texts):
                    self.piece(name, i).close(thought.text)
        elif isinstance(item, FunctionCall):
            self.piece("arguments").close(item.arguments)
        elif isinstance(item, CodeInterpreterCall):
            self.piece("code").close(item.code or "")

    def build(self) -> OutputItem | None:
        """The item with all that is known of it; None where nothing was said."""
        item = self.item
        if self.kind == "message":
            message = item if isinstance(item, Message) else Message(id=self.id, status="in_progress")
            return message.model_copy(update={"content": [*self._content(message.content)]})
        if self.kind == "reasoning":
            thought = item if isinstance(item, Reasoning) else Reasoning(id=self.id)
            return thought.model_copy(update=self._thoughts(thought))
        if isinstance(item, FunctionCall):
            return item.model_copy(update={"arguments": self.piece("arguments").text or item.arguments})
        if isinstance(item, CodeInterpreterCall):
            return item.model_copy(update={"code": self.piece("code").text or item.code})
        if item is None and self.kind == "function_call":
            return FunctionCall(id=self.id, arguments=self.piece("arguments").text)
        return item

    def _content(self, parts: list[OutputPart]) -> Iterator[OutputPart]:
        left = dict(self._pieces)
        for i, part in enumerate(parts):
            if not isinstance(part, OutputText | Refusal):
                yield part
                continue
            key: tuple[str, int] = (part.type, i)
            if key not in left:
                key = next((other for other in left if other[0] == part.type), key)
            yield _told(part, left.pop(key, None))
        for (name, _), piece in sorted(left.items(), key=lambda entry: entry[0][1]):
            if piece.text or piece.records:
                yield _told(Refusal() if name == "refusal" else OutputText(), piece)

    def _thoughts(self, thought: Reasoning) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for field, name in (("summary", "summary_text"), ("content", "reasoning_text")):
            pieces = self.named(name)
            texts = [ReasoningText(type=cast("Any", name), text=piece.text) for piece in pieces]
            known: list[ReasoningText] = getattr(thought, field) or []
            if texts and [part.text for part in texts] != [part.text for part in known]:
                out[field] = texts
        if records := [record for piece in self._pieces.values() for record in piece.records]:
            out["logprobs"] = records
        return out


def _told(part: OutputText | Refusal, piece: _Piece | None) -> OutputText | Refusal:
    if piece is None:
        return part
    text = {"text" if isinstance(part, OutputText) else "refusal": piece.text}
    return part.model_copy(update={**text, "logprobs": piece.records or part.logprobs})


def _id_of(item: OutputItem) -> str | None:
    found = getattr(item, "id", None)
    return found if isinstance(found, str) and found else None


def _kind_of(item: OutputItem) -> Kind:
    kinds = ("message", "reasoning", "function_call", "code_interpreter_call")
    return cast("Kind", item.type) if item.type in kinds else "other"


_MORE: dict[type[Event], tuple[Kind, str, str]] = {
    TextDelta: ("message", "output_text", "delta"),
    TextDone: ("message", "output_text", "text"),
    RefusalDelta: ("message", "refusal", "delta"),
    RefusalDone: ("message", "refusal", "refusal"),
    ReasoningDelta: ("reasoning", "reasoning_text", "delta"),
    ReasoningDone: ("reasoning", "reasoning_text", "text"),
    ArgumentsDelta: ("function_call", "arguments", "delta"),
    ArgumentsDone: ("function_call", "arguments", "arguments"),
    CodeDelta: ("code_interpreter_call", "code", "delta"),
    CodeDone: ("code_interpreter_call", "code", "code"),
}
"""Of which text an event has more, and in which of its fields."""


class Merger:
    """Takes events in and gives the response that they make up so far."""

    def __init__(self) -> None:
        self.numbers: Numbers = Numbers()
        self.ended: bool = False
        self._response: ResponsesReply = ResponsesReply()
        self._groups: list[_Group] = []
        self._whole: list[_Group] = []
        self._late = False

    def begin(self, response_id: str, last: int | None) -> None:
        """The first event is not the first of the response, which has this id; the number of the last one before."""
        self.numbers = Numbers(last)
        self._late = last is not None
        self._response = ResponsesReply(id=response_id)

    @property
    def id(self) -> str | None:
        """The id of the response; None before an event has said it."""
        return self._response.id

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was wrong with the stream."""
        contradicted = [group for group in self._groups if group.contradicted or group not in self._kept]
        return [*self.numbers.warnings(), *_contradictions(len(contradicted))]

    def add(self, event: Event) -> bool:
        """Take an event in, unless it is one that came before; whether it is new."""
        if not self.numbers.take(event.sequence_number, event.payload):
            return False
        if isinstance(event, ResponseEvent):
            self._state(event)
        elif isinstance(event, ItemEvent):
            self._item(event)
        elif isinstance(event, PartEvent):
            self._part(event)
        else:
            self._more(event)
        return True

    def finish(self, response: ResponsesReply) -> None:
        """Take in the whole response: that of the last event, or one that was asked for in its place."""
        response = rejoined(response)
        self.ended = True
        self._know(response)
        for i, item in enumerate(response.output):
            group = self._match(item, i)
            self._whole.append(group)
            group.index = i
            group.close(item)

    def _know(self, response: ResponsesReply) -> None:
        before = self._response
        known = {name: getattr(before, name) for name in ("id", "model", "created") if not getattr(response, name)}
        self._response = response.model_copy(update=known)

    def _state(self, event: ResponseEvent) -> None:
        if event.type in ENDS:
            self.finish(event.response)
        else:
            self._know(event.response)

    def _match(self, item: OutputItem, index: int) -> _Group:
        """The group of an item of the whole response: by its id, its place, or as the next of its kind."""
        kind, name = _kind_of(item), _id_of(item)
        open_ = [group for group in self._groups if group.kind == kind and group not in self._whole]
        by_id = [group for group in open_ if name and group.id == name]
        by_place = [group for group in open_ if group.index == index]
        found = next(iter([*by_id, *by_place, *open_]), None)
        return found or self._new(kind, name, index)

    def _item(self, event: ItemEvent) -> None:
        group = self._group(_kind_of(event.item), _id_of(event.item), event.output_index)
        if event.type.endswith(".done"):
            group.close(event.item)
        else:
            group.item = event.item

    def _part(self, event: PartEvent) -> None:
        part = event.part
        if not event.type.endswith(".done"):
            return
        if isinstance(part, OutputText):
            piece = self._piece("message", event, "output_text", event.content_index)
            piece.close(part.text, part.logprobs)
        elif isinstance(part, Refusal):
            self._piece("message", event, "refusal", event.content_index).close(part.refusal)
        elif isinstance(part, ReasoningText):
            index = event.summary_index if part.type == "summary_text" else event.content_index
            self._piece("reasoning", event, part.type, index).close(part.text)

    def _more(self, event: Event) -> None:
        if (found := _MORE.get(type(event))) is None:
            return
        kind, name, field = found
        index = getattr(event, "content_index", None)
        if "reasoning_summary" in event.type:
            name, index = "summary_text", getattr(event, "summary_index", None)
        piece = self._piece(kind, event, name, index)
        take = piece.add if field == "delta" else piece.close
        take(getattr(event, field), getattr(event, "logprobs", None))

    def _piece(self, kind: Kind, event: Any, name: str, index: int | None = None) -> _Piece:
        return self._group(kind, event.item_id, event.output_index).piece(name, index)

    def _group(self, kind: Kind, item_id: str | None, index: int | None) -> _Group:
        """The group of an event, by what it has of its item: not every server sends both, some an empty id."""
        same = [group for group in self._groups if group.kind == kind]
        by_id = [group for group in same if item_id and group.id == item_id]
        by_place = [group for group in same if group.index == index and not (item_id and group.id)]
        return next(iter([*by_id, *by_place]), None) or self._new(kind, item_id, index)

    def _new(self, kind: Kind, item_id: str | None, index: int | None) -> _Group:
        group = _Group(kind, item_id, index, late=self._late)
        self._groups.append(group)
        return group

    @property
    def _kept(self) -> list[_Group]:
        """What belongs to the response. A kind that the whole response has nothing of is not lost with it."""
        kinds = {group.kind for group in self._whole}
        return [group for group in self._groups if group in self._whole or group.kind not in kinds]

    def response(self) -> ResponsesReply:
        """The response so far; whole, once the stream has ended."""
        ordered = sorted(self._kept, key=lambda group: -1 if group.index is None else group.index)
        items = [item for group in ordered if (item := group.build()) is not None]
        return separated(with_output(self._response, items))


def _contradictions(count: int) -> list[ParameterWarning]:
    if not count:
        return []
    return [
        ParameterWarning(
            parameter="stream",
            code=WarningCode.CONTRADICTED,
            severity=WarningSeverity.WARNING,
            message=f"{count} items of the answer are repeated at its end with other texts or records than the deltas "
            "had, which are kept",
            applied=count,
            source=WarningSource.RESPONSE,
        )
    ]
