"""``openai-responses``: POST /responses, spoken by OpenAI, vLLM, SGLang, LM Studio, OpenRouter and others.

One request and its answer; the life of stored and background responses is not part of the wire.
https://platform.openai.com/docs/api-reference/responses, https://www.openresponses.org
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog._json import loads
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.response import ChatResponse, StreamChunk, ToolCallDelta, with_body
from nxlog.wire import _openai_responses_reply as replies
from nxlog.wire import _openai_responses_request as requests
from nxlog.wire._closing import close
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire._openai_responses_reply import NAME, PARAGRAPH, Event, Item, Reply, decode_event, decode_reply
from nxlog.wire.base import encode_body, not_the_shape, spelled
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog._records import TokenLogprob
    from nxlog.request import ChatRequest
    from nxlog.wire.base import StreamDecoder

_PLAIN_FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}


class OpenAIResponses:
    """The wire; it has no state."""

    name = NAME
    lacks: frozenset[str] = frozenset({"n", "seed", "stop"})

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body. ``n``, ``seed`` and ``stop`` have no place on this wire and are not sent.

        ``store`` is left to the server, as every other client leaves it: some keep responses unless told not to, some
        cannot keep any and refuse the word. ``provider_options={"store": False}`` asks for nothing to be kept.
        """
        body: dict[str, Any] = {"model": model, "input": requests.input_items(request.messages)}
        body |= spelled(request, _PLAIN_FIELDS, spelling)
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
        # Said either way, because there are servers that stream unless told not to.
        body["stream"] = stream
        options = requests.with_include(request.provider_options, body.get("include"))
        return encode_body(body, options, tables=("text", "reasoning"))

    def decode(self, body: bytes) -> ChatResponse:
        """The reply. Items that are neither message, reasoning nor function call stay reachable through ``raw``."""
        reply = decode_reply(body)
        replies.raise_failure(reply, body)
        if reply.output is None:
            replies.raise_flat_error(body)
            raise not_the_shape(self.name, body, "it has no output")
        return with_body(
            ChatResponse(
                id=reply.id,
                model=reply.model or "",
                created=replies.created_of(reply),
                choices=[replies.choice_of(reply)],
                usage=replies.usage_of(reply),
            ),
            body,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


# -- streams ---------------------------------------------------------------------------------------------------------

# Only deltas are taken. The events output_text.done, content_part.done and output_item.done, and the response object
# in the last event, repeat the same text and the same records, on some servers rounded and on some more complete; the
# last event settles what the deltas left out.
_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning.delta": "reasoning",
    "response.function_call_arguments.delta": "call",
}
_ENDS = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.cancelled": "cancelled",
    "response.failed": "failed",
}


class _Call:
    """One function call, as far as it has come."""

    __slots__ = ("arguments", "index", "named")

    def __init__(self, index: int) -> None:
        self.index = index
        self.named = False
        self.arguments: list[str] = []

    def settle(self, item: Item) -> Iterator[ToolCallDelta]:
        """What the item knows and the deltas have not said."""
        name, rest = item.name, _rest(self.arguments, replies.arguments(item))
        if name and not self.named:
            self.named = True
            yield ToolCallDelta(index=self.index, id=replies.call_id(item), name=name, arguments=rest)
        elif rest:
            yield ToolCallDelta(index=self.index, arguments=rest)
        self.arguments.append(rest)


def _rest(given: list[str], whole: str) -> str:
    """What a closing text has after the pieces that came before; nothing when it is another text."""
    before = "".join(given)
    return whole[len(before) :] if whole.startswith(before) else ""


class _Decoder(PayloadDecoder[bytes]):
    """Chunks from events. The stream is whole when one of the last events came, or ``[DONE]``."""

    def __init__(self) -> None:
        super().__init__(EventSplitter())
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._said: dict[str, list[str]] = {"text": [], "refusal": [], "reasoning": []}
        self._records: list[TokenLogprob] = []
        self._reasoning_part: object = None
        self._calls: list[_Call] = []
        self._call_of: dict[int | str, _Call] = {}

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if self._done:
            return
        if payload.strip() == b"[DONE]":  # the end mark of the chat wire, which gateways send as well
            self._done = True
            return
        event = decode_event(payload)
        if event.type == "error" or replies.is_error(event.error):
            replies.raise_error(loads(payload), payload)
        if not event.type.startswith("response."):
            replies.raise_flat_error(payload)
        kind = _DELTAS.get(event.type)
        if kind == "call":
            yield self._call_delta(event)
        elif kind is not None:
            yield self._delta(kind, event)
        elif event.type == "response.created":
            yield self._start(event.response or Reply())
        elif event.type in {"response.output_item.added", "response.output_item.done"} and event.item is not None:
            yield from self._item(event, event.item)
        elif event.type in _ENDS:
            yield from self._end(event.response or Reply(), _ENDS[event.type], payload)

    def _know(self, reply: Reply) -> None:
        self._started = True
        self._id = self._id or reply.id
        self._model = self._model or reply.model
        self._created = self._created or replies.created_of(reply)

    def _start(self, reply: Reply) -> StreamChunk:
        self._know(reply)
        return self._chunk()

    def _delta(self, kind: str, event: Event) -> StreamChunk:
        piece = event.delta or ""
        if kind == "reasoning" and piece:
            piece = self._paragraph(event) + piece
        found = replies.records(event.logprobs)
        self._records += found
        return self._say(kind, piece, found)

    def _paragraph(self, event: Event) -> str:
        """What stands between this piece of reasoning and the one before."""
        item = event.item_id if event.output_index is None else event.output_index
        part = (item, event.summary_index, event.content_index)
        before, self._reasoning_part = self._reasoning_part, part
        return "" if before in (None, part) else PARAGRAPH

    def _say(self, kind: str, piece: str, found: list[TokenLogprob]) -> StreamChunk:
        self._said[kind].append(piece)
        logprobs = StreamLogprobsDelta(found) if found else None
        if kind == "text":
            return self._chunk(delta=piece, logprobs=logprobs)
        name = "refusal_delta" if kind == "refusal" else "reasoning_delta"
        return self._chunk(**{name: piece or None}, logprobs=logprobs)

    def _item(self, event: Event, item: Item) -> Iterator[StreamChunk]:
        if item.type != "function_call":
            return
        if event.type == "response.output_item.added":
            item.arguments = None  # they follow as deltas, or with the item's end
        yield from self._settle_call(self._call(event.output_index, item.id), item)

    def _call_delta(self, event: Event) -> StreamChunk:
        call = self._call(event.output_index, event.item_id)
        call.arguments.append(event.delta or "")
        return self._chunk(tool_call_deltas=(ToolCallDelta(index=call.index, arguments=event.delta or ""),))

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

    def _settle_call(self, call: _Call, item: Item) -> Iterator[StreamChunk]:
        for delta in call.settle(item):
            yield self._chunk(tool_call_deltas=(delta,))

    def _end(self, reply: Reply, status: str, payload: bytes) -> Iterator[StreamChunk]:
        self._know(reply)
        if reply.status not in _ENDS.values():
            reply.status = status
        replies.raise_failure(reply, payload)
        self._done = True
        for kind, whole in (("reasoning", replies.reasoning_of(reply)), ("refusal", replies.refusal_of(reply))):
            if rest := _rest(self._said[kind], whole):
                yield self._say(kind, rest, [])
        trailing, complete = close(self._records, replies.records_of(reply))
        rest = _rest(self._said["text"], replies.text_of(reply))
        if rest or trailing:
            yield self._say("text", rest, trailing)
        for i, item in enumerate(replies.calls_of(reply)):
            call = self._calls[i] if i < len(self._calls) else self._call(None, f"output {i}")
            yield from self._settle_call(call, item)
        yield self._chunk(
            finish_reason=replies.finish_reason(reply, has_calls=bool(self._calls)),
            usage=replies.usage_of(reply),
            closing_logprobs=None if complete is None else LogprobsData(complete),
        )

    def _chunk(self, **fields: Any) -> StreamChunk:
        self._started = True
        return StreamChunk(**fields, id=self._id, model=self._model, created=self._created)


WIRE = OpenAIResponses()
