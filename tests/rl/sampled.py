"""Replies that a toy model sampled, in the bytes of several servers, and ways to damage them.

The model's vocabulary has pieces that make up others (``"ab"`` beside ``"a"`` and ``"b"``), so that a text has more
than one tokenization. Nothing here is a recording; the shapes are those of the recordings in ``fixtures``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

PIECES = [
    *("a", "b", "c", "ab", "bc", "abc", " ", " a", " b", ".", "\n", "é", "🦜"),
    *("x", "y", "xy", "1", "2", "12"),
]
END, END_ID = "<|im_end|>", 100
TEXTS = {**dict(enumerate(PIECES, start=10)), END_ID: END}
IDS = {text: token for token, text in TEXTS.items()}


def decode(ids: list[int]) -> str:
    """What the model's tokenizer makes of ids."""
    return "".join(TEXTS[token] for token in ids)


def encode(text: str) -> list[int]:
    """The tokenizer's own way to write a text: the longest pieces first."""
    ids: list[int] = []
    while text:
        piece = max((piece for piece in PIECES if text.startswith(piece)), key=len)
        ids.append(IDS[piece])
        text = text[len(piece) :]
    return ids


@dataclass(frozen=True)
class Sampled:
    """One answer: what was sampled, and what a server lists of it."""

    ids: list[int]
    logprobs: list[float | None]
    ended: bool = True
    listed: list[int] | None = None
    """The list of ids beside the records, where it is another one."""
    recorded: list[int] = field(default_factory=list)
    """The ids of the records, where they are others."""
    shifted: bool = False
    """Whether the alternatives are those of the sampled tokens while the values are not."""

    @property
    def text(self) -> str:
        return decode([token for token in self.ids if token != END_ID])

    @property
    def usage(self) -> dict[str, int]:
        return {"prompt_tokens": 3, "completion_tokens": len(self.ids), "total_tokens": 3 + len(self.ids)}

    @property
    def rows(self) -> list[tuple[int, float | None]]:
        return list(zip(self.recorded or self.ids, self.logprobs, strict=False))


@st.composite
def answers(draw: st.DrawFn, ended: bool | None = None, *, ambiguous: bool = False) -> Sampled:
    """Any answer of at least three tokens, not all the same; ``ambiguous``: not as its tokenizer would write it."""
    ids = draw(st.lists(st.sampled_from(sorted(set(TEXTS) - {END_ID})), min_size=3, max_size=24))
    if len(set(ids)) < 2 or not decode(ids).strip():
        ids = [*ids, IDS["a"], IDS["bc"]]
    ids += [IDS["x"], IDS["y"]] * ambiguous
    ends = draw(st.booleans()) if ended is None else ended
    ids = [*ids, END_ID] if ends else ids
    values = draw(st.lists(st.floats(-30, -0.05), min_size=len(ids), max_size=len(ids), unique=True))
    return Sampled(ids, list(values), ends)


def vllm(answer: Sampled, **more: Any) -> bytes:
    """Ids in a list of their own, records with texts, the sampled token among its alternatives."""
    own = dict(zip(range(len(answer.ids)), answer.logprobs, strict=False))
    records = [
        {
            "token": TEXTS[token],
            "logprob": value,
            "bytes": list(TEXTS[token].encode()),
            "top_logprobs": [{"token": TEXTS[token], "logprob": own.get(i - answer.shifted, value), "bytes": None}],
        }
        for i, (token, value) in enumerate(answer.rows)
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "logprobs": {"content": records},
        "finish_reason": "stop" if answer.ended else "length",
        "stop_reason": None,
        "token_ids": answer.ids if answer.listed is None else answer.listed,
    }
    return _json(
        {"id": "r1", "model": "toy", "choices": [choice | more], "usage": answer.usage, "prompt_token_ids": [1, 2, 3]}
    )


def sglang(answer: Sampled, **more: Any) -> bytes:
    """Ids in a list of their own, and in every record."""
    reason = {"type": "stop", "matched": END_ID} if answer.ended else {"type": "length", "length": len(answer.ids)}
    meta = {
        "id": "r1",
        "finish_reason": reason,
        "prompt_tokens": 3,
        "completion_tokens": len(answer.ids),
        "weight_versions": [{"version": "v7", "start": 0, "end": len(answer.ids)}],
        "output_token_logprobs": [[value, token, TEXTS[token]] for token, value in answer.rows],
    }
    ids = answer.ids if answer.listed is None else answer.listed
    return _json({"text": answer.text, "output_ids": ids, "meta_info": meta | more})


def llamacpp(answer: Sampled, **more: Any) -> bytes:
    """Ids in the records alone; the end has no text."""
    records = [
        {
            "id": token,
            "token": "" if token == END_ID else TEXTS[token],
            "bytes": [] if token == END_ID else list(TEXTS[token].encode()),
            "logprob": value,
            "top_logprobs": [],
        }
        for token, value in answer.rows
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "logprobs": {"content": records},
        "finish_reason": "stop" if answer.ended else "length",
    }
    return _json({"id": "r1", "model": "toy", "choices": [choice | more], "usage": answer.usage})


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


SERVERS = {"vllm": (vllm, "openai-chat"), "sglang": (sglang, "sglang-generate"), "llamacpp": (llamacpp, "openai-chat")}
"""How each writes an answer, and the wire that reads it."""


def with_values(answer: Sampled, values: list[float | None]) -> Sampled:
    """The same with other values in the records."""
    return replace(answer, logprobs=values)
