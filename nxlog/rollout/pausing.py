"""When a request that failed is sent again, in jobs that take hours: nearly always.

A server that says it is busy or paused is believed, and holds up every conversation at once.
"""

from __future__ import annotations

import re

import anyio

from nxlog.errors import (
    AuthenticationError,
    NotFoundError,
    NxlogError,
    PermissionDeniedError,
    RedirectError,
    RequestError,
    ResponseTooLargeError,
    StatusError,
)
from nxlog.retry import RetryPolicy

PATIENT = RetryPolicy(attempts=60, first_delay=1.0, factor=1.0)
"""A minute or so for a server to come back, for each turn."""

_HOPELESS = (
    *(AuthenticationError, PermissionDeniedError, NotFoundError, RequestError),
    *(RedirectError, ResponseTooLargeError),
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size"
    r"|maximum (?:context|model|sequence) length|context (?:length|window)"
    r"|available context size|prompt is too long|input (?:is|length is) too long|too many (?:input )?tokens",
    re.IGNORECASE,
)


def is_hopeless(error: NxlogError) -> bool:
    """Whether every further request would fail too: the key, the address, the model or the request is wrong."""
    return isinstance(error, _HOPELESS)


def is_too_long(error: NxlogError) -> bool:
    """Whether the server says that the conversation does not fit the model."""
    if not isinstance(error, StatusError) or error.status_code not in {400, 413, 422}:
        return False
    return any(text and _TOO_LONG.search(text) for text in (error.message, error.code, error.body))


def pause_of(error: NxlogError) -> float | None:
    """How many seconds the server asks everybody to wait; 0.0 where it does not say how many, None if it does not ask.

    503 is what a paused vLLM says. Agent-lightning and hosted services say 429 with ``Retry-After``.
    """
    if error.status_code == 503:
        return error.retry_after or 0.0
    return error.retry_after if error.status_code == 429 else None


class Gate:
    """Where every conversation waits while the server is paused."""

    def __init__(self) -> None:
        self._until: float = 0.0

    def close(self, seconds: float) -> None:
        """Let nobody pass for so long."""
        self._until = max(self._until, anyio.current_time() + seconds)

    async def passed(self) -> None:
        """Wait until it is open."""
        # Somebody may close it for longer in the meantime.
        while anyio.current_time() < self._until:  # noqa: ASYNC110 - it is a time, not an event
            await anyio.sleep_until(self._until)
