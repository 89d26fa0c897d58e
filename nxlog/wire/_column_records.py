"""Token records from parallel arrays: ``tokens``, ``token_logprobs``, ``top_logprobs``, ``text_offset``, ...

The alternatives of a token are an object keyed by their text. So two tokens with one text are one alternative, and
bytes are not on the wire: what a server lost there cannot be found again, and nothing is made up for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, EMPTY, NULL, as_list, integer, loads_anything, raw_of, split
from nxlog._records import TokenLogprob, record_from_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_SNAKE_CASE = {
    "tokenLogprobs": "token_logprobs",
    "topLogprobs": "top_logprobs",
    "textOffset": "text_offset",
    "tokenIds": "token_ids",
}
COLUMNS = frozenset({"tokens", "token_logprobs", "tokenLogprobs"})
"""An object with one of these keys holds columns."""

_OWN = ("tokens", "token_logprobs", "top_logprobs", "token_ids")


class _Alternative(Struct, gc=False):
    token: str
    logprob: Raw  # its text goes along as it is


_texts: Callable[[Raw], list[str] | None] = msgspec.json.Decoder(list[str] | None).decode
_values: Callable[[Raw], list[float | None] | None] = msgspec.json.Decoder(list[float | None] | None).decode
_maps: Callable[[Raw], list[dict[str, Raw] | None] | None] = msgspec.json.Decoder(
    list[dict[str, Raw] | None] | None
).decode
_ids: Callable[[Raw], list[int] | None] = msgspec.json.Decoder(list[int] | None).decode
_encode = msgspec.json.Encoder().encode


def decode_columns(columns: Mapping[str, Raw], *, ids: Raw = NULL, prompt_ids: Raw = NULL) -> list[TokenLogprob]:
    """The records that the columns make up; never raises for what a server sent.

    Args:
        columns: the arrays by their names, in snake or camel case. An array nxlog does not know, as long as the
            tokens, goes into the records' ``extra``.
        ids: token ids that the server sent beside the columns. They count where there is one for each record.
        prompt_ids: ids of the prompt, which comes first where it is echoed.
    """
    named = {_SNAKE_CASE.get(name, name): raw for name, raw in columns.items()}
    try:
        return _strictly(named, ids, prompt_ids)
    except BROKEN:
        return _tolerantly(named, ids, prompt_ids)


def _strictly(columns: Mapping[str, Raw], ids: Raw, prompt_ids: Raw) -> list[TokenLogprob]:
    texts = _texts(columns.get("tokens", NULL)) or []
    values = _values(columns.get("token_logprobs", NULL)) or []
    maps = _maps(columns.get("top_logprobs", NULL)) or []
    own_ids = _ids(columns.get("token_ids", NULL)) or []
    count = max(len(texts), len(values))
    token_ids = own_ids if len(own_ids) == count else _ids_beside(ids, prompt_ids, count)
    sources = [Raw(_encode(extra)) if extra else NULL for extra in _extras(columns, count)]
    return [
        TokenLogprob(
            text,
            value,
            raw_token_id=token_id,
            raw_top_logprobs=_alternatives(tops) if tops else EMPTY,
            raw_source=source,
        )
        for text, value, token_id, tops, source in zip(
            _padded(texts, count, ""),
            _padded(values, count, None),
            _padded(token_ids, count, None),
            _padded(maps, count, None),
            sources,
            strict=True,
        )
    ]


def _padded(column: Sequence[Any], count: int, filler: Any) -> Sequence[Any]:
    return column if len(column) == count else [*column[:count], *[filler] * (count - len(column))]


def _alternatives(tops: Mapping[str, Raw]) -> Raw:
    return Raw(_encode([_Alternative(text, logprob) for text, logprob in tops.items()]))


def _extras(columns: Mapping[str, Raw], count: int) -> Iterator[dict[str, Raw]]:
    """For each record what the columns say that nxlog has no field for, such as ``text_offset``."""
    others = {name: split(raw) for name, raw in columns.items() if name not in _OWN and _is_list(raw)}
    others = {name: column for name, column in others.items() if len(column) == count}
    for i in range(count):
        yield {name: column[i] for name, column in others.items() if column[i] != NULL}


def _is_list(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"["


def _ids_beside(ids: Raw, prompt_ids: Raw, count: int) -> list[int]:
    if ids == NULL:
        return []
    answer = [_id(value) for value in as_list(loads_anything(ids))]
    for found in (answer, [_id(value) for value in as_list(loads_anything(prompt_ids))] + answer):
        if len(found) == count and None not in found:
            return cast("list[int]", found)
    return []


def _id(value: object) -> int | None:
    # Together's documents type ids as floats.
    return int(value) if isinstance(value, float) and value.is_integer() else integer(value)


# -- for values of other types, and JSON that msgspec refuses --------------------------------------------------------


def _tolerantly(columns: Mapping[str, Raw], ids: Raw, prompt_ids: Raw) -> list[TokenLogprob]:
    parsed = {name: loads_anything(raw) for name, raw in columns.items()}
    lists = {name: cast("list[Any]", value) for name, value in parsed.items() if isinstance(value, list)}
    count = max(len(lists.get("tokens", ())), len(lists.get("token_logprobs", ())))
    if count == 1 and isinstance(parsed.get("top_logprobs"), dict):
        lists["top_logprobs"] = [parsed["top_logprobs"]]  # one token, whose alternatives need no list
    if len(lists.get("token_ids", ())) != count:
        lists["token_ids"] = _ids_beside(ids, prompt_ids, count)
    kept = {name: column for name, column in lists.items() if name in _OWN or len(column) == count}
    return [
        record_from_object(_record({name: column[i] for name, column in kept.items() if i < len(column)}), TokenLogprob)
        for i in range(count)
    ]


def _record(cells: dict[str, Any]) -> dict[str, Any]:
    token, tops = cells.pop("tokens", None), cells.pop("top_logprobs", None)
    token_id, logprob = cells.pop("token_ids", None), cells.pop("token_logprobs", None)
    record = {name: value for name, value in cells.items() if value is not None} | {"logprob": logprob}
    if integer(token) is not None:
        record["token_id"] = token  # a server that has ids where the texts belong
    elif token is not None:
        record["token"] = token
    if token_id is not None:
        record["token_id"] = token_id if _id(token_id) is None else _id(token_id)
    if isinstance(tops, dict):
        pairs = cast("dict[str, Any]", tops).items()
        record["top_logprobs"] = [{"token": text, "logprob": value} for text, value in pairs]
    elif tops is not None:
        record["top_logprobs"] = tops
    return record


def decode_number(value: Raw, *, token: str, token_id: object, top_logprobs: Raw) -> list[TokenLogprob]:
    """The record of a chunk that has a bare number for its one token, with the alternatives beside it."""
    columns = {
        "tokens": raw_of([token]),
        "token_logprobs": Raw(b"[" + bytes(value) + b"]"),
        "top_logprobs": top_logprobs,
    }
    return decode_columns(columns, ids=raw_of([token_id]))
