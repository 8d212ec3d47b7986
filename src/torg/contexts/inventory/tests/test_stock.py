"""Stock itself: receipts, corrections, alerts, warehouses, purchase orders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.tests.house import House, open_house
from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError, Invalid, NotFound

KEEPER = Identity("k", frozenset({Role.WAREHOUSE}))
BUYER = Identity("b", frozenset({Role.CUSTOMER}))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, offers=("apple", "pear")) as house:
        await house.receive(house.moscow, apple=5)
        yield house


def correction(house: House, quantity: int, product: str = "apple", warehouse: str = "") -> c.MoveStock:
    return c.MoveStock(product_id=product, warehouse_id=warehouse or house.moscow, quantity=quantity, reason="counted")


async def test_everybody_sees_units_for_sale_and_staff_what_lies_where(house: House) -> None:
    await house.do(house.ask(apple=2))
    for viewer in (None, BUYER):
        assert await house.do(c.GetStock("apple", viewer)) == c.StockView(product_id="apple", available=3)
    view = await house.do(c.GetStock("apple", KEEPER))
    assert (view.available, view.on_hand, view.reserved) == (3, 5, 2)
    shelves = [(shelf.warehouse_id, shelf.on_hand, shelf.reserved, shelf.available) for shelf in view.by_warehouse]
    assert shelves == [(house.moscow, 5, 2, 3), (house.kazan, 0, 0, 0), (house.vladivostok, 0, 0, 0)]


async def test_availability_is_given_in_the_order_asked_for_with_0_for_the_unknown(house: House) -> None:
    assert await house.do(c.GetAvailability(("plum", "apple", "plum"))) == (c.Units("plum", 0), c.Units("apple", 5), c.Units("plum", 0))
    assert await house.do(c.GetAvailability(())) == ()


async def test_a_correction_moves_stock_both_ways_and_is_written_down(house: House) -> None:
    await house.do(correction(house, 3))
    await house.do(correction(house, -6))
    assert await house.available("apple") == 2
    page = await house.do(c.ListMovements(product_id="apple"))
    assert [(m.quantity, m.kind) for m in page.items] == [(-6, "corrected"), (3, "corrected"), (5, "received")]


async def test_a_correction_never_takes_what_is_reserved(house: House) -> None:
    await house.do(house.ask(apple=2))
    with pytest.raises(Invalid) as refusal:
        await house.do(correction(house, -4))
    assert refusal.value.code == "stock.below_reserved"
    with pytest.raises(Invalid):
        await house.do(correction(house, -1, warehouse=house.kazan))
    assert await house.stock("apple") == {house.moscow: (5, 2)}


async def test_a_correction_needs_a_warehouse_and_a_product_that_exist(house: House) -> None:
    for wrong in (correction(house, 1, warehouse="x"), correction(house, 1, product="nothing")):
        with pytest.raises(NotFound):
            await house.do(wrong)
    await house.do(correction(house, 1, product="pear"))
    assert await house.available("pear") == 1


async def test_movements_of_a_product_come_in_pages_newest_first(house: House) -> None:
    for quantity in (1, 2, 3):
        await house.do(correction(house, quantity))
    first = await house.do(c.ListMovements(product_id="apple", limit=3))
    second = await house.do(c.ListMovements(product_id="apple", limit=3, cursor=first.next_cursor))
    assert [m.quantity for m in first.items + second.items] == [3, 2, 1, 5]
    assert second.next_cursor is None
    with pytest.raises(Invalid):
        await house.do(c.ListMovements(product_id="apple", cursor="x"))


async def test_a_receipt_under_the_same_id_counts_once(house: House) -> None:
    receipt = c.ReceiveStock(warehouse_id=house.kazan, lines=(c.Units("apple", 4),), reason="opening", receipt_id="r")
    await house.do(receipt)
    await house.do(receipt)
    assert await house.available("apple") == 9


async def test_a_receipt_of_nothing_or_less_is_refused(house: House) -> None:
    with pytest.raises(Invalid):
        await house.receive(house.kazan, apple=0)
    with pytest.raises(NotFound):
        await house.receive("nowhere", apple=1)


async def test_a_big_receipt_is_told_in_batches_and_a_small_one_by_product(house: House) -> None:
    assert [event.product_id for event in await house.logged(c.StockChanged)] == ["apple"]
    lines = tuple(c.Units(f"p{number}", 1) for number in range(2500))
    await house.do(c.ReceiveStock(warehouse_id=house.kazan, lines=lines, reason="opening"))
    told = await house.logged(c.StocksChanged)
    assert [len(event.items) for event in told] == [1000, 1000, 500]
    assert {units for event in told for units in event.items} == set(lines)


async def test_low_stock_is_told_once_each_time_it_falls_below(house: House) -> None:
    await house.do(c.SetStockAlert(product_id="apple", alert_below=4))
    for order_id in ("o1", "o2", "o3"):
        await house.do(house.ask(order_id, apple=1))
    assert [event.available for event in await house.logged(c.LowStock)] == [3]
    assert (await house.do(c.ListLowStock())).items == (c.LowStockLine("apple", 2, 4),)
    await house.do(c.ReleaseItems("o1"))
    await house.do(c.ReleaseItems("o2"))
    assert (await house.do(c.ListLowStock())).items == ()
    await house.do(correction(house, -1))
    assert [event.available for event in await house.logged(c.LowStock)] == [3, 3]


async def test_an_alert_above_what_there_is_is_told_at_once(house: House) -> None:
    assert await house.do(c.SetStockAlert(product_id="pear", alert_below=1)) == c.LowStockLine("pear", 0, 1)
    assert len(await house.logged(c.LowStock)) == 1
    with pytest.raises(NotFound):
        await house.do(c.SetStockAlert(product_id="nothing", alert_below=1))


async def test_a_warehouse_in_an_unknown_city_needs_coordinates(house: House) -> None:
    with pytest.raises(Invalid):
        await house.do(c.CreateWarehouse(name="Lost", city="Atlantis"))
    opened = await house.do(c.CreateWarehouse(name="Lost", city="Atlantis", lat=31.2, lon=-24.3))
    page = await house.do(c.ListWarehouses())
    assert [w.city for w in page.items] == ["Moscow", "Kazan", "Vladivostok", "Atlantis"]
    assert page.items[-1] == opened


@pytest.mark.race
async def test_a_hundred_carts_want_the_last_item_and_one_gets_it(house: House) -> None:
    await house.do(correction(house, -4))
    await asyncio.gather(*(house.do(house.ask(f"o{number}", apple=1)) for number in range(100)))
    assert len(await house.logged(c.ItemsReserved)) == 1
    assert len(await house.logged(c.ReservationFailed)) == 99
    assert await house.stock("apple") == {house.moscow: (1, 1)}


async def test_a_hold_that_others_were_faster_than_leaves_nothing_behind(house: House) -> None:
    """What a parallel writer can bring about: the plan was made with numbers that are no longer true."""
    async with house.deps.transaction() as tx:
        stale = (c.Allocation(house.moscow, "apple", 2), c.Allocation(house.moscow, "apple", 4))
        assert await house.deps.shelves.hold(tx, stale) is None
    assert await house.stock("apple") == {house.moscow: (5, 0)}


@pytest.mark.slow
async def test_a_whole_catalogue_costs_no_more_a_line_than_a_shelf_does(house: House) -> None:
    async def seconds(lines: tuple[c.Units, ...]) -> float:
        """The quickest of three warehouses: what else runs on the machine only ever adds."""
        took = []
        for warehouse in (house.moscow, house.kazan, house.vladivostok):
            began = time.perf_counter()
            await house.do(c.ReceiveStock(warehouse_id=warehouse, lines=lines, reason="opening"))
            took.append(time.perf_counter() - began)
        return min(took)

    catalogue = tuple(c.Units(f"p{number}", 10) for number in range(20_800))
    shelf = await seconds(catalogue[:1300])
    assert await seconds(catalogue[1300:]) < 4 * 15 * shelf
    assert await house.available("p0") == await house.available("p20799") == 30


# ---------------------------------------------------------------- purchase orders


async def draft(house: House, **lines: int) -> c.PurchaseOrder:
    supplier = await house.do(c.AddSupplier(name="Orchard", email="sales@orchard.example", lead_days=3))
    wanted = tuple(c.PurchaseLine(product_id=product, quantity=quantity) for product, quantity in lines.items())
    order: c.PurchaseOrder = await house.do(c.DraftPurchaseOrder(supplier_id=supplier.id, warehouse_id=house.kazan, lines=wanted))
    return order


def came(order: c.PurchaseOrder, **lines: int) -> c.ReceivePurchase:
    return c.ReceivePurchase(purchase_order_id=order.id, lines=tuple(c.PurchaseLine(product_id=p, quantity=q) for p, q in lines.items()))


async def test_a_purchase_order_comes_in_parts_and_each_is_for_sale_at_once(house: House) -> None:
    order = await draft(house, apple=10, pear=2)
    placed = await house.do(c.PlacePurchaseOrder(order.id))
    assert (placed.status, (placed.expected_at - placed.created_at).days) == ("ordered", 3)
    assert (await house.do(came(order, apple=4))).status == "partly_received"
    assert await house.available("apple") == 9
    done = await house.do(came(order, apple=6, pear=2))
    assert (done.status, await house.available("apple"), await house.available("pear")) == ("received", 15, 2)
    assert await house.do(c.GetPurchaseOrder(order.id)) == done


async def test_more_than_was_ordered_is_not_received(house: House) -> None:
    order = await draft(house, apple=10)
    await house.do(c.PlacePurchaseOrder(order.id))
    for wrong in (came(order, apple=11), came(order, pear=1)):
        with pytest.raises(Invalid):
            await house.do(wrong)
    assert await house.available("apple") == 5


async def test_purchase_orders_take_their_steps_in_order(house: House) -> None:
    order = await draft(house, apple=10)
    with pytest.raises(DomainError) as early:
        await house.do(came(order, apple=1))
    assert early.value.code == "purchase_order.not_ordered"
    await house.do(c.PlacePurchaseOrder(order.id))
    with pytest.raises(DomainError) as twice:
        await house.do(c.PlacePurchaseOrder(order.id))
    assert twice.value.code == "purchase_order.not_draft"
    assert (await house.do(c.CancelPurchaseOrder(order.id))).status == "cancelled"
    with pytest.raises(DomainError) as closed:
        await house.do(c.CancelPurchaseOrder(order.id))
    assert closed.value.code == "purchase_order.closed"


async def test_a_purchase_order_names_a_supplier_a_warehouse_and_products_that_exist(house: House) -> None:
    with pytest.raises(Invalid):
        await draft(house, nothing=1)
    line = (c.PurchaseLine(product_id="apple", quantity=1),)
    with pytest.raises(NotFound):
        await house.do(c.DraftPurchaseOrder(supplier_id="x", warehouse_id=house.kazan, lines=line))
    supplier = await house.do(c.AddSupplier(name="Orchard"))
    with pytest.raises(NotFound):
        await house.do(c.DraftPurchaseOrder(supplier_id=supplier.id, warehouse_id="x", lines=line))
    with pytest.raises(NotFound):
        await house.do(c.GetPurchaseOrder("x"))


async def test_lists_of_suppliers_and_purchase_orders_go_page_by_page(house: House) -> None:
    orders = [await draft(house, apple=1) for _ in range(3)]
    first = await house.do(c.ListPurchaseOrders(limit=2, status="draft"))
    second = await house.do(c.ListPurchaseOrders(limit=2, status="draft", cursor=first.next_cursor))
    assert [order.id for order in first.items + second.items] == [order.id for order in reversed(orders)]
    assert len((await house.do(c.ListPurchaseOrders(supplier_id=orders[0].supplier_id))).items) == 1
    suppliers = await house.do(c.ListSuppliers(limit=2))
    assert len(suppliers.items) == 2
    assert len((await house.do(c.ListSuppliers(limit=2, cursor=suppliers.next_cursor))).items) == 1
