"""``python -m nxlog.cli`` is ``nxlog``."""

from __future__ import annotations

from nxlog.cli import main

main()
