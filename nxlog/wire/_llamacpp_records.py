"""Token records of llama.cpp's ``completion_probabilities``, in the three shapes that it has had.

Now: ``{id, token, bytes, logprob, top_logprobs}``, read lazily like everywhere else. With ``post_sampling_probs``: the
same with linear ``prob`` and ``top_probs``. Until the end of 2024: ``{content, probs: [{tok_str, prob}]}``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import msgspec

from nxlog._json import BROKEN, NULL, as_list, loads_anything, number
from nxlog._records import TokenLogprob, decode_tokens, record_from_object

if TYPE_CHECKING:
    from msgspec import Raw

_strict = msgspec.json.Decoder(list[TokenLogprob]).decode
_LINEAR = {"prob", "top_probs", "probs"}
_NAMES = {"prob": "logprob", "top_probs": "top_logprobs", "tok_str": "token"}


def decode_records(value: Raw) -> list[TokenLogprob]:
    """The records, in order; never raises for what a server sent."""
    if value == NULL:
        return []
    try:
        return _strict(value)
    except BROKEN:
        pass
    # The keys are looked for as bytes first: records with other keys of the server's own stay lazy.
    text = bytes(value)
    if not any(b'"' + key.encode() + b'"' in text for key in _LINEAR):
        return decode_tokens(value)
    entries = as_list(loads_anything(value))
    if not any(isinstance(entry, dict) and not _LINEAR.isdisjoint(cast("dict[str, Any]", entry)) for entry in entries):
        return decode_tokens(value)
    return [record_from_object(_logarithmic(entry), TokenLogprob) for entry in entries]


def _logarithmic(entry: object) -> object:
    """The entry with the keys and values of the present shape."""
    if not isinstance(entry, dict):
        return entry
    record = cast("dict[str, Any]", entry)
    if "probs" in record:
        return _from_old(record)
    renamed = _renamed(record)
    if isinstance(tops := renamed.get("top_logprobs"), list):
        entries = cast("list[object]", tops)
        renamed["top_logprobs"] = [_renamed(cast("dict[str, Any]", e)) if isinstance(e, dict) else e for e in entries]
    return renamed


def _from_old(record: dict[str, Any]) -> dict[str, Any]:
    """The shape until 2024 has no value for the sampled token: it is that of the candidate with the same text.

    Where there is none, or more than one, the value stays missing.
    """
    tops = [_renamed(cast("dict[str, Any]", top)) for top in as_list(record["probs"]) if isinstance(top, dict)]
    text = record.get("content")
    same = [top["logprob"] for top in tops if top.get("token") == text and "logprob" in top]
    known = {key: value for key, value in record.items() if key not in {"content", "probs"}}
    return {**known, "token": text, "logprob": same[0] if len(same) == 1 else None, "top_logprobs": tops}


def _renamed(record: dict[str, Any]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in record.items():
        name = _NAMES.get(key, key)
        item = _ln(value) if key == "prob" else value
        if name != key and (name in record or item is None):
            name, item = key, value  # what cannot be said in the other key stays in its own
        renamed[name] = item
    return renamed


def _ln(prob: object) -> float | str | None:
    """The logarithm; None for what is no probability."""
    value = number(prob)
    if value is None or not value >= 0:
        return None
    # JSON has no such number; its text is read back as the number.
    return math.log(value) if value > 0 else "-Infinity"
