"""Where the token records of an answer are in its texts: the answer, the reasoning, the refusal, the tool calls.

Servers that take an answer apart into texts do not take its token records apart: all of them come in one list, with the
tokens that the texts are without (``</think>``, harmony's markers, the end of the turn). So the texts are looked for in
what the tokens spell, which is done in three readings: by their bytes, by texts in which a character stands for a
byte, and with gaps where the server lost the bytes. A reading counts where the texts and known markers make up all that
was generated, or else where a text has only one place to be. What has none is ``unaligned``: said, never guessed.

All of it is linear in the length of the answer.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from nxlog._spelling import UNKNOWN, readings_of
from nxlog.logprobs import CHANNELS, Channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nxlog._records import TokenLogprob
    from nxlog._spelling import Atom, Reading
    from nxlog.response import Choice

SpanChannel = Literal["content", "reasoning", "refusal", "tool_call", "structural", "unaligned"]
TextChannel = Literal["content", "reasoning", "refusal", "tool_call"]

_MOST_TEXTS = 32
"""So many texts are searched for where the format is not known; each search reads all that was generated."""

_HEADER = r"<\|(?:start|channel|constrain|im_start|start_header_id)\|>[^<>\n]{0,200}?(?=<\||\n)"
_TAGS = (
    "think|thinking|thought|reasoning|tool_call|tool_calls|tools|function_call|tool_response|answer|s|bos|eos|pad|unk"
    "|start_of_turn|end_of_turn|end_of_utterance|start_of_image|end_of_text"
)
_NAMES = r"[A-Za-z0-9_]{1,64}"
_WIDE = r"<\uff5c[^\uff5c\s]{1,64}\uff5c>"  # DeepSeek's, with bars of full width
_MARKER = rf"{_HEADER}|<\|{_NAMES}\|>|{_WIDE}|</?(?:{_TAGS})>|\[/?(?:INST|THINK|TOOL_CALLS)\]"
_ENVELOPE = ("name", "arguments", "parameters", "type", "function", "functions")
_marker = re.compile(_MARKER)
_divider = re.compile(r"</?(?:reasoning|think|thinking|thought)>")
_unknown = re.compile(f"{UNKNOWN}+")
_not_ascii = re.compile(r"[^\x00-\x7f]*")


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """The smallest run of tokens that is known to be whole characters of one text: mostly one token.

    Attributes:
        channel: the text it is in. ``structural``: a marker, or what a known format puts around the texts, in none of
            them. ``unaligned``: in none of them as far as can be known (cut with a stop string, dropped by the
            server's parser, a record without text and bytes, or records of something else).
        tokens: indices of its records in the list that ``records`` names.
        start: offset in characters of its first character in that text; 0 where there is no text.
        end: the same behind its last one.
        text: ``the_text[start:end]``; for ``structural`` and ``unaligned`` what the tokens spell.
        call: position of the tool call whose arguments are the text.
        partial: the tokens spell more than this.
        records: the channel of ``LogprobsData`` that holds the records.
    """

    channel: SpanChannel
    tokens: range
    start: int
    end: int
    text: str
    call: int | None = None
    partial: bool = False
    records: Channel = "content"


class ChannelText(NamedTuple):
    """A text in which tokens may be found.

    Attributes:
        channel: its channel.
        text: the text.
        call: position of the tool call, for its arguments.
        offset: where ``text`` begins, when it is a part of a longer one.
    """

    channel: TextChannel
    text: str
    call: int | None = None
    offset: int = 0


class _Run(NamedTuple):
    """Characters ``start`` to ``end`` of what was generated are those from ``at`` to ``to`` of a text."""

    start: int
    end: int
    source: ChannelText
    at: int
    to: int


def token_spans(choice: Choice) -> list[TokenSpan]:
    """The spans of all token records of a choice: first of its content channel, then of the refusal, the reasoning.

    Every record is in at least one span. Those of one channel are in order and share no character.
    """
    data = choice.logprobs
    if data is None:
        return []
    own: dict[Channel, ChannelText] = {
        "content": ChannelText("content", choice.text),
        "refusal": ChannelText("refusal", choice.refusal or ""),
        "reasoning": ChannelText("reasoning", choice.reasoning or ""),
    }
    calls = [ChannelText("tool_call", call.function.arguments, i) for i, call in enumerate(choice.tool_calls)]
    names = [call.function.name for call in choice.tool_calls]
    found: list[TokenSpan] = []
    for name in CHANNELS:
        records = data.channel(name) or ()
        if name == "content":
            # What has no records of its own has them here, if anywhere.
            texts = [own["reasoning"]] * (not data.reasoning) + [own["content"]] + [own["refusal"]] * (not data.refusal)
            found += locate(records, [*texts, *calls], names=names, ended=choice.finish_reason not in {None, "length"})
        else:
            found += locate(records, [own[name]], records_of=name)
    return found


def tokens_in(choice: Choice, channel: SpanChannel) -> list[TokenLogprob]:
    """The records of a choice that belong to one channel, each once."""
    data = choice.logprobs
    if data is None:
        return []
    spans = [span for span in token_spans(choice) if span.channel == channel]
    # As keys, because a token at the border of two tool calls has a span in each.
    places = {(span.records, index): None for span in spans for index in span.tokens}
    held = {name: data.channel(name) or () for name in CHANNELS}
    return [held[name][index] for name, index in places]


def locate(
    records: Sequence[TokenLogprob],
    texts: Iterable[ChannelText],
    *,
    names: Sequence[str] = (),
    ended: bool = True,
    records_of: Channel = "content",
) -> list[TokenSpan]:
    """The spans of one list of records.

    Args:
        records: the records.
        texts: the texts they may be in, in the order in which they were generated.
        names: the functions that were called, for what stands around their arguments.
        ended: the answer came to its end by itself, so an empty last token is the end of the turn.
        records_of: which channel the list is.
    """
    texts = [text for text in texts if text.text]
    structure = _structure(names)
    reading, runs = _placed(readings_of(records), texts, structure)
    return [*_spans(reading, runs, structure, ended=ended, records=records_of)]


# -- what formats put around texts -----------------------------------------------------------------------------------


def _structure(names: Sequence[str]) -> re.Pattern[str]:
    """One unit of what is no text: a marker, white space, and around arguments the rest of the call."""
    units = [_MARKER, r"\s"]
    if names:
        # The longest first, because an expression takes the first that fits.
        words = sorted({*_ENVELOPE, *names} - {""}, key=len, reverse=True)
        units += [r"[\"{}\[\]:,]", *map(re.escape, words)]
    return re.compile("|".join(units))


def _fenced(generated: str, structure: re.Pattern[str]) -> re.Pattern[str]:
    """The same where all of the answer is in a Markdown fence, which servers take off JSON."""
    return re.compile(f"{structure.pattern}|```(?:json)?") if generated.lstrip().startswith("```") else structure


def _is_structure(generated: str, start: int, end: int, structure: re.Pattern[str]) -> bool:
    while start < end:
        unit = structure.match(generated, start, end)
        if unit is None:
            return False
        start = unit.end()
    return True


def _structural(generated: str, runs: list[_Run], structure: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """The stretches between the runs that are no text for certain."""
    structure = _fenced(generated, structure)
    bounds = [0, *(bound for run in runs for bound in (run.start, run.end)), len(generated)]
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        if _is_structure(generated, start, end, structure):
            yield start, end
        else:
            yield from (marker.span() for marker in _marker.finditer(generated, start, end))


# -- where the texts are in it ---------------------------------------------------------------------------------------


def _placed(
    readings: list[Reading], texts: list[ChannelText], structure: re.Pattern[str]
) -> tuple[Reading, list[_Run]]:
    divided = [part for text in texts for part in _divided(text)]
    for reading in readings:
        for parts in [texts] if divided == texts else [texts, divided]:
            runs = _all_of_it(reading, parts, structure)
            if runs is not None:
                return reading, runs
    for reading in readings:
        runs = [] if reading.has_gaps else _by_their_only_place(reading, texts)
        if runs:
            return reading, runs
    return readings[0], []


def _divided(text: ChannelText) -> Iterator[ChannelText]:
    """The parts of a text between tags that the server wrote into it."""
    tags = [(0, 0), *(tag.span() for tag in _divider.finditer(text.text)), (len(text.text),) * 2]
    for (_, start), (end, _) in itertools.pairwise(tags):
        if start < end:
            yield text._replace(text=text.text[start:end], offset=text.offset + start)


def _all_of_it(reading: Reading, texts: list[ChannelText], structure: re.Pattern[str]) -> list[_Run] | None:
    """The texts one after the other with nothing but structure around them, or None."""
    generated, structure, position = reading.generated, _fenced(reading.generated, structure), 0
    runs: list[_Run] = []
    for source in texts:
        while not (found := [*_runs_at(reading, position, source)]):
            unit = structure.match(generated, position)
            if unit is None:
                return None
            position = unit.end()
        runs += found
        position = found[-1].end
    return runs if _is_structure(generated, position, len(generated), structure) else None


def _runs_at(reading: Reading, position: int, source: ChannelText) -> list[_Run]:
    """The runs that the text has when it begins here; none when it does not."""
    generated, text, at = reading.generated, source.text, 0
    if not reading.has_gaps:
        to = position + len(text)
        return [_Run(position, to, source, 0, len(text))] if generated.startswith(text, position) else []
    runs: list[_Run] = []
    while at < len(text):
        gap = _unknown.match(generated, position)
        if gap is None:
            end = generated.find(UNKNOWN, position, position + len(text) - at)
            end = min(len(generated), position + len(text) - at) if end < 0 else end
            to = at + end - position
            if end == position or text[at:to] != generated[position:end]:
                return []
        else:
            # What was lost are bytes of characters that have several, and only ASCII behind shows where they end.
            end, stretch = gap.end(), _not_ascii.match(text, at)
            if stretch is None or not generated[end : end + 1].isascii():
                return []
            to = stretch.end()
        runs.append(_Run(position, end, source, at, to))
        position, at = end, to
    return runs


def _by_their_only_place(reading: Reading, texts: list[ChannelText]) -> list[_Run]:
    """The texts that can only be in one place, from the beginning of a token on."""
    generated, starts = reading.generated, {atom.start for atom in reading.atoms}
    found: list[_Run] = []
    for source in texts[:_MOST_TEXTS]:
        start = _only_place(source.text, generated)
        if start in starts or (start >= 0 and source.call is not None):
            found.append(_Run(start, start + len(source.text), source, 0, len(source.text)))
    found = sorted(run for run in found if sum(run.start < other.end and other.start < run.end for other in found) == 1)
    if found or len(texts) != 1:
        return found
    # The records may be fewer than the tokens.
    start, end = _without_markers(generated)
    at = _only_place(generated[start:end], texts[0].text)
    return [_Run(start, end, texts[0], at, at + end - start)] if at >= 0 else []


def _only_place(text: str, within: str) -> int:
    place = within.find(text) if text else -1
    return place if place >= 0 and within.find(text, place + 1) < 0 else -1


def _without_markers(generated: str) -> tuple[int, int]:
    """Where what is left without the markers at both ends starts and ends."""
    start = last = 0
    end = len(generated)
    for marker in _marker.finditer(generated):
        if marker.start() == start:
            start = marker.end()
        elif marker.start() != last:
            end = marker.start()
        last = marker.end()
    return start, max(start, end) if last == len(generated) else len(generated)


# -- from characters to tokens ---------------------------------------------------------------------------------------


def _spans(
    reading: Reading, runs: list[_Run], structure: re.Pattern[str], *, ended: bool, records: Channel
) -> Iterator[TokenSpan]:
    generated = reading.generated
    outside = [*_structural(generated, runs, structure)]
    next_run = next_outside = 0
    for atom in reading.atoms:
        tokens = range(atom.first, atom.last)
        while next_run < len(runs) and runs[next_run].end <= atom.start:
            next_run += 1
        parts = _parts(atom, runs, next_run)
        covered = sum(end - start for start, end, *_ in parts)
        for _, _, source, at, to in parts:
            where = source.offset + at, source.offset + to
            partial = covered < atom.end - atom.start or len(parts) > 1
            yield TokenSpan(source.channel, tokens, *where, source.text[at:to], source.call, partial, records)
        if not parts:
            while next_outside < len(outside) and outside[next_outside][1] < atom.end:
                next_outside += 1
            structural = next_outside < len(outside) and outside[next_outside][0] <= atom.start
            if atom.start == atom.end:
                # A token without a text behind the end of all texts is what ended the turn.
                structural = ended and bool(runs) and atom is reading.atoms[-1]
            channel: SpanChannel = "structural" if structural else "unaligned"
            yield TokenSpan(channel, tokens, 0, 0, generated[atom.start : atom.end], records=records)


def _parts(atom: Atom, runs: list[_Run], first: int) -> list[_Run]:
    """What the atom has of each text; of runs that go on in the same text, one."""
    parts: list[_Run] = []
    for run in itertools.islice(runs, first, None):
        if run.start >= atom.end:
            break
        start, end, (_, _, source, at, to) = max(atom.start, run.start), min(atom.end, run.end), run
        if run.end - run.start == to - at:
            at, to = at + start - run.start, to + end - run.end
        if parts and parts[-1].source is source and parts[-1].to == at:
            start, at = parts[-1].start, parts.pop().at
        parts.append(_Run(start, end, source, at, to))
    return [part for part in parts if part.at < part.to]
