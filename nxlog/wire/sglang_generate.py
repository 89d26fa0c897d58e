"""``sglang-generate``: POST /generate, the native route of SGLang, which completes a text or token ids.

https://docs.sglang.ai/basic_usage/native_api.html

The prompt is the one user message, or ``input_ids``. Sampling parameters without a place in ``ChatRequest`` go into
``provider_options={"sampling_params": {...}}``. The records of ``logprob_token_ids`` are alternatives.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nxlog.logprobs import LogprobsData
from nxlog.response import ChatResponse, Choice, with_body
from nxlog.wire._replies import decode_replies
from nxlog.wire._sglang_reply import NAME, Meta, Reply, decoder, raise_abort, raise_error, usage_of
from nxlog.wire._sglang_stream import SglangDecoder
from nxlog.wire._token_ids import ids_of
from nxlog.wire._tuple_records import decode_records
from nxlog.wire.base import encode_body, prompt_of, spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.request import ChatRequest, ResponseFormat
    from nxlog.wire.base import StreamDecoder

_PROMPTS = frozenset({"text", "input_ids", "input_embeds"})
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_new_tokens",
    "stop": "stop",
    "seed": "sampling_seed",
    "n": "n",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop_token_ids": "stop_token_ids",
}


class SglangGenerate:
    """The wire; it has no state."""

    name = NAME
    lacks: frozenset[str] = frozenset({"system_messages", "vision", "tools", "reasoning_effort"})

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body; the model is the server's only one.

        Raises:
            InvalidRequestError: the conversation is not one user message.
        """
        del model
        options = request.provider_options or {}
        body: dict[str, Any] = spelled(request, {"input_ids": "input_ids"}, spelling)
        if not body and _PROMPTS.isdisjoint(options):
            body["text"] = prompt_of(request, self.name)
        if sampling := _sampling(request, spelling):
            body["sampling_params"] = sampling
        body |= _logprobs(request, spelling)
        if stream:
            body["stream"] = True
        return encode_body(body, options, tables=("sampling_params",))

    def decode(self, body: bytes) -> ChatResponse:
        """The reply: an object, or with several choices a list of them."""
        replies = decode_replies(body, decoder, wire=self.name)
        metas = [reply.meta_info or Meta() for reply in replies]
        for reply, meta in zip(replies, metas, strict=True):
            raise_error(reply, body)
            raise_abort(meta, body)
        prompt = metas[0].prompt_logprobs
        return with_body(
            ChatResponse(
                id=metas[0].id,
                choices=[_choice(i, *pair) for i, pair in enumerate(zip(replies, metas, strict=True))],
                usage=usage_of(metas),
                prompt_token_ids=metas[0].prompt_ids(prompt),
                prompt_logprobs=prompt,
            ),
            body,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return SglangDecoder()


def _sampling(request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
    sampling = spelled(request, _SAMPLING, spelling)
    schema = _schema(request.response_format)
    if schema is not None and (key := spelling.get("response_format", "json_schema")):
        sampling[key] = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return sampling


def _schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    # Any object is what the server's own chat route makes of JSON mode.
    return {"type": "object"} if wanted.json_schema is None else wanted.json_schema.json_schema


def _logprobs(request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
    key = spelling.get("logprobs", "return_logprob")
    if not key:
        return {}
    found: dict[str, Any] = {} if request.logprobs is None else {key: request.logprobs}
    if request.prompt_logprobs is not None:
        found |= {key: True, "logprob_start_len": 0}
    if not found.get(key):
        return found
    # One number for the prompt and the answer.
    counts = [count for count in (request.top_logprobs, request.prompt_logprobs) if count is not None]
    if counts and (top := spelling.get("top_logprobs", "top_logprobs_num")):
        found[top] = max(counts)
    found |= spelled(request, {"logprob_token_ids": "token_ids_logprob"}, spelling)
    # Without it the records have ids and no texts. An option may turn it off.
    return found | {"return_text_in_logprobs": True}


def _choice(index: int, reply: Reply, meta: Meta) -> Choice:
    records = decode_records(meta.output_token_logprobs, meta.alternatives)
    return Choice(
        index=index,
        text=reply.text or "",
        finish_reason=meta.finish_word,
        logprobs=LogprobsData(records) if records else None,
        token_ids=ids_of(reply.output_ids),
        stop_reason=meta.stop_reason,
        weight_versions=meta.versions,
    )


WIRE = SglangGenerate()
