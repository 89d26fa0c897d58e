"""One call as a generator: adapt, encode, yield the HTTP request, take the response, decode, check delivery.

There is no I/O here. The clients drive these generators: they send what is yielded and throw in what went wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nxlog._secret import hider
from nxlog.accumulate import Accumulator
from nxlog.auth import CallCredential
from nxlog.delivery import check_delivery
from nxlog.errors import DecodeError, NxlogError, RedirectError, StatusError
from nxlog.exchange import HttpRequest, HttpResponse
from nxlog.parameter_adapter import adapt
from nxlog.retry import retry_after
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource
from nxlog.wire.errors import RefusalKind, classify_refusal, status_error

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from nxlog.auth import Source
    from nxlog.parameter_adapter import OnUnknown, OnUnsupported
    from nxlog.registry import ProviderCapabilities
    from nxlog.request import ChatRequest
    from nxlog.response import ChatResponse, StreamChunk
    from nxlog.wire.base import Wire

Verdicts = dict[tuple[str, str, str, bool], str]
"""Refusals of logprobs that a client has met: (provider, url, model, stream) to the server's words."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a model is and how to speak to it; the same for every call of that model."""

    provider: str
    model: str
    url: str
    stream_url: str
    headers: Mapping[str, str] = field(repr=False)
    secret: str | None = field(repr=False)
    source: Source | None = field(repr=False)
    wire: Wire
    spelling: Mapping[str, str]
    lacks: frozenset[str]
    capabilities: ProviderCapabilities


@dataclass(frozen=True, slots=True)
class Policy:
    """What a client does where request and capabilities disagree."""

    on_unsupported: OnUnsupported = "warn"
    on_unknown: OnUnknown = "try"
    verdicts: Verdicts = field(default_factory=Verdicts)


@dataclass(slots=True)
class Call:
    """One request on its way: what is sent, and what had to be changed for that."""

    target: Target
    policy: Policy
    asked: ChatRequest
    stream: bool
    sent: ChatRequest = field(init=False)
    warnings: list[ParameterWarning] = field(init=False)
    credential: CallCredential | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        source = self.target.source
        self.credential = None if source is None else CallCredential(source)
        self.sent, self.warnings = adapt(
            self.asked,
            self.target.capabilities,
            stream=self.stream,
            on_unsupported=self.policy.on_unsupported,
            on_unknown=self.policy.on_unknown,
            lacks=self.target.lacks,
            refused=self.policy.verdicts.get(self._mode),
        )

    @property
    def _mode(self) -> tuple[str, str, str, bool]:
        target = self.target
        return (target.provider, self._url, target.model, self.stream)

    @property
    def _url(self) -> str:
        return self.target.stream_url if self.stream else self.target.url

    def http_request(self) -> HttpRequest:
        """The request as it goes out now."""
        target = self.target
        content = target.wire.encode(self.sent, model=target.model, stream=self.stream, spelling=target.spelling)
        return HttpRequest(self._url, target.headers, content, stream=self.stream, credential=self.credential)

    def opened(self) -> Generator[HttpRequest, HttpResponse, HttpResponse]:
        """Send; once more when a token may have expired, and once more without logprobs when the server refuses them.

        Raises:
            StatusError: the server's answer is an error.
            RedirectError: the server points elsewhere.
        """
        response = yield self.http_request()
        if response.status == 401 and self.credential is not None and self.credential.renew():
            response = yield self.http_request()
        if response.status >= 400 and self._give_up_logprobs(response):
            response = yield self.http_request()
        if response.status >= 300:
            raise self._error(response)
        return response

    def _give_up_logprobs(self, response: HttpResponse) -> bool:
        if not self.sent.logprobs or self.policy.on_unsupported == "raise":
            return False
        error = self._error(response)
        refusal = classify_refusal(error.body or "") if isinstance(error, StatusError) else None
        if refusal is None or refusal.kind is not RefusalKind.UNSUPPORTED:
            return False
        self.policy.verdicts[self._mode] = error.message
        requested = {"logprobs": True, "top_logprobs": self.sent.top_logprobs}
        self.warnings.append(
            ParameterWarning(
                parameter="logprobs",
                code=WarningCode.REFUSED,
                severity=WarningSeverity.WARNING,
                message=f"the server refused it ({error.message}); sent again without",
                requested={name: value for name, value in requested.items() if value is not None},
                provider=self.target.provider,
                model=self.target.model,
                source=WarningSource.SERVER,
            )
        )
        self.sent = self.sent.model_copy(update={"logprobs": None, "top_logprobs": None})
        return True

    def _error(self, response: HttpResponse) -> NxlogError:
        if response.status >= 400:
            wait = retry_after(response.headers)
            found = status_error(response.status, response.content, headers=response.headers, retry_after=wait)
            return self.blame(found)
        location = response.headers.get("location", "nowhere").split("?")[0]
        redirect = RedirectError(
            f"HTTP {response.status}: the server redirects to {location}; nxlog does not send a key after a "
            "redirect, so set base_url to the right address",
            status_code=response.status,
            body=response.content.decode("utf-8", "replace"),
        )
        return self.blame(redirect)

    def complete(self, response: ChatResponse) -> ChatResponse:
        """The reply with its provider, and with the warnings of both halves of the gate."""
        named = response.model_copy(update={"provider": self.target.provider})
        self.warnings += check_delivery(self.sent, named)
        return named.model_copy(update={"warnings": self.warnings})

    def blame(self, error: NxlogError) -> NxlogError:
        """The error with what only the call knows, and without the key."""
        for secret in (self.target.secret, *(() if self.credential is None else self.credential.secrets)):
            known = hider(secret)
            if known is not None:
                error.rewrite(known.hide)
        return error.add_context(provider=self.target.provider, model=self.target.model)


def chat(call: Call) -> Generator[HttpRequest, HttpResponse, ChatResponse]:
    """A whole reply. Yields what to send; returns the result.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        response = yield from call.opened()
        return call.complete(call.target.wire.decode(response.content))
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def open_stream(call: Call) -> Generator[HttpRequest, HttpResponse, StreamReader]:
    """A streamed reply, up to its first byte. The driver answers with the head alone when the status is success.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        yield from call.opened()
    except NxlogError as error:
        raise call.blame(error) from error.__cause__
    return StreamReader(call)


class StreamReader:
    """The bytes of a streamed reply to chunks, and at the end to the response they make up."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._decoder = call.target.wire.stream_decoder()
        self._accumulator = Accumulator()
        self._response: ChatResponse | None = None

    @property
    def complete(self) -> bool:
        """Whether the stream came to its end."""
        return self._response is not None

    def feed(self, data: bytes) -> Iterator[StreamChunk]:
        """The chunks that these bytes complete."""
        return self._taken(self._decoder.feed(data))

    def close(self) -> Iterator[StreamChunk]:
        """The chunks still waiting at the end of the bytes; then the response is whole."""
        yield from self._taken(self._decoder.close())
        self._response = self.call.complete(self._accumulator.response())

    def _taken(self, chunks: Iterator[StreamChunk]) -> Iterator[StreamChunk]:
        try:
            for chunk in chunks:
                self._accumulator.add(chunk)
                yield chunk
        except NxlogError as error:
            raise self.call.blame(error) from error.__cause__

    @property
    def response(self) -> ChatResponse:
        """What has arrived so far; whole, and checked against what was asked, once the stream has ended."""
        if self._response is not None:
            return self._response
        update = {"provider": self.call.target.provider, "warnings": list(self.call.warnings)}
        return self._accumulator.response().model_copy(update=update)


def not_a_stream(response: HttpResponse, call: Call) -> NxlogError:
    """The error for a success without a stream where one was asked for.

    A server that reports an error this way says what it is; one that ignores ``stream`` is told of.
    """
    try:
        call.target.wire.decode(response.content)
    except NxlogError as error:
        return call.blame(error)
    kind = response.headers.get("content-type", "no content type")
    whole = DecodeError(
        f"asked for a stream, and the server answered with a whole reply ({kind}); use chat()",
        status_code=response.status,
    )
    return call.blame(whole)


STREAM_TYPES = (
    "text/event-stream",
    "application/octet-stream",
    "text/plain",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
)


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether the content type can be that of a stream; a missing one can."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return not kind or kind in STREAM_TYPES
