"""What replies say of token ids beside their records: of the prompt, of the weights, and in SGLang's extension."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Raw

from nxlog._json import BROKEN, EMPTY, NULL, as_list, integer, loads_anything
from nxlog._record_json import encode_alternatives
from nxlog._records import TokenLogprob, TopLogprob
from nxlog.logprobs import LogprobsData
from nxlog.turn import WeightVersion
from nxlog.wire._tuple_records import decode_records, items_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_decode_ids = msgspec.json.Decoder(list[int]).decode


def as_tuple(ids: Sequence[int] | None) -> tuple[int, ...] | None:
    """Ids for a chunk, which is immutable; None for none."""
    return tuple(ids) if ids else None


class _Place(msgspec.Struct, gc=False):
    logprob: float | None = None
    decoded_token: str | None = None


_decode_places: Callable[[Raw], dict[int, _Place] | None] = msgspec.json.Decoder(dict[int, _Place] | None).decode


def ids_of(value: Raw) -> list[int] | None:
    """A list of ids; None for anything else, and for an empty one."""
    if value in (NULL, EMPTY):
        return None
    try:
        return _decode_ids(value) or None
    except BROKEN:
        ids = [integer(item) for item in as_list(loads_anything(value))]
    return None if None in ids else cast("list[int]", ids) or None


def prompt_logprobs_of_maps(value: Raw, ids: Sequence[int] | None) -> LogprobsData | None:
    """Prompt logprobs as vLLM has them: for each token a map from ids to values, null for the first.

    Args:
        value: the JSON.
        ids: those of the prompt, where they are known. Otherwise a map's first key is the prompt's token.
    """
    places = items_of(value)
    if not places:
        return None
    known: Sequence[int | None] = ids if ids is not None and len(ids) == len(places) else [None] * len(places)
    return LogprobsData([_of_map(*pair) for pair in zip(places, known, strict=True)])


def _of_map(value: Raw, token_id: int | None) -> TokenLogprob:
    places: dict[int, _Place] = {}
    with contextlib.suppress(*BROKEN):
        places = _decode_places(value) or {}
    if token_id is None:
        token_id = next(iter(places), None)
    here = places.get(cast("int", token_id), _Place())
    tops = [TopLogprob.build(place.decoded_token or "", place.logprob, token_id=i) for i, place in places.items()]
    return TokenLogprob(
        here.decoded_token or "",
        here.logprob,
        raw_token_id=token_id,
        raw_top_logprobs=encode_alternatives(tops) if tops else EMPTY,
    )


def prompt_logprobs_of_tuples(tokens: Raw, tops: Raw) -> LogprobsData | None:
    """The same as SGLang has them: a triple for each token, the first without a value."""
    records = [] if tokens in (NULL, EMPTY) else decode_records(tokens, items_of(tops))
    return LogprobsData(records) if records else None


def versions_of(spans: Raw, version: Raw = NULL, *, generated: int | None = None) -> tuple[WeightVersion, ...]:
    """The weights that generated, in spans of tokens.

    Args:
        spans: ``[{"version", "start", "end"}]``.
        version: the only one, from servers that say no more than that.
        generated: how many tokens it generated.
    """
    if spans not in (NULL, EMPTY):
        found = (_version(item) for item in as_list(loads_anything(spans)))
        return tuple(span for span in found if span is not None)
    only = None if version == NULL else loads_anything(version)
    return () if only is None or generated is None else (WeightVersion(str(only), 0, generated),)


def _version(item: Any) -> WeightVersion | None:
    try:
        return WeightVersion(str(item["version"]), int(item["start"]), int(item["end"]))
    except (TypeError, KeyError, ValueError):
        return None


def sglext_of(value: Raw) -> tuple[list[int] | None, list[list[int]]]:
    """The ids of the prompt, and those of each choice, in SGLang's ``sglext``."""
    found = None if value == NULL else loads_anything(value)
    if not isinstance(found, dict):
        return None, []
    extension = cast("dict[str, Any]", found)
    output = as_list(extension.get("output_ids"))
    choices = output if output and isinstance(output[0], list) else [output] * bool(output)
    return _integers(extension.get("input_ids")), [_integers(ids) or [] for ids in choices]


def _integers(value: object) -> list[int] | None:
    ids = [integer(item) for item in as_list(value)]
    return None if not ids or None in ids else cast("list[int]", ids)
