"""``openai-completions``: POST /completions, which completes a text instead of answering a conversation.

https://platform.openai.com/docs/api-reference/completions

Its ``logprobs`` is the number of alternatives, and the reply has columns (see ``_column_records``), or the records of
``openai-chat`` (llama.cpp). With ``echo`` in the provider options the records of the prompt come before those of the
answer; the first has no logprob. Offsets into the text are in ``TokenLogprob.extra["text_offset"]``; what they count
from differs from server to server, and -1 is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.wire._openai_chat_reply import Reply, decode_loosely
from nxlog.wire.base import encode_body, prompt_of, spelled
from nxlog.wire.openai_chat import OpenAIChat, stream_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.request import ChatRequest

_FIELDS = ("temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty")


class OpenAICompletions(OpenAIChat):
    """The wire; it has no state. Replies differ from those of ``openai-chat`` only in where they keep the text."""

    name = "openai-completions"
    lacks: frozenset[str] = frozenset(
        {"system_messages", "vision", "tools", "json_mode", "json_schema", "reasoning_effort"}
    )

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body; ``input_ids``, or a ``prompt`` in the provider options, take the place of the message.

        Raises:
            InvalidRequestError: the conversation is not one user message.
        """
        body: dict[str, Any] = {"model": model}
        if "prompt" not in (request.provider_options or {}):
            body["prompt"] = request.input_ids or prompt_of(request, self.name)
        body |= spelled(request, _FIELDS, spelling) | self._logprobs(request, spelling)
        body |= self._tokens(request, spelling)
        if stream:
            body |= stream_fields(spelling)
        return encode_body(body, request.provider_options)

    def _logprobs(self, request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
        key = spelling.get("logprobs", "logprobs")
        if not request.logprobs or not key:
            return {}
        # One alternative where none is spoken of: at 0 llama.cpp sends no logprobs at all.
        return {key: 1 if request.top_logprobs is None else request.top_logprobs}

    def _read(self, data: bytes) -> Reply:
        return decode_loosely(data, wire=self.name)


WIRE = OpenAICompletions()
