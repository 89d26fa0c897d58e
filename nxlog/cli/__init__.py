"""The ``nxlog`` command; it needs the extra ``nxlog[cli]``."""

from __future__ import annotations

import sys

_NEEDED = {"typer", "rich"}


def main() -> None:
    """Run the command. Without its libraries: one line that says what to install, and exit status 2."""
    try:
        from nxlog.cli.app import app  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(f"nxlog: the command needs {error.name}: run `pip install 'nxlog[cli]'`\n")
        sys.exit(2)
    app(prog_name="nxlog")
