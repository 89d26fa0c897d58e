"""Checks of replies and streams as such: they can be read, they end, they agree, they are counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nxlog.conformance.finding import Evidence, Seen, judged, plural, untold
from nxlog.errors import IncompleteStreamError
from nxlog.probe.answer import legible
from nxlog.probe.measured import words_of

if TYPE_CHECKING:
    from nxlog.probe.answer import Answer

WHOLE = ("plain", "logprobs", "top5", "emoji")
STREAMS = ("plain_stream", "stream", "emoji_stream")
SAME = ("plain", "logprobs", "top5")
"""Whole replies to the same question at temperature 0."""
PAIRS = (("plain", "plain_stream"), ("top5", "stream"), ("emoji", "emoji_stream"))
CALLS = ("call_stream", "tools_stream", "tools")
"""Answers that may be tool calls."""

_DONE = ("openai-chat", "openai-completions", "together-columns", "sglang-generate")
"""Wires whose last event is ``[DONE]``; elsewhere the end is an event that the decoder knows."""


def whole_reply(seen: Evidence) -> Seen:
    """Replies arrive and can be read, and have something in them."""
    tried = seen.given(*WHOLE)
    faults = [(answer.name, words_of(answer)) for answer in tried if answer.error is not None]
    faults += [
        (answer.name, "a reply without a choice") for answer in tried if answer.response and not answer.response.choices
    ]
    return judged(faults, tried, good=f"{plural(len(tried), 'answer')} read", untried="refused")


def stream_end(seen: Evidence) -> Seen:
    """Streams come to their end, and say so."""
    tried = [answer for answer in seen.given(*STREAMS) if answer.lacking is None]
    faults = [(answer.name, fault) for answer in tried if (fault := _end_fault(answer, seen.wire))]
    return judged(faults, tried, good=f"{plural(len(tried), 'stream')} ended", untried="there are no streams")


def _end_fault(answer: Answer, wire: str) -> str | None:
    if isinstance(answer.error, IncompleteStreamError):
        return f"no end mark after {plural(answer.pieces, 'piece')} of text"
    if answer.error is not None:
        return words_of(answer)
    if wire in _DONE and answer.exchange is not None:
        lines = [line.strip() for line in answer.exchange.body.splitlines() if line.startswith(b"data:")]
        if not lines or lines[-1].removeprefix(b"data:").strip() != b"[DONE]":
            return "the last event is not [DONE]"
    return None


def stream_agrees(seen: Evidence) -> Seen:
    """At temperature 0 a stream says what the whole reply says; for servers that repeat themselves at all."""
    pairs = [(seen.arrived(whole), seen.arrived(stream)) for whole, stream in PAIRS]
    found = [(whole[0], stream[0]) for whole, stream in pairs if whole and stream]
    found = [pair for pair in found if all(answer.question.fields.get("temperature") == 0 for answer in pair)]
    if not found:
        return untold("no pair of replies at temperature 0")
    texts = {legible(answer.text) for answer in seen.arrived(*SAME)}
    if len(texts) > 1:
        return untold(f"{len(texts)} different whole replies to one question at temperature 0")
    faults = [
        (stream.name, f"{_shown(stream.text)} is not the whole reply {_shown(whole.text)} of {whole.name}")
        for whole, stream in found
        if legible(whole.text) != legible(stream.text)
    ]
    return judged(faults, [stream for _, stream in found], good=f"{plural(len(found), 'pair')} agree", untried="")


def usage_in_streams(seen: Evidence) -> Seen:
    """A stream says how many tokens were generated, as a whole reply does."""
    tried = seen.arrived(*STREAMS)
    if not any(answer.generated is not None for answer in [*tried, *seen.arrived(*WHOLE)]):
        return untold("the server does not count its tokens")
    faults = [(answer.name, "no usage") for answer in tried if answer.generated is None]
    return judged(faults, tried, good=f"in {plural(len(tried), 'stream')}", untried="there are no streams")


def tool_arguments(seen: Evidence) -> Seen:
    """The arguments of a tool call are a JSON object, put together from a stream too."""
    tried = [answer for answer in seen.arrived(*CALLS) if answer.response and answer.response.tool_calls]
    tried = [answer for answer in tried if answer.finish_reason != "length"]
    faults = [
        (answer.name, f"arguments {_shown(call.function.arguments)}")
        for answer in tried
        for call in (answer.response.tool_calls if answer.response else ())
        if not _is_object(call.function.arguments)
    ]
    return judged(faults, tried, good=f"in {plural(len(tried), 'answer')}", untried=_why_no_call(seen))


def _why_no_call(seen: Evidence) -> str:
    answer = seen.get("call_stream")
    if answer is None:
        return "the wire has no place for tools"
    return "no whole call came" if answer.error is None else words_of(answer)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _shown(text: str, limit: int = 40) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
