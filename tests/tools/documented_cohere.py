"""Documented exchanges of Cohere, whose records are runs of text with the ids and values of their tokens."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from documented_parts import entry, exchange, named_stream

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

CHAT = "https://docs.cohere.com/reference/chat"
CHAT_STREAM = "https://docs.cohere.com/reference/chat-stream"
MODEL = "command-a-03-2025"
QUESTION = "What do you call a group of larks? One short sentence."

# A run is a piece of text and the rows of its tokens; two runs are made of several tokens.
LARKS = (
    ("A", ("A:0.72",)),
    (" group", (" group:0.94",)),
    (" of", (" of:0.99",)),
    (" larks", (" lar:0.97", "ks:0.9991")),
    (" is", (" is:0.86",)),
    (" an", (" an:0.63",)),
    (" exaltation", (" ex:0.58", "alt:0.98", "ation:0.9997")),
    (".", (".:0.93",)),
)


def cohere() -> dict[str, Exchange]:
    """The Cohere cassettes by name."""
    return {
        **_pair("chat_logprobs", "logprobs asked", logprobs=True),
        **_pair("chat_plain", "nothing asked"),
    }


def _pair(name: str, note: str, **ask: Any) -> dict[str, Exchange]:
    runs = [_run(text, rows) for text, rows in LARKS]
    asked = bool(ask)
    return {
        name: _exchange(f"whole, {note}", ask, _whole(runs, asked=asked)),
        f"{name}_stream": _exchange(f"streamed, {note}", {**ask, "stream": True}, _stream(runs, asked=asked)),
    }


def _exchange(note: str, ask: Json, answer: Json | bytes) -> Exchange:
    return exchange(
        provider="cohere",
        source=CHAT_STREAM if ask.get("stream") else CHAT,
        uri="https://api.cohere.com/v2/chat",
        note=note,
        request={"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "stream": False, **ask},
        answer=answer,
    )


def _run(text: str, rows: tuple[str, ...]) -> Json:
    records = [entry(row) for row in rows]
    return {
        "text": text,
        # The ids are made up.
        "token_ids": [zlib.crc32(record["token"].encode()) % 255_000 for record in records],
        "logprobs": [record["logprob"] for record in records],
    }


def _usage(runs: list[Json]) -> Json:
    count = sum(len(run["token_ids"]) for run in runs)
    return {
        "billed_units": {"input_tokens": 13, "output_tokens": count},
        "tokens": {"input_tokens": 80, "output_tokens": count},
    }


def _whole(runs: list[Json], *, asked: bool) -> Json:
    text = "".join(run["text"] for run in runs)
    return {
        "id": "nxlog-larks",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
        "usage": _usage(runs),
        **({"logprobs": runs} if asked else {}),
    }


def _stream(runs: list[Json], *, asked: bool) -> bytes:
    start: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    pieces: list[Json] = [
        {
            "type": "content-delta",
            "index": 0,
            "delta": {"message": {"content": {"text": run["text"]}}},
            **({"logprobs": run} if asked else {}),
        }
        for run in runs
    ]
    return named_stream(
        [
            {"type": "message-start", "id": "nxlog-larks", "delta": {"message": start}},
            {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
            *pieces,
            {"type": "content-end", "index": 0},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _usage(runs)}},
        ]
    )
