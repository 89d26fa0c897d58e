"""Trajectories in files: equal when read back, whole after a kill, one row at a time.

Real: pyarrow, NumPy and safetensors, and the files they write. A kill is a file that ends anywhere.
"""

from __future__ import annotations

import gc
import json
import math
import shutil
from array import array
from typing import TYPE_CHECKING

import pytest

from nxlog.distribution import Distribution, DistributionSource
from nxlog.export.files import formats as formats_module
from nxlog.export.files import open_writer, read_trajectories
from nxlog.export.files.formats import SUFFIXES
from nxlog.trajectory import PrefixVerdict, Trajectory
from nxlog.turn import (
    CheckCode,
    Evidence,
    Sampling,
    ToolCallStatus,
    TopColumns,
    TurnCheck,
    TurnFinding,
    TurnTokenData,
    TurnToolCall,
    WeightVersion,
)
from nxlog.usage import Usage
from tests.rl.trajectory_turns import IM_END, chars, decode, pairs, result, sampled

if TYPE_CHECKING:
    from pathlib import Path

GROWING = (".jsonl", ".arrow")
every_format = pytest.mark.parametrize("suffix", SUFFIXES)
growing_format = pytest.mark.parametrize("suffix", GROWING)
PROMPT = chars("user hi")
CALL = [*chars("<call>look</call>"), IM_END]


def full(name: str = "full") -> Trajectory:
    """A trajectory with everything that a turn can have, and a prompt that departs."""
    call = sampled(
        PROMPT,
        CALL,
        output_logprobs=array("d", [math.nan, -math.inf, -0.1, *[-1 / 3] * (len(CALL) - 3)]),
        top=TopColumns(array("i", [0, 2, *[2] * (len(CALL) - 1)]), array("i", [5, -1]), array("d", [-0.5, math.nan])),
        reasoning="hm \u2028 \U0001f600",
        tool_calls=(TurnToolCall("c1", "look", "{", ToolCallStatus.INVALID_JSON, raw="<call>look</call>"),),
        sampling=Sampling(temperature=0.7, top_k=20, seed=1),
        distribution=Distribution.RAW,
        distribution_source=DistributionSource.MANIFEST,
        weight_versions=(WeightVersion("7", 0, 4), WeightVersion("8", 4, len(CALL))),
        usage=Usage(prompt_tokens=7, completion_tokens=len(CALL)),
        checks=TurnCheck((TurnFinding(CheckCode.MISSING, "null", 0),)),
        stop_reason=IM_END,
    )
    history = [*PROMPT, *chars("<call>"), *pairs("look</call>"), IM_END, *chars("42")]
    trajectory = Trajectory(
        [TurnTokenData(role="user", content="hi"), call, result("42"), sampled(history, [7, 8])],
        id=name,
        policy="realign",
        realign_limit=77,
        decode=decode,
        metadata={"task": "sums", "n": [1, None, 0.5]},
    )
    trajectory.add(sampled(None, [1], output_logprobs=None, evidence=Evidence.WIRE_TEXT, checks=None))
    return trajectory


def test_the_example_has_a_break() -> None:
    check = full().steps[3].check
    assert check is not None
    assert check.verdict is PrefixVerdict.REALIGN


@every_format
def test_what_is_read_is_what_was_written(suffix: str, tmp_path: Path) -> None:
    done, waiting = full("a"), full("b")
    done.finish(reward=0.5, solved=True)
    empty = Trajectory(id="c")
    with open_writer(tmp_path / f"run{suffix}") as out:
        assert [out.write(trajectory) for trajectory in (done, waiting, empty)] == [5, 5, 0]
        assert out.write(done) == 0
    found = list(read_trajectories(tmp_path / f"run{suffix}"))
    assert found == [done, waiting, empty]
    assert [trajectory.turn(3) for trajectory in found[:2]] == [done.turn(3), waiting.turn(3)]
    assert [list(branch.ids) for branch in found[0].branches()] == [list(branch.ids) for branch in done.branches()]


@every_format
def test_turn_by_turn_and_side_by_side(suffix: str, tmp_path: Path) -> None:
    """As a run writes them: several at a time, each after each of its turns."""
    turns = [full().turn(i) for i in range(5)]
    growing = [Trajectory(id=name, decode=decode) for name in ("a", "b", "c")]
    with open_writer(tmp_path / f"run{suffix}", part_bytes=3_000) as out:
        for turn in turns:
            for trajectory in growing:
                trajectory.add(turn)
                assert out.write(trajectory) == 1
        for trajectory in reversed(growing):
            trajectory.finish()
            out.write(trajectory)
    assert list(read_trajectories(tmp_path / f"run{suffix}")) == growing[::-1]
    if suffix not in GROWING:
        assert len(list((tmp_path / f"run{suffix}").iterdir())) > 2


@every_format
def test_a_run_is_taken_up_again(suffix: str, tmp_path: Path) -> None:
    path, turns = tmp_path / f"run{suffix}", [full().turn(i) for i in range(5)]
    with open_writer(path) as out:
        out.write(Trajectory(turns[:3], id="a", decode=decode))
    (trajectory,) = read_trajectories(path, decode=decode)
    with open_writer(path) as out:
        out.resume(trajectory)
        trajectory.add(turns[3])
        assert out.write(trajectory) == 1
        trajectory.add(turns[4])
        trajectory.finish(reward=1.0)
        assert out.write(trajectory) == 1
        out.write(full("b"))
    expected = Trajectory(turns, id="a", decode=decode)
    expected.finish(reward=1.0)
    assert list(read_trajectories(path)) == [expected, full("b")]


@every_format
def test_a_finished_trajectory_is_there_before_the_rest_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    first, second = full("a"), full("b")
    first.finish()
    with open_writer(path) as out:
        out.write(first)
        out.write(second)
    found = read_trajectories(path)
    assert next(found) == first


# -- kills -----------------------------------------------------------------------------------------------------------


@growing_format
def test_a_file_may_end_anywhere(suffix: str, tmp_path: Path) -> None:
    """Whatever a killed process left: what was whole is read, and the next run goes on behind it."""
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"run{suffix}"
    trajectory, sizes = full("a"), []
    growing = Trajectory(id="a", policy="realign", realign_limit=77, decode=decode, metadata=trajectory.metadata)
    with open_writer(whole) as out:
        for i in range(5):
            growing.add(trajectory.turn(i))
            out.write(growing)
            sizes.append(whole.stat().st_size)
    content = whole.read_bytes()
    assert len(content) == sizes[-1]
    for cut in [*range(sizes[0] - 40, sizes[0] + 40), *range(sizes[1] + 1, sizes[2], 61), sizes[3] - 1, sizes[3]]:
        path.write_bytes(content[:cut])
        kept = sum(size <= cut for size in sizes)
        assert sum(map(len, read_trajectories(path))) == kept
        with open_writer(path) as out:
            last = Trajectory(id="z")
            last.finish()
            out.write(last)
        assert [len(one) for one in read_trajectories(path)] in ([0, kept], [0])
        assert path.read_bytes().startswith(content[: ([0, *sizes])[kept]])


@growing_format
def test_a_file_may_end_in_its_head(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    open_writer(path).close()
    head = path.read_bytes()
    for cut in (0, 1, 5, len(head) // 2, len(head) - 1, len(head)):
        path.write_bytes(head[:cut])
        assert list(read_trajectories(path)) == []
        with open_writer(path) as out:
            out.write(full())
        assert list(read_trajectories(path)) == [full()]


@growing_format
def test_every_write_reaches_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    with open_writer(path, sync=True) as out:
        out.write(full())
        assert list(read_trajectories(path)) == [full()]


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix not in GROWING])
def test_a_part_is_whole_or_not_there(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    writer = open_writer(path, sync=True)
    writer.write(full("a"))
    assert list(path.iterdir()) == []
    writer.flush()
    assert [part.name for part in path.iterdir()] == [f"part-000000{suffix}"]
    (path / f"part-000001{suffix}.unfinished").write_bytes(b"half")
    assert list(read_trajectories(path)) == [full("a")]
    with open_writer(path) as out:
        out.write(full("b"))
    assert sorted(part.name for part in path.iterdir()) == [f"part-{i:06}{suffix}" for i in range(2)]
    assert list(read_trajectories(path)) == [full("a"), full("b")]
    shutil.copy(path / f"part-000000{suffix}", tmp_path / f"alone{suffix}")
    assert list(read_trajectories(tmp_path / f"alone{suffix}")) == [full("a")]


# -- what is not whole is not read as if it were ---------------------------------------------------------------------


def test_lines_that_are_missing_doubled_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    done = full("a")
    done.finish()
    with open_writer(path) as out:
        out.write(done)
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged, message in (
        ([*lines[:3], *lines[4:]], "step 2 does not follow 1 steps"),
        ([*lines[:4], *lines[3:]], "step 1 does not follow 2 steps"),
        ([*lines[:6], lines[-1]], "4 steps of 5"),
        ([lines[0], *lines[2:]], "a has no start"),
        ([*lines[:2], *lines[1:]], "a starts twice"),
        ([*lines[:3], b"{\n", *lines[4:]], "run.jsonl, line 4"),
        ([*lines[:3], b'{"trajectory": "a", "kind": "step"}\n'], "a step is broken"),
        ([*lines[:1], b'{"kind": "step"}\n'], "line 2"),
        (lines[1:], "does not start with"),
    ):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(ValueError, match=message):
            list(read_trajectories(path))


def test_damage_in_the_middle_of_an_arrow_file_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "run.arrow"
    with open_writer(path) as out:
        out.write(full("a"))
        first = path.stat().st_size
        out.write(full("b"))
    content = bytearray(path.read_bytes())
    content[first + 8 : first + 40] = b"\xff" * 32
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.arrow is broken"):
        list(read_trajectories(path))
    with pytest.raises(ValueError, match=r"run\.arrow is broken"):
        open_writer(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", [".arrow", ".parquet", ".npz", ".safetensors"])
def test_a_file_of_another_kind(suffix: str, tmp_path: Path) -> None:
    numpy, pa = pytest.importorskip("numpy"), pytest.importorskip("pyarrow")
    path, table = tmp_path / f"other{suffix}", pa.table({"a": [1]})
    if suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
    elif suffix == ".arrow":
        path.write_bytes(table.schema.serialize())
    elif suffix == ".npz":
        numpy.savez(path, a=numpy.zeros(1))
    else:
        pytest.importorskip("safetensors.numpy").save_file({"a": numpy.zeros(1)}, path)
    with pytest.raises(ValueError, match="does not say that it holds"):
        list(read_trajectories(path))


def test_a_suffix_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run\.csv: the suffix is none of \.jsonl, \.arrow"):
        open_writer(tmp_path / "run.csv")


@pytest.mark.parametrize(("suffix", "extra"), [(".parquet", "arrow"), (".npz", "tensors")])
def test_an_extra_that_is_missing_is_named(
    suffix: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(formats_module.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=rf"pip install 'nxlog\[{extra}\]'"):
        open_writer(tmp_path / f"run{suffix}")


# -- the files for others --------------------------------------------------------------------------------------------


def test_a_line_is_json_that_anybody_reads(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run.jsonl") as out:
        out.write(full())
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_bytes().splitlines()]
    step = lines[3]
    assert (step["trajectory"], step["kind"], step["step"]) == ("full", "step", 1)
    assert step["output_ids"] == CALL
    assert step["output_logprobs"][:4] == [None, "-Infinity", -0.1, -1 / 3]
    assert step["reason"] == "missing_logprob: null"


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_columns_can_be_queried(suffix: str, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / f"run{suffix}"
    with open_writer(path) as out:
        out.write(full())
    table = pq.read_table(path) if suffix == ".parquet" else pa.ipc.open_stream(path.read_bytes()).read_all()
    assert table.column("step").to_pylist() == [None, 0, 1, 2, 3, 4]
    assert table.column("role").to_pylist() == [None, "user", "assistant", "tool", "assistant", "assistant"]
    assert table.column("trainable").to_pylist() == [None, False, False, False, True, False]
    assert table.column("output_ids").to_pylist()[2] == CALL
    assert math.isnan(table.column("output_logprobs").to_pylist()[2][0])
    assert table.column("top_ids").to_pylist()[2:] == [[5, -1], None, None, None]


def test_the_writer_forgets_what_nobody_uses(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run.jsonl") as out:
        for i in range(20):
            out.write(full(str(i)))
        gc.collect()
        assert len(vars(out)["_written"]) == 0
    assert len(list(read_trajectories(tmp_path / "run.jsonl"))) == 20
