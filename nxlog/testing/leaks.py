"""Finding what no replacement hides: a secret that the pieces of a reply spell together.

A model that repeats a key says it in several tokens, and a stream in several events. The texts at the same place of a
body are joined across events and records, those of ``bytes`` too, and then looked through.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def spelled(body: bytes) -> list[list[str]]:
    """The texts of a JSON body, of server-sent events or of JSON lines: for each place of the structure, in order."""
    texts: dict[str, list[str]] = {}
    for value in _values(body):
        _collect(value, "", texts)
    return list(texts.values())


def _values(body: bytes) -> Iterator[Any]:
    try:
        yield json.loads(body)
    except ValueError:
        for line in body.splitlines():
            value = _value(line.removeprefix(b"data:"))
            if value is not None:
                yield value


def _value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _collect(value: Any, path: str, texts: dict[str, list[str]]) -> None:
    if isinstance(value, str):
        texts.setdefault(path, []).append(value)
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            _collect(item, f"{path}/{key}", texts)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if items and _are_octets(items):
            texts.setdefault(path, []).append(bytes(items).decode("latin-1"))
        else:
            for item in items:
                _collect(item, path, texts)


def _are_octets(items: Iterable[Any]) -> bool:
    return all(isinstance(item, int) and 0 <= item < 256 for item in items)
