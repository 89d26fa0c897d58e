"""Files as they lie about: what is found, what is passed over, and how they are written. All of it is a real disk."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from nxlog.migrate import UnreadableError, python_files, read, write

if TYPE_CHECKING:
    from pathlib import Path

BOM = b"\xef\xbb\xbf"


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n", encoding="utf-8")


def found(*paths: Path, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in python_files(paths)]


def test_what_is_found(tmp_path: Path) -> None:
    put(tmp_path, "b.py", "a.py", "deep/er/c.py", "notes.txt", "stub.pyi", "script")
    assert found(tmp_path, root=tmp_path) == ["a.py", "b.py", "deep/er/c.py"]
    assert found(tmp_path / "script", root=tmp_path) == ["script"], "a file that is named is read whatever its name"
    assert found(tmp_path / "a.py", tmp_path, root=tmp_path) == ["a.py", "b.py", "deep/er/c.py"], "once each"


def test_what_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, ".git/a.py", ".venv/a.py", "venv/a.py", "node_modules/a.py", "__pycache__/a.py", ".hidden/a.py")
    put(tmp_path, "env39/pyvenv.cfg", "env39/lib/a.py", "lib/site-packages/a.py", "env/settings.py")
    assert found(tmp_path, root=tmp_path) == ["env/settings.py"], "env without pyvenv.cfg is a package like any other"
    assert found(tmp_path / ".hidden", root=tmp_path) == [".hidden/a.py"], "what is named is not passed over"


def test_links_are_not_followed_below_a_directory(tmp_path: Path) -> None:
    put(tmp_path, "outside/a.py", "inside/b.py")
    (tmp_path / "inside/loop").symlink_to(tmp_path / "inside", target_is_directory=True)
    (tmp_path / "inside/a.py").symlink_to(tmp_path / "outside/a.py")
    (tmp_path / "inside/broken.py").symlink_to(tmp_path / "nowhere.py")
    assert found(tmp_path / "inside", root=tmp_path) == ["inside/b.py"]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("x = 'é'\r\n".encode(), "utf-8"),
        (BOM + "x = 'é'\n".encode(), "utf-8-sig"),
        ("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), "iso-8859-1"),
        ("\n# vim: set fileencoding=cp1252 :\nx = '€'\r".encode("cp1252"), "cp1252"),
    ],
    ids=["utf-8", "bom", "latin-1", "cp1252"],
)
def test_bytes_come_back(tmp_path: Path, data: bytes, encoding: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    source = read(path)
    assert source.encoding == encoding
    assert "\ufeff" not in source.text
    write(source, source.text)
    assert path.read_bytes() == data
    write(source, source.text.replace("x", "y"))
    assert path.read_bytes() == data.replace(b"x =", b"y =").replace(b"x", b"x")


@pytest.mark.parametrize("data", [b"x = '\xff'\n", b"# coding: no-such-codec\n", BOM + b"# coding: latin-1\n"])
def test_bytes_that_are_no_text(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.py").write_bytes(data)
    with pytest.raises(UnreadableError, match="encoding"):
        read(tmp_path / "a.py")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="cannot be opened"):
        read(tmp_path / "a.py")


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "run.py"
    path.write_text("x = 1\n")
    path.chmod(0o750)
    write(read(path), "x = 2\n")
    assert path.read_text() == "x = 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_is_named_stays_a_link(tmp_path: Path) -> None:
    put(tmp_path, "real/a.py")
    link = tmp_path / "a.py"
    link.symlink_to(tmp_path / "real/a.py")
    write(read(link), "x = 2\n")
    assert link.is_symlink()
    assert (tmp_path / "real/a.py").read_text() == "x = 2\n"


def test_a_file_that_has_changed_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    source = read(path)
    path.write_text("x = 3\n")
    with pytest.raises(OSError, match="changed"):
        write(source, "x = 2\n")
    assert path.read_text() == "x = 3\n"


def test_a_write_that_fails_leaves_the_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    source = read(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(source, "x = 2\n")
    assert path.read_text() == "x = 1\n"
    assert list(tmp_path.iterdir()) == [path]
