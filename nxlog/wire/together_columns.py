"""``together-columns``: openai-chat whose ``logprobs`` is a number, as Together has it.

https://docs.together.ai/docs/inference/chat/logprobs

There is no ``top_logprobs`` in the request. The reply has columns or the records of openai-chat, by model; a chunk of
a stream may have one bare number, with the alternatives and the token's id elsewhere in the choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.wire._openai_chat_reply import Reply, decode_loosely
from nxlog.wire.base import NO_IDS
from nxlog.wire.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.request import ChatRequest


class TogetherColumns(OpenAIChat):
    """The wire; it has no state."""

    name = "together-columns"
    # Ids of tokens are in the columns.
    lacks: frozenset[str] = NO_IDS - {"token_ids"}

    def _tokens(self, request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
        del request, spelling
        return {}

    def _logprobs(self, request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
        key = spelling.get("logprobs", "logprobs")
        # The number says how many alternatives; 0 says that there shall be no logprobs.
        return {key: max(1, request.top_logprobs or 0)} if request.logprobs and key else {}

    def _read(self, data: bytes) -> Reply:
        return decode_loosely(data, wire=self.name)


WIRE = TogetherColumns()
