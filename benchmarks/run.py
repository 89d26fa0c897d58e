"""The benchmark: nxlog, raw httpx with orjson, and the openai package, in one interleaved run.

``python benchmarks/run.py [--quick] [--only decode memory turns small many stream import client] [--rounds N]``
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import platform
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import decoding
import memory
import network
import server
import startup
import trajectories
from harness import measure, table_of_contestants, table_of_targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness import Result, Scenario

_PACKAGES = (
    "nxlog",
    "httpx",
    "httpcore",
    "msgspec",
    "pydantic",
    "anyio",
    "orjson",
    "pyarrow",
    "openai",
    "uvloop",
    "httpx-aiohttp",
)
_PARTS = {
    "decode": "decode",
    "memory": "memory",
    "turns": "turns",
    "small": "small request",
    "many": "requests at a time",
    "stream": "one event",
    "import": "import",
    "client": "second client",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and requests: an impression, not a result")
    parser.add_argument("--only", nargs="+", choices=_PARTS, metavar="PART", help=f"some of: {', '.join(_PARTS)}")
    parser.add_argument("--rounds", type=int, help="rounds that count; one more warms up")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (3 if options.quick else 9)
    results = list(_results(options.only or list(_PARTS), rounds, requests=64 if options.quick else 256))
    for line in _report(results, rounds):
        print(line)


def _results(parts: list[str], rounds: int, *, requests: int) -> Iterator[Result]:
    with ExitStack() as stack:
        for scenario in _scenarios(parts, stack, requests):
            if any(_PARTS[part] in scenario.name for part in parts):
                print(f"... {scenario.name}", file=sys.stderr)
                yield measure(scenario, rounds)


def _scenarios(parts: list[str], stack: ExitStack, requests: int) -> Iterator[Scenario]:
    if {"import", "client"} & set(parts):
        yield from startup.scenarios()
    if "decode" in parts:
        yield from decoding.scenarios(repeat_small=max(1, requests // 12))
    if "memory" in parts:
        yield from memory.scenarios()
    if "turns" in parts:
        yield from trajectories.scenarios(max(1, requests * 100 // 256))
    if {"small", "many", "stream"} & set(parts):
        url = stack.enter_context(server.running())
        runner = stack.enter_context(asyncio.Runner())
        yield from network.scenarios(url, runner, requests=requests)


def _report(results: list[Result], rounds: int) -> Iterator[str]:
    yield (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores; {', '.join(_versions())}."
    )
    yield f"Medians of {rounds} interleaved rounds. CPU time of the client's process, unless a column says otherwise."
    yield ""
    yield from table_of_targets(results)
    yield ""
    yield from table_of_contestants(results)


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} not installed"


if __name__ == "__main__":
    main()
