"""The parts that documented exchanges are made of: tokens with probabilities, records, events.

A token is written as a row, ``"Oak:0.52|Ash:0.31|Fir:0.08"``: the texts with their
probabilities, the chosen one first. The wire's numbers follow from the row: logarithms rounded to
eight decimals (so that they are the same on every platform), bytes in UTF-8, alternatives sorted.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from cassette_file import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Json = dict[str, Any]

REVIEWED = "2026-11"
LICENSE = "Apache-2.0, as the project: text and numbers are made up by its authors"


def entry(row: str) -> Json:
    """The token record of one row: the chosen token and the alternatives, the likeliest first."""
    pairs = [part.rsplit(":", 1) for part in row.split("|")]
    records = [_record(text, float(probability)) for text, probability in pairs]
    ranked = sorted(records, key=lambda record: -record["logprob"])
    return {**records[0], "top_logprobs": ranked}


def entries(rows: Iterable[str]) -> list[Json]:
    """The token records of many rows."""
    return [entry(row) for row in rows]


def _record(text: str, probability: float) -> Json:
    return {
        "token": text,
        "logprob": round(math.log(probability), 8),
        "bytes": list(text.encode("utf-8")),
    }


def text_of(records: Iterable[Json]) -> str:
    """The text that the tokens make."""
    return "".join(record["token"] for record in records)


def dumps(value: Any) -> str:
    """Compact JSON, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def data_stream(events: Iterable[Json], *, end: str = "[DONE]") -> bytes:
    """A stream of unnamed events that ends with a mark."""
    lines = [*(dumps(event) for event in events), end]
    return "".join(f"data: {line}\n\n" for line in lines).encode("utf-8")


def named_stream(events: Iterable[Json]) -> bytes:
    """A stream whose events carry their type in the event line too."""
    return "".join(f"event: {e['type']}\ndata: {dumps(e)}\n\n" for e in events).encode("utf-8")


def exchange(
    *,
    provider: str,
    source: str,
    uri: str,
    note: str,
    request: Json,
    answer: Json | bytes,
    status: int = 200,
    request_headers: Mapping[str, Sequence[str]] | None = None,
    response_headers: Mapping[str, Sequence[str]] | None = None,
) -> Exchange:
    """An exchange in the documented shape; ``answer`` is a JSON body or the bytes of a stream."""
    streamed = isinstance(answer, bytes)
    content_type = "text/event-stream; charset=utf-8" if streamed else "application/json"
    return Exchange(
        uri=uri,
        request_headers={
            "accept": ["text/event-stream" if request.get("stream") else "application/json"],
            "content-type": ["application/json"],
            **(request_headers or {}),
        },
        request_body=dumps(request),
        status=status,
        response_headers={"content-type": [content_type], **(response_headers or {})},
        response_body=answer if isinstance(answer, bytes) else dumps(answer).encode("utf-8"),
        metadata={
            "evidence": "documented",
            "provider": provider,
            "reviewed": REVIEWED,
            "source": source,
            "note": f"written by hand in the documented shape, not recorded; {note}",
            "license": LICENSE,
        },
    )
