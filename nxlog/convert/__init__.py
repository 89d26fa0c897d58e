"""Conversions between the Chat and the Responses shapes. Nothing here does I/O."""

from __future__ import annotations

from nxlog.convert.logprobs import (
    OutputTextLogprob,
    OutputTextTopLogprob,
    TextDeltaLogprob,
    TextDeltaTopLogprob,
    convert_logprobs_for_output_text,
    convert_logprobs_for_text_delta,
)

__all__ = [
    "OutputTextLogprob",
    "OutputTextTopLogprob",
    "TextDeltaLogprob",
    "TextDeltaTopLogprob",
    "convert_logprobs_for_output_text",
    "convert_logprobs_for_text_delta",
]
