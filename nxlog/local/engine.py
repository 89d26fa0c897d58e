"""llama.cpp in this process, reached over loopback like any other server.

``xllamacpp.Server`` opens an HTTP port whenever it is built. It is bound to loopback and guarded by a random key, and
the client talks to it as to a server far away, so that one code path is tested and used everywhere.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import secrets
import socket
import stat
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from nxlog.errors import LocalEngineError
from nxlog.local.model import ALIAS, FILE, find_model

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType, TracebackType
    from typing import Self

_SILENT = -1
_VERBOSE = 3
_IDLE_POLL = 1.1
"""Seconds between two looks at a busy engine. It notices that a client has gone only after a second in which nothing
happens, and looking at it counts as something."""

_owner: int | None = None
"""The process that started llama.cpp; its threads do not follow into a forked child."""
_inherited: list[Any] = []
"""In a forked child, the parent's servers: destroying one would wait for threads that are not there."""


class LocalEngine:
    """A GGUF model served on loopback by llama.cpp, running from construction until ``close``.

    Args:
        model: a GGUF file; without it ``NXLOG_MODEL``, then the packaged model (see ``find_model``).
        alias: the model name that replies carry.
        n_ctx: context length in tokens, capped by what the model was trained for.
        n_threads: threads for the computation. One is the default on purpose: results are then bit-identical from run
            to run, and more threads than idle cores make llama.cpp slower, not faster.
        f32_kv: keep keys and values in 32-bit floats and switch flash attention off. Slower; log-probabilities
            then agree with the exact ones to about 1e-5 instead of 1e-2.
        verbose: let llama.cpp write its log to stderr.

    Raises:
        LocalEngineError: xllamacpp or the model is missing, or llama.cpp cannot load it.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        alias: str | None = None,
        n_ctx: int = 4096,
        n_threads: int = 1,
        f32_kv: bool = False,
        verbose: bool = False,
    ) -> None:
        xllamacpp = _import_xllamacpp()
        self.path: Path = find_model(model)
        self.model: str = alias or (ALIAS if self.path.name == FILE else self.path.stem)
        self.api_key: str = secrets.token_hex(16)

        params = xllamacpp.CommonParams()
        params.model.path = str(self.path)
        params.model_alias = {self.model}
        params.n_ctx = n_ctx
        params.n_parallel = 1
        params.cpuparams.n_threads = n_threads
        params.cpuparams_batch.n_threads = n_threads
        params.n_gpu_layers = 0  # the same numbers on every machine
        params.warmup = False
        params.fit_params = False
        params.cache_ram_mib = 0
        params.verbosity = _VERBOSE if verbose else _SILENT
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [self.api_key]
        params.ui = False
        params.endpoint_slots = False
        params.endpoint_metrics = True  # close() asks it whether requests are in flight
        if f32_kv:
            params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
            params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
            params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED

        server = _start(xllamacpp, params, self.path)
        self.base_url: str = f"{server.listening_address}/v1"
        # Runs once: from close(), when the engine is collected, or when the interpreter exits.
        self._finalizer = weakref.finalize(self, _stop, [server], os.getpid())

    @property
    def closed(self) -> bool:
        """Whether the engine was stopped."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Stop the engine and close its port; calling it again does nothing.

        Requests still in flight are cut off, which takes a second.
        """
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.base_url
        return f"<LocalEngine {self.model} {state}>"


_default: LocalEngine | None = None
_default_lock = threading.Lock()


def default_engine() -> LocalEngine:
    """The engine that this process shares; it starts when it is first asked for and stops at exit.

    A forked child gets its parent's engine, which answers it as long as the parent lives.
    """
    global _default  # noqa: PLW0603 - one engine per process is the point
    with _default_lock:
        if _default is None or _default.closed:
            _default = LocalEngine()
        return _default


def _import_xllamacpp() -> ModuleType:
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as exc:
        raise LocalEngineError(
            f"the embedded engine needs xllamacpp: run `pip install 'nxlog[local]'` ({exc})"
        ) from exc


def _start(xllamacpp: ModuleType, params: Any, path: Path) -> Any:
    global _owner  # noqa: PLW0603 - a fact about the process
    if _owner not in {None, os.getpid()}:
        raise LocalEngineError(
            "the embedded engine cannot start in a process forked from one that used it: use the start method"
            " 'spawn', or the parent's engine"
        )
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as exc:
        raise LocalEngineError(f"llama.cpp cannot load {path}: {exc}") from exc
    _owner = os.getpid()
    return server


def _stop(holder: list[Any], owner: int) -> None:
    if os.getpid() != owner:
        _inherited.extend(holder)
        return
    server = holder[0]
    _drain(server)
    # Destroying the object stops the threads and closes the port. It holds the interpreter lock while it waits for
    # requests in flight, so it must not start before they are gone.
    del server
    holder.clear()


def _drain(server: Any) -> None:
    port = int(server.listening_address.rsplit(":", 1)[1])
    while True:
        _hang_up(port)
        if not _busy(server):
            return
        time.sleep(_IDLE_POLL)


def _busy(server: Any) -> bool:
    counts = re.findall(r"^llamacpp:requests_(?:processing|deferred) (\d+)", server.handle_metrics(), re.MULTILINE)
    return any(int(count) for count in counts)


def _hang_up(port: int) -> None:
    """Shut this process's own connections to ``port``, so that llama.cpp drops what it computes for them.

    Where the open files of a process cannot be listed (Windows) the requests run to their end.
    """
    with contextlib.suppress(OSError):
        for entry in os.listdir("/dev/fd"):  # noqa: PTH208 - descriptors, not paths
            with contextlib.suppress(OSError):
                _shut_if_connected(int(entry), port)


def _shut_if_connected(descriptor: int, port: int) -> None:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return
    # A duplicate: closing it leaves the owner's descriptor alone.
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family == socket.AF_INET and connection.getpeername() == ("127.0.0.1", port):
            connection.shutdown(socket.SHUT_RDWR)
