"""Structs from JSON that msgspec refuses: NaN literals, broken UTF-8, single values of a wrong type."""

from __future__ import annotations

import contextlib
import types
from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, as_list, loads, raw_of
from nxlog.wire.base import not_the_shape

_S = TypeVar("_S", bound=Struct)

# Half a surrogate pair where a number belongs is no ValidationError.
_REFUSED = (msgspec.ValidationError, OverflowError, UnicodeEncodeError)


def decode_leniently(data: bytes, decoder: msgspec.json.Decoder[_S], *, wire: str) -> _S:
    """The decoder's struct, of which every field has a default, without the values whose type is wrong.

    Raises:
        DecodeError: not a JSON object.
    """
    try:
        return decoder.decode(data)
    except BROKEN:
        pass
    try:
        value = loads(data)
    except (ValueError, RecursionError) as problem:
        raise not_the_shape(wire, data, f"not JSON ({problem})") from None
    if not isinstance(value, dict):
        raise not_the_shape(wire, data, f"a {type(value).__name__} where an object belongs")
    return _struct(cast("dict[str, Any]", value), decoder.type)


def _struct(value: dict[str, Any], kind: type[_S]) -> _S:
    out = kind()
    for field in msgspec.structs.fields(kind):
        given = value.get(field.encode_name)
        if given is not None:
            with contextlib.suppress(*_REFUSED):
                setattr(out, field.name, _value(given, field.type))
    return out


def _value(value: object, kind: Any) -> Any:
    if kind is Raw:
        return raw_of(value)
    for option in get_args(kind) if isinstance(kind, types.UnionType) else (kind,):
        if _is_struct(option) and isinstance(value, dict):
            return _struct(cast("dict[str, Any]", value), option)
        if get_origin(option) is list and _is_struct(inner := get_args(option)[0]) and isinstance(value, list | dict):
            items: list[object] = as_list(cast("object", value))
            return [_struct(cast("dict[str, Any]", item), inner) for item in items if isinstance(item, dict)]
    return msgspec.convert(value, kind, strict=False)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)
