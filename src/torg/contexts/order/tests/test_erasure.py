"""A person is erased: what becomes of their orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from torg.contexts.inventory import contracts as inventory
from torg.contexts.order import contracts as c
from torg.contexts.order.adapters.audit_sql import SqlOrderAudit
from torg.contexts.order.adapters.store_sql import SqlOrderStore
from torg.contexts.order.handlers import asked, erasing
from torg.contexts.order.model import fold
from torg.contexts.order.tests import test_handlers
from torg.contexts.order.tests.test_handlers import ANNA, BORIS, HOME, SUPPORT, House, send_back
from torg.contexts.order.tests.test_model import usd
from torg.contexts.payment import contracts as payment
from torg.contexts.shipping import contracts as shipping
from torg.contexts.user.contracts import ERASED, UserErased
from torg.kit.store import Answer, awaited_answer
from torg.kit.testing import all_text, faults_of, tables_with

house = test_handlers.house
PERSONAL = (HOME.street, HOME.postcode, "my neighbour")


async def found(house: House, *words: str) -> set[str]:
    """Tables in which one of these words stands anywhere."""
    return tables_with(await all_text(house.deps.store.database), words)


async def erase(house: House, user_id: str = "anna") -> None:
    await house.tell(UserErased(user_id))
    await erasing.erase_ended(house.deps)


async def shown(house: House, order_id: str) -> c.OrderView:
    return await asked.get_order(c.GetOrder(order_id, SUPPORT), house.deps)


async def faults(house: House) -> list[str]:
    orders = house.deps.orders
    assert isinstance(orders, SqlOrderStore)
    return await faults_of(SqlOrderAudit(house.deps.store, orders).invariants())


async def cancel(house: House, order_id: str) -> None:
    await asked.cancel_my_order(c.CancelMyOrder(order_id=order_id, buyer=ANNA, reason="my neighbour bought it"), house.deps)


async def undo(house: House, order_id: str) -> None:
    """What others answer when a cancelled order is undone."""
    await house.tell(shipping.ShippingCancelled(order_id))
    await house.tell(payment.PaymentRefunded(order_id=order_id, refund_id="r", payment_id="p1", amount=usd(1299)))
    await house.tell(inventory.ItemsReleased(order_id))


async def delivered(house: House) -> str:
    view = await house.place()
    await house.confirm(view.id)
    await house.deliver(view.id)
    return view.id


async def test_a_delivered_order_of_an_erased_buyer_keeps_the_city_alone(house: House):
    order_id = await delivered(house)
    before = await shown(house, order_id)
    assert await found(house, *PERSONAL) == {"orders", "log", "saga"}
    await erase(house)
    after = await shown(house, order_id)
    assert await found(house, *PERSONAL) == set()
    assert (after.delivery.address.city, after.delivery.address.street, after.delivery.address.postcode) == ("Moscow", ERASED, ERASED)
    assert (after.status, after.total, after.lines, after.updated_at) == (before.status, before.total, before.lines, before.updated_at)
    assert fold(await house.deps.store.log.stream(order_id)).view() == after  # type: ignore[union-attr]
    assert await faults(house) == []


async def test_erasing_twice_changes_nothing_more(house: House):
    order_id = await delivered(house)
    await erase(house)
    once = (await house.sent(), await shown(house, order_id))
    await erase(house)
    assert (await house.sent(), await shown(house, order_id)) == once
    assert (await house.sent()).count("BuyerErased") == 1


async def test_an_order_under_way_keeps_its_address_until_it_has_ended(house: House):
    view = await house.place()
    await house.confirm(view.id)
    await erase(house)
    assert (await shown(house, view.id)).delivery.address == HOME
    await house.deliver(view.id)
    await erasing.erase_ended(house.deps)
    assert await found(house, *PERSONAL) == set()
    assert await faults(house) == []


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_cancelled_order_loses_the_buyers_own_words_too(house: House, confirmed: bool):
    view = await house.place()
    if confirmed:
        await house.confirm(view.id)
    else:
        await house.tell(inventory.ItemsReserved(order_id=view.id, allocations=(), source="Tver"))
    await cancel(house, view.id)
    assert await found(house, "my neighbour") == {"log"}
    assert [name for row in await house.deps.store.log.tail(0, 100) if "neighbour" in str(name := row.message)] == [
        c.CancellationRequested(order_id=view.id, user_id="anna", reason="my neighbour bought it")
    ]
    await erase(house)
    assert await found(house, "my neighbour") == {"log"}, "it is still being undone"
    await undo(house, view.id)
    await erasing.erase_ended(house.deps)
    assert (await shown(house, view.id)).status == "cancelled"
    assert await found(house, *PERSONAL) == set()
    assert await faults(house) == []


async def test_sagas_that_passed_the_buyers_words_on_lose_them(house: House):
    """They did in former times."""
    view, words = await house.place(), "my neighbour bought it"
    await house.tell(inventory.ItemsReserved(order_id=view.id, allocations=(), source="Tver"))
    async with house.deps.transaction() as tx:
        order = await house.deps.orders.load(tx, view.id)
        await house.deps.orders.change(tx, order, order.request_cancellation(words))
        under_way = await house.deps.sagas.active(tx, view.id)
        assert under_way
        await house.deps.sagas.compensate(tx, under_way.id, words)
    await undo(house, view.id)
    assert await found(house, words) == {"log", "saga"}
    await erase(house)
    assert await found(house, *PERSONAL) == set()


async def test_a_snapshot_does_not_bring_the_address_back(house: House):
    order_id = await delivered(house)
    await erase(house)
    await house.tell(payment.PaymentRefunded(order_id=order_id, refund_id="late", payment_id="p1", amount=usd(5)))
    assert (await shown(house, order_id)).payment.status == "partially_refunded"
    assert await found(house, *PERSONAL) == set()
    assert await faults(house) == []


async def test_a_snapshot_older_than_the_erasure_does_not_bring_the_address_back(house: House):
    order_id = await delivered(house)
    stale = house.deps.orders
    await erase_elsewhere(house)
    async with house.deps.transaction() as tx:
        order = await stale.load(tx, order_id)
        await stale.change(tx, order, order.refund("late", usd(5)))
    assert await found(house, *PERSONAL) == set()
    assert await faults(house) == []


async def erase_elsewhere(house: House) -> None:
    """With another store over the same tables, whose snapshots are its own."""
    orders = SqlOrderStore(house.deps.store.database, house.deps.clock)
    deps = replace(house.deps, orders=orders)
    await erasing.on_user_erased(UserErased("anna"), deps)
    await erasing.erase_ended(deps)


async def test_goods_can_come_back_from_an_erased_buyer_and_what_is_written_about_it_goes_as_well(house: House):
    order_id = await delivered(house)
    await erase(house)
    lines = (c.ReturnLine("bread", 1),)
    await asked.request_return(c.RequestReturn(order_id=order_id, buyer=SUPPORT, lines=lines, reason="my neighbour sent it"), house.deps)
    return_id = (await house.deps.store.log.stream(order_id))[-1].message.return_id  # type: ignore[attr-defined]
    await house.tell(shipping.ReturnReceived(order_id=order_id, return_id=return_id))
    await house.tell(inventory.ItemsRestocked(order_id, return_id))
    await erasing.erase_ended(house.deps)
    assert await found(house, "my neighbour") == {"log"}
    await house.tell(payment.PaymentRefunded(order_id=order_id, refund_id=return_id, payment_id="p1", amount=usd(500)))
    await erasing.erase_ended(house.deps)
    assert await found(house, *PERSONAL) == set()
    assert await faults(house) == []


async def test_a_return_that_is_under_way_keeps_the_address(house: House):
    order_id = await delivered(house)
    await send_back(house, order_id)
    await erase(house)
    assert (await shown(house, order_id)).delivery.address == HOME


async def test_orders_of_others_stay_as_they_are(house: House):
    await delivered(house)
    view = await house.place(BORIS)
    await house.confirm(view.id)
    await house.deliver(view.id)
    await erase(house)
    assert (await shown(house, view.id)).delivery.address == HOME


class Asked:
    """A request with an Idempotency-Key."""

    caller, key, fingerprint, filed = "anna", "k1", "f", False

    def render(self, reply: object) -> Answer:
        assert isinstance(reply, c.OrderView)
        return Answer(201, (), f'{{"id":"{reply.id}","user_id":"{reply.user_id}","street":"{reply.delivery.address.street}"}}')


@pytest.mark.parametrize("caller", ["anna", "sofia"])
async def test_answers_that_were_kept_are_forgotten(house: House, caller: str):
    asked: Any = Asked()
    asked.caller = caller
    token = awaited_answer.set(asked)
    view = await house.place()
    awaited_answer.reset(token)
    await house.confirm(view.id)
    await house.deliver(view.id)
    assert "answer" in await found(house, HOME.street)
    await erase(house)
    assert await found(house, HOME.street) == set()


async def test_an_order_that_was_placed_while_its_buyer_was_erased_is_found_later(house: House):
    await erase(house)
    await delivered(house)
    await erasing.erase_ended(house.deps)
    assert await found(house, *PERSONAL) == set()


async def test_an_erased_buyer_is_looked_after_until_nothing_can_come_in_any_more(house: House):
    order_id = await delivered(house)
    await erase(house)
    clock: Any = house.deps.clock
    clock.advance(days=39)
    await erasing.erase_ended(house.deps)
    assert await house.deps.store.database.value("select count(*) from erasure") == 1
    clock.advance(days=2)
    await erasing.erase_ended(house.deps)
    assert await house.deps.store.database.value("select count(*) from erasure") == 0
    assert (await shown(house, order_id)).delivery.address.street == ERASED


async def test_what_others_read_later_is_without_the_address_as_well(house: House):
    await delivered(house)
    await erase(house)
    assert not any(HOME.street in str(row.message) for row in await house.deps.store.log.tail(0, 1000))
