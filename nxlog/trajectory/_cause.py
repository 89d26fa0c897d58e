"""Why a prompt departs from the ids before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nxlog.trajectory._ids import find
from nxlog.trajectory.prefix import PrefixCause

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from nxlog.trajectory.step import Step
    from nxlog.turn import TurnTokenData

_LEAD = 8
_WINDOW = 256
"""Ids behind the break whose texts are compared."""
_TAIL = 16
"""Ids at the end of an output by which the answer is recognized without its reasoning."""
_HEAD = 40
"""Characters by which a text is recognized in a window."""


class _Texts(NamedTuple):
    """Both sides as text, with the same few tokens before the break."""

    before: str
    sampled: str
    written: str

    @property
    def same(self) -> bool:
        """Whether they say the same, as far as both go."""
        if min(len(self.sampled), len(self.written)) <= len(self.before):
            return False  # a decoder that shows no special tokens has nothing to show here
        return self.written.startswith(self.sampled) or self.sampled.startswith(self.written)

    def squeezed(self) -> _Texts:
        """The same without what templates change: white space, and ``True`` for ``true``."""
        return _Texts(*("".join(text.split()).casefold() for text in self))


def find_cause(step: Step, prompt: array[int], position: int, decode: Callable[[list[int]], str] | None) -> PrefixCause:
    """The cause of a break.

    Args:
        step: the step that the prompt departs from, in its output or in the context before it.
        prompt: the ids of the prompt.
        position: where it departs.
        decode: ids to text; without it only ids can tell.
    """
    sampled, written = step.ids(position, step.end), prompt[position:]
    spoken = _without_stop_token(step.turn, step.output_ids)
    in_output = position >= step.output_start
    if in_output and len(sampled) == 1 and len(spoken) < len(step.output_ids):
        return PrefixCause.STOP_TOKEN
    if decode is not None:
        before = prompt[max(0, position - _LEAD) : position]
        ours = _without_stop_token(step.turn, sampled)[:_WINDOW]
        texts = _Texts(*(_text(decode, before + part) for part in (before[:0], ours, written[: 4 * _WINDOW])))
        if (found := _by_text(step.turn, texts, in_output=in_output)) is not None:
            return found
    if _lost_reasoning(step.turn, len(sampled), spoken, written):
        return PrefixCause.STRIPPED_REASONING
    if not in_output and len(spoken) > 1 and find(written, spoken) >= 0:
        return PrefixCause.TEMPLATE  # what was sampled is there, in other surroundings
    return PrefixCause.OTHER


def _by_text(turn: TurnTokenData, texts: _Texts, *, in_output: bool) -> PrefixCause | None:
    if texts.same:
        return PrefixCause.RETOKENIZATION
    rest = texts.sampled.removeprefix(texts.before).strip()
    if in_output and rest and isinstance(turn.stop_reason, str) and rest in turn.stop_reason:
        return PrefixCause.STOP_TOKEN
    if texts.squeezed().same:
        return PrefixCause.TEMPLATE
    if turn.reasoning and turn.content and _head(turn.reasoning) not in texts.written:
        return PrefixCause.STRIPPED_REASONING if _head(turn.content) in texts.written else None
    if in_output and any(call.name and call.name in texts.written for call in turn.tool_calls):
        return PrefixCause.TEMPLATE  # the call is there, written in another way
    return None


def _lost_reasoning(turn: TurnTokenData, left: int, spoken: array[int], written: array[int]) -> bool:
    """Whether the end of the output comes far earlier in what was written than in what was sampled."""
    tail = spoken[-min(_TAIL, max(4, len(spoken) // 4)) :]
    if not turn.reasoning or len(spoken) < 2 * len(tail):
        return False
    at = find(written, tail)
    return 0 <= 2 * at < left - len(tail)


def _without_stop_token(turn: TurnTokenData, ids: array[int]) -> array[int]:
    """The ids without the token that ended the turn, as far as it is known to be there."""
    ended = turn.finish_reason in {"stop", "tool_calls"} and not isinstance(turn.stop_reason, str)
    included = ended if turn.stop_token_included is None else turn.stop_token_included
    return ids[:-1] if included else ids


def _text(decode: Callable[[list[int]], str], ids: array[int]) -> str:
    return decode(ids.tolist()).rstrip("\ufffd")  # a character that is cut at the end of the window


def _head(text: str) -> str:
    return text.strip()[:_HEAD]
