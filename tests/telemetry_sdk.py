"""OpenTelemetry's SDK in memory: what a program would export, for a test to look at."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nxlog.telemetry import Telemetry


class Exported:
    """Providers of a test's own, and what they exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider(metric_readers=[self._reader])

    def telemetry(self, **options: Any) -> Telemetry:
        return Telemetry(tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.span.attributes or {})

    @property
    def events(self) -> list[dict[str, Any]]:
        assert {event.name for event in self.span.events} <= {"nxlog.warning"}
        return [dict(event.attributes or {}) for event in self.span.events]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The points of a metric, as labels and sum (of a counter: its value)."""
        found: list[tuple[dict[str, Any], Any]] = []
        for metric in self._metrics():
            if metric.name == name:
                for point in metric.data.data_points:
                    found.append((dict(point.attributes), getattr(point, "sum", getattr(point, "value", None))))
        return found

    def _metrics(self) -> list[Any]:
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return [metric for scope in scopes for metric in scope.metrics]

    def text(self) -> str:
        """All that was exported, to search it."""
        spans = [span.to_json() for span in self.spans]
        return "\n".join([*spans, *(metric.to_json() for metric in self._metrics())])

    def close(self) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()
