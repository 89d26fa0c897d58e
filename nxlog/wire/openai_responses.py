"""``openai-responses``: POST /responses, spoken by OpenAI, vLLM, SGLang, LM Studio, OpenRouter and others.

One request and its answer; the life of stored and background responses is not part of the wire.
https://platform.openai.com/docs/api-reference/responses, https://www.openresponses.org
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.logprobs import Channel, LogprobsData, StreamLogprobsDelta
from nxlog.response import ChatResponse, StreamChunk, ToolCallDelta
from nxlog.responses.events import ArgumentsDelta, ItemEvent, ReasoningDelta, RefusalDelta, ResponseEvent, TextDelta
from nxlog.responses.items import PARAGRAPH, FunctionCall
from nxlog.wire import _openai_responses_request as requests
from nxlog.wire._openai_responses_events import ENDS
from nxlog.wire._openai_responses_reply import NAME, decode_reply, raise_failure
from nxlog.wire._openai_responses_stream import EventDecoder
from nxlog.wire._token_ids import as_tuple
from nxlog.wire.base import NO_IDS, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nxlog._records import TokenLogprob
    from nxlog.request import ChatRequest
    from nxlog.responses.events import Event
    from nxlog.responses.reply import ResponsesReply
    from nxlog.warnings import ParameterWarning
    from nxlog.wire.base import StreamDecoder


class OpenAIResponses:
    """The wire; it has no state."""

    name = NAME
    lacks: frozenset[str] = frozenset({"n", "seed", "stop"} | NO_IDS)

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body. ``n``, ``seed`` and ``stop`` have no place on this wire and are not sent.

        ``store`` is left to the server, as every other client leaves it: some keep responses unless told not to, some
        cannot keep any and refuse the word. ``provider_options={"store": False}`` asks for nothing to be kept.
        """
        body: dict[str, Any] = {"model": model, "input": requests.input_items(request.messages)}
        body |= requests.sampling_fields(request, spelling)
        if request.tools is not None:
            body["tools"] = [requests.tool_object(tool) for tool in request.tools]
        if request.tool_choice is not None and (key := spelling.get("tool_choice", "tool_choice")):
            body[key] = requests.tool_choice(request.tool_choice)
        if request.response_format is not None:
            body["text"] = {"format": requests.text_format(request.response_format)}
        effort = request.reasoning_effort
        if effort is not None and (key := spelling.get("reasoning_effort", "reasoning")):
            body[key] = {"effort": effort} if key == "reasoning" else effort
        body |= requests.logprobs_fields(request, spelling)
        body |= spelled(request, {"return_token_ids": ""}, spelling)  # vLLM has a word for it
        return requests.encode(body, request.provider_options, stream=stream)

    def decode(self, body: bytes) -> ChatResponse:
        """The reply. Items that are neither message, reasoning nor function call stay reachable through ``raw``."""
        reply = decode_reply(body)
        raise_failure(reply, body)
        return reply.to_chat()

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


# -- streams ---------------------------------------------------------------------------------------------------------

# Only deltas make chunks. What repeats them is merged beside, and what the deltas left out comes with the last chunks.


class _Call:
    """One function call, as far as it has come."""

    __slots__ = ("arguments", "index", "named")

    def __init__(self, index: int) -> None:
        self.index = index
        self.named = False
        self.arguments: list[str] = []

    def settle(self, item: FunctionCall) -> Iterator[ToolCallDelta]:
        """What the item knows and the deltas have not said."""
        name, rest = item.name, _rest(self.arguments, item.arguments)
        if name and not self.named:
            self.named = True
            yield ToolCallDelta(index=self.index, id=item.call_id or item.id, name=name, arguments=rest)
        elif rest:
            yield ToolCallDelta(index=self.index, arguments=rest)
        self.arguments.append(rest)


def _rest(given: list[str], whole: str | None) -> str:
    """What a closing text has after the pieces that came before; nothing when it is another text."""
    before, whole = "".join(given), whole or ""
    return whole[len(before) :] if whole.startswith(before) else ""


class _Decoder:
    """Chunks from events."""

    def __init__(self) -> None:
        self._events = EventDecoder()
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._said: dict[Channel, list[str]] = {"content": [], "refusal": [], "reasoning": []}
        self._records: list[TokenLogprob] = []
        self._reasoning_part: object = None
        self._calls: list[_Call] = []
        self._call_of: dict[int | str, _Call] = {}

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was wrong with the stream."""
        return self._events.warnings

    def feed(self, data: bytes) -> Iterator[StreamChunk]:
        """The chunks that these bytes complete."""
        for event in self._events.feed(data):
            yield from self._chunks_of(event)

    def close(self) -> Iterator[StreamChunk]:
        """The chunks that were still waiting when the bytes ended."""
        for event in self._events.close():
            yield from self._chunks_of(event)

    def _chunks_of(self, event: Event) -> Iterator[StreamChunk]:
        if isinstance(event, TextDelta):
            self._records += event.logprobs
            yield self._say("content", event.delta, event.logprobs)
        elif isinstance(event, RefusalDelta):
            yield self._say("refusal", event.delta)
        elif isinstance(event, ReasoningDelta):
            piece = self._paragraph(event) + event.delta if event.delta else ""
            yield self._say("reasoning", piece, event.logprobs)
        elif isinstance(event, ArgumentsDelta):
            yield self._call_delta(event)
        elif isinstance(event, ItemEvent):
            yield from self._item(event)
        elif isinstance(event, ResponseEvent) and event.type in ENDS:
            yield from self._end(event)
        elif isinstance(event, ResponseEvent) and event.type == "response.created":
            self._know(event.response)
            yield self._chunk()

    def _know(self, reply: ResponsesReply) -> None:
        self._id = self._id or reply.id
        self._model = self._model or reply.model or None
        self._created = self._created or reply.created

    def _paragraph(self, event: ReasoningDelta) -> str:
        """What stands between this piece of reasoning and the one before."""
        item = event.item_id if event.output_index is None else event.output_index
        part = (item, event.summary_index, event.content_index)
        before, self._reasoning_part = self._reasoning_part, part
        return "" if before in (None, part) else PARAGRAPH

    def _say(self, channel: Channel, piece: str, found: Sequence[TokenLogprob] = ()) -> StreamChunk:
        self._said[channel].append(piece)
        logprobs = StreamLogprobsDelta(**{channel: list(found)}) if found else None
        if channel == "content":
            return self._chunk(delta=piece, logprobs=logprobs)
        return self._chunk(**{f"{channel}_delta": piece or None}, logprobs=logprobs)

    def _item(self, event: ItemEvent) -> Iterator[StreamChunk]:
        item = event.item
        if not isinstance(item, FunctionCall):
            return
        if event.type == "response.output_item.added":
            # The arguments follow as deltas, or with the item's end.
            item = item.model_copy(update={"arguments": ""})
        yield from self._settle_call(self._call(event.output_index, item.id), item)

    def _call_delta(self, event: ArgumentsDelta) -> StreamChunk:
        call = self._call(event.output_index, event.item_id)
        call.arguments.append(event.delta)
        return self._chunk(tool_call_deltas=(ToolCallDelta(index=call.index, arguments=event.delta),))

    def _call(self, index: int | None, item_id: str | None) -> _Call:
        """The call of an event, by what the event has of its item: not every server sends both."""
        names = [name for name in (index, item_id) if name is not None] or [""]
        found = next((self._call_of[name] for name in names if name in self._call_of), None)
        if found is None:
            found = _Call(len(self._calls))
            self._calls.append(found)
        for name in names:
            self._call_of.setdefault(name, found)
        return found

    def _settle_call(self, call: _Call, item: FunctionCall) -> Iterator[StreamChunk]:
        for delta in call.settle(item):
            yield self._chunk(tool_call_deltas=(delta,))

    def _end(self, event: ResponseEvent) -> Iterator[StreamChunk]:
        self._know(event.response)
        raise_failure(event.response, event.payload)
        whole = self._events.merger.response().to_chat()
        if rest := _rest(self._said["reasoning"], whole.reasoning):
            yield self._say("reasoning", rest)
        if rest := _rest(self._said["refusal"], whole.refusal):
            yield self._say("refusal", rest)
        records = [] if whole.logprobs is None else list(whole.logprobs.content)
        in_order = all(mine is record for mine, record in zip(self._records, records, strict=False))
        trailing = records[len(self._records) :] if in_order else []
        rest = _rest(self._said["content"], whole.text)
        if rest or trailing:
            yield self._say("content", rest, trailing)
        for i, item in enumerate(item for item in event.response.output if isinstance(item, FunctionCall)):
            call = self._calls[i] if i < len(self._calls) else self._call(None, f"output {i}")
            yield from self._settle_call(call, item)
        yield self._chunk(
            finish_reason="tool_calls" if self._calls and whole.finish_reason == "stop" else whole.finish_reason,
            usage=whole.usage,
            closing_logprobs=None if in_order else LogprobsData(records),
            token_ids=as_tuple(whole.choices[0].token_ids),
            prompt_token_ids=as_tuple(whole.prompt_token_ids),
        )

    def _chunk(self, **fields: Any) -> StreamChunk:
        return StreamChunk(**fields, id=self._id, model=self._model, created=self._created)


WIRE = OpenAIResponses()
