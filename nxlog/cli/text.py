"""Text on a terminal and on a pipe."""

from __future__ import annotations

import io
import sys

_VISIBLE = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
}
"""Control characters become their pictures: an answer must not be able to command the terminal."""


def visible(text: str) -> str:
    """The text with its control characters made visible; line breaks and tabs stay."""
    return text.translate(_VISIBLE)


def one_line(text: str) -> str:
    """The text fit for one line of stderr."""
    return visible(" ".join(text.split()))


def write(text: str) -> None:
    """Write to stdout at once."""
    _never_fail(sys.stdout)
    sys.stdout.write(text)
    sys.stdout.flush()


def write_error(line: str) -> None:
    """Write a line to stderr."""
    _never_fail(sys.stderr)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _never_fail(stream: object) -> None:
    # A stream in an old encoding shows what it cannot hold as an escape; an answer is not lost for an emoji.
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
