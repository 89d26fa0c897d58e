"""When to color, and how a probability looks."""

from __future__ import annotations

import enum
import math
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color, ColorSystem
from rich.console import Console
from rich.style import Style

if TYPE_CHECKING:
    from typing import Literal

_RED, _YELLOW, _GREEN = (214, 48, 49), (178, 134, 0), (38, 152, 70)
"""Dark enough for a white background and bright enough for a black one."""
_STEPS = 20


class ColorMode(enum.StrEnum):
    """The option ``--color``."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def wants_color(mode: ColorMode) -> bool:
    """Whether stdout gets colors: as told, else by NO_COLOR and FORCE_COLOR, else on a terminal."""
    if mode is not ColorMode.AUTO:
        return mode is ColorMode.ALWAYS
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def color_system() -> ColorSystem:
    """How many colors the terminal knows."""
    if os.environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return ColorSystem.TRUECOLOR
    return ColorSystem.EIGHT_BIT


def console(*, color: bool) -> Console:
    """A console on stdout for tables; without color it writes no escape sequence at all."""
    system: Literal["256", "truecolor"] | None = None
    if color:
        system = "truecolor" if color_system() is ColorSystem.TRUECOLOR else "256"
    return Console(file=sys.stdout, force_terminal=color, color_system=system, highlight=False, markup=False)


def shade(probability: float | None) -> Style:
    """Red for improbable, yellow for even, green for certain; nothing for unknown."""
    if probability is None or math.isnan(probability):
        return Style.null()
    return _shade(round(min(max(probability, 0.0), 1.0) * _STEPS))


def paint(text: str, probability: float | None) -> str:
    """The text in the color of its probability."""
    return shade(probability).render(text, color_system=color_system())


@lru_cache
def _shade(step: int) -> Style:
    place = step / _STEPS * 2
    low, high = (_RED, _YELLOW) if place < 1 else (_YELLOW, _GREEN)
    red, green, blue = (round(a + (b - a) * (place % 1 if place < 2 else 1)) for a, b in zip(low, high, strict=True))
    return Style(color=Color.from_rgb(red, green, blue))
