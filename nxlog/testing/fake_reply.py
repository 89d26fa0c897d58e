"""What a fake provider says, as a server of the wire ``openai-chat`` writes it."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from nxlog.logprobs import TokenLogprob, TopLogprob

if TYPE_CHECKING:
    from collections.abc import Iterator

Token: TypeAlias = TokenLogprob | tuple[str, float | None] | tuple[str, float | None, Mapping[str, float | None]]
"""A token record: whole, or text and logprob, or these and the alternatives by their text."""

End: TypeAlias = Literal["whole", "cut", "broken", "error"]

Json = dict[str, Any]

_CREATED = 1_700_000_000
_WORD = re.compile(r"\s*\S+|\s+$")
_CHANNELS = (("reasoning", "reasoning_content"), ("content", "content"), ("refusal", "refusal"))


@dataclass(frozen=True, kw_only=True)
class FakeReply:
    """One answer, token by token.

    Attributes:
        tokens: the records of the answer.
        text: what the message says, where that is not what the tokens spell.
        refusal: the records of a refusal.
        reasoning: the records of the reasoning.
        tool_calls: names and arguments of calls.
        finish_reason: why it ends.
        chunks: how many tokens each chunk of a stream has; by default every token is a chunk. 0 is a chunk without
            any; what is left over comes with the last.
        logprobs: False for a server that ignores that they are asked for.
        completion_tokens: what the server counts, where that is not the number of records.
        model: the model that the server names, where that is not the one asked for.
        ends: ``whole``; ``cut``, the stream stops without its end mark; ``broken``, the connection breaks; ``error``,
            an error comes inside the stream. A whole reply is cut in its JSON.
        error: the words of that error.
    """

    tokens: Sequence[Token] = ()
    text: str | None = None
    refusal: Sequence[Token] = ()
    reasoning: Sequence[Token] = ()
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    finish_reason: str | None = None
    chunks: Sequence[int] | None = None
    logprobs: bool = True
    completion_tokens: int | None = None
    model: str | None = None
    ends: End = "whole"
    error: str = "the server is overloaded"
    _filled: bool = field(default=False, repr=False)

    @classmethod
    def of_text(cls, text: str, **fields: Any) -> FakeReply:
        """An answer with one token a word, and with as many alternatives as are asked for.

        The numbers are made up, and the same every time: -0.05, -0.1, ... -0.45, and again.
        """
        words = _WORD.findall(text)
        tokens = [(word, round(-0.05 * (1 + position % 9), 2)) for position, word in enumerate(words)]
        return cls(tokens=tokens, _filled=True, **fields)

    def records(self, channel: str) -> list[TokenLogprob]:
        """The records of one channel."""
        tokens = {"content": self.tokens, "refusal": self.refusal, "reasoning": self.reasoning}[channel]
        return [_record(token) for token in tokens]

    def shown(self, channel: str, asked: Json) -> list[Json] | None:
        """The records as JSON, with the alternatives that are asked for; None when none are to be shown."""
        if not (self.logprobs and asked.get("logprobs")):
            return None
        most = asked.get("top_logprobs") or 0
        filled = self._filled and channel == "content"
        return [_shown(record, most, filled=filled) for record in self.records(channel)]

    @property
    def ending(self) -> str:
        """The finish reason."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    @property
    def count(self) -> int:
        """How many tokens the server counts."""
        if self.completion_tokens is not None:
            return self.completion_tokens
        return len(self.tokens) + len(self.refusal) + len(self.reasoning) + len(self.tool_calls)


def whole_body(replies: Sequence[FakeReply], asked: Json) -> bytes:
    """A whole reply with these choices."""
    choices = [_choice(index, reply, asked) for index, reply in enumerate(replies)]
    body = {**_head(replies, asked, "chat.completion"), "choices": choices, "usage": _usage(replies)}
    data = _encode(body)
    return data if _end(replies) == "whole" else data[: len(data) // 2]


def stream_events(replies: Sequence[FakeReply], asked: Json) -> Iterator[bytes]:
    """A stream of these choices, one after the other, up to where it ends."""
    head = _head(replies, asked, "chat.completion.chunk")

    def event(**body: Any) -> bytes:
        return b"data: " + _encode({**head, **body}) + b"\n\n"

    for index, reply in enumerate(replies):
        deltas = list(_deltas(reply, asked))
        if reply.ends != "whole":
            deltas = deltas[: max(1, len(deltas) // 2)]
        first: Json = {"role": "assistant"}
        for delta, logprobs in deltas:
            yield event(choices=[_part(index, first | delta, logprobs, None)])
            first = {}
        if reply.ends == "whole":
            yield event(choices=[_part(index, first, None, reply.ending)])
    end = _end(replies)
    if end == "error":
        error = next(reply.error for reply in replies if reply.ends == "error")
        yield b"data: " + _encode({"error": {"message": error, "type": "server_error", "code": None}}) + b"\n\n"
    if end == "whole":
        options: Json = asked.get("stream_options") or {}
        if options.get("include_usage"):
            yield event(choices=[], usage=_usage(replies))
        yield b"data: [DONE]\n\n"


def _end(replies: Sequence[FakeReply]) -> End:
    ends: list[End] = [reply.ends for reply in replies if reply.ends != "whole"]
    return ends[0] if ends else "whole"


def _record(token: Token) -> TokenLogprob:
    if isinstance(token, TokenLogprob):
        return token
    text, logprob = token[0], token[1]
    others: Mapping[str, float | None] = token[2] if len(token) == 3 else {}
    tops = [TopLogprob.build(other, value, bytes=other.encode()) for other, value in others.items()]
    return TokenLogprob.build(text, logprob, bytes=text.encode(), top_logprobs=tops)


def _shown(record: TokenLogprob, most: int, *, filled: bool) -> Json:
    shown: Json = record.model_dump()
    tops: list[Json] = shown.get("top_logprobs") or []
    if filled:
        tops = [{key: shown[key] for key in ("token", "logprob", "bytes")}, *_others(record, most - 1)]
    return {**shown, "top_logprobs": tops[:most]}


def _others(record: TokenLogprob, count: int) -> list[Json]:
    """Alternatives that share what the sampled token leaves of the probability, each with half of the rest."""
    rest = 1.0 - math.exp(record.logprob or 0.0)
    texts = [f"{record.token}~{position}" for position in range(1, count + 1)]
    return [
        {"token": text, "logprob": math.log(rest) - (position + 1) * math.log(2), "bytes": list(text.encode())}
        for position, text in enumerate(texts)
    ]


def _text(records: Sequence[TokenLogprob]) -> str:
    return b"".join(map(_bytes, records)).decode("utf-8", "replace")


def _bytes(record: TokenLogprob) -> bytes:
    return record.token.encode() if record.bytes is None else record.bytes


def _choice(index: int, reply: FakeReply, asked: Json) -> Json:
    text = _text(reply.records("content")) if reply.text is None else reply.text
    message: Json = {"role": "assistant", "content": text or None}
    message |= {"refusal": _text(reply.records("refusal"))} if reply.refusal else {}
    message |= {"reasoning_content": _text(reply.records("reasoning"))} if reply.reasoning else {}
    message |= {"tool_calls": _calls(reply)} if reply.tool_calls else {}
    channels = {key: reply.shown(name, asked) for name, key in _CHANNELS}
    kept = {key: records for key, records in channels.items() if records or (key == "content" and records is not None)}
    return {"index": index, "message": message, "logprobs": kept or None, "finish_reason": reply.ending}


def _calls(reply: FakeReply) -> list[Json]:
    return [
        {
            "index": position,
            "id": f"call_{position}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for position, (name, arguments) in enumerate(reply.tool_calls)
    ]


def _deltas(reply: FakeReply, asked: Json) -> Iterator[tuple[Json, Json | None]]:
    """What each chunk adds, and its records."""
    for name, key in _CHANNELS:
        records, shown = reply.records(name), reply.shown(name, asked)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        start = 0
        sizes = list(_sizes(reply, len(records)) if name == "content" else [1] * len(records))
        for position, size in enumerate(sizes):
            last = position == len(sizes) - 1
            stop = len(records) if last else min(len(records), start + size)
            text = decoder.decode(b"".join(map(_bytes, records[start:stop])), final=last)
            if name == "content" and reply.text is not None:
                text = reply.text if position == 0 else ""
            yield {key: text}, None if shown is None else {key: shown[start:stop]}
            start = stop
    if not reply.tokens and reply.text:
        yield {"content": reply.text}, None
    for call in _calls(reply):
        yield {"tool_calls": [call]}, None


def _sizes(reply: FakeReply, count: int) -> Sequence[int]:
    return [1] * count if reply.chunks is None else reply.chunks


def _part(index: int, delta: Json, logprobs: Json | None, finish: str | None) -> Json:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def _head(replies: Sequence[FakeReply], asked: Json, kind: str) -> Json:
    served = next((reply.model for reply in replies if reply.model), asked.get("model"))
    return {"id": "chatcmpl-fake", "object": kind, "created": _CREATED, "model": served}


def _usage(replies: Sequence[FakeReply]) -> Json:
    count = sum(reply.count for reply in replies)
    return {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": count + 1}


def _encode(body: Json) -> bytes:
    # Infinity and NaN are written as literals, as servers in Python do.
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
