"""What a reply of 4,000 tokens x 20 alternatives keeps in memory, and the most that reading it takes.

Run as a script it measures one contestant, in a process of its own.
"""

from __future__ import annotations

import functools
import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import decoding
import payloads
from harness import NEAR, OURS, Sample, Scenario, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = "4000x20"
MEGABYTE = 1e6
COMPACT = "nxlog, compact()"


def scenarios() -> Iterator[Scenario]:
    """Kept and peak."""
    names = [*decoding.decoders(SIZE), COMPACT]
    size = len(payloads.body(SIZE)) / MEGABYTE
    target = Target("value", size * NEAR, f"near the body ({size:.1f} MB): at most {size * NEAR:.1f} MB")
    for what, promise in (("kept", target), ("peak", None)):
        turns = {name: _turn(name, what) for name in names}
        yield Scenario(f"memory {what} {SIZE}", "MB", turns, reference="orjson.loads", target=promise, rounds=1)


def _turn(name: str, what: str) -> Callable[[], Sample]:
    return lambda: Sample(_measured(name)[what] / MEGABYTE)


@functools.cache  # allocations do not depend on the weather: one process tells all
def _measured(name: str) -> dict[str, int]:
    script = Path(__file__).resolve()
    done = subprocess.run([sys.executable, script, name], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _measure(name: str) -> dict[str, int]:
    read = decoding.decoders(SIZE)[OURS if name == COMPACT else name]
    body = payloads.body(SIZE)
    read(payloads.body("500x5"))  # caches and lazy imports
    gc.collect()
    tracemalloc.start()
    # The body is part of the account, as it is in a program: it came from the network and is let go after reading.
    own = [bytes(bytearray(body))]
    tracemalloc.reset_peak()
    reply = read(own[0])
    kept = reply.logprobs.compact() if name == COMPACT else reply
    own.clear()
    del reply
    gc.collect()
    now, peak = tracemalloc.get_traced_memory()
    assert kept is not None
    return {"kept": now, "peak": peak}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1])))
