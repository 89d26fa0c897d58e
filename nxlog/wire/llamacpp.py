"""``llamacpp``: POST /completion, the native route of llama.cpp's server.

It completes one text, or ``input_ids``. The model is not named: a server with several takes
``provider_options={"model": ...}``. With
``provider_options={"post_sampling_probs": True}`` the server gives linear probabilities after the whole sampling
chain, which become natural logarithms; tokens that the chain removed are not among them.

``n_probs`` is the number of alternatives and switches the records on, so that there is no asking for records without
alternatives: ``logprobs=True`` alone, or with ``top_logprobs=0``, brings one alternative for each token, the most
probable one, which need not be the sampled one.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, loads
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.response import ChatResponse, Choice, StreamChunk, Usage, with_body
from nxlog.wire._decoder import ChoicesDecoder
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._llamacpp_records import decode_records
from nxlog.wire._replies import decode_replies
from nxlog.wire._token_ids import as_tuple, ids_of
from nxlog.wire.base import encode_body, not_the_shape, prompt_of, spelled
from nxlog.wire.errors import event_error
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nxlog.request import ChatRequest, ResponseFormat
    from nxlog.wire.base import StreamDecoder

NAME = "llamacpp"

_FIELDS = {
    "max_tokens": "n_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
    "n": "n_cmpl",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "return_token_ids": "return_tokens",
}

_FINISH_REASONS = {"eos": "stop", "word": "stop", "limit": "length"}


class LlamaCpp:
    """The wire; it has no state."""

    name = NAME
    lacks: frozenset[str] = frozenset(
        {"system_messages", "vision", "tools", "reasoning_effort"}
        | {"prompt_logprobs", "logprob_token_ids", "stop_token_ids"}
    )

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body."""
        del model
        body: dict[str, Any] = {"prompt": request.input_ids or prompt_of(request, self.name)}
        body |= spelled(request, _FIELDS, spelling)
        if request.logprobs and (key := spelling.get("top_logprobs", "n_probs")):
            body[key] = request.top_logprobs or 1  # 0 would switch the records off
        schema = _schema(request.response_format)
        if schema is not None and (key := spelling.get("response_format", "json_schema")):
            body[key] = schema
        if stream:
            body["stream"] = True
        return encode_body(body, request.provider_options)

    def decode(self, body: bytes) -> ChatResponse:
        """The reply: one object, or a list of them for several choices or prompts."""
        replies = decode_replies(body, _decoder, wire=self.name)
        for reply in replies:
            _raise_error(reply, body)
            if reply.content is None:
                raise not_the_shape(self.name, body, "it has no content")
        usage = _Counts()
        for reply in replies:
            usage.add(reply)
        response = ChatResponse(
            model=replies[0].model or "",
            choices=[_choice(reply) for reply in replies],
            usage=usage.total(),
        )
        return with_body(response, body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


def _schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    return {"type": "object"} if wanted.json_schema is None else wanted.json_schema.json_schema


# -- what is read, and nothing else ----------------------------------------------------------------------------------


class _Timings(Struct, gc=False):
    cache_n: int | None = None


class _Reply(Struct, gc=False):
    index: int = 0
    content: str | None = None
    stop: bool = False
    stop_type: str | None = None
    # Until the end of 2024 in place of stop_type:
    stopped_eos: bool = False
    stopped_word: bool = False
    stopped_limit: bool = False
    stopping_word: str | None = None
    tokens: Raw = NULL
    model: str | None = None
    prompt: Raw = NULL
    tokens_predicted: int | None = None
    tokens_evaluated: int | None = None
    timings: _Timings | None = None
    completion_probabilities: Raw = NULL
    error: Raw = NULL


_decoder = msgspec.json.Decoder(_Reply)
_NO_ERROR = {b"null", b"{}"}


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _raise_error(reply: _Reply, data: bytes) -> None:
    if bytes(reply.error) not in _NO_ERROR:
        raise event_error({"error": loads(reply.error)}, data.decode("utf-8", "replace"))


def _choice(reply: _Reply) -> Choice:
    records = decode_records(reply.completion_probabilities)
    return Choice(
        index=reply.index,
        text=reply.content or "",
        finish_reason=_finish_reason(reply),
        logprobs=LogprobsData(records) if records else None,
        token_ids=ids_of(reply.tokens),
        stop_reason=reply.stopping_word or None,
    )


def _finish_reason(reply: _Reply) -> str | None:
    if not reply.stop:
        return None
    if reply.stop_type is not None:
        return None if reply.stop_type == "none" else _FINISH_REASONS.get(reply.stop_type, reply.stop_type)
    return "length" if reply.stopped_limit else "stop" if reply.stopped_eos or reply.stopped_word else None


class _Counts:
    """Tokens of the choices that have ended. A prompt counts once, however many choices it has."""

    def __init__(self) -> None:
        self._prompts: dict[bytes, tuple[int, int | None]] = {}
        self._generated: list[int] = []

    def add(self, reply: _Reply) -> None:
        if reply.tokens_evaluated is not None:
            cached = None if reply.timings is None else reply.timings.cache_n
            self._prompts.setdefault(bytes(reply.prompt), (reply.tokens_evaluated, cached))
        if reply.tokens_predicted is not None:
            self._generated.append(reply.tokens_predicted)

    def total(self) -> Usage | None:
        if not self._prompts and not self._generated:
            return None
        prompt = sum(evaluated for evaluated, _ in self._prompts.values()) if self._prompts else None
        generated = sum(self._generated) if self._generated else None
        cached = [count for _, count in self._prompts.values() if count is not None]
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=generated,
            total_tokens=None if prompt is None or generated is None else prompt + generated,
            cached_tokens=sum(cached) if cached else None,
        )


class _Decoder(ChoicesDecoder):
    """Chunks from events. The stream is whole when every choice that appeared has said ``"stop": true``."""

    def __init__(self) -> None:
        super().__init__(EventSplitter())
        self._usage = _Counts()

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if payload.strip() == b"[DONE]":  # some proxies add the end mark of the other wires
            self._done = True
            return
        reply = decode_leniently(payload, _decoder, wire=NAME)
        _raise_error(reply, payload)
        records = decode_records(reply.completion_probabilities)
        if reply.content is None and not records and not reply.stop:
            return
        self._see(reply.index, ends=reply.stop)
        if reply.stop:
            self._usage.add(reply)
        yield StreamChunk(
            delta=reply.content or "",
            index=reply.index,
            logprobs=StreamLogprobsDelta(records) if records else None,
            finish_reason=_finish_reason(reply),
            usage=self._usage.total() if reply.stop else None,
            model=reply.model,
            token_ids=as_tuple(ids_of(reply.tokens)),
            stop_reason=reply.stopping_word or None,
        )


WIRE = LlamaCpp()
