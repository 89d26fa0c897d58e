"""What a command says about an answer: its least certain tokens, and how certain it is as a whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from nxlog.cli.color import shade
from nxlog.measures import is_usable, perplexity, sequence_logprob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog.logprobs import TokenLogprob, TopLogprob
    from nxlog.response import ChatResponse

_BESIDE = 24
"""Columns of the table that neither the tokens nor the alternatives take."""
_NARROW = 20


class Certainty(NamedTuple):
    """How certain an answer is, over the tokens whose value can be used."""

    tokens: int
    used: int
    mean: float | None
    """Mean of the sampled tokens' logprobs; None when none can be used."""
    perplexity: float | None
    """``exp(-mean)``."""


def answer_tokens(reply: ChatResponse) -> Sequence[TokenLogprob]:
    """The token records of what was answered: of the refusal where the model refused."""
    if reply.logprobs is None:
        return []
    return reply.logprobs.content or reply.logprobs.refusal or []


def certainty(tokens: Sequence[TokenLogprob]) -> Certainty:
    """Mean logprob over the tokens that have one."""
    used = [token for token in tokens if is_usable(token)]
    total = sequence_logprob(used)
    return Certainty(len(tokens), len(used), None if total is None else total / len(used), perplexity(used))


def least_certain(tokens: Sequence[TokenLogprob], count: int) -> list[tuple[int, TokenLogprob]]:
    """The ``count`` tokens of the lowest probability, the lowest first, with their positions from 1."""
    numbered = [(position, token) for position, token in enumerate(tokens, 1) if is_usable(token)]
    return sorted(numbered, key=lambda entry: (entry[1].logprob, entry[0]))[:count]


def least_certain_table(tokens: Sequence[TokenLogprob], count: int, *, width: int) -> Table:
    """The least certain tokens and what the model would have said instead."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("token", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("alternatives", overflow="fold")
    rows = least_certain(tokens, count)
    taken = max((cell_len(shown(token)) for _, token in rows), default=0) + _BESIDE
    for position, token in rows:
        table.add_row(
            str(position),
            Text(shown(token), shade(token.probability)),
            Text(_percent(token.probability), shade(token.probability)),
            _packed([_labeled(other) for other in _others(token)], max(width - taken, _NARROW)),
        )
    return table


def _packed(labels: list[Text], width: int) -> Text:
    """Alternatives side by side, broken between them and never inside: a token may hold spaces."""
    lines: list[Text] = []
    for label in labels:
        if lines and lines[-1].cell_len + 2 + label.cell_len < width:
            lines[-1].append(", ").append_text(label)
        else:
            lines.append(label)
    return Text(",\n").join(lines)


def summary(reply: ChatResponse) -> list[str]:
    """The answer as a whole, a line for each thing."""
    tokens = answer_tokens(reply)
    found = certainty(tokens)
    lines: list[str] = []
    if found.mean is not None and found.perplexity is not None:
        lines.append(f"mean logprob {found.mean:.4f}, perplexity {found.perplexity:.4g}")
    if found.used < found.tokens:
        left_out = found.tokens - found.used
        lines.append(f"{left_out} of {found.tokens} token records have no usable value and are left out")
    if not tokens:
        lines.append("no token log-probabilities came back")
    lines.append(", ".join(_counts(reply, len(tokens))))
    lines.append(f"model {'/'.join(part for part in (reply.provider, reply.model) if part)}")
    return lines


def shown(token: TokenLogprob | TopLogprob) -> str:
    """The token as a Python literal: text where it is text, bytes where it is a piece of a character.

    A token without text, such as the one that ends a turn, is shown by its id.
    """
    data = token.bytes
    if data is not None and data != token.token.encode("utf-8", "replace"):
        try:
            return repr(data.decode())
        except UnicodeDecodeError:
            return repr(data)
    if not token.token and token.token_id is not None:
        return f"<id {token.token_id}>"
    return repr(token.token)


def _others(token: TokenLogprob) -> list[TopLogprob]:
    """The alternatives, likeliest first, without the token itself."""
    others = [other for other in token.top_logprobs if not _same(other, token) and other.logprob is not None]
    return sorted(others, key=lambda other: -math.inf if other.logprob is None else other.logprob, reverse=True)


def _same(other: TopLogprob, token: TokenLogprob) -> bool:
    if other.token_id is not None and token.token_id is not None:
        return other.token_id == token.token_id
    return (other.token, other.bytes) == (token.token, token.bytes)


def _labeled(other: TopLogprob) -> Text:
    chance = "masked" if other.is_masked else _percent(other.probability)
    return Text.assemble(shown(other), " ", (chance, shade(None if other.is_masked else other.probability)))


def _percent(probability: float | None) -> str:
    if probability is None:
        return "unknown"
    if 0 < probability < 0.0001:
        return "<0.01%"
    return f"{probability:.2%}"


def _counts(reply: ChatResponse, records: int) -> list[str]:
    generated = reply.usage.completion_tokens if reply.usage else None
    counts = [f"{records} token records" if generated is None else f"{generated} tokens"]
    if generated is not None and records and records != generated:
        counts.append(f"{records} token records")
    if reply.usage and reply.usage.prompt_tokens is not None:
        counts.append(f"{reply.usage.prompt_tokens} in the prompt")
    if reply.finish_reason:
        counts.append(f"finished by {reply.finish_reason}")
    return counts
