"""Rollouts in files: rows that keep their names, shards, and what is left when a run is killed anywhere.

Real: files, sockets on loopback, the client. Made up: what is sampled, by ``id_server``; a kill is here a file that
ends anywhere (a real one is in ``test_rollout_kill``).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from nxlog.errors import InvalidRequestError
from nxlog.export.files import read_trajectories
from nxlog.request import Tool
from nxlog.rollout import Shard, Task, read_rollouts, shard_path
from nxlog.rollout.task import rows
from tests.fault_server import FaultServer
from tests.rl.id_server import whole
from tests.rl.test_rollout import renderer, run, say

if TYPE_CHECKING:
    from pathlib import Path

    from nxlog.rendering import Renderer
    from nxlog.rollout import Rollout
    from nxlog.trajectory import Step, Trajectory

__all__ = ["renderer"]

pytestmark = [pytest.mark.network, pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")]

TASKS = ["Hello", "Hello", "Who is there?", {"prompt": "Why?", "level": 2}]


# -- rows --------------------------------------------------------------------------------------------------------------


def ids_of(tasks: Any, settings: dict[str, Any] | None = None, shard: Shard | None = None) -> list[str]:
    return [row for row, _ in rows(tasks, settings or {"model": "m"}, shard or Shard())]


def test_a_row_is_named_after_what_is_asked() -> None:
    first, second, *others = ids_of(TASKS)
    assert (first.removesuffix("-0"), first[-2:], second[-2:]) == (second.removesuffix("-1"), "-0", "-1")
    assert len({first, second, *others}) == len(TASKS)
    # In every process, on every machine.
    assert first == "d4928f11070c6fa4f8adb602b9649e17-0"
    assert sorted(ids_of(reversed(TASKS))) == sorted(ids_of(TASKS))
    assert not set(ids_of(TASKS, {"model": "n"})) & set(ids_of(TASKS))
    tool = {"type": "function", "function": {"name": "add"}}
    assert ids_of(TASKS, {"tools": [Tool.model_validate(tool)]}) == ids_of(TASKS, {"tools": [tool]})


def test_spellings_of_a_task() -> None:
    messages = [{"role": "user", "content": "Why?"}]
    for task in ("Why?", messages, {"prompt": "Why?"}, {"prompt": messages}, {"messages": messages}, Task(messages)):
        assert Task.of(task) == Task(messages)
    row = {"messages": messages, "level": 2, "request": {"max_tokens": 5}}
    assert Task.of(row) == Task(messages, {"level": 2}, {"max_tokens": 5})
    for wrong in (3, [], [3], ["Why?"], {}, {"text": "Why?"}, {"prompt": "Why?", "messages": messages}):
        with pytest.raises(InvalidRequestError):
            Task.of(wrong)  # type: ignore[arg-type]


def test_shards_are_a_partition() -> None:
    tasks = [f"task {number // 2}" for number in range(200)]
    all_of_them = ids_of(tasks)
    shards = [ids_of(tasks, shard=Shard(index, 7)) for index in range(7)]
    assert sorted(row for shard in shards for row in shard) == sorted(all_of_them)
    assert all(shards)
    # The same task more than once is in one shard, whose server has it in its cache.
    for shard in shards:
        assert set(Counter(row.split("-")[0] for row in shard).values()) == {2}


def test_spellings_of_a_shard() -> None:
    assert [Shard.of(one) for one in (None, "2/5", (2, 5), Shard(2, 5))] == [Shard(), *[Shard(2, 5)] * 3]
    for wrong in ("5/5", "-1/5", "2", "a/b", (1,), 3):
        with pytest.raises(InvalidRequestError):
            Shard.of(wrong)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_each_shard_has_its_file(renderer: Renderer, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with FaultServer(whole) as server:
        for index in range(2):
            await run(server, renderer, TASKS, path=path, shard=f"{index}/2")
    found = [list(read_rollouts(shard_path(path, Shard(index, 2)))) for index in range(2)]
    assert sum(map(len, found)) == len(TASKS)
    assert not path.exists()


# -- after a kill ------------------------------------------------------------------------------------------------------


async def _all(renderer: Renderer, path: Path) -> tuple[Rollout, int]:
    with FaultServer(whole) as server:
        found = await run(server, renderer, TASKS, path=path, environment=say("More", "And?"), concurrency=2)
        return found, len(server.requests)


@pytest.mark.parametrize("suffix", [".jsonl", ".arrow"])
def test_a_run_goes_on_wherever_it_was_killed(renderer: Renderer, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whole{suffix}"
    go = partial(_all, renderer)
    unbroken, requests = anyio.run(go, path)
    expected = {result.trajectory.id: result.trajectory for result in unbroken}
    content = path.read_bytes()
    assert requests == 3 * len(TASKS) == 3 * len(expected)
    for cut in sorted({*range(0, len(content), len(content) // 30), len(content)}):
        killed = tmp_path / f"killed-{cut}{suffix}"
        killed.write_bytes(content[:cut])
        there = _turns(killed)
        resumed, again = anyio.run(go, killed)
        # Nothing that was whole is asked for again, and nothing is missing or there twice.
        assert again == requests - there
        found = [result.trajectory for result in resumed]
        assert sorted(trajectory.id for trajectory in found) == sorted(expected)
        for trajectory in found:
            assert steps_of(trajectory) == steps_of(expected[trajectory.id])
        if suffix == ".jsonl":
            _check_lines(killed, content[:cut])
        killed.unlink()


def steps_of(trajectory: Trajectory) -> list[Step]:
    """The steps, without the ports of the servers."""
    return [replace(step, turn=replace(step.turn, endpoint=None)) for step in trajectory.steps]


def _turns(path: Path) -> int:
    if not path.stat().st_size:
        return 0
    try:
        return sum(step.turn.role == "assistant" for trajectory in read_trajectories(path) for step in trajectory.steps)
    except ValueError:
        return 0


def _check_lines(path: Path, before: bytes) -> None:
    """Whole lines stay as they were, and no step is there twice."""
    lines = path.read_bytes()
    kept = before[: before.rfind(b"\n") + 1]
    assert lines.startswith(kept)
    rows = [json.loads(line) for line in lines.splitlines()][1:]
    places = Counter((row["trajectory"], row["kind"], row.get("step")) for row in rows)
    assert set(places.values()) == {1}


@pytest.mark.anyio
async def test_two_runs_cannot_have_one_file(renderer: Renderer, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def second(_: object) -> None:
        with FaultServer(whole) as other, pytest.raises(InvalidRequestError, match="another run"):
            await run(other, renderer, path=path)

    with FaultServer(whole) as server:
        await run(server, renderer, path=path, environment=second)
        await run(server, renderer, path=path)  # and the lock is gone


@pytest.mark.anyio
async def test_a_file_that_does_not_grow_is_refused(renderer: Renderer, tmp_path: Path) -> None:
    with FaultServer(whole) as server, pytest.raises(InvalidRequestError, match=r"\.jsonl or \.arrow"):
        await run(server, renderer, path=tmp_path / "run.parquet")


@pytest.mark.anyio
async def test_a_file_of_somebody_else_stays_as_it_is(renderer: Renderer, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text('{"my": "notes"}\n')
    with FaultServer(whole) as server:
        for _ in range(2):  # no lock is left either
            with pytest.raises(ValueError, match=r"notes\.jsonl"):
                await run(server, renderer, path=path)
    assert path.read_text() == '{"my": "notes"}\n'
