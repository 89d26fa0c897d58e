"""A turn that came in several replies, each of which went on from the ids of the one before."""

from __future__ import annotations

from array import array
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from nxlog.distribution import Distribution
from nxlog.turn import CheckCode, Evidence, TopColumns, TurnCheck, TurnPart
from nxlog.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nxlog.turn import TurnTokenData

_NO_IDS = {CheckCode.NO_IDS, CheckCode.NOT_NATIVE, CheckCode.ID_RANGE}
_UNSOUND = _NO_IDS | {CheckCode.COUNT, CheckCode.IDENTITY}
_OF_THE_LAST = {CheckCode.STOP_TOKEN, CheckCode.TEXT, CheckCode.SPANS}
"""Findings that say something of a whole turn and nothing of a piece, whose text may end within a character."""


def can_go_on(part: TurnTokenData) -> bool:
    """Whether it is known exactly what was sampled so far, so that a request can go on from there."""
    sound = part.checks is None or _UNSOUND.isdisjoint(part.checks.codes)
    return bool(part.output_ids) and part.evidence is Evidence.NATIVE_IDS and sound


def has_all_ids(turn: TurnTokenData) -> bool:
    """Whether the ids of a whole turn are all that were sampled, as far as the server's count tells."""
    if not turn.output_ids or turn.evidence is not Evidence.NATIVE_IDS:
        return False
    generated = None if turn.usage is None else turn.usage.completion_tokens
    known = turn.checks is None or _NO_IDS.isdisjoint(turn.checks.codes)
    return known and generated in {None, len(turn.output_ids)}


def merged(parts: Sequence[TurnTokenData]) -> TurnTokenData:
    """The parts as one turn, which says where each of them is."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return last
    sizes = [len(part.output_ids or ()) for part in parts]
    starts = [0, *accumulate(sizes)]
    same = {(part.distribution, part.distribution_source) for part in parts}
    return replace(
        last,
        prompt_ids=first.prompt_ids,
        output_ids=_joined([part.output_ids for part in parts]),
        output_logprobs=_joined([part.output_logprobs for part in parts]),
        top=_joined_top([part.top for part in parts]),
        content=_text(part.content for part in parts),
        reasoning=_text(part.reasoning for part in parts),
        sampling=first.sampling,
        distribution=last.distribution if len(same) == 1 else Distribution.UNKNOWN,
        weight_versions=tuple(
            replace(version, start=version.start + start, end=version.end + start)
            for part, start in zip(parts, starts, strict=False)
            for version in part.weight_versions
        ),
        parts=tuple(
            TurnPart(start, end, part.finish_reason, part.request_id)
            for part, start, end in zip(parts, starts, starts[1:], strict=False)
        ),
        usage=_usage(parts),
        checks=_checks(parts, starts),
    )


def _joined(columns: Sequence[array[Any] | None]) -> array[Any] | None:
    joined: array[Any] | None = None
    for column in columns:
        if column is None:
            return None
        joined = column if joined is None else joined + column
    return joined


def _joined_top(columns: Sequence[TopColumns | None]) -> TopColumns | None:
    ids, logprobs, offsets = array("i"), array("d"), array("i", [0])
    for top in columns:
        if top is None:
            return None
        offsets.extend(array("i", [offset + len(ids) for offset in top.offsets[1:]]))
        ids.extend(top.ids)
        logprobs.extend(top.logprobs)
    return TopColumns(offsets, ids, logprobs)


def _text(texts: Iterable[str | None]) -> str | None:
    known = [text for text in texts if text is not None]
    return "".join(known) if known else None


def _usage(parts: Sequence[TurnTokenData]) -> Usage | None:
    """The prompt of the first part and all that was generated; the prompts of the others are counted in it."""
    if any(part.usage is None for part in parts):
        return None
    prompt = parts[0].usage.prompt_tokens if parts[0].usage else None
    generated = sum(len(part.output_ids or ()) for part in parts)
    total = None if prompt is None else prompt + generated
    return Usage(prompt_tokens=prompt, completion_tokens=generated, total_tokens=total)


def _checks(parts: Sequence[TurnTokenData], starts: Sequence[int]) -> TurnCheck | None:
    if any(part.checks is None for part in parts):
        return None
    return TurnCheck(
        tuple(
            finding if finding.position is None else replace(finding, position=finding.position + start)
            for part, start in zip(parts, starts, strict=False)
            for finding in (part.checks.findings if part.checks else ())
            if part is parts[-1] or finding.code not in _OF_THE_LAST
        )
    )
