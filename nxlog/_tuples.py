"""Records that are JSON arrays, as SGLang writes them: ``[logprob, id, text]``, where the text may be null or left out.

The alternatives of a long reply stay such arrays until somebody looks, as those of other formats stay objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import integer, number

if TYPE_CHECKING:
    from collections.abc import Callable

_R = TypeVar("_R")
_NAMES = ("logprob", "token_id", "token")


class Triple(Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """One record."""

    logprob: float | None
    token_id: int
    token: str | None = None


decode_triples: Callable[[Raw], list[Triple]] = msgspec.json.Decoder(list[Triple]).decode


def are_arrays(items: list[Raw]) -> bool:
    """Whether the items of a list are arrays, by the first of them."""
    return bool(items) and bytes(memoryview(items[0])[:1]) == b"["


def decode_tuples(raw: Raw, kind: Callable[..., _R]) -> list[_R]:
    """Records of a class from a JSON array of arrays.

    Raises:
        msgspec.DecodeError: not every one of them is such an array.
    """
    return [kind(item.token or "", item.logprob, raw_token_id=item.token_id) for item in decode_triples(raw)]


def is_tuple(value: object) -> TypeGuard[list[Any]]:
    """Whether a parsed value is such an array, with anything behind the id."""
    if not isinstance(value, list):
        return False
    logprob, token_id = [*cast("list[object]", value), "", ""][:2]
    return (logprob is None or number(logprob) is not None) and integer(token_id) is not None


def object_of_tuple(value: list[Any]) -> dict[str, Any]:
    """The array as the object that other formats have; what is behind the text is named by its place."""
    return {_NAMES[i] if i < len(_NAMES) else str(i): item for i, item in enumerate(value)}
