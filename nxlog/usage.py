"""``Usage``: the tokens that a server counted."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Usage(BaseModel):
    """Tokens counted by the server. None is what it did not say."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """Generated tokens, of all choices where the server sums them; reasoning included."""
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
