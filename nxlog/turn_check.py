"""Whether the ids, the log-probabilities and the texts of a turn belong together.

What is compared are whole columns: a turn of thousands of tokens is checked in about a millisecond. A finding names the
first token it concerns. What cannot be compared (records without texts, a reply without counts) is not found fault
with, and what is left decides alone.
"""

from __future__ import annotations

import math
import re
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, cast

import msgspec

from nxlog._json import placeholder_id
from nxlog._records import MASKED_AT
from nxlog.spans import token_spans
from nxlog.turn import CheckCode, Evidence, TurnCheck, TurnFinding

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Sequence

    from nxlog._records import TokenLogprob
    from nxlog.request import ToolCall
    from nxlog.response import Choice
    from nxlog.spans import TokenSpan
    from nxlog.turn import TurnTokenData

    Decode = Callable[[list[int]], str]

ROUNDING = 1e-6
"""A logprob of a certain token may come out a little above 0 in single precision."""

ENDS = frozenset({"stop", "tool_calls"})
"""Finish reasons of a turn that the model ended."""

# Markers of tool calls and of their sections look the same, and end no turn.
_END = re.compile(
    r"\s*(?:<\|(?![^|]*tool)[^|<>\s]{1,64}\|>|<\uff5c(?![^\uff5c]*tool)[^\uff5c]{1,64}\uff5c>"
    r"|</s>|<eos>|<end_of_\w+>|<\w+_end>|\[EO[ST]\])?\s*"
)

_MARKS = re.compile(r"(?:\s|<[^<>\s]{1,64}>|\[/?[A-Z_]{2,32}\])*")


def check_turn(turn: TurnTokenData, choice: Choice | None = None, *, decode: Decode | None = None) -> TurnCheck:
    """Check a turn.

    Args:
        turn: the turn; what it already says of checks does not matter.
        choice: the answer it was made of, for its records and texts. Without it the numbers alone are checked.
        decode: the text of ids, by the model's own tokenizer; it catches ids that are not those of the text where the
            records have none of their own.
    """
    return TurnCheck(tuple(_findings(turn, choice, decode)))


def _findings(turn: TurnTokenData, choice: Choice | None, decode: Decode | None) -> Iterator[TurnFinding]:
    if turn.evidence is not Evidence.NATIVE_IDS:
        yield TurnFinding(CheckCode.NOT_NATIVE, f"the evidence is {turn.evidence.value}")
    records = () if choice is None else records_of(choice)
    ids, texts = turn.output_ids, texts_of(records)
    if ids:
        yield from _range(ids)
        yield from _identity(turn, ids, records, texts, decode)
    else:
        yield TurnFinding(CheckCode.NO_IDS, "there are no output ids")
    if turn.output_logprobs:
        yield from _numbers(turn.output_logprobs)
    else:
        yield TurnFinding(CheckCode.NO_LOGPROBS, "there are no logprobs")
    yield from _counts(turn, records)
    if turn.stop_token_included is False and not isinstance(turn.stop_reason, str):
        message = "the turn ended by itself, and the token that ended it is not the last of the ids"
        yield TurnFinding(CheckCode.STOP_TOKEN, message, len(ids or ()))
    if choice is not None:
        yield from _texts(turn, choice, texts)
    if ids and decode is not None:
        yield from _decoded(turn, decode([*ids]))


def records_of(choice: Choice) -> Sequence[TokenLogprob]:
    """All records of an answer, in the order in which they were generated."""
    data = choice.logprobs
    if data is None:
        return ()
    if not data.reasoning and not data.refusal:
        return data.content
    return [*(data.reasoning or ()), *data.content, *(data.refusal or ())]


def texts_of(records: Sequence[TokenLogprob]) -> list[str]:
    """The text of each record; for one that has an id in place of a text, that of its bytes."""
    texts = [record.token for record in records]
    if not texts or placeholder_id(texts[0]) is None:
        return texts
    return [
        token if placeholder_id(token) is None else (record.bytes or b"").decode("utf-8", "replace")
        for token, record in zip(texts, records, strict=True)
    ]


# -- numbers ---------------------------------------------------------------------------------------------------------


def _numbers(logprobs: array[float]) -> Iterator[TurnFinding]:
    total = sum(logprobs)
    if math.isfinite(total) and max(logprobs) <= ROUNDING and min(logprobs) > MASKED_AT:
        return
    for code, what, is_odd in _ODD:
        found = [i for i, value in enumerate(logprobs) if is_odd(value)]
        if found:
            yield TurnFinding(code, f"{len(found)} of {len(logprobs)} logprobs {what}", found[0])


_ODD: tuple[tuple[CheckCode, str, Callable[[float], bool]], ...] = (
    (CheckCode.MISSING, "are missing", math.isnan),
    (CheckCode.NOT_FINITE, "are infinite", math.isinf),
    (CheckCode.SENTINEL, "are markers, not values", lambda value: -math.inf < value <= MASKED_AT),
    (CheckCode.POSITIVE, "are above 0", lambda value: ROUNDING < value < math.inf),
)


def _counts(turn: TurnTokenData, records: Sequence[TokenLogprob]) -> Iterator[TurnFinding]:
    ids = len(turn.output_ids or ())
    counts = {
        "logprobs": len(turn.output_logprobs) if turn.output_logprobs else None,
        "records": len(records) or None,
        "alternatives": None if turn.top is None else len(turn.top.offsets) - 1,
    }
    for name, count in counts.items():
        if ids and count is not None and count != ids:
            yield TurnFinding(CheckCode.COUNT, f"{ids} ids and {count} {name}", min(ids, count))
            return
    generated = None if turn.usage is None else turn.usage.completion_tokens
    if not ids or generated is None or generated == ids:
        return
    is_end = generated == ids + 1 and turn.finish_reason in ENDS and not isinstance(turn.stop_reason, str)
    if is_end and turn.stop_token_included is None:
        yield TurnFinding(CheckCode.STOP_TOKEN, f"{ids} ids of {generated} tokens; the last one ended the turn", ids)
    elif not (is_end and turn.stop_token_included is False):
        yield TurnFinding(CheckCode.COUNT, f"{ids} ids, and the server counted {generated} tokens")


# -- identity --------------------------------------------------------------------------------------------------------


def _range(ids: array[int]) -> Iterator[TurnFinding]:
    if min(ids) < 0:
        at = next(i for i, token in enumerate(ids) if token < 0)
        yield TurnFinding(CheckCode.ID_RANGE, f"{ids[at]} is no id", at)


def ids_of_records(records: Sequence[TokenLogprob]) -> list[int | None]:
    """The id of each record, None where it has none."""
    for name in ("raw_token_id", "raw_id"):
        found: list[int | None] = [*map(attrgetter(name), records)]
        if None not in found:
            return found
    return [record.token_id for record in records]


def _identity(
    turn: TurnTokenData, ids: array[int], records: Sequence[TokenLogprob], texts: list[str], decode: Decode | None
) -> Iterator[TurnFinding]:
    if len(records) != len(ids):
        return  # which belongs to which is not known, and that is said
    own, listed = ids_of_records(records), ids.tolist()
    if own != listed:
        at = next((i for i, (a, b) in enumerate(zip(own, listed, strict=True)) if a is not None and a != b), None)
        if at is not None:
            yield TurnFinding(CheckCode.IDENTITY, f"the record of id {listed[at]} is that of id {own[at]}", at)
            return
    if decode is not None:
        yield from _own_texts(listed, texts, decode)
    elif [*map(dict(zip(listed, texts, strict=True)).__getitem__, listed)] != texts:
        yield from _one_text_each(listed, texts)
    if turn.top is not None:
        yield from _sampled_among_its_alternatives(records)


def _one_text_each(ids: list[int], texts: list[str]) -> Iterator[TurnFinding]:
    """The same id with two texts. Pieces of characters have the text of the whole, and spaces come and go."""
    seen: dict[int, str] = {}
    for i, (token, text) in enumerate(zip(ids, texts, strict=True)):
        plain = text.strip()
        if plain and plain.isascii() and seen.setdefault(token, plain) != plain:
            message = f"id {token} has the text {text!r}, and had {seen[token]!r}"
            yield TurnFinding(CheckCode.IDENTITY, message, i)
            return


def _own_texts(ids: list[int], texts: list[str], decode: Decode) -> Iterator[TurnFinding]:
    """An id whose text is that of another one. Pieces of characters have no text of their own."""
    own = {token: decode([token]) for token in {*ids}}
    # Some tokenizers take the space off a word that stands alone, and some only that before a comma.
    keeps_spaces = any(text[:1] == " " for text in own.values())
    for i, (token, text) in enumerate(zip(ids, texts, strict=True)):
        known = own[token]
        if not known or not text or not known.isascii() or not text.isascii():
            continue
        a, b = known.strip(), text.strip()
        is_other = a != b and (keeps_spaces or bool(a and b))
        if is_other or (keeps_spaces and i and a.isalnum() and known != text):
            yield TurnFinding(CheckCode.IDENTITY, f"id {token} is {known!r}, and its record has {text!r}", i)
            return


class _Top(msgspec.Struct, gc=False):
    token: str = ""
    logprob: float | None = None


_decode_tops = msgspec.json.Decoder(list[_Top]).decode


def _sampled_among_its_alternatives(records: Sequence[TokenLogprob]) -> Iterator[TurnFinding]:
    """A token whose alternatives give it another value has the logprob, or the alternatives, of another place."""
    for i, record in enumerate(records):
        raw = bytes(record.raw_top_logprobs)
        if len(raw) <= len("[]") or not record.token or record.logprob is None or "\ufffd" in record.token:
            continue
        if repr(record.logprob).encode() in raw:
            continue  # as nearly always; to decode them all would cost more than everything else
        try:
            tops: Sequence[_Top | TokenLogprob] = _decode_tops(raw)
        except msgspec.DecodeError:
            continue  # values that are no numbers, or tuples, whose ids tell more than their texts
        told = [top.logprob for top in tops if top.token == record.token and top.logprob is not None]
        if told and all(abs(value - record.logprob) > _SAME for value in told):
            message = f"{record.token!r} has {record.logprob:.4g}, and {told[0]:.4g} among its alternatives"
            yield TurnFinding(CheckCode.IDENTITY, message, i)
            return


_SAME = 0.01
"""Servers round one of two lists."""


# -- texts -----------------------------------------------------------------------------------------------------------


def _texts(turn: TurnTokenData, choice: Choice, texts: list[str]) -> Iterator[TurnFinding]:
    if not any(texts):
        return
    spelled = "".join(texts)
    end = texts[-1] if turn.stop_token_included is True else ""
    if not _is_one_after_the_other(choice, spelled, end):
        by_text = turn.finish_reason in ENDS and turn.stop_token_included is None
        yield from _located(choice, spelled, cut=by_text or isinstance(turn.stop_reason, str))


def _is_one_after_the_other(choice: Choice, spelled: str, end: str) -> bool:
    """Whether the texts follow one another with nothing but markers between them, which decides nearly every turn."""
    position, gaps = 0, [""]
    for text in (choice.reasoning, choice.text, choice.refusal):
        if text:
            at = spelled.find(text, position)
            if at < 0:
                return False
            gaps.append(spelled[position:at])
            position = at + len(text)
    rest = spelled[position:]
    if choice.tool_calls:
        if not all(_is_there(call, rest) for call in choice.tool_calls):
            return False
    elif rest != end:
        gaps.append(rest)
    return all(_MARKS.fullmatch(gap) for gap in gaps)


def _located(choice: Choice, spelled: str, *, cut: bool) -> Iterator[TurnFinding]:
    """Every text has to be found in what the tokens spell, and every token in a text or a marker."""
    spans = token_spans(choice)
    at = next((span.tokens.start for span in spans if span.channel == "unaligned"), None)
    for channel, text, code in (
        ("content", choice.text, CheckCode.TEXT),
        ("refusal", choice.refusal or "", CheckCode.TEXT),
        ("reasoning", choice.reasoning or "", CheckCode.SPANS),
    ):
        found = sum(span.end - span.start for span in spans if span.channel == channel)
        if found < len(text):
            message = f"{found} of {len(text)} characters of the {channel} are spelled by the tokens"
            yield TurnFinding(code, message, at)
            return
    lost = [call.function.name for call in choice.tool_calls if not _is_there(call, spelled)]
    if lost:
        yield TurnFinding(CheckCode.SPANS, f"the call of {lost[0]!r} is not in what the tokens spell", at)
    elif at is not None and not choice.tool_calls and not (cut and _is_tail(spans, choice)):
        count = sum(len(span.tokens) for span in spans if span.channel == "unaligned")
        yield TurnFinding(CheckCode.SPANS, f"{count} tokens are in no text of the answer", at)


def _is_tail(spans: Sequence[TokenSpan], choice: Choice) -> bool:
    """Whether what is in no text comes behind all texts: the stop text, which is cut off."""
    channels = [span.channel for span in spans]
    first = channels.index("unaligned")
    return "content" not in channels[first:] and (not choice.text or "content" in channels[:first])


def _is_there(call: ToolCall, spelled: str) -> bool:
    """Whether the tokens spell the call. Servers write its JSON anew, or make it out of another format."""
    packed, arguments = "".join(spelled.split()), "".join(call.function.arguments.split())
    if "".join(call.function.name.split()) not in packed:
        return False
    if arguments in packed:
        return True
    try:
        values = [*_leaves(msgspec.json.decode(call.function.arguments))]
    except msgspec.DecodeError:
        return False
    # As it is, or escaped in the JSON that the model wrote.
    return all("".join(value.split()) in packed or _escaped(value) in spelled for value in values)


def _escaped(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from chain.from_iterable(map(_leaves, cast("dict[str, object]", value).values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_leaves, cast("list[object]", value)))
    else:
        yield value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _decoded(turn: TurnTokenData, spelled: str) -> Iterator[TurnFinding]:
    position = 0
    for name, text in (("reasoning", turn.reasoning), ("content", turn.content)):
        wanted = (text or "").lstrip()  # many a tokenizer takes the space off the first token
        found = spelled.find(wanted, position)
        if found < 0:
            yield TurnFinding(CheckCode.TEXT, f"the {name} is not in what the ids decode to")
            return
        position = found + len(wanted)


def ends_with_stop_token(
    finish_reason: str | None,
    stop_reason: str | int | None,
    ids: Sequence[int],
    records: Sequence[TokenLogprob],
    *,
    text: str,
    stop: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
) -> bool | None:
    """Whether the token that ended the turn is the last of its ids; None where it has none, or nothing tells."""
    if finish_reason not in ENDS or not ids:
        return None
    if isinstance(stop_reason, int):
        return ids[-1] == stop_reason
    if isinstance(stop_reason, str):
        return False
    if ids[-1] in stop_ids:
        return True
    texts = texts_of(records)
    if len(texts) != len(ids) or not any(texts):
        return None
    spelled, last = "".join(texts), texts[-1]
    if not last or (last.strip() and _END.fullmatch(last)):
        return True
    if any(spelled.endswith(word) for word in stop):
        return None  # a text ended it, which may have no token of its own
    return bool(last.strip()) and spelled == text + last
