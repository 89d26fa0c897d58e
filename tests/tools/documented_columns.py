"""Documented exchanges of the hosts whose ``logprobs`` is a number: Together, and Fireworks when it is asked so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from documented_parts import data_stream, entries, exchange, text_of

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

CREATED = 1793500000
PROMPT = "A heron stands"
QUESTION = "Where does a heron stand? In three words."
ROWS = (
    " in:0.64| on:0.21| at:0.05",
    " shallow:0.18| the:0.41| a:0.3",
    " water:0.88| pools:0.05| ponds:0.03",
    ".:0.72|,:0.2|;:0.01",
)
"""Every row: the chosen token first. The second one samples the third likeliest on purpose."""
RECORDS = entries(ROWS)
TEXT = text_of(RECORDS)
IDS = (304, 25271, 3015, 13)
ASKED = 2
USAGE: dict[str, Any] = {"prompt_tokens": 5, "completion_tokens": len(ROWS), "total_tokens": 5 + len(ROWS)}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A host and one of its models."""

    provider: str
    source: str
    base: str
    """The address without the route."""
    model: str

    def chat(self, logprobs: Json, *, name: str = "chat_columns") -> dict[str, Exchange]:
        """A whole chat."""
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
        answer = self._reply("chat.completion", [choice]) | {"usage": USAGE}
        return {name: self._chat(f"unary, logprobs {ASKED}", answer)}

    def numbers(self) -> dict[str, Exchange]:
        """A chat streamed as Together does: one number for each chunk, the alternatives and the id beside it."""
        choices: list[Json] = [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": record["token"], "token_id": token_id},
                "logprobs": record["logprob"],
                "top_logprobs": alternatives(record),
                "finish_reason": None,
            }
            for record, token_id in zip(RECORDS, IDS, strict=True)
        ]
        end: Json = {"role": "assistant", "content": ""}
        choices.append({"index": 0, "delta": end, "logprobs": None, "finish_reason": "stop"})
        chunks = [self._reply("chat.completion.chunk", [choice]) for choice in choices]
        chunks[-1]["usage"] = USAGE
        note = f"streamed, logprobs {ASKED}: a bare number in every chunk"
        return {"chat_columns_stream": self._chat(note, data_stream(chunks))}

    def completions(self) -> dict[str, Exchange]:
        """A completion; streamed, the record of a chunk is beside its choices."""
        whole: Json = {"index": 0, "text": TEXT, "logprobs": columns(ids=True), "finish_reason": "stop"}
        chunks: list[Json] = [
            self._reply("completion.chunk", [{"index": 0, "text": record["token"], "finish_reason": None}])
            | {"token": {"id": token_id, "text": record["token"], "logprob": record["logprob"], "special": False}}
            for record, token_id in zip(RECORDS, IDS, strict=True)
        ]
        end: Json = {"index": 0, "text": "", "finish_reason": "stop"}
        chunks.append(self._reply("completion.chunk", [end]) | {"token": None, "usage": USAGE})
        answer = self._reply("text_completion", [whole]) | {"usage": USAGE}
        return {
            "completions_logprobs": self._completion(f"unary, logprobs {ASKED}", answer),
            "completions_logprobs_stream": self._completion(f"streamed, logprobs {ASKED}", data_stream(chunks)),
        }

    def _reply(self, kind: str, choices: list[Json]) -> Json:
        return {
            "id": f"nxlog-{self.provider}",
            "object": kind,
            "created": CREATED,
            "model": self.model,
            "choices": choices,
        }

    def _chat(self, note: str, answer: Json | bytes) -> Exchange:
        asked = {"messages": [{"role": "user", "content": QUESTION}]}
        made = self._exchange(note, "/chat/completions", asked, answer)
        return replace(made, metadata={**made.metadata, "wire": "together-columns"})

    def _completion(self, note: str, answer: Json | bytes) -> Exchange:
        return self._exchange(note, "/completions", {"prompt": PROMPT}, answer)

    def _exchange(self, note: str, route: str, asked: Json, answer: Json | bytes) -> Exchange:
        stream: Json = {"stream": True, "stream_options": {"include_usage": True}}
        return exchange(
            provider=self.provider,
            source=self.source,
            uri=self.base + route,
            note=note,
            request={"model": self.model, **asked, "logprobs": ASKED, **(stream if isinstance(answer, bytes) else {})},
            answer=answer,
        )


def columns(*, top: bool = False, ids: bool = False, offsets: bool = False) -> Json:
    """The records as parallel arrays."""
    texts = [record["token"] for record in RECORDS]
    found: Json = {"tokens": texts, "token_logprobs": [record["logprob"] for record in RECORDS]}
    if top:
        found["top_logprobs"] = [alternatives(record) for record in RECORDS]
    if offsets:
        found["text_offset"] = [len("".join(texts[:i])) for i in range(len(texts))]
    if ids:
        found["token_ids"] = list(IDS)
    return found


def alternatives(record: Json) -> dict[str, float]:
    """The best, by text, and the sampled token where it is none of them."""
    best = {other["token"]: other["logprob"] for other in record["top_logprobs"][:ASKED]}
    return best | {record["token"]: record["logprob"]}
