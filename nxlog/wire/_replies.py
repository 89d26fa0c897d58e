"""Bodies that hold one reply, or a list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec import Raw, Struct

from nxlog._json import BROKEN, as_list, loads, raw_of, split
from nxlog.wire._lenient import decode_leniently
from nxlog.wire.base import not_the_shape

if TYPE_CHECKING:
    import msgspec

_S = TypeVar("_S", bound=Struct)


def decode_replies(data: bytes, decoder: msgspec.json.Decoder[_S], *, wire: str) -> list[_S]:
    """The replies of a body, at least one.

    Raises:
        DecodeError: not JSON, or neither an object nor a list of objects.
    """
    if not data.lstrip().startswith(b"["):
        return [decode_leniently(data, decoder, wire=wire)]
    try:
        items = split(Raw(data))
    except BROKEN:
        items = _split_tolerantly(data, wire)
    if not items:
        raise not_the_shape(wire, data, "an empty list")
    return [decode_leniently(bytes(item), decoder, wire=wire) for item in items]


def _split_tolerantly(data: bytes, wire: str) -> list[Raw]:
    try:
        return [raw_of(item) for item in as_list(loads(data))]
    except (ValueError, RecursionError) as problem:
        raise not_the_shape(wire, data, f"not JSON ({problem})") from None
