"""Turns for the tests of trajectories, and a tokenizer whose texts have more than one spelling in ids."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from nxlog.turn import Evidence, Sampling, TurnCheck, TurnTokenData

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IM_START, IM_END, THINK, END_THINK = 1000, 1001, 1002, 1003
SPECIAL = {IM_START: "<|im_start|>", IM_END: "<|im_end|>", THINK: "<think>", END_THINK: "</think>"}
PAIR = 2000
"""Above it: two characters as one token."""


def decode(ids: Iterable[int]) -> str:
    """Ids below 1000 are characters, those from ``PAIR`` on are two at once."""
    return "".join(
        SPECIAL[i] if i in SPECIAL else chr((i - PAIR) // 128) + chr((i - PAIR) % 128) if i >= PAIR else chr(i)
        for i in ids
    )


def chars(text: str) -> list[int]:
    """The text, a token for each character."""
    return [ord(character) for character in text]


def pairs(text: str) -> list[int]:
    """The same text, a token for each two characters."""
    cut = [text[i : i + 2] for i in range(0, len(text), 2)]
    return [PAIR + ord(two[0]) * 128 + ord(two[1]) if len(two) == 2 else ord(two) for two in cut]


def sampled(
    prompt: Sequence[int] | None, output: Sequence[int], *, temperature: float | None = 1.0, **more: object
) -> TurnTokenData:
    """A trainable turn; the log-probability of each token is made of its id."""
    fields: dict[str, object] = {
        "prompt_ids": None if prompt is None else array("i", prompt),
        "output_ids": array("i", output),
        "output_logprobs": array("d", [-token / 1024 for token in output]),
        "finish_reason": "stop",
        "stop_token_included": bool(output) and output[-1] == IM_END,
        "content": decode(output).removesuffix("<|im_end|>"),
        "sampling": Sampling(temperature=temperature),
        "evidence": Evidence.NATIVE_IDS,
        "checks": TurnCheck(),
    }
    return TurnTokenData(role="assistant", **(fields | more))


def result(content: str, name: str = "search") -> TurnTokenData:
    """What a tool said."""
    return TurnTokenData(role="tool", content=content, tool_name=name, tool_call_id="call-1")
