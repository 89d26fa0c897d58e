"""Documented exchanges of the OpenAI Responses wire: whole replies, and the events of a stream that repeat it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from documented_parts import entries, exchange, named_stream, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cassette_file import Exchange
    from documented_parts import Json

CREATED = 1793500000
QUESTION = "What do otters hold while they sleep? One short sentence."
INCLUDE = "message.output_text.logprobs"

# Every row: the chosen token first. The second one samples the second likeliest.
OTTER = (
    "Each:0.34|Otters:0.31|They:0.2",
    " holds:0.21| other:0.42| one:0.1",
    " another:0.44| the:0.29| a:0.11",
    " otter:0.86|'s:0.09| by:0.02",
    "'s:0.71| by:0.17|.:0.06",
    " paw:0.9999| hand:0.00005| tail:0.00002",
    " 🦦:0.08|.:0.85|,:0.03",
)


@dataclass(frozen=True, kw_only=True)
class ResponsesHost:
    """One host that speaks the wire."""

    provider: str
    source: str
    """The page that documents the shape."""
    url: str
    model: str
    served: str | None = None
    """The model as replies name it, where that differs."""
    whole: Json = field(default_factory=dict[str, "Any"])
    """Keys that its responses have besides the usual ones."""
    request_headers: Mapping[str, Sequence[str]] | None = None


def responses_logprobs(host: ResponsesHost, top: int = 2) -> dict[str, Exchange]:
    """A reply with log-probabilities, and the same answer as a stream."""
    records = [{**record, "top_logprobs": record["top_logprobs"][:top]} for record in entries(OTTER)]
    return _pair(host, "responses_logprobs", records, {"include": [INCLUDE], "top_logprobs": top})


def responses_plain(host: ResponsesHost, name: str = "responses_plain", **ask: Any) -> dict[str, Exchange]:
    """A reply whose list of records is empty, and the same answer as a stream."""
    bare = [{"token": record["token"]} for record in entries(OTTER)]
    return _pair(host, name, bare, ask)


def responses_refused(host: ResponsesHost, answer: Json, name: str, **ask: Any) -> dict[str, Exchange]:
    """A request that the host answers with an error."""
    return {name: _exchange(host, "refused with 400", ask, answer, status=400)}


def _pair(host: ResponsesHost, name: str, records: list[Json], ask: Json) -> dict[str, Exchange]:
    note = str(ask) if ask else "nothing asked"
    return {
        name: _exchange(host, f"whole, {note}", ask, _response(host, records, ask)),
        f"{name}_stream": _exchange(host, f"streamed, {note}", {**ask, "stream": True}, _stream(host, records, ask)),
    }


def _exchange(host: ResponsesHost, note: str, ask: Json, answer: Json | bytes, *, status: int = 200) -> Exchange:
    return exchange(
        provider=host.provider,
        source=host.source,
        uri=host.url,
        note=note,
        request={"model": host.model, "input": [{"role": "user", "content": QUESTION}], "stream": False, **ask},
        answer=answer,
        status=status,
        request_headers=host.request_headers,
    )


def _head(host: ResponsesHost, ask: Json, status: str) -> Json:
    return {
        "id": f"resp_nxlog_{host.provider}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": host.served or host.model,
        "output": [],
        "parallel_tool_calls": True,
        "tools": [],
        "top_logprobs": ask.get("top_logprobs", 0),
        "usage": None,
        **host.whole,
    }


def _response(host: ResponsesHost, records: list[Json], ask: Json) -> Json:
    """The whole response; every value is rounded to six decimals, unlike in the pieces of a stream."""
    count = len(records) + 1  # the end of the message is counted and not listed
    return _head(host, ask, "completed") | {
        "output": [_message(host, records, rounded=True)],
        "usage": {
            "input_tokens": 19,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": count,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 19 + count,
        },
    }


def _message(host: ResponsesHost, records: list[Json], *, rounded: bool) -> Json:
    return {
        "id": f"msg_nxlog_{host.provider}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [_text(text_of(records), [_rounded(record) if rounded else record for record in _listed(records)])],
    }


def _text(text: str, records: list[Json]) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": records, "text": text}


def _listed(records: list[Json]) -> list[Json]:
    return [record for record in records if "logprob" in record]


def _rounded(record: Json) -> Json:
    tops = [_rounded(top) for top in record["top_logprobs"]] if "top_logprobs" in record else None
    return {**record, "logprob": round(record["logprob"], 6)} | ({} if tops is None else {"top_logprobs": tops})


def _stream(host: ResponsesHost, records: list[Json], ask: Json) -> bytes:
    item = {"item_id": f"msg_nxlog_{host.provider}", "output_index": 0, "content_index": 0}
    message = _message(host, records, rounded=True)
    text = text_of(records)
    events: list[Json] = [
        {"type": "response.created", "response": _head(host, ask, "in_progress")},
        {"type": "response.in_progress", "response": _head(host, ask, "in_progress")},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**message, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **item, "part": _text("", [])},
        *(
            {"type": "response.output_text.delta", **item, "delta": record["token"], "logprobs": _listed([record])}
            for record in records
        ),
        {"type": "response.output_text.done", **item, "text": text, "logprobs": _listed(records)},
        {"type": "response.content_part.done", **item, "part": _text(text, [])},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": _response(host, records, ask)},
    ]
    return named_stream({**event, "sequence_number": number} for number, event in enumerate(events))
