"""Trajectories in files: written turn by turn, safe to append to, read back as equal objects.

::

    with open_writer("run.jsonl") as out:
        ...
        out.write(trajectory)  # what is not in the file yet
    for trajectory in read_trajectories("run.jsonl"):
        ...

The suffix says the format. ``.jsonl`` and ``.arrow`` (Arrow's IPC stream, extra ``arrow``) are one file each, to which
every row is written at once. ``.parquet`` (extra ``arrow``), ``.npz`` and ``.safetensors`` (extra ``tensors``) keep an
index and cannot grow, so they are directories of parts, each of which is whole or absent.
"""

from __future__ import annotations

from nxlog.export.files.reader import read_trajectories
from nxlog.export.files.writer import TrajectoryWriter, open_writer

__all__ = ["TrajectoryWriter", "open_writer", "read_trajectories"]
