"""What every test of the command starts from: no key, no color, no registry of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nxlog.local import default_engine, engine
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNSET = (
    "NO_COLOR",
    "FORCE_COLOR",
    "COLORTERM",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "NXLOG_MODEL",
    "NXLOG_TRACEBACK",
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NXLOG_REGISTRY", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def embedded(tiny: Path) -> Iterator[None]:
    """One embedded engine, on the tiny model, for every command of a file that runs in process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NXLOG_MODEL", str(tiny))
        patch.setattr(engine, "_default", None)
        with default_engine():
            yield
