"""Importing, in fresh processes, and building a second client."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import httpx
from harness import NEAR, OURS, Sample, Scenario, Target, optional, timed

import nxlog
from nxlog.http.origin import sync_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_IMPORT = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"
_KEY = "sk-benchmark"
_ORIGIN = ("https", "api.openai.com", None)
_CLIENTS = 20


def scenarios() -> Iterator[Scenario]:
    """Import and second client."""
    with tempfile.TemporaryDirectory() as cache:
        yield _imports(cache)
    builders: dict[str, Callable[[], object]] = {OURS: _nxlog_client, "httpx": httpx.Client}
    if openai := optional("openai"):
        builders["openai"] = lambda: openai.OpenAI(api_key=_KEY)
    yield Scenario(
        "second client, ready for https",
        "ms",
        {name: timed(_several(build), per=_CLIENTS) for name, build in builders.items()},
        reference="httpx",
    )


def _imports(cache: str) -> Scenario:
    modules = [OURS, "httpx", "pydantic", *(["openai"] if optional("openai") else [])]
    return Scenario(
        "import",
        "s",
        {name: _importer(name, cache) for name in modules},
        reference="httpx",
        target=Target("value", 0.1 * NEAR, f"near 0.1 s: at most {0.1 * NEAR:.3f} s"),
    )


def _importer(module: str, cache: str) -> Callable[[], Sample]:
    # An installed package is compiled once; the round that warms up does it here, whatever the checkout looks like.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def turn() -> Sample:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT.format(module)], env=environment, capture_output=True, text=True, check=True
        )
        return Sample(float(done.stdout))

    return turn


def _nxlog_client() -> object:
    # A client connects when it is used; the transport of its first connection is built here to be fair to others.
    return nxlog.Client(provider="openai", api_key=_KEY), sync_transport(_ORIGIN)


def _several(build: Callable[[], object]) -> Callable[[], object]:
    return lambda: [build() for _ in range(_CLIENTS)]
