"""``Telemetry``: calls as spans and metrics of OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from nxlog._version import __version__
from nxlog.errors import NxlogError
from nxlog.telemetry.attributes import Attributes, identity, of_reply, of_request, of_warning
from nxlog.telemetry.content import content_of_reply, content_of_request

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from nxlog.call import Call
    from nxlog.response import ChatResponse
    from nxlog.warnings import ParameterWarning

_SECONDS = [0.01 * 2**power for power in range(14)]
_TOKENS = [4**power for power in range(14)]


class Telemetry:
    """Observes the calls of the clients it is given to.

    Args:
        tracer_provider: where spans go; by default the global provider.
        meter_provider: where metrics go; by default the global provider.
        capture_content: whether spans also get the messages, the tools, the stop texts, the answers, and the words of
            errors. They may be private.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        capture_content: bool = False,
    ) -> None:
        self.capture_content: bool = capture_content
        self.tracer: trace.Tracer = trace.get_tracer("nxlog", __version__, tracer_provider)
        meter = metrics.get_meter("nxlog", __version__, meter_provider)
        self.duration: metrics.Histogram = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="How long calls take.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.first_chunk: metrics.Histogram = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="How long streams take to their first chunk.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.tokens: metrics.Histogram = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of prompts and of answers, as the server counts them.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.warnings: metrics.Counter = meter.create_counter(
            "nxlog.client.warnings",
            unit="{warning}",
            description="Requested fields that were dropped, changed or delivered in part.",
        )

    def started(self, call: Call) -> Observed:
        """A call begins. The client says so."""
        return Observed(self, call)


class Observed:
    """One call as a span, and as a point of each metric at its end."""

    def __init__(self, telemetry: Telemetry, call: Call) -> None:
        self._telemetry = telemetry
        self._call = call
        self._identity = identity(call)
        self._first_chunk: float | None = None
        name = f"{self._identity['gen_ai.operation.name']} {self._identity['gen_ai.request.model']}"
        # What samplers may decide by is there from the start.
        attributes = self._identity | of_request(call)
        self._span: Span = telemetry.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def current(self) -> AbstractContextManager[Span]:
        """The span is current inside, so that those of the HTTP requests are its children."""
        return trace.use_span(self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False)

    def warned(self, warning: ParameterWarning) -> None:
        """An event, and one more of the counter."""
        about = of_warning(warning)
        self._span.add_event("nxlog.warning", about)
        self._telemetry.warnings.add(1, self._identity | about)

    def began(self, seconds: float) -> None:
        """The first chunk of a stream is here."""
        self._first_chunk = seconds

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
        """The span ends, with what came back or with what went wrong."""
        found: Attributes = {"nxlog.attempts": attempts}
        if status is not None:
            found["http.response.status_code"] = status
        if self._call.stream:
            found["nxlog.stream.complete"] = complete
        if self._first_chunk is not None:
            found["gen_ai.response.time_to_first_chunk"] = self._first_chunk
        if response is not None:
            found |= of_reply(self._call, response)
        if error is not None:
            found["error.type"] = type_of(error)
        self._measure(found, seconds)
        if self._span.is_recording():
            self._finish(found, response, error)
        self._span.end()

    def _finish(self, found: Attributes, response: ChatResponse | None, error: BaseException | None) -> None:
        # The request may have changed on its way: a refusal, a limit.
        found = of_request(self._call) | found
        content = self._telemetry.capture_content
        if content:
            found |= content_of_request(self._call)
            found |= {} if response is None else content_of_reply(self._call, response)
        self._span.set_attributes(found)
        if error is not None:
            # Servers quote the request in their messages.
            self._span.set_status(Status(StatusCode.ERROR, self._call.hide(str(error)) if content else None))

    def _measure(self, found: Attributes, seconds: float) -> None:
        telemetry = self._telemetry
        names = ("gen_ai.response.model", "error.type")
        labels = self._identity | {name: found[name] for name in names if name in found}
        telemetry.duration.record(seconds, labels)
        if self._first_chunk is not None:
            telemetry.first_chunk.record(self._first_chunk, {k: v for k, v in labels.items() if k != "error.type"})
        for kind in ("input", "output"):
            count = found.get(f"gen_ai.usage.{kind}_tokens")
            if isinstance(count, int):
                telemetry.tokens.record(count, {**labels, "gen_ai.token.type": kind})


def type_of(error: BaseException) -> str:
    """The name of an error's class: of ``nxlog.errors``, or what went wrong instead.

    A call whose task was cancelled is ``cancelled``, whatever the event loop calls that.
    """
    name = type(error).__name__
    return "cancelled" if not isinstance(error, NxlogError) and name in {"CancelledError", "Cancelled"} else name
