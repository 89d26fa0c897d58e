"""Token records counted in the JSON as it came, by nothing that nxlog reads replies with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nxlog.probe.answer import RECORD_KEYS

if TYPE_CHECKING:
    from nxlog.probe.answer import Answer

COUNTED = {"openai-chat", "openai-completions", "together-columns", "gemini", "ollama", "tgi", "llamacpp"}
"""Wires whose records are objects, or columns, that come once each."""

COUNTED_WHOLE = {"openai-responses"}
"""Wires that repeat the records of a stream at its end."""

_COLUMN = "token_logprobs"
_NOT_GENERATED = {
    # alternatives, where they are not inside of the record
    "top_logprobs",
    "topCandidates",
    "top_tokens",
    "top_probs",
    # the prompt
    "prefill",
    "prompt",
    "prompt_logprobs",
    # the answer as the model wrote it
    "message",
    "delta",
}


def count(answer: Answer, wire: str) -> int | None:
    """How many token records the reply holds; None where they cannot be counted without knowing the wire."""
    if wire not in COUNTED and (wire not in COUNTED_WHOLE or answer.question.stream):
        return None
    if not answer.events:
        return None
    return sum(map(_count, answer.events))


def count_any(answer: Answer) -> int:
    """How many objects and columns look like token records; some may be counted twice."""
    return sum(map(_count, answer.events))


def _count(value: object) -> int:
    if isinstance(value, list):
        return sum(map(_count, cast("list[Any]", value)))
    if not isinstance(value, dict):
        return 0
    table = cast("dict[str, Any]", value)
    column = table.get(_COLUMN)
    if isinstance(column, list):
        return len(cast("list[Any]", column))
    if any(key in table for key in RECORD_KEYS) or isinstance(table.get("logprobs"), float):
        return 1
    return sum(_count(inner) for key, inner in table.items() if key not in _NOT_GENERATED)
