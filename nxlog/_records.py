"""One token record and its alternatives, decoded lazily from JSON.

A record is ``{token, logprob, bytes?, top_logprobs?, id? | token_id?}``. The sampled token is decoded at once;
``bytes`` and ``top_logprobs`` stay slices of the reply until somebody looks, because a long reply has twenty
alternatives for each of thousands of tokens and most callers read none of them.

Three ways lead to a record, tried in this order: the strict struct (every key known: the common case, one pass in C),
the lax struct (unknown keys: the record keeps its own JSON as the source of ``extra``), and Python's tolerant JSON
reader (NaN and Infinity literals, wrong types). None of them raises for data that a server sent, and all three give
equal records for the same JSON.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, TypeVar, cast

import msgspec
from msgspec import Raw, Struct, field
from pydantic_core import core_schema

from nxlog import _json
from nxlog._json import BROKEN, EMPTY, NULL, as_list
from nxlog._record_json import encode_alternatives, record_json_schema, record_to_object
from nxlog._tuples import are_arrays, decode_tuples, is_tuple, object_of_tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

Bytes = bytes  # inside a record the name ``bytes`` is its attribute
MASKED_AT = -9999.0
"""Values at or below are sentinels for masked or unknown tokens (-9999, -1.27e30, -3.4e38, -inf), not measurements."""


class Record(Struct, frozen=True, gc=False, eq=False, forbid_unknown_fields=True):
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
        return _json.decode_bytes(self.raw_bytes)

    @property
    def token_id(self) -> int | None:
        """The token's id in the model's vocabulary, from ``id``, ``token_id`` or a ``"token_id:N"`` token."""
        if self.raw_id is not None:
            return self.raw_id
        if self.raw_token_id is not None:
            return self.raw_token_id
        return _json.placeholder_id(self.token)

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
        if self.raw_source == NULL:
            return dict(self._undecoded())
        source = _json.loads_anything(self.raw_source)
        record = cast("dict[str, Any]", source if isinstance(source, dict) else {"": source})
        return {key: value for key, value in record.items() if not self._holds(key, value)}

    def _undecoded(self) -> Iterable[tuple[str, object]]:
        # The strict struct takes any JSON for a raw field.
        if self.raw_bytes != NULL and _json.decode_bytes(self.raw_bytes) is None:
            yield "bytes", _json.loads_anything(self.raw_bytes)

    def _holds(self, key: str, value: object) -> bool:
        """Whether the fields say all that the key with this value says."""
        if value is None:
            return key in self.__struct_encode_fields__
        if key == "token":
            return isinstance(value, str)
        if key == "logprob":
            return _json.number(value) is not None
        if key in {"id", "token_id"}:
            return _json.integer(value) is not None
        return key == "bytes" and _json.decode_bytes(self.raw_bytes) is not None

    def _identity(self) -> tuple[Any, ...]:
        return (self.token, _comparable(self.logprob), self.bytes, self.token_id)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._identity() == other._identity() and _json.same(self.extra, other.extra)

    def __hash__(self) -> int:
        return hash((self.token, _comparable(self.logprob)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.token!r}, {_short(self.logprob)})"

    # -- the pydantic verbs -------------------------------------------------------------------------------------

    @classmethod
    def model_validate(cls, value: object) -> Self:
        """From an instance or the parsed JSON object.

        Raises:
            ValueError: the value is no object, or has values that JSON does not know.
        """
        if not isinstance(value, Record | dict):
            raise ValueError(f"{cls.__name__}: expected an object with 'token', got {type(value).__name__}")
        return record_from_object(cast("object", value), cls)

    @classmethod
    def model_validate_json(cls, text: str | Bytes) -> Self:
        """From JSON; NaN and Infinity literals are understood.

        Raises:
            ValueError: not JSON, or not an object.
        """
        return cls.model_validate(_json.loads(_json.utf8(text)))

    def model_dump(self, *, mode: Literal["python", "json"] = "python") -> dict[str, Any]:
        """The record in OpenAI's shape, with ``token_id`` where it is known and unknown keys behind."""
        out = record_to_object(self)
        return _json.json_safe(out) if mode == "json" else out

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """The same as strict JSON; a value without a JSON number is a string that is read back as the number."""
        return _json.dumps(record_to_object(self), indent=indent)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        serialize = core_schema.plain_serializer_function_ser_schema(cls._serialize, info_arg=True)
        return core_schema.no_info_plain_validator_function(cls.model_validate, serialization=serialize)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return record_json_schema(cls)

    @staticmethod
    def _serialize(value: Record, info: core_schema.SerializationInfo) -> dict[str, Any]:
        return value.model_dump(mode="json" if info.mode == "json" else "python")


class TopLogprob(Record, frozen=True, gc=False, eq=False, forbid_unknown_fields=True):
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
        return _json.decode_bytes(self.raw_bytes) if _json.placeholder_id(self.token) is None else None

    @classmethod
    def build(
        cls,
        token: str,
        logprob: SupportsFloat | None,
        *,
        bytes: Bytes | None = None,  # noqa: A002 - the record's own key
        token_id: int | None = None,
    ) -> TopLogprob:
        """An alternative from its values."""
        value = None if logprob is None else float(logprob)
        return cls(token, value, raw_bytes=_json.encode_bytes(bytes), raw_token_id=token_id)


class TokenLogprob(Record, frozen=True, gc=False, eq=False, forbid_unknown_fields=True):
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
        logprob: SupportsFloat | None,
        *,
        bytes: Bytes | None = None,  # noqa: A002 - the record's own key
        token_id: int | None = None,
        top_logprobs: Sequence[TopLogprob] = (),
    ) -> TokenLogprob:
        """A sampled token from its values."""
        return cls(
            token,
            None if logprob is None else float(logprob),
            raw_bytes=_json.encode_bytes(bytes),
            raw_token_id=token_id,
            raw_top_logprobs=encode_alternatives(top_logprobs),
        )

    def count_alternatives(self) -> int:
        """``len(top_logprobs)`` without decoding them."""
        try:
            return len(_json.split(self.raw_top_logprobs))
        except BROKEN:
            return len(self.top_logprobs)

    def _undecoded(self) -> Iterable[tuple[str, object]]:
        yield from super()._undecoded()
        if bytes(self.raw_top_logprobs)[:1] not in b"[{n":
            yield "top_logprobs", _json.loads_anything(self.raw_top_logprobs)

    def _holds(self, key: str, value: object) -> bool:
        if key == "top_logprobs":
            return value is None or isinstance(value, list | dict)
        return super()._holds(key, value)

    def __eq__(self, other: object) -> bool:
        if (same := super().__eq__(other)) is not True or not isinstance(other, TokenLogprob):
            return same
        return self.raw_top_logprobs == other.raw_top_logprobs or self.top_logprobs == other.top_logprobs

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        count = self.count_alternatives()
        return super().__repr__()[:-1] + (f", {count} alternatives)" if count else ")")


class _LaxToken(TokenLogprob, frozen=True, gc=False, eq=False, forbid_unknown_fields=False):
    """How a sampled token with keys nxlog does not know is read."""


class _LaxTop(TopLogprob, frozen=True, gc=False, eq=False, forbid_unknown_fields=False):
    """How an alternative with keys nxlog does not know is read."""


_R = TypeVar("_R", bound=Record)


def _comparable(logprob: float | None) -> float | str | None:
    # NaN is a value here: two records that both hold it are the same record.
    return "nan" if logprob is not None and math.isnan(logprob) else logprob


def _short(logprob: float | None) -> str:
    return "None" if logprob is None else f"{logprob:.4g}"


# -- from JSON -------------------------------------------------------------------------------------------------------


def record_from_object(value: object, kind: type[_R]) -> _R:
    """A record from a parsed value of any quality."""
    if isinstance(value, kind):
        return value
    if isinstance(value, Record):
        value = record_to_object(value)
    if is_tuple(value):
        value = object_of_tuple(value)
    if not isinstance(value, dict):
        return kind(raw_source=_json.raw_of(value, _jsonable))
    record = cast("dict[str, Any]", value)
    token = record.get("token")
    fields: dict[str, Any] = {
        "token": token if isinstance(token, str) else "",
        "logprob": _json.number(record.get("logprob")),
        "raw_bytes": _json.raw_of(record.get("bytes"), _jsonable),
        "raw_id": _json.integer(record.get("id")),
        "raw_token_id": _json.integer(record.get("token_id")),
    }
    if kind is TokenLogprob and record.get("top_logprobs") is not None:
        fields["raw_top_logprobs"] = _json.raw_of(record["top_logprobs"], _jsonable)
    built = kind(**fields)
    if all(built._holds(key, item) for key, item in record.items()):  # noqa: SLF001 - of this module  # pyright: ignore
        return built
    return kind(**fields, raw_source=_json.raw_of(record, _jsonable))


def _jsonable(value: object) -> object:
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, Record):
        return record_to_object(value)
    raise TypeError(f"{type(value).__name__} in a token record")


def _decode_one(raw: Raw, strict: type[_R], lax: type[_R]) -> _R:
    try:
        return msgspec.json.decode(raw, type=strict)
    except BROKEN:
        pass
    try:
        record = msgspec.json.decode(raw, type=lax)
    except BROKEN:
        return record_from_object(_json.loads_anything(raw), strict)
    held: dict[str, Any] = {name: getattr(record, name) for name in strict.__struct_fields__}
    held["raw_source"] = raw
    return strict(**held)


def _decode_list(raw: Raw, *, decode: Callable[[Raw], list[_R]], strict: type[_R], lax: type[_R]) -> list[_R]:
    try:
        return decode(raw)
    except BROKEN:
        pass
    try:
        items = _json.split(raw)
        return decode_tuples(raw, strict) if are_arrays(items) else [_decode_one(item, strict, lax) for item in items]
    except BROKEN:
        pass
    return [record_from_object(item, strict) for item in as_list(_json.loads_anything(raw))]


decode_tokens: Callable[[Raw], list[TokenLogprob]] = partial(
    _decode_list, decode=msgspec.json.Decoder(list[TokenLogprob]).decode, strict=TokenLogprob, lax=_LaxToken
)
"""Sampled tokens from the JSON of a channel; never raises for what a server sent."""

decode_alternatives: Callable[[Raw], list[TopLogprob]] = partial(
    _decode_list, decode=msgspec.json.Decoder(list[TopLogprob]).decode, strict=TopLogprob, lax=_LaxTop
)
"""Alternatives from the JSON of ``top_logprobs``; null and anything that is no list of records give ``[]``."""
