"""Token records from runs of text, the way ``cohere-chat`` has them.

A run is ``{text, token_ids, logprobs}``: one text, and a value for each of the ids that it is made of.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, NULL, as_list, integer, loads_anything, number, raw_of, split
from nxlog._records import TokenLogprob, record_from_object


class _Run(Struct, gc=False, forbid_unknown_fields=True):
    text: str | None = None
    token_ids: list[int | None] | None = None
    logprobs: list[float | None] | None = None


_decode_run = msgspec.json.Decoder(_Run).decode


def records_of(runs: Raw) -> list[TokenLogprob]:
    """One record for each token of the runs: a list of them, or a lone one as streams have it."""
    return [record for run in _items(runs) for record in _records(run)]


def _items(runs: Raw) -> list[Raw]:
    if runs == NULL:
        return []
    try:
        return split(runs)
    except BROKEN:
        return [raw_of(item) for item in as_list(loads_anything(runs))]


def _records(source: Raw) -> list[TokenLogprob]:
    try:
        run, whole = _decode_run(source), True
    except BROKEN:
        value = loads_anything(source)
        if not isinstance(value, dict):
            return [record_from_object(value, TokenLogprob)]
        run, whole = _read_anything(cast("dict[str, Any]", value)), False
    ids, values = run.token_ids or [], run.logprobs or []
    # The text is that of the run. Where it ends for one token and begins for the next is not said and not guessed: the
    # first token has all of it, those that follow have "", and joined they are the text again.
    texts = [run.text or ""] if run.text or not whole else []
    records = [
        TokenLogprob(token or "", value, raw_token_id=token_id)
        for token, value, token_id in zip_longest(texts, values, ids)
    ]
    if records and not (whole and len(ids) == len(values) == 1):
        # The run itself stays reachable, as what is extra in its first record.
        records[0] = msgspec.structs.replace(records[0], raw_source=source)
    return records


def _read_anything(run: dict[str, Any]) -> _Run:
    text = run.get("text")
    return _Run(
        text if isinstance(text, str) else None,
        [integer(item) for item in as_list(run.get("token_ids"))],
        [number(item) for item in as_list(run.get("logprobs"))],
    )
