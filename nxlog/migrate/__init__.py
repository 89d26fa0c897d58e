"""Moving code to first-class logprobs: what ``nxlog migrate`` does. It needs the extra ``nxlog[migrate]``.

``migrate_source`` takes the source of a module and returns a ``Migration``: the new source, and a ``Finding`` for every
place that asks for logprobs. ``python_files``, ``read`` and ``write`` deal with files; nothing else here touches one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nxlog.migrate.files import Source, UnreadableError, python_files, read, write
from nxlog.migrate.findings import Finding, Migration, Outcome

if TYPE_CHECKING:
    from nxlog.migrate.source import migrate_source

__all__ = [
    "Finding",
    "Migration",
    "Outcome",
    "Source",
    "UnreadableError",
    "migrate_source",
    "python_files",
    "read",
    "write",
]


def __getattr__(name: str) -> object:
    # libcst is an extra, and takes a while to load.
    if name == "migrate_source":
        from nxlog.migrate.source import migrate_source  # noqa: PLC0415 - see above

        return migrate_source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
