"""Everything nxlog raises, in one tree.

::

    NxlogError
    ├── RequestError                    the request cannot be sent as it is; nothing left the process
    │   ├── InvalidRequestError         a field of the request is wrong
    │   ├── UnknownProviderError        no such provider in the registry
    │   ├── MissingKeyError             the provider needs a key and none was found
    │   ├── RegistryError               a file or entry of the registry is wrong
    │   └── UnsupportedParameterError   on_unsupported="raise" and a field cannot be delivered
    ├── TransportError                  no complete HTTP response arrived
    │   ├── ConnectError                could not connect (refused, DNS, TLS, proxy)
    │   ├── NetworkError                the connection broke while in use
    │   ├── ProtocolError               the peer does not speak HTTP
    │   └── TimeoutError                connect, read, write, pool or the total deadline
    ├── StatusError                     the server answered with an error status, or an error in a 200 stream
    │   ├── BadRequestError             400, 413, 422 and other 4xx
    │   ├── AuthenticationError         401
    │   ├── PermissionDeniedError       403
    │   ├── NotFoundError               404
    │   │   └── ResponseNotFoundError   no stored response has this id
    │   ├── RateLimitError              429
    │   └── ServerError                 5xx
    ├── ResponseError                   a response arrived that cannot be understood
    │   ├── DecodeError                 not JSON, wrong content type, empty, or not the wire's shape
    │   ├── RedirectError               3xx: the base_url is wrong, the key is not sent elsewhere
    │   ├── TurnError                   a turn was to be trainable and is not
    │   ├── ResponseTooLargeError       the body or one stream event exceeds its bound
    │   └── IncompleteStreamError       the stream ended without its end mark
    └── LocalEngineError                the embedded engine or its model is missing or broken

Every error carries ``provider, model, status_code, code, param, request_id, retry_after, body``; the body is
bounded and scrubbed of the key that was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

MAX_BODY = 4096
"""How much of a response body an error keeps, in characters."""

_CONTEXT = ("provider", "model", "status_code", "code", "param", "request_id", "retry_after", "body")


class NxlogError(Exception):
    """Base of all errors of nxlog.

    Attributes:
        message: one line that says what is wrong and, where known, the fix.
        provider: id of the provider the call was for.
        model: model name as it was asked for.
        status_code: HTTP status, when a response arrived.
        code: the server's own error code or type.
        param: the request field the server named.
        request_id: the server's id of the request, for its support.
        retry_after: seconds the server asked to wait.
        body: the response body, bounded to ``MAX_BODY`` characters and without the key.
    """

    retryable: bool = False
    """Whether the same request may succeed when it is sent again."""

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message: str = message
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after = retry_after
        self.body: str | None = None if body is None else body[:MAX_BODY]

    def add_context(self, *, provider: str | None, model: str | None) -> Self:
        """Fill in where the call was going; what is already known stays."""
        self.provider = self.provider or provider
        self.model = self.model or model
        return self

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Pass every text that the server may have written through ``change``."""
        self.message = change(self.message)
        self.args: tuple[Any, ...] = (self.message,)
        for name in ("code", "param", "request_id", "body"):
            value = getattr(self, name)
            if isinstance(value, str):
                setattr(self, name, change(value))

    def __str__(self) -> str:
        where = "/".join(part for part in (self.provider, self.model) if part)
        return f"{self.message} [{where}]" if where else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles positional arguments only; ours are keywords.
        return _rebuild, (type(self), self.message, {name: getattr(self, name) for name in _CONTEXT})


def _rebuild(cls: type[NxlogError], message: str, context: dict[str, Any]) -> NxlogError:
    return cls(message, **context)


class RequestError(NxlogError):
    """The request cannot be sent as it is; nothing left the process."""


class InvalidRequestError(RequestError):
    """A field of the request is wrong; ``param`` names it."""


class UnknownProviderError(RequestError):
    """No such provider in the registry."""


class MissingKeyError(RequestError):
    """The provider needs a key and none was given or found in the environment."""


class RegistryError(RequestError):
    """A file or entry of the registry is wrong; the message names file, field and fix."""


class UnsupportedParameterError(RequestError):
    """``on_unsupported="raise"``: a requested field cannot be delivered; ``param`` names it."""


class TransportError(NxlogError):
    """No complete HTTP response arrived."""

    retryable = True


class ConnectError(TransportError):
    """Could not connect: refused, unknown host, TLS or proxy failure."""


class NetworkError(TransportError):
    """The connection broke while in use."""


class ProtocolError(TransportError):
    """The peer does not speak HTTP, or broke its rules."""


class TimeoutError(TransportError):  # noqa: A001 - the field's name; always reached as nxlog.TimeoutError
    """Connecting, reading, writing, waiting for a connection, or the total deadline took too long."""


class StatusError(NxlogError):
    """The server answered with an error."""


class BadRequestError(StatusError):
    """400, 413, 422 and every other 4xx without a class of its own."""


class AuthenticationError(StatusError):
    """401: the key is missing or wrong. Without a status: no token could be had."""


class PermissionDeniedError(StatusError):
    """403: the key may not do this."""


class NotFoundError(StatusError):
    """404: the model, or the path under the base_url, does not exist."""


class ResponseNotFoundError(NotFoundError):
    """No stored response has this id: unknown, expired, never stored, or not an id; 404 or 400, as the server likes."""


class RateLimitError(StatusError):
    """429: too many requests, or no quota left."""

    retryable = True


class ServerError(StatusError):
    """5xx, an error without a status inside a stream, or a server that believes its client has gone."""

    retryable = True


class ResponseError(NxlogError):
    """A response arrived that cannot be understood."""


class DecodeError(ResponseError):
    """Not JSON, the wrong content type, empty, or not the shape of the wire."""


class RedirectError(ResponseError):
    """The server redirects; nxlog does not follow, because the key would go along."""


class TurnError(ResponseError):
    """``strict=True``: the turn is not trainable; the message says why."""


class ResponseTooLargeError(ResponseError):
    """The body, or one event of a stream, exceeds its bound."""


class IncompleteStreamError(ResponseError):
    """The stream ended without its end mark; ``stream.response`` holds what arrived."""

    retryable = True


class LocalEngineError(NxlogError):
    """The embedded engine or its model is missing or broken."""


_BY_STATUS: dict[int, type[StatusError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
}


def error_class(status_code: int) -> type[StatusError]:
    """The class for an HTTP error status.

    >>> error_class(429).__name__, error_class(418).__name__, error_class(503).__name__
    ('RateLimitError', 'BadRequestError', 'ServerError')
    """
    if status_code >= 500:
        return ServerError
    return _BY_STATUS.get(status_code, BadRequestError)
