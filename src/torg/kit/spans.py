"""Spans on their way out, without what no log line may hold either. Loaded where spans are exported."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace.status import Status

from torg.kit.scrubbing import clean, scrubbed


class Scrubbing(SpanExporter):
    """Hands spans on to another exporter with secrets and card numbers taken out: of names, attributes, what errors say, and their tracebacks."""

    def __init__(self, to: SpanExporter) -> None:
        self._to = to

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._to.export([_scrubbed(span) for span in spans])

    def shutdown(self) -> None:
        self._to.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._to.force_flush(timeout_millis)


def _scrubbed(span: ReadableSpan) -> ReadableSpan:
    events = [Event(clean(event.name), scrubbed(event.attributes or {}), event.timestamp) for event in span.events]
    return ReadableSpan(
        clean(span.name), span.context, span.parent, span.resource, scrubbed(span.attributes or {}), events, span.links, span.kind,
        status=Status(span.status.status_code, clean(span.status.description or "") or None), start_time=span.start_time, end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )  # fmt: skip
