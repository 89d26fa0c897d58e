"""A server to record from, and a place for the cassette."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.testing.stream_server import StreamServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[StreamServer]:
    with StreamServer() as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "test_it" / "test_one.yaml"
