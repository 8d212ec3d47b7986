"""Parcels from booking to the door and back: asked once, twice, and in the wrong order."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from torg.contexts.inventory.contracts import Units
from torg.contexts.shipping import contracts as c
from torg.contexts.shipping.adapters.audit_sql import SqlDeliveryAudit
from torg.contexts.shipping.tests.house import BUYER, COURIER, STRANGER, House, booking, open_house
from torg.kit.errors import DomainError, Invalid, NotFound
from torg.kit.testing import faults_of


async def test_booking_twice_makes_one_delivery_and_gives_the_same_answer(house: House) -> None:
    first, second = await house.told(booking()), await house.told(booking())
    assert first == second
    (delivery,) = await house.all()
    assert isinstance(first[0], c.ShippingScheduled)
    assert (delivery.id, delivery.status, delivery.source, delivery.destination.city) == (first[0].delivery_id, "scheduled", "Moscow", "Kazan")
    assert delivery.tracking_number.startswith("TG")
    assert delivery.created_at < delivery.shipment_date < delivery.delivery_date


@pytest.mark.parametrize(("method", "grams", "point"), [("post", 30_001, ""), ("courier", 200_001, ""), ("pickup", 1, ""), ("pickup", 1, "nowhere")])
async def test_what_nobody_carries_is_refused_each_time(house: House, method: c.DeliveryMethod, grams: int, point: str) -> None:
    first, second = await house.told(booking(method=method, grams=grams, point=point)), await house.told(booking(method=method, grams=grams, point=point))
    assert first == second
    assert isinstance(first[0], c.NoCarrier)
    assert first[0].reason
    assert await house.all() == ()


async def test_a_parcel_to_a_pick_up_point_is_booked(house: House) -> None:
    (answer,) = await house.told(booking(method="pickup", point="kazan-bauman"))
    assert isinstance(answer, c.ShippingScheduled)


async def test_calling_off_before_hand_over_ends_the_delivery_and_may_come_twice(house: House) -> None:
    await house.do(booking())
    assert await house.told(c.CancelShipping("o1")) == [c.ShippingCancelled("o1")]
    assert await house.told(c.CancelShipping("o1")) == [c.ShippingCancelled("o1")]
    assert (await house.delivery()).status == "cancelled"
    (late,) = await house.told(booking())
    assert isinstance(late, c.NoCarrier)


async def test_a_booking_that_comes_after_its_cancellation_is_refused(house: House) -> None:
    assert await house.told(c.CancelShipping("o1")) == [c.ShippingCancelled("o1")]
    (answer,) = await house.told(booking())
    assert isinstance(answer, c.NoCarrier)
    assert await house.all() == ()


async def test_calling_off_after_hand_over_is_refused(house: House) -> None:
    await house.do(booking())
    await house.confirm()
    await house.move("shipped")
    (answer,) = await house.told(c.CancelShipping("o1"))
    assert isinstance(answer, c.CancellationRefused)
    assert (await house.delivery()).status == "shipped"


async def test_a_courier_brings_a_parcel_step_by_step_and_the_shop_hears_of_each(house: House) -> None:
    await house.delivered()
    kinds = [type(row.message) for row in await house.deps.store.log.stream("o1")]
    assert kinds == [c.ShippingScheduled, c.DeliveryShipped, c.DeliveryInTransit, c.DeliveryDelivered]
    tracking = await house.do(c.TrackDelivery((await house.delivery()).id, BUYER))
    assert [entry.status for entry in tracking.items] == ["scheduled", "shipped", "in_transit", "delivered"]


async def test_dates_become_those_on_which_it_happened(house: House) -> None:
    await house.do(booking())
    await house.confirm()
    house.clock.advance(hours=5)
    await house.move("shipped", "in_transit")
    house.clock.advance(hours=7)
    await house.move("delivered")
    delivery = await house.delivery()
    assert delivery.delivery_date - delivery.shipment_date == timedelta(hours=7)


@pytest.mark.parametrize(
    ("before", "step"),
    [((), "in_transit"), ((), "delivered"), ((), "returned"), (("shipped",), "delivered"), (("shipped", "in_transit"), "shipped"),
     (("shipped", "in_transit", "delivered"), "returned")],
)  # fmt: skip
async def test_a_step_out_of_turn_is_refused(house: House, before: tuple[str, ...], step: str) -> None:
    await house.do(booking())
    await house.confirm()
    await house.move(*before)
    with pytest.raises(DomainError) as refusal:
        await house.move(step)
    assert refusal.value.code == "delivery.transition"


async def test_telling_the_same_status_again_changes_nothing(house: House) -> None:
    await house.do(booking())
    await house.confirm()
    await house.move("shipped", "shipped")
    kinds = [type(row.message) for row in await house.deps.store.log.stream("o1")]
    assert kinds == [c.ShippingScheduled, c.DeliveryShipped]


async def test_a_parcel_does_not_leave_before_its_order_is_confirmed(house: House) -> None:
    await house.do(booking())
    with pytest.raises(DomainError) as refusal:
        await house.move("shipped")
    assert refusal.value.code == "delivery.not_ready"
    house.orders["o1"] = "confirmed"  # and the event is still on its way
    await house.move("shipped")
    assert (await house.delivery()).status == "shipped"


async def test_buyers_see_their_own_deliveries_and_couriers_all(house: House) -> None:
    await house.do(booking("o1"))
    await house.do(booking("o2", user_id="u2"))
    assert [d.order_id for d in await house.all(BUYER)] == ["o1"]
    assert await house.all(STRANGER, order_id="o1") == ()
    assert {d.order_id for d in await house.all(COURIER)} == {"o1", "o2"}
    delivery = await house.delivery("o1")
    assert await house.do(c.GetDelivery(delivery.id, BUYER)) == delivery
    for query in (c.GetDelivery(delivery.id, STRANGER), c.TrackDelivery(delivery.id, STRANGER), c.GetDelivery("nothing", COURIER)):
        with pytest.raises(NotFound):
            await house.do(query)


async def test_pages_of_deliveries_follow_each_other_without_gap_or_overlap(house: House) -> None:
    for number in range(5):
        await house.do(booking(f"o{number}"))
        house.clock.advance(seconds=number % 2)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await house.do(c.ListDeliveries(viewer=COURIER, status="scheduled", limit=2, cursor=cursor))
        seen += [d.order_id for d in page.items]
        cursor = page.next_cursor
    assert seen == ["o4", "o3", "o2", "o1", "o0"]
    with pytest.raises(Invalid):
        await house.do(c.ListDeliveries(viewer=COURIER, cursor="garbage"))


def fetch_back(return_id: str = "r1") -> c.ScheduleReturn:
    return c.ScheduleReturn(order_id="o1", return_id=return_id, lines=(Units("apple", 1),))


async def test_a_return_is_fetched_by_the_courier_and_received_once(house: House) -> None:
    await house.delivered()
    (scheduled,) = await house.told(fetch_back())
    assert isinstance(scheduled, c.ReturnScheduled)
    assert await house.told(fetch_back()) == []
    back = next(d for d in await house.all() if d.kind == "return")
    assert (back.source, back.destination.city, back.status) == ("Kazan", "Moscow", "scheduled")
    arrived = c.MoveDelivery(delivery_id=back.id, status="returned")
    assert await house.told(arrived) == [c.ReturnReceived(order_id="o1", return_id="r1")]
    assert await house.told(arrived) == []
    assert await house.told(fetch_back()) == [c.ReturnReceived(order_id="o1", return_id="r1")]
    assert [entry.status for entry in (await house.do(c.TrackDelivery(back.id, BUYER))).items] == ["scheduled", "returned"]


async def test_an_order_can_send_back_twice(house: House) -> None:
    await house.delivered()
    assert len(await house.told(fetch_back("r1")) + await house.told(fetch_back("r2"))) == 2
    assert len([d for d in await house.all(BUYER, order_id="o1") if d.kind == "return"]) == 2


async def test_what_was_not_delivered_cannot_be_fetched_back(house: House) -> None:
    await house.do(booking())
    (answer,) = await house.told(fetch_back())
    assert isinstance(answer, c.ReturnRefused)


async def test_the_simulated_carrier_brings_confirmed_parcels_and_returns_by_itself(tmp_path: Path) -> None:
    async with open_house(tmp_path, timedelta(seconds=10)) as house:
        await house.do(booking("o1"))
        await house.do(booking("o2"))
        await house.confirm("o1")
        seen = []
        for _ in range(4):
            house.clock.advance(seconds=10)
            await house.carry_on()
            await house.carry_on()
            seen.append((await house.delivery("o1")).status)
        assert seen == ["shipped", "in_transit", "delivered", "delivered"]
        assert (await house.delivery("o2")).status == "scheduled"
        await house.do(fetch_back())
        house.clock.advance(seconds=10)
        await house.carry_on()
        assert next(d for d in await house.all() if d.kind == "return").status == "returned"


async def test_a_clock_that_was_ahead_keeps_no_parcel_waiting(tmp_path: Path) -> None:
    async with open_house(tmp_path, timedelta(seconds=10)) as house:
        house.clock.advance(hours=1)
        await house.do(booking())
        await house.confirm()
        house.clock.advance(hours=-1)
        await house.carry_on()
        await house.carry_on()
        assert (await house.delivery()).status == "shipped"


async def test_a_delivery_that_is_not_where_its_log_says_is_found(house: House) -> None:
    await house.delivered("o1")
    await house.do(booking("o2"))
    await house.do(c.CancelShipping("o2"))
    await house.do(fetch_back())
    assert await faults_of(SqlDeliveryAudit(house.deps).invariants()) == []
    async with house.deps.transaction() as tx:
        await tx.execute("update delivery set status = 'in_transit' where order_id = 'o2'")
    assert len(await faults_of(SqlDeliveryAudit(house.deps).invariants())) == 1


async def test_without_the_simulated_carrier_parcels_wait_for_a_courier(house: House) -> None:
    await house.do(booking())
    await house.confirm()
    house.clock.advance(days=3)
    await house.carry_on()
    assert (await house.delivery()).status == "scheduled"
