"""Token records of TGI: ``{id, text, logprob, special}``, with the alternatives in a list of their own.

They become records of the common shape: ``text`` is the ``token``, the alternatives at the same place are its
``top_logprobs``, and ``special`` stays in ``extra``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from nxlog._json import NULL, as_list, loads_anything, raw_of
from nxlog._records import TokenLogprob, record_from_object

if TYPE_CHECKING:
    from msgspec import Raw


def decode_records(tokens: Raw, top_tokens: Raw) -> list[TokenLogprob]:
    """The records of a reply, in order; never raises for what a server sent.

    Args:
        tokens: the JSON of a list of tokens, or of one token.
        top_tokens: the JSON of the list of their alternatives; of one list for one token.
    """
    entries = as_list(loads_anything(tokens))
    tops = as_list(loads_anything(top_tokens)) if top_tokens != NULL else []
    if bytes(tokens).lstrip().startswith(b"{"):
        tops = [tops]
    # Fewer lists of alternatives than tokens: the last ones have none.
    tops += [None] * (len(entries) - len(tops))
    return [_record(entry, as_list(top)) for entry, top in zip(entries, tops, strict=False)]


def _record(entry: object, tops: list[object]) -> TokenLogprob:
    record = record_from_object(_with_token(entry), TokenLogprob)
    # Set afterwards, so that the record's own JSON, kept for its extra keys, does not hold them once more.
    return (
        msgspec.structs.replace(record, raw_top_logprobs=raw_of([_with_token(top) for top in tops])) if tops else record
    )


def _with_token(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    record = cast("dict[str, Any]", entry)
    if "token" in record:
        return record
    return {"token" if key == "text" else key: value for key, value in record.items()}
