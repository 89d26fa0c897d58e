"""The wire formats, by name. Each module has the same shape (``Wire``) and does no I/O."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from nxlog.wire.base import Wire

NAMES = (
    "openai-chat",
    "openai-completions",
    "openai-responses",
    "anthropic-messages",
    "gemini",
    "cohere-chat",
    "bedrock-converse",
    "ollama",
    "llamacpp",
    "sglang-generate",
    "vllm-generate",
    "tgi",
    "together-columns",
)
"""Every wire; a wire is the module of its name, imported when it is first spoken."""


@functools.cache
def get_wire(name: str) -> Wire:
    """The wire of that name.

    Raises:
        InvalidRequestError: nxlog does not speak it.
    """
    if name not in NAMES:
        raise InvalidRequestError(f"wire: unknown name {name!r}; one of {', '.join(NAMES)}", param="wire")
    wire: Wire = importlib.import_module(f"nxlog.wire.{name.replace('-', '_')}").WIRE
    return wire
