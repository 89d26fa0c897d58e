"""Tokens from a function of the user, asked before every attempt."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import anyio.to_thread

from nxlog.auth.credential import Grant, Source, checked_key
from nxlog.errors import AuthenticationError, InvalidRequestError, MissingKeyError, NxlogError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nxlog.exchange import HttpRequest


class TokenCallback(Source):
    """Calls a function for each attempt; keeping and refreshing the token is the function's business.

    Args:
        callback: returns the token; in ``AsyncClient`` also an awaitable of it.
        present: makes headers of a token.
    """

    renewable = True

    def __init__(self, callback: Callable[[], object], present: Callable[[str], Mapping[str, str]]) -> None:
        self._callback = callback
        self._present = present
        # An object with __call__ counts as what that method is.
        self._is_async = any(map(inspect.iscoroutinefunction, (callback, type(callback).__call__)))

    def grant(self, request: HttpRequest) -> Grant:  # noqa: ARG002 - a token fits every request
        """The token as it is now."""
        try:
            token = self._callback()
        except NxlogError:
            raise
        except Exception as error:
            raise _failed(error) from error
        if inspect.isawaitable(token):
            if inspect.iscoroutine(token):
                token.close()
            raise InvalidRequestError("api_key: an async callback needs AsyncClient", param="api_key")
        return self._granted(token)

    async def agrant(self, request: HttpRequest) -> Grant:  # noqa: ARG002 - as above
        """The same. A function that may block runs in a thread."""
        try:
            if self._is_async:
                token = self._callback()
            else:
                (token,) = await anyio.to_thread.run_sync(self._boxed, abandon_on_cancel=True)
            if inspect.isawaitable(token):
                token = await token
        except NxlogError:
            raise
        except Exception as error:
            raise _failed(error) from error
        return self._granted(token)

    def _boxed(self) -> tuple[object]:
        # trio refuses a function that returns a coroutine from a thread.
        return (self._callback(),)

    def _granted(self, token: object) -> Grant:
        checked = checked_key(token, subject="what the callback returned ")
        if checked is None:
            raise MissingKeyError("api_key: the callback returned no token", param="api_key")
        return Grant(self._present(checked), (checked,))


def _failed(error: Exception) -> AuthenticationError:
    # The text of the error is the callback's, and may quote the token; it stays in __cause__.
    return AuthenticationError(f"api_key: the callback raised {type(error).__name__}", param="api_key")
