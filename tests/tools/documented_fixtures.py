"""Write the cassettes of hosted APIs that we cannot record, in exactly the documented shape.

    python tests/tools/documented_fixtures.py [--fixtures fixtures] [--check]

Texts and numbers are our own. A streamed exchange gives the same answer with the same numbers as
its whole sibling (``chat_n2_stream`` and ``chat_n2``), so that accumulating the one can be
compared with the other. ``--check`` writes nothing and fails when a file is not what this script
would write.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cassette_file import render, write
from documented_anthropic import anthropic
from documented_azure import azure
from documented_chat import openai
from documented_clouds import clouds
from documented_deepseek import deepseek
from documented_engines import engines
from documented_google import google
from documented_hosts import hosts
from documented_labs import labs

if TYPE_CHECKING:
    from cassette_file import Exchange


def exchanges(fixtures: Path) -> dict[Path, Exchange]:
    """Every documented exchange by the file it belongs in."""
    groups = [
        {"openai": openai(), "anthropic": anthropic(), "deepseek": deepseek()},
        engines(),
        labs(),
        azure(),
        google(),
        hosts(),
        clouds(),
    ]
    return {
        fixtures / provider / f"{name}.yaml": exchange
        for group in groups
        for provider, cassettes in group.items()
        for name, exchange in cassettes.items()
    }


def stale(fixtures: Path) -> list[Path]:
    """The files that are missing or differ."""
    return [
        path
        for path, exchange in exchanges(fixtures).items()
        if not path.is_file() or path.read_bytes() != render(exchange).encode("ascii")
    ]


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description="Write the documented cassettes.")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        differing = stale(options.fixtures)
        for path in differing:
            sys.stderr.write(f"stale: {path}\n")
        return 1 if differing else 0
    for path, exchange in exchanges(options.fixtures).items():
        write(path, exchange)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
