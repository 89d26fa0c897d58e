"""``tgi``: POST /generate and /generate_stream, the native routes of Text Generation Inference.

It completes one text. Whether the answer is a stream is said by the path, which the provider's file has. ``details``
is always asked for: without it the server does not say why it stopped nor how many tokens it generated. They come with
a record for every token, whether or not logprobs were asked for. Fields that have no place in ``ChatRequest`` go into
``provider_options={"parameters": {...}}``.

Choices beyond the first (``n``) are the server's ``best_of``: independent samples, the most probable first. It gives
them in whole replies only, and neither with a ``seed`` nor with ``temperature=0``.

https://huggingface.github.io/text-generation-inference/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, as_list, loads, loads_anything
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.response import ChatResponse, Choice, StreamChunk, Usage, with_body
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._replies import decode_replies
from nxlog.wire._tgi_records import decode_records
from nxlog.wire.base import encode_body, not_the_shape, prompt_of, spelled
from nxlog.wire.errors import event_error
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nxlog._records import TokenLogprob
    from nxlog.request import ChatRequest
    from nxlog.wire.base import StreamDecoder

NAME = "tgi"

_FIELDS = {
    "max_tokens": "max_new_tokens",
    "stop": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
}

_FINISH_REASONS = {"eos_token": "stop", "stop_sequence": "stop"}

# The status that the same error has outside of a stream.
_ERROR_STATUS = {"validation": 422, "generation": 424, "overloaded": 429, "incomplete_generation": 500}


class Tgi:
    """The wire; it has no state."""

    name = NAME
    lacks: frozenset[str] = frozenset(
        {"system_messages", "vision", "tools", "json_mode", "reasoning_effort", "presence_penalty"}
        | {"token_ids_in", "logprob_token_ids", "stop_token_ids"}
    )

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body, the same for whole replies and streams; the model is the server's only one."""
        del model, stream
        parameters: dict[str, Any] = {"details": True}
        parameters |= spelled(request, _FIELDS, spelling) | _sampling(request, spelling)
        # No alternatives are what comes without the field, and some servers refuse a 0.
        if request.logprobs and request.top_logprobs and (key := spelling.get("top_logprobs", "top_n_tokens")):
            parameters[key] = request.top_logprobs
        if request.prompt_logprobs is not None and (key := spelling.get("prompt_logprobs", "decoder_input_details")):
            parameters[key] = True
        wanted = request.response_format
        if wanted is not None and wanted.json_schema is not None:
            parameters["grammar"] = {"type": "json", "value": wanted.json_schema.json_schema}
        body = {"inputs": prompt_of(request, self.name), "parameters": parameters}
        return encode_body(body, request.provider_options, tables=("parameters",))

    def decode(self, body: bytes) -> ChatResponse:
        """The reply: an object, or a list of one."""
        reply, *others = decode_replies(body, _decoder, wire=self.name)
        _raise_error(reply, body)
        if others:
            raise not_the_shape(self.name, body, f"a list of {len(others) + 1} replies to one prompt")
        if reply.generated_text is None:
            raise not_the_shape(self.name, body, "it has no generated_text")
        details = reply.details or _Details()
        prompt = decode_records(details.prefill, NULL)
        sequences = [(reply.generated_text, details)]
        sequences += [(other.generated_text or "", other) for other in details.best_of_sequences or ()]
        return with_body(
            ChatResponse(
                choices=[_choice(i, text, sequence) for i, (text, sequence) in enumerate(sequences)],
                usage=_usage([sequence for _, sequence in sequences]),
                prompt_logprobs=LogprobsData(prompt) if prompt else None,
            ),
            body,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder()


def _sampling(request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
    """What decides how a token is chosen.

    The server takes the most probable token unless it is told to sample, or given a temperature other than 1 or a
    top_p below 1. It accepts neither a temperature of 0 nor a top_p of 1, which say what the absent field says.
    """
    found: dict[str, Any] = {}
    if request.n is not None and request.n > 1 and (key := spelling.get("n", "best_of")):
        found |= {key: request.n, "do_sample": True}
    if request.temperature == 0:
        return found | {"do_sample": False}
    for name in ("temperature", "top_p"):
        value = getattr(request, name)
        if value is not None and (key := spelling.get(name, name)):
            found |= {"do_sample": True} if name == "top_p" and value == 1 else {"do_sample": True, key: value}
    return found


# -- what is read, and nothing else ----------------------------------------------------------------------------------


class _Details(Struct, gc=False):
    finish_reason: str | None = None
    generated_tokens: int | None = None
    input_length: int | None = None
    prefill: Raw = NULL
    tokens: Raw = NULL
    top_tokens: Raw = NULL
    best_of_sequences: list[_Details] | None = None
    generated_text: str | None = None


class _Reply(Struct, gc=False):
    """A whole reply, or an event of a stream: then ``index`` is the place of its token, for there is one choice."""

    generated_text: str | None = None
    details: _Details | None = None
    token: Raw = NULL
    top_tokens: Raw = NULL
    error: Raw = NULL
    error_type: str | None = None


_decoder = msgspec.json.Decoder(_Reply)
_NO_ERROR = {b"null", b'""', b"{}"}


def _raise_error(reply: _Reply, data: bytes) -> None:
    if bytes(reply.error) not in _NO_ERROR:
        error = {"error": loads(reply.error), "error_type": reply.error_type}
        raise event_error(error, data.decode("utf-8", "replace"), statuses=_ERROR_STATUS)


# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _choice(index: int, text: str, details: _Details) -> Choice:
    records = decode_records(details.tokens, details.top_tokens)
    return Choice(
        index=index,
        text=text,
        finish_reason=_finish_reason(details),
        logprobs=LogprobsData(records) if records else None,
    )


def _finish_reason(details: _Details | None) -> str | None:
    if details is None or details.finish_reason is None:
        return None
    return _FINISH_REASONS.get(details.finish_reason, details.finish_reason)


def _usage(sequences: Sequence[_Details]) -> Usage | None:
    """The counts; those of the prompt come in a stream, or where ``decoder_input_details`` lists its tokens."""
    counts = [details.generated_tokens for details in sequences if details.generated_tokens is not None]
    prompt = sequences[0].input_length or _length(sequences[0].prefill) or None
    if not counts and prompt is None:
        return None
    generated = sum(counts) if counts else None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=generated,
        total_tokens=None if prompt is None or generated is None else prompt + generated,
    )


def _length(value: Raw) -> int:
    return len(as_list(loads_anything(value)))


class _Decoder(PayloadDecoder[bytes, StreamChunk]):
    """Chunks from events. The stream is whole when the whole text came, or the reason to stop."""

    def __init__(self) -> None:
        super().__init__(EventSplitter())
        self._text: list[str] = []

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if payload.strip() == b"[DONE]":  # some hosts add the end mark of the other wires
            self._done = True
            return
        event = decode_leniently(payload, _decoder, wire=NAME)
        _raise_error(event, payload)
        self._done = self._done or event.generated_text is not None or event.details is not None
        records = decode_records(event.token, event.top_tokens)
        if not records and event.generated_text is None and event.details is None:
            return
        self._started = True
        yield StreamChunk(
            delta=self._delta(event, records),
            logprobs=StreamLogprobsDelta(records) if records else None,
            finish_reason=_finish_reason(event.details),
            usage=None if event.details is None else _usage([event.details]),
        )

    def _delta(self, event: _Reply, records: list[TokenLogprob]) -> str:
        """The text that the event adds.

        Special tokens are not part of the text. The last event has all of it, which may hold more than its tokens do,
        where a character was cut.
        """
        delta = "".join(record.token for record in records if record.extra.get("special") is not True)
        if event.generated_text is not None:
            before = "".join(self._text)
            if event.generated_text.startswith(before):
                delta = event.generated_text[len(before) :]
        self._text.append(delta)
        return delta


WIRE = Tgi()
