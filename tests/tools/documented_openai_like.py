"""Documented exchanges of the many hosts that speak OpenAI's chat wire, each with its own accent.

A host is one ``Host``; ``chat``, ``plain``, ``ignored`` and ``refused`` give its cassettes by name. The answers are our
own, a few shared by all: what differs from host to host is the shape around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from documented_parts import data_stream, entries, exchange, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cassette_file import Exchange
    from documented_parts import Json

CREATED = 1793500000
QUESTION = "Does iron float on mercury? One short sentence."
ROWS = (
    "Yes:0.81|Iron:0.14|It:0.03",
    ",:0.88| it:0.06|.:0.04",
    " iron:0.52| because:0.2| it:0.19",
    " floats:0.9| does:0.06| will:0.02",
    " on:0.95| in:0.02|,:0.01",
    " mercury:0.97| liquid:0.01| it:0.006",
    ".:0.93|,:0.04|!:0.01",
)
"""Every row: the chosen token first."""

MISSING = object()
"""In place of a value: the key is left out."""


def as_it_is(record: Json) -> Json:
    """A record with its bytes, as OpenAI sends it."""
    return record


def without_bytes(record: Json) -> Json:
    """A record of a host that sends no bytes."""
    out = {key: value for key, value in record.items() if key != "bytes"}
    return out | {"top_logprobs": [without_bytes(top) for top in out["top_logprobs"]]} if "top_logprobs" in out else out


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host and its accent."""

    provider: str
    source: str
    """The page that documents the shape."""
    url: str
    """Where chat requests go."""
    model: str
    """A model that the page or the capabilities file speaks of."""
    served: str | None = None
    """The model as replies name it, where that differs."""
    body_model: bool = True
    """Whether the request body names the model (it may be in the URL)."""
    ask: Json = field(default_factory=lambda: {"logprobs": True, "top_logprobs": 2})
    """How log-probabilities are asked for; ``{}`` where no field is known."""
    top: int = 2
    """How many alternatives come back."""
    record: Callable[[Json], Json] = as_it_is
    """The host's form of a token record."""
    first: Any = None
    """``logprobs`` of a stream's first chunk, which has the role and no text; or MISSING."""
    last: Any = None
    """``logprobs`` of the chunk with the finish reason; or MISSING."""
    whole: Json = field(default_factory=dict[str, "Any"])
    """Keys that its replies have besides the usual ones."""
    request_headers: Mapping[str, Sequence[str]] | None = None
    refusal: bool = False
    """Whether ``logprobs`` has the key ``refusal``."""
    usage_chunk: bool = True
    """Whether usage comes in a chunk of its own, without choices; else the last chunk carries it."""
    stream_options: bool = True
    """Whether a stream must be asked for its usage."""


def chat(host: Host, name: str = "chat_logprobs", rows: Sequence[str] = ROWS, **over: Any) -> dict[str, Exchange]:
    """A reply with log-probabilities, and the same answer as a stream."""
    records = [host.record(_cut(record, host.top)) for record in entries(rows)]
    return _pair(host, name, records, [_logprobs(host, [record]) for record in records], host.ask | over)


def plain(host: Host, name: str = "chat_plain", value: Any = None) -> dict[str, Exchange]:
    """A reply without log-probabilities, not asked for, and the same answer as a stream."""
    return _pair(host, name, entries(ROWS), [value for _ in ROWS], {})


def ignored(host: Host, name: str = "chat_logprobs", value: Any = None) -> dict[str, Exchange]:
    """A reply without log-probabilities although they were asked for, and the same as a stream."""
    return _pair(host, name, entries(ROWS), [value for _ in ROWS], host.ask)


def refused(
    host: Host, answer: Json, *, status: int = 400, name: str = "err_logprobs", stream: bool = False, **over: Any
) -> dict[str, Exchange]:
    """A request for log-probabilities that the host answers with an error."""
    return {name: _exchange(host, f"refused with {status}", host.ask | over, answer, stream=stream, status=status)}


def _cut(record: Json, top: int) -> Json:
    return {**record, "top_logprobs": record["top_logprobs"][:top]}


def _logprobs(host: Host, records: list[Json]) -> Json:
    return {"content": records} | ({"refusal": None} if host.refusal else {})


def _pair(host: Host, name: str, records: list[Json], pieces: list[Any], ask: Json) -> dict[str, Exchange]:
    lists = all(isinstance(piece, dict) and "content" in piece for piece in pieces)
    logprobs = _logprobs(host, records) if lists else pieces[0]
    note = f"{name.removeprefix('chat_')}: {ask}" if ask else "nothing asked"
    return {
        name: _exchange(host, f"unary, {note}", ask, _whole(host, records, logprobs)),
        f"{name}_stream": _exchange(host, f"streamed, {note}", ask, _stream(host, records, pieces), stream=True),
    }


def _usage(count: int) -> Json:
    return {"prompt_tokens": 17, "completion_tokens": count, "total_tokens": 17 + count}


def _whole(host: Host, records: list[Json], logprobs: Any) -> Json:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text_of(records)},
        "logprobs": logprobs,
        "finish_reason": "stop",
    }
    return {
        "id": f"nxlog-{host.provider}",
        "object": "chat.completion",
        "created": CREATED,
        "model": host.served or host.model,
        "choices": [_present(choice)],
        "usage": _usage(len(records)),
        **host.whole,
    }


def _stream(host: Host, records: list[Json], pieces: list[Any]) -> bytes:
    base = {
        "id": f"nxlog-{host.provider}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": host.served or host.model,
    }
    choices = [_choice({"role": "assistant", "content": ""}, host.first)]
    choices += [_choice({"content": record["token"]}, piece) for record, piece in zip(records, pieces, strict=True)]
    choices.append(_choice({}, host.last, "stop"))
    chunks: list[Json] = [{**base, "choices": [choice]} for choice in choices]
    if host.usage_chunk:
        chunks.append({**base, "choices": [], "usage": _usage(len(records))})
    else:
        chunks[-1]["usage"] = _usage(len(records))
    return data_stream(chunks)


def _choice(delta: Json, logprobs: Any, finish: str | None = None) -> Json:
    return _present({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish})


def _present(table: Json) -> Json:
    return {key: value for key, value in table.items() if value is not MISSING}


def _exchange(
    host: Host, note: str, ask: Json, answer: Json | bytes, *, stream: bool = False, status: int = 200
) -> Exchange:
    body: Json = {"model": host.model} if host.body_model else {}
    body |= {"messages": [{"role": "user", "content": QUESTION}], **ask}
    if stream:
        body["stream"] = True
        if host.stream_options:
            body["stream_options"] = {"include_usage": True}
    return exchange(
        provider=host.provider,
        source=host.source,
        uri=host.url,
        note=note,
        request=body,
        answer=answer,
        status=status,
        request_headers=host.request_headers,
    )
