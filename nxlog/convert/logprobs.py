"""Token records of the chat shape as those of the Responses shape, which differ in what may be missing.

====================  ==============  ================  ======================
converter             None or ``[]``  ``bytes`` null    no ``top_logprobs``
====================  ==============  ================  ======================
for output text       None            ``[]``            ``[]``
for a text delta      None            there are none    None
====================  ==============  ================  ======================

Both keep the order, and a missing ``logprob`` stays missing. nxlog's own records keep "no bytes" and "zero bytes"
apart; the two become one only here, on the way out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from nxlog import _json
from nxlog._records import TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nxlog._records import Record


class _Dumps(Protocol):
    """A model of any library that has pydantic's verb."""

    def model_dump(self, *, warnings: bool = True) -> dict[str, Any]: ...


ChatLogprob = TokenLogprob | dict[str, Any] | _Dumps
"""A record of the chat shape: nxlog's, parsed JSON, or a model such as ``openai``'s ``ChatCompletionTokenLogprob``."""


class _Entry(msgspec.Struct, frozen=True):
    def model_dump(self) -> dict[str, Any]:
        """The entry as a dict ready for JSON."""
        return cast("dict[str, Any]", _json.json_safe(msgspec.to_builtins(self)))

    def model_dump_json(self) -> str:
        """The same as JSON."""
        return _json.dumps(self.model_dump())


class OutputTextTopLogprob(_Entry, frozen=True):
    """An alternative in ``output[].content[].logprobs[].top_logprobs``."""

    token: str
    logprob: float | None
    bytes: list[int]


class OutputTextLogprob(_Entry, frozen=True):
    """A record in ``output[].content[].logprobs``. ``bytes`` are as they were given, not checked."""

    token: str
    logprob: float | None
    bytes: list[int]
    top_logprobs: list[OutputTextTopLogprob]


class TextDeltaTopLogprob(_Entry, frozen=True):
    """An alternative in the ``logprobs`` of ``response.output_text.delta`` and ``.done``."""

    token: str
    logprob: float | None


class TextDeltaLogprob(_Entry, frozen=True):
    """A record in the ``logprobs`` of ``response.output_text.delta`` and ``.done``: without bytes."""

    token: str
    logprob: float | None
    top_logprobs: list[TextDeltaTopLogprob] | None


def convert_logprobs_for_output_text(logprobs: Iterable[ChatLogprob] | None) -> list[OutputTextLogprob] | None:
    """Records of a chat choice as those of an output text; None where there are none.

    Raises:
        ValueError: an entry is no record.
    """
    return [
        OutputTextLogprob(record.token, record.logprob, _bytes(record), _text_alternatives(record))
        for record in map(chat_record, logprobs or ())
    ] or None


def convert_logprobs_for_text_delta(logprobs: Iterable[ChatLogprob] | None) -> list[TextDeltaLogprob] | None:
    """Records of a chat chunk as those of a text delta; None where there are none.

    Raises:
        ValueError: an entry is no record.
    """
    return [
        TextDeltaLogprob(record.token, record.logprob, _delta_alternatives(record) or None)
        for record in map(chat_record, logprobs or ())
    ] or None


def chat_record(value: ChatLogprob) -> TokenLogprob:
    """The record of a value in nxlog's own type.

    Raises:
        ValueError: it is no record.
    """
    if isinstance(value, TokenLogprob):
        return value
    dump = getattr(value, "model_dump", None)
    # Models that were made without validation may hold null where their type has none, and would warn.
    return TokenLogprob.model_validate(value if dump is None else dump(warnings=False))


# What servers mostly send is read in one pass: null bytes, missing keys and other types are not.
_text_decoder = msgspec.json.Decoder(list[OutputTextTopLogprob])
_delta_decoder = msgspec.json.Decoder(list[TextDeltaTopLogprob])


def _text_alternatives(record: TokenLogprob) -> list[OutputTextTopLogprob]:
    try:
        return _text_decoder.decode(record.raw_top_logprobs)
    except _json.BROKEN:
        return [OutputTextTopLogprob(top.token, top.logprob, _bytes(top)) for top in record.top_logprobs]


def _delta_alternatives(record: TokenLogprob) -> list[TextDeltaTopLogprob]:
    try:
        return _delta_decoder.decode(record.raw_top_logprobs)
    except _json.BROKEN:
        return [TextDeltaTopLogprob(top.token, top.logprob) for top in record.top_logprobs]


def _bytes(record: Record) -> list[int]:
    if record.raw_bytes == _json.NULL:
        return []
    value = _json.loads_anything(record.raw_bytes)
    return cast("list[int]", value) if isinstance(value, list) else []
