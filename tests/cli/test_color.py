"""When the command colors, and what a terminal gets.

Real here: pipes, and a pseudo-terminal where the system has one.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.cli.commands import ESCAPE, SGR, Script, chat_with, event, on_a_terminal, record, serving

SURE_AND_UNSURE = Script(
    stream=(event("Yes", record("Yes", -0.001)), event(", no", record(",", -0.7), record(" no", -6.0), finish="stop"))
)


def foreground(output: str, text: str) -> tuple[int, int, int]:
    found = re.search(rf"\x1b\[38;2;(\d+);(\d+);(\d+)m{re.escape(text)}\x1b\[0m", output)
    assert found, f"{text!r} is not painted in {output!r}"
    return int(found[1]), int(found[2]), int(found[3])


def test_certain_is_green_and_improbable_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    output = chat_with(SURE_AND_UNSURE, "--color", "always").stdout
    red, green, _ = foreground(output, "Yes")
    assert green > 2 * red
    red, green, _ = foreground(output, " no")
    assert red > 2 * green
    red, green, blue = foreground(output, ",")
    assert min(red, green) > 2 * blue  # yellow
    assert SGR.sub("", output).startswith("Yes, no\n")


@pytest.mark.parametrize(
    ("variables", "arguments", "colored"),
    [
        ({}, (), False),
        ({"FORCE_COLOR": "1"}, (), True),
        ({"FORCE_COLOR": "0"}, (), False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (), False),
        ({"FORCE_COLOR": "1"}, ("--color", "never"), False),
        ({"NO_COLOR": "1"}, ("--color", "always"), True),
    ],
)
def test_who_decides_about_color(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], arguments: tuple[str, ...], colored: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    output = chat_with(SURE_AND_UNSURE, *arguments).stdout
    assert (ESCAPE in output) is colored
    assert SGR.sub("", output).startswith("Yes, no\n")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_gets_color_unless_no_color() -> None:
    with serving(SURE_AND_UNSURE) as url:
        colored, plain = on_a_terminal(url), on_a_terminal(url, NO_COLOR="1")
    assert SGR.search(colored)
    assert ESCAPE not in plain
    assert plain.startswith("Yes, no\n")
    assert SGR.sub("", colored).startswith("Yes, no\n")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_an_answer_cannot_command_the_terminal_but_a_pipe_gets_it_as_it_is() -> None:
    text = "a\x1b]0;owned\x07b\r\x9bc"
    script = Script(stream=(event(text, finish="stop"),))
    with serving(script) as url:
        assert on_a_terminal(url, NO_COLOR="1").startswith("a␛]0;owned␇b␍\ufffdc\n")
    assert chat_with(script, "--quiet").stdout_bytes == text.encode() + b"\n"
