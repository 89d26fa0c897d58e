"""The embedded engine: a small real model, in this process, without a key or a server.

>>> from nxlog.local import LocalEngine
>>> with LocalEngine() as engine:  # doctest: +SKIP
...     Client(provider="local", base_url=engine.base_url, api_key=engine.api_key)

Needs the extra ``nxlog[local]`` and a model: ``nxlog local pull`` installs one, ``NXLOG_MODEL`` names your own GGUF.
"""

from __future__ import annotations

from nxlog.local.engine import LocalEngine, default_engine
from nxlog.local.model import MODEL_VARIABLE, find_model, pull

__all__ = ["MODEL_VARIABLE", "LocalEngine", "default_engine", "find_model", "pull"]
