"""What the shop says about itself: structured logs, Prometheus metrics, OpenTelemetry spans. Switched off, a span costs one attribute read."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

from torg.kit import card_numbers
from torg.kit.messages import Meta
from torg.kit.scrubbing import scrub

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

MESSAGES = Counter("torg_messages_total", "Messages that consumers have handled", ("consumer", "message", "outcome"))
BATCH = Histogram("torg_consumer_batch_seconds", "Time a consumer took for a batch, its commit included", ("consumer",), buckets=BUCKETS)
LAG = Gauge("torg_consumer_lag", "Log rows a consumer has yet to see", ("consumer", "source"))
SAGA_STEPS = Counter("torg_saga_steps_total", "Saga steps by how they ended", ("saga", "step", "outcome"))
COMMITS = Histogram("torg_sql_commit_seconds", "Time of a group commit, the disk's sync included", ("context",), buckets=BUCKETS)
COMMITTED = Counter("torg_sql_transactions_total", "Transactions made durable", ("context",))
WAITING = Gauge("torg_sql_transactions_waiting", "Transactions that wait for their turn or their commit", ("context",))
STATEMENTS = Counter("torg_sql_statements_total", "Statements asked of a server, each a round trip", ("context",))
RELAXED = Counter("torg_sql_relaxed_reads_total", "Reads that a replica may answer, by who did: replica or primary", ("context", "by"))
CONNECTIONS = Gauge("torg_sql_connections", "Connections of a context's pool: open, idle, and the most there may be", ("context", "state"))
INTERLEAVED = Counter("torg_sql_retries_total", "Messages handled anew because their transactions interleaved with others", ("message",))
REDIS_FAILURES = Counter("torg_redis_failures_total", "Commands that Redis did not answer or refused, all tries included")
TASK_RESTARTS = Counter("torg_task_restarts_total", "Supervised tasks that died and were started again", ("task",))
BROKEN_INVARIANTS = Gauge("torg_invariant_broken", "1 while an invariant does not hold", ("invariant",))
INVARIANT_SECONDS = Gauge("torg_invariant_seconds", "How long the last look at an invariant kept its process busy", ("invariant",))
INVARIANTS_SECONDS = Gauge("torg_invariants_seconds", "How long the last look at all invariants kept processes busy")
LOST_LINES = Counter("torg_log_lines_lost_total", "Lines of this log that could not be written")
INVARIANTS_AT = Gauge("torg_invariants_at", "When all invariants were looked at last, in seconds since 1970; 0 in processes that do not")

A_MINUTE: Final = 60  # lines of each kind of which there may be many

log: structlog.stdlib.BoundLogger = structlog.get_logger("torg")
current_meta: ContextVar[Meta] = ContextVar("current_meta", default=Meta())
"""What the running task works on behalf of; log rows it appends carry it on."""

_TRACEPARENT: Final = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, section 3.2
_propagator = TraceContextTextMapPropagator()
_OFF: AbstractContextManager[Any] = nullcontext()


class _Switch:
    tracer: trace.Tracer | None = None
    share: float = 1
    asked: float = 0


def _chosen() -> bool:
    """Every n-th, where the share is one n-th: even, and without a draw."""
    _Switch.asked += _Switch.share
    if _Switch.asked < 1:
        return False
    _Switch.asked -= 1
    return True


def configure_logs(level: str, as_json: bool, to: TextIO = sys.stderr) -> None:
    """Sends structlog's records to `to`: JSON lines for machines, columns for people."""
    plain = structlog.dev.plain_traceback
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=to.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _trace_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            scrub,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lines(to))),
        cache_logger_on_first_use=False,
    )
    for before in [handler for handler in logging.root.handlers if isinstance(handler, _Libraries)]:
        logging.root.removeHandler(before)
    logging.root.addHandler(_Libraries(logging.WARNING))


class _Libraries(logging.Handler):
    """What libraries say becomes lines like all others: else Python writes it to standard error as it is."""

    def emit(self, record: logging.LogRecord) -> None:
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def tell_of_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A process ends by a defect: as sys.excepthook."""
    log.critical("a defect ends this process", exc_info=(kind, error, trace))


class Few:
    """So many lines of a kind in a minute and no more: a flood must fill neither the disk nor a pipe that is read slowly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minutes: dict[str, tuple[int, int]] = {}

    def may(self, kind: str) -> dict[str, int] | None:
        """What a line is to say besides: `left_out`, how many of its kind had none in the minutes before, where some had none. None for no line."""
        minute = int(self._clock() // 60)
        last, told = self._minutes.get(kind, (minute, 0))
        if last == minute:
            self._minutes[kind] = (minute, told + 1)
            return {} if told < A_MINUTE else None
        self._minutes[kind] = (minute, 1)
        return {"left_out": told - A_MINUTE} if told > A_MINUTE else {}


_few: Final = Few()


def warn(event: str, of: str = "", **about: object) -> None:
    """Warns of what may befall each request: so many lines a minute of the same `event` and the same kind of it, by `of`."""
    besides = _few.may(f"{event} {of}")
    if besides is not None:
        log.warning(event, **about, **besides)


class _Lines:
    """Writes lines. One that can't be written, because nobody reads any more or the disk is full, is lost and counted: whoever does the work that it tells of
    goes on."""

    def __init__(self, to: TextIO) -> None:
        self._to = to

    def write(self, text: str) -> None:
        try:
            self._to.write(text)
            self._to.flush()
        except OSError:
            LOST_LINES.inc()

    def flush(self) -> None:
        """Each line is written at once."""


def configure_tracing(endpoint: str, service: str, share: float) -> None:
    """Exports spans by OTLP over HTTP to `endpoint` (http://collector:4318); call once per process, and only when wanted."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from torg.kit.spans import Scrubbing

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(Scrubbing(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces"))))
    use_tracer(provider.get_tracer("torg"), share)


def use_tracer(tracer: trace.Tracer | None, share: float = 1) -> None:
    """Turns spans on for this share of the requests that bring no trace of their own, or with None off."""
    _Switch.tracer, _Switch.share = tracer, share


def span(kind: str, name: str, meta: Meta | None = None, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span around what `kind` (call, consume, saga, http) does to `name`; continues `meta`'s trace when given.

    Requests begin traces, a share of them; what follows from one that was not chosen has no spans either, and costs next to nothing."""
    tracer, parent = _Switch.tracer, None
    if tracer is None:
        return _OFF
    if meta and meta.trace:
        if not int(meta.trace[-1], 16) & 1:  # the sampled flag (W3C Trace Context, section 3.2.2.5)
            return _OFF
        parent = _propagator.extract({"traceparent": meta.trace})
    elif not (_chosen() if kind == "http" else current_meta.get().trace):
        return _OFF
    return tracer.start_as_current_span(f"{kind} {name}", context=parent, attributes={"torg.kind": kind, **attributes})


def traceparent() -> str:
    """The running span as a W3C traceparent, or empty when spans are off."""
    if _Switch.tracer is None or trace.get_current_span() is trace.INVALID_SPAN:
        return ""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


def trace_of(given: str) -> str:
    """A client's traceparent, if it can be one: it is written beside everything that comes of the request."""
    return given if given and _TRACEPARENT.fullmatch(given) and not card_numbers.is_in(given) else ""


class acting:  # noqa: N801 reads as what it is: with acting(meta)
    """Within it, appended log rows and log lines carry `meta`."""

    __slots__ = ("_meta", "_token")

    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    def __enter__(self) -> None:
        self._token = current_meta.set(self._meta)

    def __exit__(self, *_: object) -> None:
        current_meta.reset(self._token)


def _trace_ids(_: Any, __: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
    meta, added = current_meta.get(), dict(event)
    if meta.request:
        added.setdefault("request_id", meta.request)
    if meta.actor:
        added.setdefault("user_id", meta.actor)
    if meta.cause:
        added.setdefault("cause", meta.cause)
    span_context = trace.get_current_span().get_span_context()
    if span_context.is_valid:
        added["trace_id"] = f"{span_context.trace_id:032x}"
    return added
