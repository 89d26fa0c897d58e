"""``Rendered``: a prompt as its model reads it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array


class RenderSource(enum.StrEnum):
    """Who rendered a prompt."""

    RENDER = "render"
    """vLLM's render endpoint: exactly what the server would generate from."""
    TOKENIZE = "tokenize"
    """vLLM's tokenize endpoint, which applies the same template."""
    APPLY_TEMPLATE = "apply_template"
    """llama.cpp's template endpoint, and then its tokenizer."""
    LOCAL = "local"
    """A template and a tokenizer in this process."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as a prompt.

    Attributes:
        token_ids: int32.
        text: what the ids are of; None where the server does not say.
        source: who rendered it.
    """

    token_ids: array[int]
    text: str | None
    source: RenderSource
