"""Documented exchanges of the OpenAI completions wire, whose records are columns."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from documented_parts import data_stream, entries, exchange, text_of

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

COMPLETIONS = "https://platform.openai.com/docs/api-reference/completions"
PROMPT = "The three longest rivers of Africa are"

# Every row: the chosen token first. The third one samples a token that is not among the two best.
RIVERS = (
    " the:0.96|:0.02| Nile:0.01",
    " Nile:0.99| White:0.004| Congo:0.002",
    " \u2013:0.03|,:0.9| (:0.05",
    " the:0.88| Congo:0.07| then:0.02",
    " Congo:0.97| Zaire:0.01| Niger:0.01",
    " and:0.74|,:0.24| (:0.01",
    " Niger:0.61| the:0.38| Zambezi:0.002",
)


def openai_completions(
    provider: str = "openai",
    *,
    url: str = "https://api.openai.com/v1/completions",
    source: str = COMPLETIONS,
    model: str = "gpt-3.5-turbo-instruct",
) -> dict[str, Exchange]:
    """The cassettes of a model that completes text, by name."""
    records = entries(RIVERS)
    ask: Json = {"model": model, "prompt": PROMPT, "max_tokens": 7, "logprobs": 2}

    def made(note: str, request: Json, answer: Json | bytes) -> Exchange:
        return exchange(provider=provider, source=source, uri=url, note=note, request=request, answer=answer)

    return {
        "completions_logprobs": made(
            "whole, two alternatives in columns; a token that is not among them comes on top",
            ask,
            {**_head(model), "choices": [_choice(records, 0, text_of(records), "length")], "usage": _usage(records)},
        ),
        "completions_logprobs_stream": made(
            "the answer of completions_logprobs, streamed",
            {**ask, "stream": True, "stream_options": {"include_usage": True}},
            _stream(model, records),
        ),
    }


def _head(model: str) -> Json:
    return {"id": "cmpl-nxlog-rivers", "object": "text_completion", "created": 1793500000, "model": model}


def _usage(records: list[Json]) -> Json:
    return {"prompt_tokens": 7, "completion_tokens": len(records), "total_tokens": 7 + len(records)}


def _choice(records: list[Json], start: int, text: str, finish: str | None) -> Json:
    return {"text": text, "index": 0, "logprobs": _columns(records, start), "finish_reason": finish}


def _columns(records: list[Json], start: int) -> Json:
    lengths = itertools.accumulate((len(record["token"]) for record in records), initial=len(PROMPT) + start)
    return {
        "tokens": [record["token"] for record in records],
        "token_logprobs": [record["logprob"] for record in records],
        "top_logprobs": [_table(record) for record in records],
        "text_offset": list(lengths)[:-1],
    }


def _table(record: Json) -> dict[str, Any]:
    best = {top["token"]: top["logprob"] for top in record["top_logprobs"][:2]}
    return best | {record["token"]: record["logprob"]}


def _stream(model: str, records: list[Json]) -> bytes:
    starts = itertools.accumulate((len(record["token"]) for record in records), initial=0)
    choices = [_choice([record], start, record["token"], None) for start, record in zip(starts, records, strict=False)]
    choices.append(_choice([], 0, "", "length"))
    chunks: list[Json] = [{**_head(model), "choices": [choice], "usage": None} for choice in choices]
    return data_stream([*chunks, {**_head(model), "choices": [], "usage": _usage(records)}])
