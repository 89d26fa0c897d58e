"""How long a call may take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields
from typing import TypeAlias

from nxlog.errors import InvalidRequestError

TimeoutLike: TypeAlias = "Timeout | float | None"


@dataclass(frozen=True, slots=True)
class Timeout:
    """Limits in seconds; ``None`` means unbounded.

    Attributes:
        connect: to open the connection, TLS and proxy included, per address that is tried.
        read: between two pieces of the response; a model that thinks for longer trips it.
        write: to hand one piece of the request to the socket.
        pool: to wait for a free connection when all are busy.
        total: for the whole exchange, from the start of the call to the last byte, retries
            included. Async calls end on time. A sync call checks the clock between reads and
            shrinks the other limits to what is left when it starts to send and when the body
            starts, so it may end late by at most the ``read`` limit as it stood then.
    """

    connect: float | None = 10.0
    read: float | None = 120.0
    write: float | None = 60.0
    pool: float | None = 60.0
    total: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(f"timeout.{field.name}", getattr(self, field.name))

    @classmethod
    def of(cls, value: TimeoutLike) -> Timeout:
        """Read what a user may write: a ``Timeout``, a number, or ``None`` for no limit at all.

        A number is the ``total``, and caps the other limits.

        >>> Timeout.of(20.0)
        Timeout(connect=10.0, read=20.0, write=20.0, pool=20.0, total=20.0)
        """
        if isinstance(value, Timeout):
            return value
        if value is None:
            return cls(None, None, None, None, None)
        total = _check("timeout", value)
        plain = cls()
        connect, read, write, pool = (
            min(limit, total) for limit in (plain.connect, plain.read, plain.write, plain.pool) if limit is not None
        )
        return cls(connect=connect, read=read, write=write, pool=pool, total=total)

    def deadline(self) -> float | None:
        """When a call that starts now must be over, on the clock of ``time.monotonic``."""
        return None if self.total is None else time.monotonic() + self.total


def _check(name: str, value: object) -> float:
    """Return the limit as a float; ``None`` becomes infinity."""
    if value is None:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequestError(
            f"{name} must be a number of seconds or None, not {type(value).__name__}",
            param="timeout",
        )
    if not 0 < value < math.inf:
        raise InvalidRequestError(
            f"{name} must be more than 0 and finite (None means unbounded), not {value!r}",
            param="timeout",
        )
    return float(value)
