"""Every check, in the order in which they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nxlog.conformance import manners, records, replies
from nxlog.conformance.finding import Evidence, Finding, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nxlog.probe.answer import Answer


class Check(NamedTuple):
    """One rule, and what looks whether it is kept."""

    name: str
    rule: str
    look: Callable[[Evidence], Seen]


CHECKS: tuple[Check, ...] = (
    Check("whole-reply", "a whole reply can be read", replies.whole_reply),
    Check("stream-end", "a stream ends with its end mark", replies.stream_end),
    Check("stream-agrees", "at temperature 0 a stream says what the whole reply says", replies.stream_agrees),
    Check("usage-in-streams", "a stream says how many tokens were generated", replies.usage_in_streams),
    Check("records-come", "log-probabilities that are asked for come, or are refused", records.records_come),
    Check("not-asked", "no log-probabilities without asking", records.not_asked),
    Check("records-arrive", "every record in the JSON can be read", records.records_arrive),
    Check("records-and-usage", "as many records as tokens; the last may lack", records.records_and_usage),
    Check("bytes-join", "the bytes of the tokens are the text", records.bytes_join),
    Check("whole-characters", "a token that is a piece of a character has its bytes", records.whole_characters),
    Check("no-positive", "no log-probability is above 0", records.no_positive),
    Check("alternatives", "as many alternatives as asked for", records.alternatives),
    Check("no-alternatives", "top_logprobs 0 gives records without alternatives", records.no_alternatives),
    Check("sampled-among", "the sampled token is among its alternatives, or not", records.sampled_among),
    Check("choice-indexes", "two choices have the indexes 0 and 1", manners.choice_indexes),
    Check("tool-arguments", "the arguments of a tool call are JSON", replies.tool_arguments),
    Check("error-body", "a wrong field is a 4xx with a message", manners.error_body),
    Check("unknown-model", "an unknown model is refused, or the reply names another", manners.unknown_model),
    Check("hang-up", "a stream that is left early leaves the server usable", manners.hang_up),
    Check("no-mixing", "streams at the same time do not mix", manners.no_mixing),
)
"""All of them. A check is a pure function of the answers."""


def check(answers: Sequence[Answer], *, wire: str) -> list[Finding]:
    """What the answers show of each rule.

    Args:
        answers: of the questions of ``run``; what is missing makes checks not applicable.
        wire: name of the wire format that they came in.
    """
    evidence = Evidence(answers, wire=wire)
    found: list[Finding] = []
    for name, rule, look in CHECKS:
        verdict, text, names = look(evidence)
        found.append(Finding(name=name, rule=rule, verdict=verdict, seen=text, shown_by=names))
    return found
