"""Fifty conversations of two turns with a tool, on a real model: every number is the model's, and no kill loses one.

Real: llama.cpp with a tiny model whose weights NumPy reads too, the client, the tokenizer, files, and in the second
test a process of its own, which is killed with SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import numpy as np
import pytest

from nxlog.local import LocalEngine
from nxlog.rendering import load
from nxlog.rollout import Ended, read_rollouts, text_drift
from tests.rl.cutting_proxy import CuttingProxy
from tests.rl.rollout_job import job
from tests.tools.numpy_llama import NumpyLlama
from tests.tools.rollout_truth import CONVERSATIONS, rescore
from tests.tools.tiny_gguf import train_vocabulary, write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nxlog.rollout import RolloutResult

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")]

ROOT = Path(__file__).parent.parent.parent
KILLS = (3, 40, 95)
"""How many turns are in the file when the process is killed."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Tokens that are parts of characters would be merged in llama.cpp's records, and such turns are not trainable.
    vocabulary = train_vocabulary(ascii_only=True)
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", vocabulary=vocabulary)


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[LocalEngine]:
    with LocalEngine(tiny, f32_kv=True) as started:
        yield started


@pytest.fixture(scope="module")
def score(tiny: Path) -> Callable[[Sequence[int], int], Sequence[float]]:
    model = NumpyLlama(tiny)

    def score(ids: Sequence[int], start: int) -> Sequence[float]:
        rows = model.logprobs(ids[:-1])
        return rows[np.arange(start - 1, len(ids) - 1), ids[start:]].tolist()

    return score


def check(results: Sequence[RolloutResult], score: Callable[[Sequence[int], int], Sequence[float]]) -> None:
    """All conversations are there once, and all that may be trained on is true."""
    assert len({result.trajectory.id for result in results}) == len(results) == CONVERSATIONS
    for result in results:
        roles = [step.turn.role for step in result.trajectory.steps]
        assert roles == ["user", "assistant", "tool", "assistant"]
        assert result.report.ended is Ended.MAX_TURNS
        assert result.trajectory.steps[3].check.ok
    found = rescore(results, score)
    assert (found.turns, found.untrainable) == (2 * CONVERSATIONS, [])
    assert found.tokens > 16 * CONVERSATIONS
    assert found.worst < 1e-3
    # llama.cpp's values are of the raw distribution, which at temperature 1 is the one that was sampled from.
    assert found.raw == found.tokens
    assert found.worst_ratio < 1e-3


def test_every_trainable_token_is_the_models(
    engine: LocalEngine, tiny: Path, score: Callable[[Sequence[int], int], Sequence[float]]
) -> None:
    results = list(anyio.run(job, engine.base_url, engine.api_key, tiny, None))
    check(results, score)
    # The comparison can fail: one token later, the numbers are others.
    shifted = rescore(results[:3], lambda ids, start: [*score(ids, start)[1:], 0.0])
    assert shifted.worst > 0.1
    # A client that keeps texts would have had other tokens in some of the turns, and other prompts behind them.
    drift = text_drift(results, load(tiny))
    assert (drift.turns, drift.prompts) == (2 * CONVERSATIONS, CONVERSATIONS)
    assert drift.retokenized > 0
    assert drift.breaks == sum(drift.causes.values()) > 0


def test_turns_that_broke_off_and_went_on_are_the_models(
    engine: LocalEngine, tiny: Path, score: Callable[[Sequence[int], int], Sequence[float]]
) -> None:
    port = int(engine.base_url.removesuffix("/v1").rpartition(":")[2])
    # A head has some 300 bytes, and an event of one token some 200.
    with CuttingProxy(port, [1500, 100, 2600, 900]) as proxy:
        results = list(anyio.run(job, f"http://127.0.0.1:{proxy.port}/v1", engine.api_key, tiny, None))
    check(results, score)
    resumed = sum(result.report.resumed_turns for result in results)
    assert proxy.cut >= resumed > CONVERSATIONS / 2
    parts = [step.turn.parts for result in results for step in result.trajectory.steps if step.turn.parts]
    assert len(parts) == resumed
    assert sum(result.report.lost_tokens for result in results) == 0


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_process_loses_nothing_and_doubles_nothing(
    engine: LocalEngine, tiny: Path, tmp_path: Path, score: Callable[[Sequence[int], int], Sequence[float]]
) -> None:
    path = tmp_path / "run.jsonl"
    kept = b""
    for turns in KILLS:
        with start(engine, tiny, path) as process:
            while turns_in(path) < turns:
                assert process.poll() is None, "the job ended before it could be killed"
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        content = path.read_bytes()
        assert content.startswith(kept)
        kept = content[: content.rfind(b"\n") + 1]
    before = turns_in(path)
    with start(engine, tiny, path) as process:
        said, _ = process.communicate()
    assert process.returncode == 0
    assert path.read_bytes().startswith(kept)
    # What was in the file was not sampled again.
    assert before + int(said) == 2 * CONVERSATIONS
    rows = [json.loads(line) for line in path.read_bytes().splitlines()][1:]
    assert set(Counter((row["trajectory"], row["kind"], row.get("step")) for row in rows).values()) == {1}
    results = list(read_rollouts(path))
    assert any(result.report.resumed for result in results)
    check(results, score)


def start(engine: LocalEngine, model: Path, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.rl.rollout_job", engine.base_url, str(model), str(path)]
    environment = {**os.environ, "JOB_KEY": engine.api_key, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def turns_in(path: Path) -> int:
    """How many turns of the model are in whole lines of the file."""
    if not path.exists():
        return 0
    lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
    return sum(b'"role":"assistant"' in line for line in lines)
