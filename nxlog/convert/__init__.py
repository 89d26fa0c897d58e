"""Conversions between the shapes of Chat Completions and of the Responses API. Nothing here does I/O.

``nxlog.convert.openai`` has the same for the types of the packages ``openai`` and ``openai-agents``.
"""

from __future__ import annotations

from nxlog.convert.events import ChunkConverter, achunks_to_events, chunks_to_events
from nxlog.convert.items import Converted, chat_to_responses, responses_to_chat
from nxlog.convert.logprobs import (
    OutputTextLogprob,
    OutputTextTopLogprob,
    TextDeltaLogprob,
    TextDeltaTopLogprob,
    convert_logprobs_for_output_text,
    convert_logprobs_for_text_delta,
)

__all__ = [
    "ChunkConverter",
    "Converted",
    "OutputTextLogprob",
    "OutputTextTopLogprob",
    "TextDeltaLogprob",
    "TextDeltaTopLogprob",
    "achunks_to_events",
    "chat_to_responses",
    "chunks_to_events",
    "convert_logprobs_for_output_text",
    "convert_logprobs_for_text_delta",
    "responses_to_chat",
]
