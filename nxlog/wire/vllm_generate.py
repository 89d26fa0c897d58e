"""``vllm-generate``: POST /inference/v1/generate, tokens in and tokens out (servers with ``--enable-scale-out``).

https://docs.vllm.ai/en/latest/serving/

The prompt is ``input_ids``; the messages are not sent, for nothing here could turn them into tokens. Sampling
parameters without a place in ``ChatRequest`` go into ``provider_options={"sampling_params": {...}}``. A reply has no
text, and records whose tokens are known by ``token_id`` alone, with their ``rank`` in ``extra``; with the option
``output_mode="text"`` it has both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL
from nxlog._records import decode_tokens
from nxlog.errors import InvalidRequestError
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._logprobs_value import Channels
from nxlog.wire._openai_chat_reply import Reply, ReplyChoice, ReplyUsage
from nxlog.wire._token_ids import ids_of
from nxlog.wire.base import encode_body, spelled
from nxlog.wire.openai_chat import OpenAIChat, stream_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.request import ChatRequest, ResponseFormat

NAME = "vllm-generate"

_SAMPLING = ("temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty")
_TOKEN_FIELDS = ("prompt_logprobs", "logprob_token_ids", "stop_token_ids")
_STRUCTURED = "structured_outputs"
_NO_TOKENS = (
    "input_ids: vllm-generate completes token ids, not messages; give the prompt as input_ids=[...] "
    "(the server's /tokenize or /v1/chat/completions/render makes them), or use wire='openai-chat'"
)


class VllmGenerate(OpenAIChat):
    """The wire; it has no state. Its replies are those of ``openai-chat`` with ids in place of messages."""

    name = NAME
    lacks: frozenset[str] = frozenset({"system_messages", "vision", "tools", "reasoning_effort"})

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body.

        Raises:
            InvalidRequestError: there are no ``input_ids``.
        """
        options = request.provider_options or {}
        if request.input_ids is None and "token_ids" not in options:
            raise InvalidRequestError(_NO_TOKENS, param="input_ids")
        sampling = spelled(request, _SAMPLING, spelling) | self._logprobs(request, spelling)
        sampling |= spelled(request, _TOKEN_FIELDS, spelling)
        if (wanted := _structured(request.response_format)) and (key := spelling.get("response_format", _STRUCTURED)):
            sampling[key] = wanted
        body: dict[str, Any] = {"model": model, "sampling_params": sampling}
        body |= spelled(request, {"input_ids": "token_ids"}, spelling)
        if stream:
            body |= stream_fields(spelling)
        return encode_body(body, options, tables=("sampling_params",))

    def _logprobs(self, request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
        key = spelling.get("logprobs", "logprobs")
        return {key: request.top_logprobs or 0} if request.logprobs and key else {}

    def _read(self, data: bytes) -> Reply:
        found = decode_leniently(data, _decoder, wire=self.name)
        choices = None if found.choices is None else [_choice(choice) for choice in found.choices]
        return Reply(
            found.request_id,
            found.model,
            found.created,
            choices,
            found.usage,
            found.error,
            prompt_token_ids=ids_of(found.prompt_token_ids),
            prompt_logprobs=found.prompt_logprobs,
        )


def _structured(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    return {"json_object": True} if wanted.json_schema is None else {"json": wanted.json_schema.json_schema}


# -- what is read, and nothing else ----------------------------------------------------------------------------------


class _Logprobs(Struct, gc=False):
    content: Raw = NULL


class _Choice(Struct, gc=False):
    index: int = 0
    text: str | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    token_ids: Raw = NULL
    stop_reason: int | str | None = None
    weight_versions: Raw = NULL


class _Reply(Struct, gc=False):
    request_id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[_Choice] | None = None
    usage: ReplyUsage | None = None
    error: Raw = NULL
    prompt_token_ids: Raw = NULL
    prompt_logprobs: Raw = NULL


_decoder = msgspec.json.Decoder(_Reply)


def _choice(choice: _Choice) -> ReplyChoice:
    records = decode_tokens((choice.logprobs or _Logprobs()).content)
    channels = Channels(records) if records else None
    return ReplyChoice(
        index=choice.index,
        text=choice.text,
        finish_reason=choice.finish_reason,
        logprobs=channels,
        token_ids=ids_of(choice.token_ids),
        stop_reason=choice.stop_reason,
        weight_versions=choice.weight_versions,
    )


WIRE = VllmGenerate()
