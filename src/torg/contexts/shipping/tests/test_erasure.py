"""A person is erased: what becomes of their parcels."""

from __future__ import annotations

from datetime import timedelta

from torg.contexts.inventory.contracts import Units
from torg.contexts.shipping import contracts as c
from torg.contexts.shipping.adapters.audit_sql import SqlDeliveryAudit
from torg.contexts.shipping.handlers import CARED_FOR, erase_ended
from torg.contexts.shipping.tests.house import BUYER, HOME, House, booking
from torg.contexts.user.contracts import ERASED, UserErased
from torg.kit.bus.failures import TRIES, Failures
from torg.kit.messages import Envelope, Message, Meta, Registry
from torg.kit.store import Answer, awaited_answer
from torg.kit.testing import all_text, faults_of, tables_with

PERSONAL = (HOME.street, HOME.postcode)


async def found(house: House) -> set[str]:
    """Tables in which something personal stands anywhere."""
    return tables_with(await all_text(house.deps.store.database), PERSONAL)


async def erase(house: House, user_id: str = "u1") -> None:
    await house.do(UserErased(user_id))
    await erase_ended(house.deps)


async def send_back(house: House) -> c.DeliveryView:
    await house.do(c.ScheduleReturn(order_id="o1", return_id="r1", lines=(Units("apple", 1),)))
    return next(found for found in await house.all() if found.kind == "return")


async def test_a_delivered_parcel_of_an_erased_person_keeps_the_city_alone(house: House) -> None:
    await house.delivered()
    before = await house.delivery()
    assert await found(house) == {"delivery"}
    await erase(house)
    after = await house.delivery()
    assert await found(house) == set()
    assert (after.destination.city, after.destination.street, after.destination.postcode) == ("Kazan", ERASED, ERASED)
    assert (after.status, after.tracking_number, after.updated_at) == (before.status, before.tracking_number, before.updated_at)
    assert await faults_of(SqlDeliveryAudit(house.deps).invariants()) == []
    assert (await house.do(c.TrackDelivery(after.id, BUYER))).items[-1].status == "delivered"


async def test_erasing_twice_changes_nothing_more(house: House) -> None:
    await house.delivered()
    await erase(house)
    once = await house.delivery()
    await erase(house)
    assert await house.delivery() == once


async def test_a_parcel_under_way_keeps_its_address_until_it_has_arrived(house: House) -> None:
    await house.do(booking())
    await house.confirm()
    for step in ("shipped", "in_transit"):
        await house.move(step)
        await erase(house)
        assert (await house.delivery()).destination == HOME
    await house.move("delivered")
    await erase_ended(house.deps)
    assert await found(house) == set()


async def test_a_parcel_that_was_called_off_loses_its_address(house: House) -> None:
    await house.do(booking())
    await house.do(c.CancelShipping("o1"))
    await erase(house)
    assert (await house.delivery()).status == "cancelled"
    assert await found(house) == set()


async def test_what_nobody_carries_is_no_exception_and_is_refused_again(house: House) -> None:
    first = await house.told(booking(grams=200_001))
    await erase(house)
    assert await found(house) == set()
    assert await house.told(booking(grams=200_001)) == first


async def test_the_pick_up_point_goes_as_well(house: House) -> None:
    await house.do(booking(method="pickup", point="kazan-bauman"))
    await house.do(c.CancelShipping("o1"))
    await erase(house)
    assert (await house.delivery()).pickup_point_id == ""


async def test_the_address_stays_while_goods_are_fetched_back(house: House) -> None:
    await house.delivered()
    back = await send_back(house)
    await erase(house)
    assert (await house.delivery()).destination == HOME
    await house.do(c.MoveDelivery(delivery_id=back.id, status="returned"))
    await erase_ended(house.deps)
    assert await found(house) == set()
    assert (await house.do(c.GetDelivery(back.id, BUYER))).destination == back.destination, "that is the shop's own address"


async def test_goods_that_never_come_back_do_not_keep_the_address_for_ever(house: House) -> None:
    await house.delivered()
    await send_back(house)
    await erase(house)
    house.clock.now += CARED_FOR + timedelta(days=1)
    await erase_ended(house.deps)
    assert await found(house) == set()


async def test_goods_of_an_erased_person_can_be_fetched_back(house: House) -> None:
    await house.delivered()
    await erase(house)
    assert (await send_back(house)).source == "Kazan"


async def test_parcels_of_others_stay_as_they_are(house: House) -> None:
    await house.delivered()
    await erase(house, "u2")
    assert (await house.delivery()).destination == HOME


async def test_a_parcel_that_is_booked_after_the_erasure_is_found_later(house: House) -> None:
    await erase(house)
    await house.delivered()
    await erase_ended(house.deps)
    assert await found(house) == set()


async def test_an_erased_person_is_looked_after_until_nothing_can_come_in_any_more(house: House) -> None:
    await house.delivered()
    await erase(house)
    for days, kept in ((39, 1), (2, 0)):
        house.clock.advance(days=days)
        await erase_ended(house.deps)
        assert await house.deps.store.database.value("select count(*) from erasure") == kept


class Asked:
    """A courier's request with an Idempotency-Key."""

    caller, key, fingerprint, filed = "c1", "k1", "f", False

    def render(self, reply: object) -> Answer:
        assert isinstance(reply, c.DeliveryView)
        return Answer(200, (), f'{{"id":"{reply.id}","user_id":"{reply.user_id}","street":"{reply.destination.street}"}}')


async def test_answers_that_were_kept_are_forgotten(house: House) -> None:
    await house.do(booking())
    await house.confirm()
    await house.move("shipped", "in_transit")
    token = awaited_answer.set(Asked())
    await house.move("delivered")
    awaited_answer.reset(token)
    assert await found(house) == {"delivery", "answer"}
    await erase(house)
    assert await found(house) == set()


async def park(house: House, message: Message) -> None:
    """A dead letter."""
    row = Envelope(1, "order/s1/1", "order", "s1", 1, message, Meta(), house.clock())
    async with house.deps.transaction() as tx:
        await Failures(house.deps.store, Registry([c])).keep(tx, "shipping", row, "broken", TRIES)


async def test_a_booking_among_the_dead_letters_loses_its_address_once_its_order_has_ended(house: House) -> None:
    await park(house, booking())
    await erase(house)
    assert await found(house) == {"failed_message"}
    await house.do(c.CancelShipping("o1"))
    await erase_ended(house.deps)
    assert await found(house) == set()
    failures = Failures(house.deps.store, Registry([c]))
    await failures.redrive("shipping", "order/s1/1")
    (((row, _),),) = await failures.due("shipping")
    (answer,) = await house.told(row.message)
    assert isinstance(answer, c.NoCarrier)
