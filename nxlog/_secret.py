"""Taking the key out of what a server said: servers quote it, and quotations are cut at a bound."""

from __future__ import annotations

import re

HIDDEN = "[key]"

_SHORTEST = 4
"""Shorter keys are placeholders such as ``x``, and would be found in every other word."""
_HEAD = 12
"""So much of a key gives it away; what is shorter is mostly the prefix that all keys of a provider share."""


class Hider:
    """Hides one key: whole or cut off, as it is or escaped as in JSON."""

    __slots__ = ("_head", "_tail")

    def __init__(self, secret: str) -> None:
        units = [rf"(?:{re.escape(letter)}|\\(?:{re.escape(letter)}|u00{ord(letter):02x}))" for letter in secret]
        self._head = re.compile("".join(units[:_HEAD]), re.IGNORECASE)
        self._tail = [re.compile(unit, re.IGNORECASE) for unit in units[_HEAD:]]

    def hide(self, text: str) -> str:
        """The text with the key replaced."""
        parts: list[str] = []
        end = 0
        while found := self._head.search(text, end):
            parts += (text[end : found.start()], HIDDEN)
            end = found.end()
            for unit in self._tail:
                more = unit.match(text, end)
                if more is None:
                    break
                end = more.end()
        return "".join(parts) + text[end:]


def hider(secret: str | None) -> Hider | None:
    """What hides the key; None when there is none to speak of."""
    return None if secret is None or len(secret) < _SHORTEST else Hider(secret)
