"""The events of an ``sglang-generate`` stream, and what each of them adds.

By default every event repeats the whole answer so far. Servers started with ``--incremental-streaming-output``, and
LMDeploy, send only what is new; SGLang 0.5.10 does so for the text while it repeats the records. So each is looked at
by itself: what starts with all that the last event had repeats it, unless the server's count of the tokens says that
the tokens themselves repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from nxlog._json import NULL
from nxlog.logprobs import StreamLogprobsDelta
from nxlog.response import StreamChunk
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire._flat_alternatives import flat_alternatives
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._sglang_reply import NAME, Meta, Reply, decoder, raise_abort, raise_error, usage_of
from nxlog.wire._token_ids import as_tuple, ids_of
from nxlog.wire._tuple_records import array_of, decode_records, items_of, unite
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog._records import TokenLogprob


class SglangDecoder(PayloadDecoder[bytes, StreamChunk]):
    """Chunks from events. The stream is whole when ``[DONE]`` came or every choice has ended."""

    def __init__(self) -> None:
        super().__init__(EventSplitter())
        self._choices: dict[int, _Choice] = {}
        self._numbers: dict[str, int] = {}
        self._prompted = False

    @property
    def _whole(self) -> bool:
        return self._done or (self._started and all(choice.ended for choice in self._choices.values()))

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if self._done:
            return
        if payload.strip() == b"[DONE]":
            self._done = True
            return
        reply = decode_leniently(payload, decoder, wire=NAME)
        raise_error(reply, payload)
        meta = reply.meta_info or Meta()
        index = self._index(reply, meta)
        self._started = True
        choice = self._choices.setdefault(index, _Choice())
        delta, records = choice.add(reply, meta)
        prompt = None if self._prompted else meta.prompt_logprobs
        self._prompted = self._prompted or prompt is not None
        word = meta.finish_word
        if word is not None:
            choice.ended = True
        yield StreamChunk(
            delta=delta,
            index=index,
            logprobs=StreamLogprobsDelta(records) if records else None,
            finish_reason=word,
            usage=None if word is None else usage_of([choice.meta for choice in self._choices.values()]),
            id=meta.id,
            token_ids=as_tuple(choice.new_ids(reply.output_ids, meta.completion_tokens)),
            prompt_token_ids=as_tuple(meta.prompt_ids(prompt)),
            prompt_logprobs=prompt,
            stop_reason=meta.stop_reason,
            weight_versions=() if word is None else meta.versions,
        )
        raise_abort(meta, payload)

    def _index(self, reply: Reply, meta: Meta) -> int:
        if reply.index is not None:
            return reply.index
        # Without a number choices are told apart by their ids, in the order of their appearance.
        return self._numbers.setdefault(meta.id, len(self._numbers)) if meta.id is not None else 0


class _Choice:
    """How much of one answer has come."""

    def __init__(self) -> None:
        self.ended = False
        self.meta = Meta()
        self._text = ""
        self._text_repeats: bool | None = None
        self._ids = 0
        self._records = 0
        self._listed = 0
        self._output = _Array()
        self._tokens = _Array()
        self._ranked = _Array()
        self._asked = _Array()

    def add(self, reply: Reply, meta: Meta) -> tuple[str, list[TokenLogprob]]:
        """The text and the records that are new in an event."""
        self.meta = meta
        return self._new_text(reply, meta), self._new_records(meta)

    def new_ids(self, array: Raw, total: int | None) -> list[int]:
        """The ids that are new in an event."""
        if array == NULL:
            return []
        tail = self._output.tail_of(array)
        found = ids_of(array if tail is None else tail) or []
        if tail is not None and total is not None and self._listed + len(found) != total:
            # It starts with the ids of the last event, and may be new all the same.
            whole = ids_of(array) or []
            found = whole if self._listed + len(whole) == total else found
        self._listed += len(found)
        self._output.size = self._listed
        return found

    def _new_text(self, reply: Reply, meta: Meta) -> str:
        text, ids = reply.text or "", len(items_of(reply.output_ids))
        if self._text_repeats is None:
            self._text_repeats = self._repeats_text(text, ids, meta.completion_tokens)
            self._ids += ids
        if self._text_repeats is False:
            return text
        # A server that takes back what it has sent, the start of a stop text for example, cannot be followed.
        new = text[len(self._text) :]
        self._text += new
        return new

    def _repeats_text(self, text: str, ids: int, total: int | None) -> bool | None:
        """Whether events repeat the text; None while there is nothing that could be repeated."""
        if not self._text and not self._ids:
            return None
        if not text.startswith(self._text) or (ids < self._ids + ids == total):
            return False
        return True if self._text or ids == total else None

    def _new_records(self, meta: Meta) -> list[TokenLogprob]:
        if meta.output_token_logprobs == NULL:
            return []
        tail = self._tokens.tail_of(meta.output_token_logprobs)
        tokens = meta.output_token_logprobs if tail is None else tail
        size = len(items_of(tokens)) + (0 if tail is None else self._tokens.size)
        start = self._records if self._repeats_records(size, meta, same=tail is not None) else 0
        if start == 0:
            tokens = meta.output_token_logprobs
        elif tail is None:
            tokens = array_of(items_of(tokens)[start:])
        self._tokens.size = size
        ranked = self._ranked.items(meta.output_top_logprobs, start) or flat_alternatives(meta)[start:]
        found = decode_records(tokens, unite(ranked, self._asked.items(meta.output_token_ids_logprobs, start)))
        self._records += len(found)
        return found

    def _repeats_records(self, size: int, meta: Meta, *, same: bool) -> bool:
        """Whether an event has all the records so far; ``same``: it starts with those of the last event."""
        if not self._records or size < self._records:
            return False
        totals = [n for n in (meta.output_token_logprobs_length, meta.completion_tokens) if n is not None]
        if same and self._tokens.size == self._records:
            return not totals or totals[0] != self._records + size
        return bool(totals) and all(total == size for total in totals)


class _Array:
    """A JSON array of a stream's events; ``size`` is the number of its items in the last event."""

    def __init__(self) -> None:
        self.size = 0
        self._last = b""

    def tail_of(self, array: Raw) -> Raw | None:
        """The items behind those of the last event, as an array; None where it does not start with them.

        Their texts are compared, so that a long answer is not decoded again with every token.
        """
        last, self._last = self._last, bytes(array)
        if not self.size or not self._last.startswith(last[:-1]):
            return None
        return Raw(b"[" + self._last[len(last) - 1 :].removeprefix(b","))

    def items(self, array: Raw, start: int) -> list[Raw]:
        """The items from a place on, which is the number of those before."""
        if array == NULL:
            return []
        tail = self.tail_of(array)
        found = items_of(array)[start:] if tail is None or self.size != start else items_of(tail)
        self.size = start + len(found)
        return found
