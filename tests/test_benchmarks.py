"""The benchmark runs and prints its tables. Nothing here looks at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "run.py"


def test_decoding_is_measured_and_shown_beside_its_targets() -> None:
    # Real: bodies, decoding and the delivery check. The fake server is not started for this part.
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--only", "decode", "--rounds", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    promised = {row[0]: row for row in rows if len(row) == 6}
    for size in ("500x5", "4000x20"):
        row = promised[f"decode {size}"]
        assert row[1].endswith("ms")
        assert row[4] == "at most 1.0x"
        # Without orjson, which is in the extra "bench" only, there is nothing to compare with.
        assert row[5] in {"MET", "NOT MET", "not measured"}
    measured = {(row[0], row[1]) for row in rows if len(row) == 5}
    assert {("decode 500x5", "nxlog"), ("decode and walk 4000x20", "json.loads")} <= measured


def test_the_replies_with_token_ids_make_whole_turns_in_a_file() -> None:
    # Real: all of it, for one conversation. That every turn is trainable and goes on is asserted in there.
    code = "import trajectories; trajectories.stream(1, lambda count: print(count, end=' '))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SCRIPT.parent)
    assert done.stdout.split() == [str(count) for count in range(1, 11)]
