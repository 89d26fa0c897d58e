"""JSON as servers really send it, and how token records are written as JSON."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Callable

NULL = Raw(b"null")
EMPTY = Raw(b"[]")
BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for JSON it refuses; the first is also the base of its ValidationError."""

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

split: Callable[[Raw], list[Raw]] = msgspec.json.Decoder(list[Raw]).decode
"""The items of a JSON array, not decoded."""

_integers = msgspec.json.Decoder(list[int]).decode


def utf8(text: str | bytes) -> bytes:
    """The bytes of a JSON text."""
    return text.encode(errors="replace") if isinstance(text, str) else text


def loads(text: bytes | Raw) -> Any:
    """JSON with Python's leniency: NaN and Infinity literals, numbers of any size, and with broken UTF-8 replaced.

    Raises:
        ValueError: this is no JSON.
        RecursionError: it is nested too deeply.
    """
    decoded = bytes(text).decode("utf-8", "replace")
    try:
        return json.loads(decoded)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer with more digits than Python likes to convert
        return json.loads(decoded, parse_int=float)


def loads_anything(text: Raw) -> Any:
    """The same, with the text itself for what cannot be parsed."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return bytes(text).decode("utf-8", "replace")


def raw_of(value: object, default: Callable[[object], object] | None = None) -> Raw:
    """The JSON of a parsed value.

    Raises:
        ValueError: a Python object in it has no JSON.
    """
    if value is None:
        return NULL
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default)
        return Raw(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can only escape
        return Raw(json.dumps(value, separators=(",", ":"), default=default).encode())
    except TypeError as error:
        raise ValueError(f"no JSON value: {error}") from None


def as_list(value: object) -> list[Any]:
    """A channel's records: a list as it is, a lone object wrapped, anything else nothing."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [value] if isinstance(value, dict) else []


def number(value: object) -> float | None:
    """A float from a JSON value; None when it is no number."""
    if isinstance(value, str):
        return _NON_FINITE.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def integer(value: object) -> int | None:
    """An int from a JSON value; None when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def decode_bytes(raw: Raw) -> bytes | None:
    """Bytes from a JSON array of integers; None for anything else."""
    if raw == NULL:
        return None
    try:
        return bytes(_integers(raw))
    except (*BROKEN, ValueError):
        return None


def encode_bytes(value: bytes | None) -> Raw:
    """Bytes as a JSON array of integers."""
    return NULL if value is None else Raw(json.dumps(list(value), separators=(",", ":")).encode())


def well_formed(text: str) -> str:
    """The text with both halves of a surrogate pair joined, and a lone half replaced by U+FFFD.

    A server that cuts its text in UTF-16 sends halves. They have no UTF-8, so no JSON and no file can hold them.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def json_safe(value: Any) -> Any:
    """The same for strict JSON: well-formed texts, and non-finite floats as strings, which are read back as numbers."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {json_safe(key): json_safe(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in cast("list[Any]", value)]
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON of what ``json_safe`` gives."""
    separators = None if indent else (",", ":")
    return json.dumps(json_safe(value), ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)


def same(a: object, b: object) -> bool:
    """Whether two JSON values are equal, where NaN equals NaN."""
    return a == b or json.dumps(json_safe(a), sort_keys=True) == json.dumps(json_safe(b), sort_keys=True)


_PLACEHOLDER = re.compile(r"token_id:([0-9]{1,18})\Z")


def placeholder_id(token: str) -> int | None:
    """The id in a ``"token_id:N"`` token, which some servers send in place of the text."""
    # The prefix decides faster than the expression, and bulk work asks this of every alternative.
    match = _PLACEHOLDER.match(token) if token.startswith("token_id:") else None
    return int(match[1]) if match else None
