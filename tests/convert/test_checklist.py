"""Every line of the checklist of conversions (A-01 to A-23) has a test that names it, or a reason why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs" / "agents.md"


def named(text: str) -> set[int]:
    """The lines that a text names, also as ``A-02 to A-05``."""
    found = {int(number) for number in re.findall(r"\bA-(\d\d)\b", text)}
    for first, last in re.findall(r"\bA-(\d\d) to A-(\d\d)\b", text):
        found |= set(range(int(first), int(last) + 1))
    return found


def docstrings_of_tests() -> str:
    """Only what tests say of themselves: the head of a module promises no more than that."""
    sources = [path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py") if path != Path(__file__)]
    bodies = [re.findall(r"def test_\w+\(.*?\).*?:\n    \"\"\"(.*?)\"\"\"", source, re.DOTALL) for source in sources]
    return "\n".join(text for found in bodies for text in found)


@pytest.mark.parametrize("line", range(1, 24), ids=lambda line: f"A-{line:02}")
def test_each_line_is_tested(line: int) -> None:
    here = test_the_purposes_are_documented.__doc__ or ""
    decided = (ROOT / "docs" / "decisions" / "convert.md").read_text(encoding="utf-8")
    assert line in named(docstrings_of_tests()) | named(here) | named(decided)


@pytest.mark.parametrize("purpose", ["Confidence scoring", "Uncertainty estimation", "RLHF training"])
def test_the_purposes_are_documented(purpose: str) -> None:
    """A-20: each by its name, with an example, which test_docs runs."""
    page = PAGE.read_text(encoding="utf-8")
    _, _, after = page.partition(f"**{purpose}.**")
    assert re.match(r"[^`#]*```python\n", after)
