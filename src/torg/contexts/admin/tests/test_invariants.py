"""Whether what must hold is seen to hold, and what is broken on purpose is told in a sentence."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.admin import contracts as c
from torg.contexts.admin.handlers.inspecting import watch
from torg.contexts.admin.tests.house import REGISTRY, House, booked, confirmed, held, open_house, placed, posted, processed, sell, usd
from torg.contexts.inventory.contracts import ItemsReleased, ItemsReserved
from torg.contexts.order.contracts import OrderCancelled, OrderDelivered, OrderRejected, OrderReturned, OrderShipped, ReturnRequested
from torg.contexts.shipping.contracts import ShippingCancelled
from torg.kit.auditing import Fault, Invariant
from torg.kit.bus import BusConsumer, Consumer, LogFeed
from torg.kit.telemetry import BROKEN_INVARIANTS, INVARIANTS_AT
from torg.kit.values import stamp


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def test_a_healthy_shop_breaks_nothing(house: House) -> None:
    await sell(house)
    await sell(house, "o2", 700)
    assert await house.broken() == {}
    reports: c.InvariantReports = await house.do(c.GetInvariants())
    assert len(reports.items) >= 8
    assert all(report.holds and report.sentence.endswith(".") and report.checked_at == house.clock() for report in reports.items)


async def test_an_order_under_way_is_no_violation(house: House) -> None:
    await house.log("order", placed())
    await house.log("inventory", held())
    await house.log("payment", posted("payment", 500), processed())
    assert await house.broken() == {}


async def test_a_sale_that_nobody_paid_is_told(house: House) -> None:
    await house.log("order", placed(), confirmed())
    await house.log("inventory", held())
    await house.log("shipping", booked())
    house.report["2026-03-01"] = (1, 500)
    assert await house.broken() == {"orders.paid_once": ("order o1 is sold, but 0 of its total of 500 is paid",)}


async def test_a_sale_charged_twice_is_told(house: House) -> None:
    await sell(house)
    await house.log("payment", posted("payment", 500))
    (first, *_) = (await house.broken())["orders.paid_once"]
    assert first == "order o1 was charged 2 times"


async def test_cash_is_due_once_the_parcel_is_delivered(house: House) -> None:
    await house.log("order", placed(method="cash"), confirmed())
    await house.log("inventory", held())
    await house.log("payment", processed(method="cash"))
    await house.log("shipping", booked())
    house.report["2026-03-01"] = (1, 500)
    assert await house.broken() == {}
    await house.log("order", OrderShipped(order_id="o1", user_id="u1", tracking_number="T1"), OrderDelivered(order_id="o1", user_id="u1", product_ids=()))
    assert "orders.paid_once" in await house.broken()
    await house.log("payment", posted("payment", 500))
    assert await house.broken() == {}


async def test_money_and_stock_of_a_rejected_order_must_be_let_go(house: House) -> None:
    await house.log("order", placed(), OrderRejected(order_id="o1", user_id="u1", reason="no carrier"))
    await house.log("inventory", held())
    await house.log("payment", posted("payment", 500))
    assert await house.broken() == {
        "orders.paid_back": ("order o1 came to nothing, but 500 that was charged for it is not given back",),
        "orders.held_for_live_orders": ("order o1 came to nothing, but still holds stock",),
    }
    await house.log("inventory", ItemsReleased("o1"))
    await house.log("payment", posted("refund", 500))
    assert await house.broken() == {}


async def test_a_hold_answered_again_holds_nothing_more(house: House) -> None:
    await house.log("order", placed(), OrderRejected(order_id="o1", user_id="u1", reason="no money"))
    await house.log("inventory", held(), ItemsReleased("o1"), ItemsReserved(order_id="o1", allocations=(), source="Moscow", again=True))
    assert await house.broken() == {}


async def test_a_charge_and_a_hold_without_an_order_are_told(house: House) -> None:
    await house.log("inventory", held("ghost"))
    await house.log("payment", posted("payment", 9, "ghost"), posted("top_up", 1, ""))
    assert await house.broken() == {
        "orders.paid_back": ("order ghost was never placed, but 9 was charged for it and not given back",),
        "orders.held_for_live_orders": ("order ghost was never placed, but holds stock",),
    }


async def test_a_cancelled_sale_leaves_the_reports(house: House) -> None:
    await sell(house)
    await house.log("order", OrderCancelled(order_id="o1", user_id="u1", reason="x", was_sale=True))
    await house.log("inventory", ItemsReleased("o1"))
    await house.log("payment", posted("refund", 500))
    await house.log("shipping", ShippingCancelled("o1"))
    assert await house.broken() == {"reports.equal_logs": ("2026-03-01: the logs tell of 0 sales worth 0, the report of 1 worth 500",)}
    house.report.clear()
    assert await house.broken() == {}


async def test_a_part_that_was_returned_is_owed(house: House) -> None:
    await sell(house)
    house.report["2026-03-01"] = (1, 300)
    back: dict[str, Any] = {"order_id": "o1", "user_id": "u1", "return_id": "r1", "lines": (), "refund": usd(200)}
    await house.log("order", OrderDelivered(order_id="o1", user_id="u1", product_ids=()))
    await house.log("order", ReturnRequested(**back, reason="broken"), OrderReturned(**back, whole=False))
    assert (await house.broken())["orders.paid_back"] == ("order o1 was given back 0, but its returns are worth 200",)
    await house.log("payment", posted("refund", 200))
    assert await house.broken() == {}


async def test_two_orders_of_one_cart_are_told(house: House) -> None:
    await house.log("order", placed("o1", cart="c1"), placed("o2", cart="c1"))
    assert (await house.broken())["orders.one_order_per_cart"][0] == "cart c1 became 2 orders: o1, o2"


async def test_a_doubt_counts_only_once_it_has_lasted(house: House) -> None:
    await house.log("order", placed(), confirmed())
    reports: c.InvariantReports = await house.do(c.GetInvariants())
    assert all(report.holds for report in reports.items)
    house.clock.advance(seconds=14)
    reports = await house.do(c.GetInvariants())
    assert all(report.holds for report in reports.items)
    house.clock.advance(seconds=2)
    reports = await house.do(c.GetInvariants())
    assert not all(report.holds for report in reports.items)


async def test_reports_are_kept_for_a_second(house: House) -> None:
    first = await house.do(c.GetInvariants())
    assert await house.do(c.GetInvariants()) is first
    house.clock.advance(seconds=2)
    assert await house.do(c.GetInvariants()) is not first


async def test_a_row_that_was_taken_out_of_a_log_is_told_until_it_is_back(house: House) -> None:
    await house.log("payment", *(posted("top_up", 1, "") for _ in range(3)))
    await house.tamper("payment", "delete from log where version = 2")
    assert await house.broken() == {"logs.whole": ("stream stream of the log of payment lacks 1 of its versions",)}
    assert "logs.whole" in await house.broken(), "though nothing new was logged"
    await house.tamper("payment", "update log set version = 2 where version = 3")
    assert await house.broken() == {}


async def test_a_row_taken_out_of_the_past_is_found_on_the_next_round(house: House) -> None:
    for start in range(0, 5000, 500):
        await house.log("payment", *(posted("top_up", 1, "") for _ in range(500)), stream=f"s{start}")
    assert await house.broken() == {}
    await house.tamper("payment", "delete from log where stream = 's500' and version = 7")
    for _ in range(3):
        found = await house.broken()
    assert found == {"logs.whole": ("stream s500 of the log of payment lacks 1 of its versions",)}


async def test_a_row_taken_out_of_the_past_of_a_short_log_is_found(house: House) -> None:
    """A log that is read at one look has no less to lose than a long one."""
    await house.log("payment", *(posted("top_up", 1, "") for _ in range(3)))
    assert await house.broken() == {}
    await house.tamper("payment", "delete from log where version = 2")
    assert await house.broken() == {"logs.whole": ("stream stream of the log of payment lacks 1 of its versions",)}


async def test_a_saga_that_nobody_looks_after_is_told(house: House) -> None:
    deadline = stamp(house.clock() - timedelta(seconds=90))
    await house.tamper(
        "order",
        """insert into saga (id, type, subject, status, instance, deadline, created_at, updated_at)
           values ('s1', 'checkout', 'o1', 'running', '{}', :deadline, :deadline, :deadline)""",
        deadline=deadline,
    )
    found = await house.broken()
    assert found == {"sagas.end": ("checkout saga s1 of o1 is running, and nobody looked after it since 2026-03-01 11:58:30 UTC",)}


async def test_a_consumer_that_stands_still_is_told(house: House) -> None:
    async def never(_: object) -> None:
        raise AssertionError

    store = house.desks["payment"].store
    consumer = Consumer("payment", {type(placed()): never})
    feed = LogFeed({"order": house.desks["order"].store.log})
    standing = BusConsumer(consumer, store, feed, REGISTRY)
    await feed.open(consumer.handlers.keys(), standing.positions)  # and never takes anything
    house.desks["payment"].consumers = [standing]
    await house.log("order", placed())
    (detail,) = (await house.details())["consumers.keep_up"]
    assert detail.sentence == "payment stands at position 0 of the log of order, with more to handle behind it"
    assert since(detail) == ("order", "stream", 1, "order.placed", True)
    assert (detail.id, detail.remedy.page) == ("payment", "/admin/consumers")


async def test_a_dead_letter_is_told(house: House) -> None:
    await house.bury("payment", "payment", "order/o1/1")
    (sentence,) = (await house.broken())["messages.handled"]
    assert sentence == "payment gave up on order.placed (order/o1/1) after 8 tries: ValueError: no"


async def test_what_cannot_be_checked_does_not_hold_and_hides_nothing(house: House) -> None:
    async def away() -> list[Fault]:
        raise OSError("disk is gone")

    house.desks["payment"].invariants = [Invariant("ledger", "Every transaction sums to zero.", away)]
    assert await house.broken() == {"payment.ledger": ("this could not be checked: OSError: disk is gone",)}
    await watch(house.deps, bytes)
    assert BROKEN_INVARIANTS.labels("payment.ledger")._value.get() == 1
    assert BROKEN_INVARIANTS.labels("orders.paid_once")._value.get() == 0


async def test_many_violations_are_counted_and_not_all_told(house: House) -> None:
    async def many() -> list[Fault]:
        return [Fault(sentence=f"violation {number}") for number in range(25)]

    house.desks["payment"].invariants = [Invariant("ledger", "Every transaction sums to zero.", many)]
    told = (await house.broken())["payment.ledger"]
    assert len(told) == 21
    assert told[-1] == "and 5 more"


async def test_after_a_start_the_books_go_on_where_they_ended(house: House) -> None:
    await sell(house)
    assert await house.broken() == {}
    assert await house.deps.books.read_until("accounts", "order") == await house.desks["order"].log.head() > 0
    assert not await house.deps.books.unproven("", 10)


# ---------------------------------------------------------------- since when, and what mends it


def since(detail: c.Violation) -> tuple[str, str, int, str, bool]:
    assert detail.began, detail.note
    return detail.began.context, detail.began.stream, detail.began.version, detail.began.name, detail.began_exactly


async def test_a_second_charge_is_where_it_began(house: House) -> None:
    await sell(house)
    house.clock.advance(seconds=5)
    await house.log("payment", posted("payment", 500), stream="payment of o1")
    detail, *_ = (await house.details())["orders.paid_once"]
    assert since(detail) == ("payment", "payment of o1", 3, "payment.ledger_posted", True)
    assert (detail.about, detail.id, detail.page, detail.remedy.action) == ("order", "o1", "/admin/orders/o1", "ask")
    assert detail.began
    assert detail.began.page == f"/admin/events?context=payment&stream=payment+of+o1&cursor={detail.began.position + 1}"


async def test_a_sale_that_nobody_paid_began_with_its_confirmation_and_ends_with_its_cancellation(house: House) -> None:
    await house.log("order", placed(), stream="o1")
    await house.log("inventory", held(), stream="o1")
    house.clock.advance(seconds=1)
    await house.log("order", confirmed(), stream="o1")
    await house.log("shipping", booked(), stream="o1")
    house.report["2026-03-01"] = (1, 500)
    (detail,) = (await house.details())["orders.paid_once"]
    assert since(detail) == ("order", "o1", 2, "order.confirmed", True)
    assert (detail.remedy.action, detail.remedy.page) == ("cancel", "/admin/orders/o1")
    house.report.clear()
    await house.log("order", OrderCancelled(order_id="o1", user_id="u1", reason="x", was_sale=True), stream="o1")
    await house.log("inventory", ItemsReleased("o1"), stream="o1")
    await house.log("shipping", ShippingCancelled("o1"), stream="o1")
    assert await house.broken() == {}


async def test_stock_held_for_nothing_began_with_the_end_of_its_order(house: House) -> None:
    await house.log("order", placed(), stream="o1")
    await house.log("inventory", held(), stream="o1")
    house.clock.advance(seconds=9)
    await house.log("order", OrderRejected(order_id="o1", user_id="u1", reason="no carrier"), stream="o1")
    (detail,) = (await house.details())["orders.held_for_live_orders"]
    assert since(detail) == ("order", "o1", 2, "order.rejected", True)
    assert detail.remedy.action == "ask"
    assert (detail.remedy.page, detail.remedy.runbook) == ("", "docs/runbook.md#an-invariant-is-broken")


async def test_a_dead_letter_about_the_order_is_to_be_mended_first(house: House) -> None:
    await house.log("order", placed(), OrderRejected(order_id="o1", user_id="u1", reason="no carrier"), stream="o1")
    await house.log("inventory", held(), stream="o1")
    await house.bury("inventory", "inventory", "order/o1/2")
    found = await house.details()
    assert found["orders.held_for_live_orders"][0].remedy.action == "redrive"
    (letter,) = found["messages.handled"]
    assert since(letter) == ("order", "o1", 2, "order.rejected", True)
    assert letter.remedy.page == f"/admin/dead-letters#{letter.id}"


async def test_of_two_orders_of_a_cart_the_second_is_where_it_began(house: House) -> None:
    await house.log("order", placed("o2", cart="c1"), stream="o2")
    house.clock.advance(seconds=3)
    await house.log("order", placed("o1", cart="c1"), stream="o1")
    details = (await house.details())["orders.one_order_per_cart"]
    assert {since(detail) for detail in details} == {("order", "o1", 1, "order.placed", True)}
    assert {detail.remedy.action for detail in details} == {"cancel"}


async def test_what_the_logs_do_not_show_any_more_is_not_blamed_on_a_row(house: House) -> None:
    await sell(house)
    await house.log("payment", posted("payment", 500), stream="payment of o1")
    await house.do(c.GetInvariants())
    await house.tamper("payment", "delete from log where version = 3")
    detail, *_ = (await house.details())["orders.paid_once"]
    assert (detail.began, detail.note) == (None, "as the logs are now nothing of it is in doubt: they say other than the auditor's books")


async def test_a_saga_began_with_its_first_step_and_its_last_is_named(house: House) -> None:
    await house.log("order", placed(), confirmed(), stream="s1")
    await house.tamper(
        "order",
        """insert into saga (id, type, subject, status, instance, deadline, created_at, updated_at)
           values ('s1', 'checkout', 'o1', 'stuck', '{}', :deadline, :deadline, :deadline)""",
        deadline=stamp(house.clock()),
    )
    (detail,) = (await house.details())["sagas.end"]
    assert since(detail) == ("order", "s1", 1, "order.placed", True)
    assert detail.note == "its last step was order.confirmed at 2026-03-01 12:00:00 UTC (version 2)"
    assert (detail.id, detail.remedy.page) == ("o1", "/admin/orders/o1")


async def test_a_missing_version_is_named_with_its_neighbours(house: House) -> None:
    await house.log("payment", *(posted("top_up", 1, "") for _ in range(5)))
    await house.tamper("payment", "delete from log where version in (3, 4)")
    (detail,) = (await house.details())["logs.whole"]
    assert since(detail) == ("payment", "stream", 5, "payment.ledger_posted", True)
    before = (await house.desks["payment"].store.log.tail(0, 5))[1]
    assert detail.note == f"versions 3 to 4 are missing; before stands version 2, payment.ledger_posted at position {before.position}"
    assert (detail.id, detail.page, detail.remedy.command) == ("payment/stream", "/admin/events?context=payment&stream=stream", "torg restore")


async def test_a_report_that_is_wrong_leads_to_the_days_first_sale(house: House) -> None:
    await sell(house)
    house.clock.advance(days=1)
    await house.log("order", *(placed(f"x{n}", cart=f"c{n}") for n in range(20)), stream="x")
    house.report.clear()
    (detail,) = (await house.details())["reports.equal_logs"]
    assert since(detail) == ("order", "o1", 2, "order.confirmed", False)
    assert (detail.page, detail.remedy.command) == ("/admin/reports?from=2026-03-01&to=2026-03-02", "torg rebuild reports")


async def test_while_a_log_has_more_than_one_look_reads_nothing_is_judged(house: House) -> None:
    await house.log("order", placed("o1"), confirmed("o1"), stream="o1")
    await house.log("inventory", held("o1"), stream="o1")
    await house.log("shipping", booked("o1"), stream="o1")
    await house.log("payment", *(posted("top_up", 1, "") for _ in range(20_000)), posted("payment", 500, "o1"), processed("o1"), stream="many")
    house.report["2026-03-01"] = (1, 500)
    for _ in range(4):
        assert await house.broken() == {}


async def test_the_job_rests_fifty_times_as_long_as_it_worked_and_tells_what_it_found(house: House) -> None:
    await watch(house.deps, lambda size: bytes([255] * size))
    latest: c.InvariantReports = await house.do(c.GetInvariants(anew=False))
    assert (latest.taken_at, latest.rests) == (house.clock(), house.deps.inspection.rests)
    assert house.deps.inspection.rests == pytest.approx(33, rel=0.01), "half a minute, and a tenth more as chance had it"

    async def slow() -> list[Fault]:
        began = time.perf_counter()
        while time.perf_counter() - began < 1:
            pass
        return []

    house.desks["payment"].invariants = [Invariant("slow", "It takes a second.", slow)]
    house.clock.advance(seconds=60)
    await watch(house.deps, bytes)
    assert 45 <= house.deps.inspection.rests <= 216
    assert INVARIANTS_AT._value.get() == house.clock().timestamp()


async def test_the_last_look_is_shown_without_a_new_one(house: House) -> None:
    first = await house.do(c.GetInvariants())
    house.clock.advance(seconds=60)
    assert await house.do(c.GetInvariants(anew=False)) is first
