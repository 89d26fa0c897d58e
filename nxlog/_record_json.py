"""Token records to JSON: as OpenAI's objects, as the text that is read back to equal records, and as a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Raw

from nxlog import _json
from nxlog._json import NULL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nxlog._records import Record, TopLogprob


def record_to_object(record: Record) -> dict[str, Any]:
    """The record in OpenAI's shape, with ``token_id`` where it is known and unknown keys behind.

    A known key whose value had the wrong type is null, as a reader of that shape expects it.
    """
    data = record.bytes
    out: dict[str, Any] = {
        "token": record.token,
        "logprob": record.logprob,
        "bytes": None if data is None else list(data),
    }
    tops: list[TopLogprob] | None = getattr(record, "top_logprobs", None)  # which alternatives themselves do not have
    if tops is not None:
        out["top_logprobs"] = [record_to_object(top) for top in tops]
    if record.token_id is not None:
        out["token_id"] = record.token_id
    return out | {key: value for key, value in record.extra.items() if key not in out}


def encode_alternatives(alternatives: Iterable[TopLogprob]) -> Raw:
    """The JSON that ``decode_alternatives`` reads back to equal records."""
    return Raw(b"[" + b",".join(map(_encode_one, alternatives)) + b"]")


def _encode_one(top: TopLogprob) -> bytes:
    if top.raw_source != NULL:
        return bytes(top.raw_source)
    known = {"token": top.token, "logprob": top.logprob, "token_id": top.token_id}
    text = bytes(_json.raw_of({key: value for key, value in known.items() if value is not None}))
    # The bytes as they are: also those of a placeholder, and what is no list of bytes.
    return text if top.raw_bytes == NULL else text[:-1] + b',"bytes":' + bytes(top.raw_bytes) + b"}"


def record_json_schema(kind: type[Record]) -> dict[str, Any]:
    """JSON schema of a serialized record."""
    return _schema(alternatives=hasattr(kind, "top_logprobs"))


def _schema(*, alternatives: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "token": {"type": "string"},
        "logprob": {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}, {"type": "null"}]},
        "bytes": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        "token_id": {"type": "integer"},
    }
    if alternatives:
        properties["top_logprobs"] = {"type": "array", "items": _schema(alternatives=False)}
    return {"type": "object", "properties": properties, "required": ["token", "logprob", "bytes"]}
