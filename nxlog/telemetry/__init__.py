"""OpenTelemetry for nxlog: a span and metrics for every call (needs ``nxlog[otel]``).

::

    from nxlog import telemetry

    telemetry.instrument()                        # every client, with the global providers of OpenTelemetry
    Client(telemetry=telemetry.Telemetry(...))    # one client, with providers of your own

Names are those of the GenAI semantic conventions; what these have no name for is in the namespace ``nxlog``. Prompts,
answers and tokens are recorded only with ``capture_content=True``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nxlog._watch import observe_all

try:
    from nxlog.telemetry.observer import Telemetry
except ModuleNotFoundError as _missing:
    if (_missing.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ModuleNotFoundError('nxlog.telemetry needs an extra: pip install "nxlog[otel]"', name=_missing.name) from None

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Telemetry", "instrument", "uninstrument"]


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    capture_content: bool = False,
) -> Telemetry:
    """Observe every client that has no ``telemetry`` of its own, from the next call on. Arguments as of ``Telemetry``.

    Calling it again replaces the observer.
    """
    observer = Telemetry(
        tracer_provider=tracer_provider, meter_provider=meter_provider, capture_content=capture_content
    )
    observe_all(observer)
    return observer


def uninstrument() -> None:
    """End what ``instrument`` began; calls under way are observed to their end."""
    observe_all(None)
