"""Spans go to OpenTelemetry. Nothing imports this unless `traces.enabled` says so."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Self

from leasekeeper import __version__
from leasekeeper.errors import AgentError, ConfigError
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.telemetry.spans import Note, trace_with

try:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, StatusCode
except ImportError as error:
    msg = "traces.enabled needs the extra otel: pip install 'leasekeeper[otel]'"
    raise ConfigError(msg) from error

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NAME = "leasekeeper"
# For spans that wait to be sent at the end, in seconds.
_CLOSING_S = 1.0


class Traces:
    """Sends every span of the process through *processor*; `close` ends that.

    They are children of nothing and parents of what happens inside. OpenTelemetry's own variables
    choose where they go, and what is sampled.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME", _NAME)
        resource = Resource.create({"service.name": name, "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(_NAME, __version__)
        trace_with(self._span)

    @classmethod
    def to_collector(cls, environ: Mapping[str, str]) -> Self:
        """Return traces that go to the collector that *environ* names.

        :raises ConfigError: if it names none, or the extra is not installed.
        """
        if not any(environ.get(name) for name in _ENDPOINTS):
            msg = f"traces.enabled: {_ENDPOINTS[0]} does not say where the collector is"
            raise ConfigError(msg)
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as error:
            msg = "traces.enabled needs the extra otel: pip install 'leasekeeper[otel]'"
            raise ConfigError(msg) from error
        return cls(BatchSpanProcessor(OTLPSpanExporter()))

    async def close(self) -> None:
        """Send what is waiting, within a second; a collector that hangs holds nobody up."""
        trace_with(None)
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop has not waited for us
                loop.call_soon_threadsafe(done.set)

        # Not `to_thread`: the end of the loop would wait for its threads.
        threading.Thread(target=shut_down, name="last traces", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                await done.wait()

    @contextmanager
    def _span(self, name: str, attributes: Mapping[str, str]) -> Iterator[Note]:
        # Not `record_exception`: a traceback may quote what an error message does not.
        masked = {key: redactor.redact(value) for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT if name.startswith("vault") else SpanKind.INTERNAL,
            attributes=masked,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield lambda key, value: span.set_attribute(key, redactor.redact(value))
            except AgentError as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR, redactor.redact(error.message))
                raise
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
