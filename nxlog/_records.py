"""One token record and its alternatives, decoded lazily from JSON.

A record is ``{token, logprob, bytes?, top_logprobs?, id? | token_id?}``. The sampled token is decoded at once;
``bytes`` and ``top_logprobs`` stay slices of the reply until somebody looks, because a long reply has twenty
alternatives for each of thousands of tokens and most callers read none of them.

Three ways lead to a record, tried in this order: the strict struct (every key known: the common case, one pass in C),
the lax struct (unknown keys: the record keeps its own JSON as the source of ``extra``), and Python's tolerant JSON
reader (NaN and Infinity literals, wrong types). None of them raises for data that a server sent.
"""

from __future__ import annotations

import json
import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec import Raw, Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Bytes = bytes  # inside a record the name ``bytes`` is its attribute
NULL = Raw(b"null")
EMPTY = Raw(b"[]")
MASKED_AT = -9999.0
"""Values at or below are sentinels for masked or unknown tokens (-9999, -1.27e30, -3.4e38, -inf), not measurements."""

_TOKEN_ID = re.compile(r"token_id:(\d+)\Z")
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _Record(Struct, frozen=True, gc=False, eq=False, forbid_unknown_fields=True):
    """What a sampled token and an alternative have in common."""

    token: str = ""
    logprob: float | None = None
    raw_bytes: Raw = field(name="bytes", default=NULL)
    raw_id: int | None = field(name="id", default=None)
    raw_token_id: int | None = field(name="token_id", default=None)
    # The record's own JSON, kept only where it has keys or values that the fields above cannot hold.
    raw_source: Raw = field(name="nxlog.source", default=NULL)

    @property
    def bytes(self) -> Bytes | None:
        """The token's bytes as the server sent them; None when it sent none (or not a list of bytes)."""
        return _decode_bytes(self.raw_bytes)

    @property
    def token_id(self) -> int | None:
        """The token's id in the model's vocabulary, from ``id``, ``token_id`` or a ``"token_id:N"`` token."""
        if self.raw_id is not None:
            return self.raw_id
        if self.raw_token_id is not None:
            return self.raw_token_id
        match = _TOKEN_ID.match(self.token)
        return int(match[1]) if match else None

    @property
    def is_masked(self) -> bool:
        """Whether ``logprob`` is a sentinel (at or below -9999): the token was masked or its value is unknown."""
        return self.logprob is not None and self.logprob <= MASKED_AT

    @property
    def probability(self) -> float | None:
        """``exp(logprob)``; None where the logprob is missing."""
        if self.logprob is None:
            return None
        return math.inf if self.logprob > 700 else math.exp(self.logprob)

    @property
    def extra(self) -> dict[str, Any]:
        """Keys of the record that nxlog does not know, and known keys whose value has the wrong type."""
        source = _loads(bytes(self.raw_source))
        if source is None:
            return {}
        if not isinstance(source, dict):
            return {"": source}
        record = cast("dict[str, Any]", source)
        return {key: value for key, value in record.items() if not self._holds(key, value)}

    def _holds(self, key: str, value: object) -> bool:
        if key == "token":
            return value is None or isinstance(value, str)
        if key == "logprob":
            return value is None or _number(value) is not None
        if key in {"id", "token_id"}:
            return value is None or _integer(value) is not None
        return key == "bytes" and (value is None or self.raw_bytes != NULL)

    def _identity(self) -> tuple[Any, ...]:
        # NaN is a value here: two records that both hold it are the same record.
        logprob = "nan" if self.logprob is not None and math.isnan(self.logprob) else self.logprob
        return (self.token, logprob, self.bytes, self.token_id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Record):
            return NotImplemented
        return self._identity() == other._identity() and self.extra == other.extra

    def __hash__(self) -> int:
        return hash((self.token, self.logprob))

    def __repr__(self) -> str:
        return f"{type(self).__name__.lstrip('_')}({self.token!r}, {_short(self.logprob)})"


class TopLogprob(_Record, frozen=True, gc=False, eq=False, forbid_unknown_fields=True):
    """One alternative for a position.

    Attributes:
        token: its text.
        logprob: natural logarithm of its probability; None when the server sent null or nothing.
        bytes: its bytes, or None. The bytes of a ``"token_id:N"`` placeholder are those of the placeholder, so None.
        token_id: its id in the vocabulary, or None.
        extra: keys nxlog does not know.
    """

    @property
    def bytes(self) -> Bytes | None:
        return None if _TOKEN_ID.match(self.token) else _decode_bytes(self.raw_bytes)

    @classmethod
    def build(
        cls,
        token: str,
        logprob: float | None,
        *,
        bytes: Bytes | None = None,  # noqa: A002 - the record's own key
        token_id: int | None = None,
    ) -> TopLogprob:
        """An alternative from its values."""
        return cls(token, logprob, raw_bytes=_encode_bytes(bytes), raw_token_id=token_id)


class TokenLogprob(_Record, frozen=True, gc=False, eq=False, forbid_unknown_fields=True):
    """One sampled token of an answer.

    Attributes:
        token: its text; ``""`` for a piece of a split character, and where the server sent no text.
        logprob: natural logarithm of its probability; None when the server sent null or nothing, never 0.0 for it.
        bytes: its bytes, or None.
        token_id: its id in the vocabulary, or None.
        top_logprobs: the alternatives, in the server's order, decoded anew at each access. Not assumed to be
            sorted, complete, or to contain the sampled token.
        is_masked: whether ``logprob`` is a sentinel.
        extra: keys nxlog does not know.
    """

    raw_top_logprobs: Raw = field(name="top_logprobs", default=EMPTY)

    @property
    def top_logprobs(self) -> list[TopLogprob]:
        return decode_alternatives(self.raw_top_logprobs)

    @classmethod
    def build(
        cls,
        token: str,
        logprob: float | None,
        *,
        bytes: Bytes | None = None,  # noqa: A002 - the record's own key
        token_id: int | None = None,
        top_logprobs: Sequence[TopLogprob] = (),
    ) -> TokenLogprob:
        """A sampled token from its values."""
        raw = encode_alternatives(top_logprobs) if top_logprobs else EMPTY
        return cls(
            token,
            logprob,
            raw_bytes=_encode_bytes(bytes),
            raw_token_id=token_id,
            raw_top_logprobs=raw,
        )

    def count_alternatives(self) -> int:
        """``len(top_logprobs)`` without decoding them."""
        try:
            return len(_split(self.raw_top_logprobs))
        except _BROKEN:
            return len(self.top_logprobs)

    def _holds(self, key: str, value: object) -> bool:
        if key == "top_logprobs":
            return value is None or isinstance(value, list | dict)
        return super()._holds(key, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenLogprob):
            return NotImplemented
        return super().__eq__(other) and (
            self.raw_top_logprobs == other.raw_top_logprobs or self.top_logprobs == other.top_logprobs
        )

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        count = self.count_alternatives()
        return super().__repr__()[:-1] + (f", {count} alternatives)" if count else ")")


class _LaxToken(TokenLogprob, frozen=True, gc=False, eq=False, forbid_unknown_fields=False):
    """A sampled token with keys nxlog does not know."""


class _LaxTop(TopLogprob, frozen=True, gc=False, eq=False, forbid_unknown_fields=False):
    """An alternative with keys nxlog does not know."""


_R = TypeVar("_R", bound=_Record)
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError)  # the first is also the base of ValidationError

_split = msgspec.json.Decoder(list[Raw]).decode
_integers = msgspec.json.Decoder(list[int]).decode


def _decode_bytes(raw: Raw) -> bytes | None:
    if raw == NULL:
        return None
    try:
        return bytes(_integers(raw))
    except (msgspec.DecodeError, ValueError):
        return None


def _encode_bytes(value: bytes | None) -> Raw:
    return NULL if value is None else Raw(json.dumps(list(value)).encode())


def _short(logprob: float | None) -> str:
    return "None" if logprob is None else f"{logprob:.4g}"


def _loads(text: bytes) -> Any:
    """JSON with Python's leniency: NaN and Infinity literals, numbers beyond the range of a float, broken UTF-8."""
    return json.loads(text.decode("utf-8", "replace"))


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return _NON_FINITE.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _raw(value: object) -> Raw:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return Raw(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can only escape
        return Raw(json.dumps(value, separators=(",", ":")).encode())


def _bytes_from_object(value: object) -> Raw:
    if isinstance(value, bytes):
        return _encode_bytes(value)
    if not isinstance(value, list):
        return NULL
    items = cast("list[object]", value)
    return _raw(items) if all(isinstance(item, int) and 0 <= item <= 255 for item in items) else NULL


_TOP_KEYS = frozenset({"token", "logprob", "bytes", "id", "token_id"})
_TOKEN_KEYS = _TOP_KEYS | {"top_logprobs"}


def _fields_from_object(record: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    token = record.get("token")
    raw_bytes = _bytes_from_object(record.get("bytes"))
    fields: dict[str, Any] = {
        "token": token if isinstance(token, str) else "",
        "logprob": _number(record.get("logprob")),
        "raw_bytes": raw_bytes,
        "raw_id": _integer(record.get("id")),
        "raw_token_id": _integer(record.get("token_id")),
    }
    lost = (
        record.keys() - known
        or not (token is None or isinstance(token, str))
        or (fields["logprob"] is None and record.get("logprob") is not None)
        or (raw_bytes == NULL and record.get("bytes") is not None)
    )
    if lost:
        fields["raw_source"] = _raw(_jsonable(record))
    return fields


def _jsonable(record: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, bytes) else value for key, value in record.items()}


def token_from_object(value: object) -> TokenLogprob:
    """A sampled token from a parsed record of any quality."""
    if isinstance(value, TokenLogprob):
        return value
    if not isinstance(value, dict):
        return TokenLogprob(raw_source=_raw(value))
    record = cast("dict[str, Any]", value)
    alternatives = cast("object", record.get("top_logprobs"))
    raw = _raw(cast("object", alternatives)) if isinstance(alternatives, list | dict) else EMPTY
    return TokenLogprob(**_fields_from_object(record, _TOKEN_KEYS), raw_top_logprobs=raw)


def top_from_object(value: object) -> TopLogprob:
    """An alternative from a parsed record of any quality."""
    if isinstance(value, TopLogprob):
        return value
    if not isinstance(value, dict):
        return TopLogprob(raw_source=_raw(value))
    return TopLogprob(**_fields_from_object(cast("dict[str, Any]", value), _TOP_KEYS))


def _decode_one(raw: Raw, strict: type[_R], lax: type[_R], build: Callable[[object], _R]) -> _R:
    try:
        return msgspec.json.decode(raw, type=strict)
    except msgspec.ValidationError:
        pass
    try:
        record = msgspec.json.decode(raw, type=lax)
    except msgspec.ValidationError:
        return build(_loads(bytes(raw)))
    msgspec.structs.force_setattr(record, "raw_source", raw)
    return record


def _decode_list(
    raw: Raw,
    *,
    decode: Callable[[Raw], list[_R]],
    one: Callable[[Raw], _R],
    build: Callable[[object], _R],
) -> list[_R]:
    try:
        return decode(raw)
    except _BROKEN:
        pass
    try:
        return [one(item) for item in _split(raw)]
    except _BROKEN:
        pass
    return [build(item) for item in as_list(_loads(bytes(raw)))]


def as_list(value: object) -> list[Any]:
    """A channel's records: a list as it is, a lone object wrapped, anything else nothing."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [value] if isinstance(value, dict) else []


decode_tokens: Callable[[Raw], list[TokenLogprob]] = partial(
    _decode_list,
    decode=msgspec.json.Decoder(list[TokenLogprob]).decode,
    one=partial(_decode_one, strict=TokenLogprob, lax=_LaxToken, build=token_from_object),
    build=token_from_object,
)
"""Sampled tokens from the JSON of a channel; never raises for well-formed JSON in Python's lenient sense."""

decode_alternatives: Callable[[Raw], list[TopLogprob]] = partial(
    _decode_list,
    decode=msgspec.json.Decoder(list[TopLogprob]).decode,
    one=partial(_decode_one, strict=TopLogprob, lax=_LaxTop, build=top_from_object),
    build=top_from_object,
)
"""Alternatives from the JSON of ``top_logprobs``; null and anything that is no list of records give ``[]``."""


def record_to_object(record: TokenLogprob | TopLogprob) -> dict[str, Any]:
    """The record in OpenAI's shape, with ``token_id`` where it is known and unknown keys behind."""
    data = record.bytes
    out: dict[str, Any] = {
        "token": record.token,
        "logprob": record.logprob,
        "bytes": None if data is None else list(data),
    }
    if isinstance(record, TokenLogprob):
        out["top_logprobs"] = [record_to_object(top) for top in record.top_logprobs]
    if record.token_id is not None:
        out["token_id"] = record.token_id
    return out | {key: value for key, value in record.extra.items() if key not in out}


def json_safe(value: Any) -> Any:
    """The same with non-finite floats as the strings JSON has no number for; they are read back as numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: json_safe(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [json_safe(item) for item in cast("list[Any]", value)]
    return value


def encode_alternatives(alternatives: Iterable[TopLogprob]) -> Raw:
    """The JSON that ``decode_alternatives`` reads back to equal records."""
    # A record that keeps its own JSON may hold values that its fields cannot.
    parts = [_raw(record_to_object(top)) if top.raw_source == NULL else top.raw_source for top in alternatives]
    return Raw(b"[" + b",".join(bytes(part) for part in parts) + b"]")
