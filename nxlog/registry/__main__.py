"""``python -m nxlog.registry``: compile the TOML files; ``--check``: say which results are stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nxlog.errors import RegistryError
from nxlog.registry.compile import stale, write


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0, or 1 when stale, or 2 when a file is broken."""
    parser = argparse.ArgumentParser(prog="python -m nxlog.registry", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the stale files")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the project's directory")
    options = parser.parse_args(arguments)
    root: Path = options.root
    if not (root / "providers").is_dir():
        sys.stderr.write(f"{root} has no providers/: this is for a checkout of the project\n")
        return 2
    try:
        paths = stale(root) if options.check else write(root)
    except RegistryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for path in paths:
        sys.stdout.write(f"{'stale' if options.check else 'wrote'} {path}\n")
    return 1 if options.check and paths else 0


if __name__ == "__main__":
    sys.exit(main())
