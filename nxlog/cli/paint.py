"""Which part of an answer's text belongs to which token.

The text is what the server says it is; token records only color it. A token may hold a piece of a character, share a
record with others, or have no text; a stream may lose records. Where text and records do not agree, the text is left
without color: a wrong probability is worse than none.
"""

from __future__ import annotations

import codecs
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nxlog.logprobs import TokenLogprob


class Span(NamedTuple):
    """Text with the probability of its tokens, or without."""

    text: str
    probability: float | None


class Painter:
    """Follows an answer: text and records go in as they come, spans come out."""

    def __init__(self) -> None:
        self._text = ""
        self._records: deque[TokenLogprob] = deque()

    def feed(self, text: str, records: Iterable[TokenLogprob]) -> list[Span]:
        """Text and records of one chunk; what comes back joins to the text so far, less a part held back."""
        self._text += text
        self._records.extend(records)
        spans: list[Span] = []
        while self._text and self._records:
            count, found = self._match()
            if count == 0:
                return spans
            if not found:
                self._records.clear()
                break
            run = [self._records.popleft() for _ in range(count)]
            spans.append(Span(found, _least(run)))
            self._text = self._text[len(found) :]
        return spans + self.finish()

    def finish(self) -> list[Span]:
        """The text that no record was found for."""
        text, self._text = self._text, ""
        return [Span(text, None)] if text else []

    def _match(self) -> tuple[int, str]:
        """How many records make up which text at the front.

        Zero records: more must come first. Records without text: they do not belong to this text.
        """
        first = self._records[0]
        if first.token and self._text.startswith(first.token):
            return 1, first.token
        decoder = codecs.getincrementaldecoder("utf-8")()
        whole = ""
        for count, record in enumerate(self._records, 1):
            data = record.token.encode("utf-8", "replace") if record.bytes is None else record.bytes
            try:
                whole += decoder.decode(data)
            except UnicodeDecodeError:
                return count, ""
            if not whole or decoder.getstate()[0]:
                continue  # the character goes on in the next record
            if self._text.startswith(whole):
                return count, whole
            return (0, "") if whole.startswith(self._text) else (count, "")
        return 0, ""


def _least(run: list[TokenLogprob]) -> float | None:
    """A character made of several tokens is as certain as the least certain of them."""
    values = [token.probability for token in run if token.probability is not None and not token.is_masked]
    return min(values) if len(values) == len(run) else None
