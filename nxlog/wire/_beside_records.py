"""What servers say of an answer's tokens beside their records, when they are asked for it.

vLLM and SGLang have the ids in a list of their own (``return_token_ids``), SGLang also all that its native route says
(``return_meta_info``), with alternatives whose texts nobody looked up (``return_flat_raw_output_top_logprobs``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import force_setattr

from nxlog._json import EMPTY, NULL
from nxlog.wire._lenient import decode_leniently
from nxlog.wire._sglang_reply import Meta
from nxlog.wire._tuple_records import decode_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from msgspec import Raw

    from nxlog._records import TokenLogprob

_decoder = msgspec.json.Decoder(Meta)


def completed(
    records: list[TokenLogprob] | None, ids: Sequence[int] | None, meta_info: Raw
) -> list[TokenLogprob] | None:
    """The records with the ids and the alternatives that they lack.

    Where there is not one of them for each record, which belongs to which is not known, and nothing is taken over.
    """
    if not records:
        return records
    told = [] if bytes(meta_info)[:1] != b"{" else _told(records, meta_info)
    if told:
        return _filled(records, [record.token_id for record in told], [record.raw_top_logprobs for record in told])
    if ids and len(ids) == len(records):
        _number(records, ids)
    return records


def _number(records: Iterable[TokenLogprob], ids: Iterable[int]) -> None:
    # In place, because nobody has seen the records yet and there are thousands of them.
    for record, token_id in zip(records, ids, strict=True):
        # The cheap questions first: thousands of tokens answer them with no.
        lacking = record.raw_token_id is None and record.raw_id is None
        if lacking and ("token_id:" not in record.token or record.token_id is None):
            force_setattr(record, "raw_token_id", token_id)


def _told(records: Sequence[TokenLogprob], meta_info: Raw) -> list[TokenLogprob]:
    meta = decode_leniently(bytes(meta_info), _decoder, wire="openai-chat")
    if meta.output_token_logprobs == NULL:
        return []
    told = decode_records(meta.output_token_logprobs, meta.alternatives)
    # In a stream it may be about all tokens so far.
    same = [record.logprob for record in told] == [record.logprob for record in records]
    return told if same else []


def _filled(
    records: Sequence[TokenLogprob], ids: Iterable[int | None], alternatives: Iterable[Raw]
) -> list[TokenLogprob]:
    return [_one(*place) for place in zip(records, ids, alternatives, strict=False)]


def _one(record: TokenLogprob, token_id: int | None, alternatives: Raw) -> TokenLogprob:
    changes: dict[str, Any] = {}
    if record.token_id is None and token_id is not None:
        changes["raw_token_id"] = token_id
    if record.raw_top_logprobs in (EMPTY, NULL) and alternatives != EMPTY:
        changes["raw_top_logprobs"] = alternatives
    return msgspec.structs.replace(record, **changes) if changes else record
