"""One call as a generator: adapt, encode, yield the HTTP request, take the response, decode, check delivery.

There is no I/O here. The clients drive these generators: they send what is yielded and throw in what went wrong.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from nxlog._extensions import EXTENSIONS, refused_field
from nxlog._secret import hider
from nxlog._trials import Trials
from nxlog.accumulate import Accumulator
from nxlog.auth import CallCredential
from nxlog.delivery import check_delivery
from nxlog.distribution import DistributionSource
from nxlog.errors import DecodeError, NxlogError, StatusError
from nxlog.exchange import HttpRequest, HttpResponse, Pause
from nxlog.parameter_adapter import adapt
from nxlog.registry import CapabilityStatus, EvidenceKind
from nxlog.request import NEED_LOGPROBS
from nxlog.response import with_asked, with_sent
from nxlog.retry import retry_after
from nxlog.turn_build import with_token_ids
from nxlog.verdicts import Place, Verdicts, bare
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource
from nxlog.wire.errors import RefusalKind, classify_refusal, redirect_error, status_error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from nxlog.auth import Source
    from nxlog.distribution import Distribution
    from nxlog.parameter_adapter import OnUnknown, OnUnsupported
    from nxlog.registry import ProviderCapabilities
    from nxlog.request import ChatRequest
    from nxlog.response import ChatResponse, StreamChunk
    from nxlog.wire.base import Wire
    from nxlog.wire.errors import Refusal


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
    base_url: str
    rendering: str | None
    """Whose endpoints for rendering and tokenizing prompts the server has."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a client does where request and capabilities disagree."""

    on_unsupported: OnUnsupported = "warn"
    on_unknown: OnUnknown = "try"
    verdicts: Verdicts = field(default_factory=Verdicts)
    trials: Trials[Any] = field(default_factory=lambda: Trials(threading.Event))


@dataclass(slots=True)
class Call:
    """One request on its way: what is sent, and what had to be changed for that."""

    target: Target
    policy: Policy
    asked: ChatRequest
    stream: bool
    encode: Callable[[ChatRequest], bytes] | None = field(default=None, repr=False)
    """The body for what the gate left of ``asked``, where that is a view of a request of another kind."""
    read: float | None = None
    """Seconds between two pieces of the response, where that is to be less than the client's own limit."""
    sent: ChatRequest = field(init=False)
    warnings: list[ParameterWarning] = field(init=False)
    credential: CallCredential | None = field(init=False, repr=False)
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        source = self.target.source
        self.credential = None if source is None else CallCredential(source)
        target, asked = self.target, self.asked
        reasons = asked.reasoning_effort not in {None, "none"}
        mode = ("stream" if self.stream else "whole") + "+tools" * bool(asked.tools) + "+reasoning" * reasons
        self.place = Place(target.provider, bare(self.url), target.model, mode)
        self._adapt()

    def _adapt(self) -> None:
        self.sent, self.warnings = adapt(
            self.asked,
            self.target.capabilities,
            stream=self.stream,
            on_unsupported=self.policy.on_unsupported,
            on_unknown=self.policy.on_unknown,
            lacks=self.target.lacks,
            verdict=None if self._user_knows else self.policy.verdicts.get(self.place),
        )

    @property
    def _user_knows(self) -> bool:
        """Whether the claim is the user's own word, which no verdict overrides."""
        evidence = self.target.capabilities.claim("logprobs").evidence
        return any(entry.kind is EvidenceKind.ASSERTED for entry in evidence)

    @property
    def _is_trial(self) -> bool:
        """Whether nothing is known of what the server makes of the logprobs that are sent."""
        names = (
            "streaming_logprobs" if self.stream else "logprobs",
            "top_logprobs" if self.sent.top_logprobs else "logprobs",
        )
        claims = [self.target.capabilities.claim(name) for name in names]
        return bool(self.sent.logprobs) and any(claim.value is CapabilityStatus.UNKNOWN for claim in claims)

    @property
    def url(self) -> str:
        """Where the request goes."""
        return self.target.stream_url if self.stream else self.target.url

    def http_request(self) -> HttpRequest:
        """The request as it goes out now."""
        target = self.target
        if self.encode is not None:
            content = self.encode(self.sent)
        else:
            content = target.wire.encode(self.sent, model=target.model, stream=self.stream, spelling=target.spelling)
        return HttpRequest(self.url, target.headers, content, self.stream, self.credential, self.read)

    def opened(self) -> Generator[HttpRequest | Pause, HttpResponse | None, HttpResponse]:
        """Send, after the call that finds out what the server makes of the fields, if there is one.

        Raises:
            StatusError: the server's answer is an error.
            RedirectError: the server points elsewhere.
        """
        while self._is_trial and (ahead := self.policy.trials.enter(self.place)) is not None:
            yield Pause(ahead)
            self._adapt()
        if not self._is_trial:
            return (yield from self._answered())
        settled = False
        try:
            response = yield from self._answered()
            settled = True
        finally:
            self.policy.trials.leave(self.place, settled=settled)
        return response

    def _answered(self) -> Generator[HttpRequest | Pause, HttpResponse | None, HttpResponse]:
        """Send, and again with less when the server refuses what was asked."""
        response = yield from self._sent(self.http_request())
        # At most one number is lowered, and at most once logprobs and each other field are given up.
        for _ in range(2 + len(EXTENSIONS)):
            if response.status < 400 or not self._ask_less(self.error_of(response)):
                break
            response = yield from self._sent(self.http_request())
        return self._succeeded(response)

    def exchanged(self, request: HttpRequest) -> Generator[HttpRequest | Pause, HttpResponse | None, HttpResponse]:
        """Send another request to the same place.

        Raises:
            StatusError: the server's answer is an error.
            RedirectError: the server points elsewhere.
        """
        return self._succeeded((yield from self._sent(request)))

    def _succeeded(self, response: HttpResponse) -> HttpResponse:
        if response.status >= 300:
            raise self.error_of(response)
        return response

    def _sent(self, request: HttpRequest) -> Generator[HttpRequest | Pause, HttpResponse | None, HttpResponse]:
        """Send, and once more when a token may have expired."""
        # Only a pause is answered with nothing.
        response = cast("HttpResponse", (yield request))
        if response.status == 401 and self.credential is not None and self.credential.renew():
            response = cast("HttpResponse", (yield request))
        return response

    def _ask_less(self, error: NxlogError) -> bool:
        """Whether the request was changed, because the error says that it asks for too much."""
        if self.policy.on_unsupported == "warn" and (name := refused_field(self.sent, error, self.target.spelling)):
            return self._give_up((name,), getattr(self.sent, name), error)
        refusal = self.learn(error)
        if refusal is None:
            return False
        asked = self.sent.top_logprobs
        if refusal.kind is RefusalKind.RANGE:
            message = f"requested {asked} alternatives, the server takes at most {refusal.limit} ({error.message})"
            self._warn("top_logprobs", WarningCode.CLAMPED, f"{message}; sent again", asked, refusal.limit)
            self.sent = self.sent.model_copy(update={"top_logprobs": refusal.limit})
            return True
        requested = {"logprobs": True} | ({} if asked is None else {"top_logprobs": asked})
        return self._give_up(("logprobs", *NEED_LOGPROBS), requested, error)

    def _give_up(self, names: tuple[str, ...], requested: object, error: NxlogError) -> bool:
        message = f"the server refused it ({error.message}); sent again without"
        self._warn(names[0], WarningCode.REFUSED, message, requested)
        self.sent = self.sent.model_copy(update=dict.fromkeys(names))
        return True

    def learn(self, error: NxlogError) -> Refusal | None:
        """The refusal that the error is, remembered, if a request that asks for less could succeed."""
        if not self.sent.logprobs or self.policy.on_unsupported == "raise":
            return None
        refusal = classify_refusal(error.body or "") if isinstance(error, StatusError) else None
        if refusal is None:
            return None
        if refusal.kind is RefusalKind.UNSUPPORTED:
            self.policy.verdicts.refused(self.place, error.message)
            return refusal
        if (
            refusal.kind is RefusalKind.RANGE
            and refusal.limit is not None
            and refusal.limit < (self.sent.top_logprobs or 0)
        ):
            self.policy.verdicts.limited(self.place, refusal.limit, error.message)
            return refusal
        return None

    def _warn(self, parameter: str, code: WarningCode, message: str, requested: object, applied: object = None) -> None:
        self.warnings.append(
            ParameterWarning(
                parameter=parameter,
                code=code,
                severity=WarningSeverity.WARNING,
                message=message,
                requested=requested,
                applied=applied,
                provider=self.target.provider,
                model=self.target.model,
                source=WarningSource.SERVER,
            )
        )

    def error_of(self, response: HttpResponse) -> NxlogError:
        """The error that a response is which is no success."""
        if response.status >= 400:
            wait = retry_after(response.headers)
            found = status_error(response.status, response.content, headers=response.headers, retry_after=wait)
            return self.blame(found)
        location = response.headers.get("location", "nowhere")
        return self.blame(redirect_error(response.status, response.content, location))

    def complete(self, response: ChatResponse) -> ChatResponse:
        """The reply with its provider, and with the warnings of both halves of the gate."""
        named = with_token_ids(self._named(response), self.sent)
        found = check_delivery(self.sent, named)
        self._remember(found, named)
        self.warnings += found
        return named.model_copy(update={"warnings": self.warnings})

    def _named(self, response: ChatResponse) -> ChatResponse:
        """The reply with its provider, what was asked for, and what its numbers describe."""
        label, source = self.distribution
        choices = [
            choice
            if choice.logprobs is None
            else choice.model_copy(update={"logprobs": choice.logprobs.with_distribution(label, source)})
            for choice in response.choices
        ]
        named = response.model_copy(update={"provider": self.target.provider, "choices": choices})
        named = with_sent(named, self.sent, bare(self.url))
        return with_asked(named, logprobs=bool(self.asked.logprobs), top_logprobs=self.asked.top_logprobs)

    @property
    def distribution(self) -> tuple[Distribution, DistributionSource]:
        """What the numbers describe, and who says so."""
        capabilities = self.target.capabilities
        evidence = () if capabilities.claims is None else capabilities.claims.distribution.evidence
        # Without claims behind them the capabilities are an object of the user's making.
        asserted = capabilities.claims is None or any(entry.kind is EvidenceKind.ASSERTED for entry in evidence)
        source = DistributionSource.ASSERTED if asserted else DistributionSource.MANIFEST
        return capabilities.distribution, source

    def so_far(self, response: ChatResponse) -> ChatResponse:
        """The same for a stream that has not come to its end, of which nothing can be said yet."""
        return self._named(response).model_copy(update={"warnings": list(self.warnings)})

    def _remember(self, found: list[ParameterWarning], response: ChatResponse) -> None:
        verdicts = self.policy.verdicts
        if self.policy.on_unsupported == "raise":
            return  # whoever wants errors gets them from the server, every time
        if any(warning.code is WarningCode.NOT_DELIVERED and warning.parameter == "logprobs" for warning in found):
            verdicts.ignored(self.place, response.model)
        elif any(choice.logprobs for choice in response.choices):
            verdicts.delivered(self.place, response.model)
        else:
            verdicts.served(self.place, response.model)

    def hide(self, text: str) -> str:
        """The text without the keys of this call, for what others may read."""
        for secret in (self.target.secret, *(() if self.credential is None else self.credential.secrets)):
            known = hider(secret)
            text = text if known is None else known.hide(text)
        return text

    def blame(self, error: NxlogError) -> NxlogError:
        """The error with what only the call knows, and without the key."""
        error.rewrite(self.hide)
        return error.add_context(provider=self.target.provider, model=self.target.model)


def chat(call: Call) -> Generator[HttpRequest | Pause, HttpResponse | None, ChatResponse]:
    """A whole reply. Yields what to send; returns the result.

    Raises:
        NxlogError: anything that goes wrong, also what the driver throws in.
    """
    try:
        response = yield from call.opened()
        return call.complete(call.target.wire.decode(response.content))
    except NxlogError as error:
        raise call.blame(error) from error.__cause__


def open_stream(call: Call) -> Generator[HttpRequest | Pause, HttpResponse | None, StreamReader]:
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
        self.call.warnings += self._decoder.warnings
        self._response = self.call.complete(self._accumulator.response())

    def _taken(self, chunks: Iterator[StreamChunk]) -> Iterator[StreamChunk]:
        try:
            for chunk in chunks:
                self._accumulator.add(chunk)
                yield chunk
        except NxlogError as error:
            # An error inside a stream comes too late to send again, but not for the next call.
            self.call.learn(self.call.blame(error))
            raise error from error.__cause__

    @property
    def response(self) -> ChatResponse:
        """What has arrived so far; whole, and checked against what was asked, once the stream has ended."""
        if self._response is not None:
            return self._response
        return self.call.so_far(self._accumulator.response())


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
