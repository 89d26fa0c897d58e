"""What is under a key named ``logprobs``: its value says which format it has, the endpoint does not.

The same request gets records, columns or a bare number, from one provider, by model and by mode.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, NULL, as_list, loads_anything, number, raw_of
from nxlog._records import TokenLogprob, decode_tokens
from nxlog.wire._column_records import COLUMNS, decode_columns


class Channels(Struct, gc=False, forbid_unknown_fields=True):
    """Records by the wire's names of their channels. Any other key makes it another format, or a mixture."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None
    reasoning: list[TokenLogprob] | None = None


_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_NUMBERS = frozenset(bytes([head]) for head in b"-0123456789NI")  # NaN and Infinity among them


def sniff(value: Raw, *, ids: Raw = NULL, prompt_ids: Raw = NULL) -> Channels | None:
    """The records of a ``logprobs`` value, whatever its format; None where it has none.

    Args:
        value: the JSON.
        ids: token ids that the server sent beside it.
        prompt_ids: ids of the prompt beside it.
    """
    head = _head(value)
    if head == b"[":
        # A list of anything but objects says nothing that could be a record.
        records = decode_entries(value) if b"{" in bytes(value) else []
        return Channels(records) if records else None
    if head != b"{":
        return None
    members = _members(value)
    channels = {name: decode_entries(raw) for name, raw in members.items() if name in Channels.__struct_fields__}
    if not any(channels.values()) and not COLUMNS.isdisjoint(members):
        channels["content"] = decode_columns(members, ids=ids, prompt_ids=prompt_ids)
    # Where both are there, they say the same twice.
    return Channels(**channels) if any(channels.values()) else None


def is_number(value: Raw) -> bool:
    """Whether it is a bare number."""
    return _head(value) in _NUMBERS and number(loads_anything(value)) is not None


def _head(value: Raw) -> bytes:
    return bytes(memoryview(value)[:1])


def _members(value: Raw) -> dict[str, Raw]:
    try:
        return _decode_members(value)
    except BROKEN:
        parsed = loads_anything(value)
    if not isinstance(parsed, dict):
        return {}
    return {name: raw_of(item) for name, item in cast("dict[str, Any]", parsed).items()}


def decode_entries(value: Raw) -> list[TokenLogprob]:
    """Records of a channel; some servers call the token ``text``."""
    records = decode_tokens(value)
    if not any(not record.token and "text" in record.extra for record in records):
        return records
    return decode_tokens(raw_of([_with_token(item) for item in as_list(loads_anything(value))]))


def _with_token(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    record = cast("dict[str, Any]", entry)
    if isinstance(record.get("text"), str) and not isinstance(record.get("token"), str):
        record = {key: item for key, item in record.items() if key != "text"} | {"token": record["text"]}
    tops = record.get("top_logprobs")
    if not isinstance(tops, list | dict):
        return record
    return record | {"top_logprobs": [_with_token(top) for top in as_list(cast("object", tops))]}
