"""One call as it is made, for those who watch: the logger ``nxlog``, and an ``Observer`` where telemetry is on.

Nothing here knows OpenTelemetry; ``nxlog.telemetry`` is an observer. Where nobody watches, ``watch`` gives an object
that does nothing.
"""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from nxlog.errors import InvalidRequestError
from nxlog.warnings import WarningSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from nxlog.call import Call
    from nxlog.exchange import HttpRequest
    from nxlog.response import ChatResponse
    from nxlog.warnings import ParameterWarning

logger = logging.getLogger("nxlog")
logger.addHandler(logging.NullHandler())


class Head(Protocol):
    """What an attempt gives back."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...


class Reader(Protocol):
    """What reads a stream."""

    @property
    def complete(self) -> bool:
        """Whether the stream came to its end."""
        ...

    @property
    def response(self) -> ChatResponse:
        """What has arrived so far."""
        ...


T = TypeVar("T")
HeadT = TypeVar("HeadT", bound=Head)
ErrorT = TypeVar("ErrorT", bound=BaseException)


class Observation(Protocol):
    """One call in the eyes of an observer. ``ended`` is the last that it hears."""

    def current(self) -> AbstractContextManager[Any]:
        """While it lasts, what is done is done on behalf of this call."""
        ...

    def warned(self, warning: ParameterWarning) -> None:
        """A requested field was dropped, changed or delivered in part."""
        ...

    def began(self, seconds: float) -> None:
        """The first chunk of a stream is here, so many seconds after the start."""
        ...

    def ended(
        self,
        response: ChatResponse | None,
        error: BaseException | None,
        *,
        seconds: float,
        attempts: int,
        status: int | None,
        complete: bool,
    ) -> None:
        """The call is over: with a reply, with an error, or, a stream, with a part and an error or none."""
        ...


class Observer(Protocol):
    """Whoever wants to know of calls."""

    def started(self, call: Call) -> Observation:
        """A call begins; nothing is sent yet."""
        ...


class _Everywhere:
    """The observer of the clients that have none of their own."""

    observer: Observer | None = None


def observe_all(observer: Observer | None) -> None:
    """Let an observer see the calls of every client that has none of its own; None ends that."""
    _Everywhere.observer = observer


def checked_observer(value: object) -> Observer | None:
    """The observer of a client.

    Raises:
        InvalidRequestError: it is none; as observers fail in silence, nobody would know.
    """
    if value is not None and not callable(getattr(value, "started", None)):
        raise InvalidRequestError(
            f"telemetry: must be a nxlog.telemetry.Telemetry, got {type(value).__name__}", param="telemetry"
        )
    return cast("Observer | None", value)


def watch(call: Call, observer: Observer | None, *, generates: bool = True) -> Watch | Unwatched:
    """What reports this call to whoever watches; one that generates nothing is no matter of observers."""
    observer = (observer or _Everywhere.observer) if generates else None
    if observer is None and not logger.isEnabledFor(logging.INFO):
        return UNWATCHED
    return Watch(call, None if observer is None else _quietly(lambda: observer.started(call)))


def _quietly(report: Callable[[], T]) -> T | None:
    """What the report gives, or None: an observer that fails must not take the call with it."""
    try:
        return report()
    except Exception as error:  # noqa: BLE001 - see above
        logger.warning("the observer of a call failed: %s", type(error).__name__)
        return None


class Unwatched:
    """Nobody watches."""

    __slots__ = ()

    def running(self) -> AbstractContextManager[Any]:
        """Around what may fail before there is a reply."""
        return _NOTHING

    def attempt(self, request: HttpRequest) -> Unwatched:  # noqa: ARG002 - the same as below
        """Around one HTTP request, up to its response or the head of it."""
        return self

    def answered(self, response: HeadT) -> HeadT:
        """The response of the attempt."""
        return response

    def opened(self) -> None:
        """A stream is open."""

    def chunks(self, chunks: Iterator[T]) -> Iterator[T]:
        """The same chunks."""
        return chunks

    def failed(self, error: ErrorT, reader: Reader | None = None) -> ErrorT:  # noqa: ARG002 - the same as below
        """The same error, which ended the call, a stream with what had arrived."""
        return error

    def replied(self, response: ChatResponse) -> None:
        """The whole reply is here."""

    def closed(self, reader: Reader | None) -> None:
        """The stream is closed, at its end or before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was begun."""


_NOTHING: AbstractContextManager[Any] = nullcontext()
UNWATCHED = Unwatched()


class Watch:
    """Somebody watches."""

    def __init__(self, call: Call, observation: Observation | None) -> None:
        self._call = call
        self._observation = observation
        self._start = time.monotonic()
        self._attempts = 0
        self._status: int | None = None
        self._told = 0
        self._begun = self._over = False

    def running(self) -> _Running:
        """Around what may fail before there is a reply."""
        return _Running(self, self._observation)

    def attempt(self, request: HttpRequest) -> _Attempt:
        """Around one HTTP request, up to its response or the head of it."""
        self._attempts += 1
        return _Attempt(self, request)

    def opened(self) -> None:
        """A stream is open."""
        self._tell()

    def chunks(self, chunks: Iterator[T]) -> Iterator[T]:
        """The same chunks."""
        return chunks if self._begun else self._first(chunks)

    def _first(self, chunks: Iterator[T]) -> Iterator[T]:
        for chunk in chunks:
            if not self._begun:
                self._begun = True
                self._report(lambda seen: seen.began(self._seconds))
            yield chunk

    def failed(self, error: ErrorT, reader: Reader | None = None) -> ErrorT:
        """The same error, which ended the call, a stream with what had arrived."""
        if not self._over:
            self._end(None if reader is None else reader.response, error, complete=False)
        return error

    def replied(self, response: ChatResponse) -> None:
        """The whole reply is here."""
        self._end(response, None, complete=True)

    def closed(self, reader: Reader | None) -> None:
        """The stream is closed, at its end or before."""
        if reader is not None and not self._over:
            self._end(reader.response, None, complete=reader.complete)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _tell(self) -> None:
        """Pass on the warnings that are new; not before the call is under way, which may find others first."""
        new = self._call.warnings[self._told :]
        self._told += len(new)
        for warning in new:
            if logger.isEnabledFor(logging.INFO):
                said = (warning.severity.value, warning.source.value, warning.code.value)
                logger.info("%s %s %s: %s", *said, self._call.hide(_worded(warning)))
            self._report(partial(_warn, warning=warning))

    def _report(self, report: Callable[[Observation], None]) -> None:
        seen = self._observation
        if seen is not None:
            _quietly(lambda: report(seen))

    def _end(self, response: ChatResponse | None, error: BaseException | None, *, complete: bool) -> None:
        if self._over:
            return
        self._over = True
        self._tell()
        seconds, call = self._seconds, self._call
        outcome = type(error).__name__ if error is not None else "complete" if complete else "closed before its end"
        logger.debug(
            "%s/%s: %s after %.3f s, %d attempts",
            *(call.target.provider, call.hide(call.target.model), outcome, seconds, self._attempts),
        )
        self._report(
            lambda seen: seen.ended(
                response, error, seconds=seconds, attempts=self._attempts, status=self._status, complete=complete
            )
        )

    def attempted(self, request: HttpRequest, status: int | None, error: BaseException | None, seconds: float) -> None:
        """One HTTP request is over."""
        self._status = status
        if logger.isEnabledFor(logging.DEBUG):
            outcome = status if error is None else type(error).__name__
            logger.debug(
                "%s %s: %s in %.3f s, attempt %d",
                *(request.method, self._call.hide(request_line(request.url)), outcome, seconds, self._attempts),
            )


def _worded(warning: ParameterWarning) -> str:
    """The warning for the log, without the server's words: they may quote the request."""
    if warning.source in {WarningSource.SERVER, WarningSource.LEARNED}:
        return f"{warning.parameter} [{warning.provider}/{warning.model}]"
    return str(warning)


def _warn(seen: Observation, *, warning: ParameterWarning) -> None:
    seen.warned(warning)


class _Running:
    """The observation is current inside, and an error that leaves is the end of the call."""

    __slots__ = ("_current", "_watch")

    def __init__(self, watch: Watch, observation: Observation | None) -> None:
        self._watch = watch
        self._current: AbstractContextManager[Any] = _NOTHING if observation is None else observation.current()

    def __enter__(self) -> None:
        self._current.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._current.__exit__(None, None, None)
        if error is not None:
            self._watch.failed(error)


class _Attempt:
    """One HTTP request."""

    __slots__ = ("_request", "_start", "_status", "_watch")

    def __init__(self, watch: Watch, request: HttpRequest) -> None:
        self._watch = watch
        self._request = request
        self._status: int | None = None
        self._start = time.monotonic()

    def answered(self, response: HeadT) -> HeadT:
        """The response of the attempt."""
        self._status = response.status
        return response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.attempted(self._request, self._status, error, time.monotonic() - self._start)


def request_line(url: str) -> str:
    """The URL without what may be secret: user, password, query.

    >>> request_line("https://me:secret@api.example.com:8443/v1/chat?key=secret")
    'https://api.example.com:8443/v1/chat'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
