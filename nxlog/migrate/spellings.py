"""The names by which logprobs are asked for around the world, and what each of them counts.

``nxlog.parameter_adapter`` takes the same names out of ``provider_options`` at run time; a test holds the two together.
"""

from __future__ import annotations

import enum
import re


class Meaning(enum.Enum):
    """What the value of a spelling says."""

    FLAG = "whether there are logprobs"
    COUNT = "how many alternatives"
    EITHER = "one of the two, by its type"


MEANINGS = {
    "logprobs": Meaning.EITHER,
    "toplogprobs": Meaning.COUNT,
    "responselogprobs": Meaning.FLAG,
    "returnlogprob": Meaning.FLAG,
    "returnlogprobs": Meaning.FLAG,
    "toplogprobsnum": Meaning.COUNT,
    "nprobs": Meaning.COUNT,
    "topntokens": Meaning.COUNT,
}
"""Spellings by their letters: providers disagree about case and underscores."""

ZERO_IS_NONE = frozenset({"nprobs", "topntokens"})
"""Counts of which 0 means no logprobs at all; elsewhere it means no alternatives."""

INCLUDE = "message.output_text.logprobs"
"""What the list ``include`` holds in the Responses API."""

_MENTION = re.compile(r"nxlog|logprob|log_prob|n_?probs|top_?n_?tokens|provider_?options", re.IGNORECASE)
# pydantic-ai puts the provider in front: openai_logprobs, google_top_logprobs.
_PREFIXED = re.compile(r"[a-z]+_((?:top_)?logprobs)\Z")


def letters(key: str) -> str:
    """The key without what spellings differ in."""
    return key.replace("_", "").replace("-", "").casefold()


def meaning_of(key: str) -> Meaning | None:
    """What the key asks for; None where it is about something else."""
    return MEANINGS.get(letters(key))


def without_prefix(key: str) -> str | None:
    """``logprobs`` or ``top_logprobs`` where the key is one of them with a provider's name in front."""
    found = _PREFIXED.match(key)
    return found[1] if found else None


def mentioned(code: str) -> bool:
    """Whether it is worth reading the code at all."""
    return _MENTION.search(code) is not None
