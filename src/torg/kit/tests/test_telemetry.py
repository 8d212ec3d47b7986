"""Telemetry: spans follow a request through calls, the log and the bus; logs carry ids; switched off there is nothing."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from torg.kit import telemetry
from torg.kit.bus import BusConsumer, Consumer, LogFeed
from torg.kit.calls import Handle, LocalCalls
from torg.kit.http import App, Request, Response, post
from torg.kit.messages import Message, Meta
from torg.kit.spans import Scrubbing
from torg.kit.testing import open_store, test_ids
from torg.kit.testing.http import ask
from torg.kit.testing.waiting import until
from torg.kit.tests.messages import REGISTRY, Count, WasPut
from torg.kit.values import utc_now


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.use_tracer(provider.get_tracer("test"))
    yield exporter
    telemetry.use_tracer(None)


async def test_one_trace_from_request_over_call_and_log_to_consumer(tmp_path: Path, spans: InMemorySpanExporter):
    handled = asyncio.Event()

    async def on_put(_: WasPut) -> None:
        handled.set()

    async def count(_: Count) -> int:
        return 1

    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as shelf, open_store(tmp_path, "reader", utc_now, REGISTRY) as reader:
        consumer = BusConsumer(Consumer("reader", {WasPut: on_put}), reader, LogFeed({"shelf": shelf.log}), REGISTRY)
        task = asyncio.create_task(consumer.run())
        with telemetry.span("http", "/shelves"), telemetry.acting(Meta(actor="u1", request="r1", trace=telemetry.traceparent())):
            await LocalCalls({Count: count})(Count("a"))
            async with shelf.transaction() as tx:
                await tx.append("a", [WasPut("a", 1)])
        await asyncio.wait_for(handled.wait(), 60)
        await until(lambda: "consume shelf.was_put" in {span.name for span in spans.get_finished_spans()})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    finished = {span.name: span for span in spans.get_finished_spans()}
    assert set(finished) == {"http /shelves", "call shelf.count", "consume shelf.was_put"}
    assert len({span.context and span.context.trace_id for span in finished.values()}) == 1
    consumed, asked = finished["consume shelf.was_put"].parent, finished["http /shelves"].context
    assert consumed is not None
    assert asked is not None
    assert consumed.span_id == asked.span_id


async def test_what_a_request_logs_belongs_to_its_span(tmp_path: Path, spans: InMemorySpanExporter):
    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as shelf:

        async def put(_: Request) -> Response:
            async with shelf.transaction() as tx:
                await tx.append("a", [WasPut("a", 1)])
            return Response(204)

        app = App(utc_now, test_ids(), nobody)
        app.add([post("/shelves", endpoint=put, right="shop:read")], dict[type[Message], Handle]().__getitem__)
        assert (await ask(app, "POST", "/api/v1/shelves")).status == 204
        [row] = await shelf.log.stream("a")
    [http] = spans.get_finished_spans()
    assert http.context is not None
    assert row.meta.trace.startswith(f"00-{http.context.trace_id:032x}-{http.context.span_id:016x}-")


async def nobody(_: str) -> None: ...


async def test_rows_carry_who_acted_and_what_caused_them(tmp_path: Path):
    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as shelf:
        with telemetry.acting(Meta(cause="order/1/1", actor="u1", request="r1")):
            async with shelf.transaction() as tx:
                await tx.append("a", [WasPut("a", 1)])
        assert (await shelf.log.stream("a"))[0].meta == Meta(cause="order/1/1", actor="u1", request="r1")


def test_log_lines_carry_request_user_and_cause():
    out = io.StringIO()
    telemetry.configure_logs("info", as_json=True, to=out)
    with telemetry.acting(Meta(cause="order/o-1/3", actor="u1", request="r1")):
        telemetry.log.info("something", order_id="o-1")
    line = json.loads(out.getvalue())
    assert (line["event"], line["request_id"], line["user_id"], line["cause"], line["order_id"]) == ("something", "r1", "u1", "order/o-1/3", "o-1")


def test_a_share_of_the_requests_is_traced_and_the_rest_has_no_spans_at_all(spans: InMemorySpanExporter):
    tracer = telemetry._Switch.tracer
    telemetry.use_tracer(tracer, share=0.25)
    for _ in range(8):
        with telemetry.span("http", "/shelves", Meta()), telemetry.acting(Meta(trace=telemetry.traceparent())), telemetry.span("call", "shelf.count"):
            pass
    assert [span.name for span in spans.get_finished_spans()] == ["call shelf.count", "http /shelves"] * 2


def test_a_trace_that_its_client_does_not_record_is_left_alone(spans: InMemorySpanExporter):
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
    for flags in ("00", "01"):
        with telemetry.span("http", "/shelves", Meta(trace=f"{given}-{flags}")):
            pass
    assert len(spans.get_finished_spans()) == 1


def test_switched_off_a_span_is_always_the_same_nothing():
    assert telemetry.span("http", "/a") is telemetry.span("call", "b")
    assert telemetry.traceparent() == ""


def test_a_line_that_nobody_reads_is_counted_and_keeps_nobody_from_their_work():
    reader, writer = os.pipe()
    os.close(reader)
    before = telemetry.LOST_LINES._value.get()
    with io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True) as nobody:
        telemetry.configure_logs("info", as_json=True, to=nobody)
        telemetry.log.warning("the one who started this process is gone")
        telemetry.log.error("and the work goes on", exc_info=ValueError("anything"))
    telemetry.configure_logs("info", as_json=False)
    assert telemetry.LOST_LINES._value.get() == before + 2


def test_no_secret_and_no_card_number_leaves_with_a_span():
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Scrubbing(kept)))
    telemetry.use_tracer(provider.get_tracer("test"))
    with pytest.raises(ValueError, match="4242"), telemetry.span("http", "/cards/4242424242424242", token="hushhush", note="torg_hushhushhush12"):
        raise ValueError("no such card: 4242 4242 4242 4242 of Bearer hushhushhush1234")
    telemetry.use_tracer(None)
    (span,) = kept.get_finished_spans()
    assert "4242 4242" not in span.to_json()
    assert "42424242" not in span.to_json()
    assert "hush" not in span.to_json()
    assert (span.status.is_ok, span.events[0].attributes and span.events[0].attributes["exception.type"]) == (False, "ValueError")
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time >= span.start_time


def test_of_what_befalls_each_request_there_are_so_many_lines_a_minute_and_no_other_is_hidden():
    now = [0.0]
    few = telemetry.Few(lambda: now[0])
    assert [few.may("order") for _ in range(1000)] == [{}] * telemetry.A_MINUTE + [None] * (1000 - telemetry.A_MINUTE)
    assert few.may("catalog") == {}
    now[0] += 61
    assert [few.may("order") for _ in range(2)] == [{"left_out": 1000 - telemetry.A_MINUTE}, {}]
    now[0] += 61
    assert few.may("order") == {}
