"""The auditor in the small shop: things are broken behind its back, and it says what is wrong, about what, since which row of the log, and what mends it;
what an operator can do is done, and everything holds again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.shop import SOON, Buyer, Shop, open_shop
from tests.shop.people import carry
from torg.kit.bus import Failures
from torg.kit.messages import Envelope

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path_factory.mktemp("audited"), carrier_seconds=0, second_look=SOON) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def buyer(shop: Shop) -> Buyer:
    return await shop.buyer()


class Spoiler:
    """Changes the shop's records as nobody of it would, and puts them back."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._undone: list[tuple[str, str, dict[str, Any]]] = []

    async def do(self, context: str, statement: str, back: str = "", **parameters: Any) -> None:
        """`back` is the statement that undoes it, for what no operator mends."""
        await self._run(context, statement, parameters)
        self._undone += [(context, back, parameters)] if back else []

    async def take(self, context: str, table: str, where: str, **parameters: Any) -> list[dict[str, Any]]:
        """Takes rows out of a table."""
        store = await self._shop.store(context)
        rows = [dict(row) for row in await store.database.all(f"select * from {table} where {where}", **parameters)]
        assert rows
        await self._run(context, f"delete from {table} where {where}", parameters)
        for row in rows:
            self._undone.append((context, f"insert into {table} ({', '.join(row)}) values ({', '.join(f':{name}' for name in row)})", row))
        return rows

    async def undo(self) -> None:
        while self._undone:
            await self._run(*self._undone.pop())

    async def _run(self, context: str, statement: str, parameters: dict[str, Any]) -> None:
        async with (await self._shop.store(context)).transaction() as tx:
            await tx.execute(statement, **parameters)


@pytest_asyncio.fixture(loop_scope="module")
async def spoiler(shop: Shop) -> AsyncIterator[Spoiler]:
    one = Spoiler(shop)
    yield one
    await one.undo()


async def broken(shop: Shop) -> dict[str, list[Any]]:
    """The details of what does not hold, by invariant, once every doubt has had its time."""
    admin = await shop.staff("admin")
    await shop.settle()
    shop.clock.advance(seconds=2)  # what was found a moment ago is told again
    await admin.get("/admin/invariants")
    shop.clock.advance(seconds=16)
    reports = (await admin.get("/admin/invariants")).json["items"]
    return {report["name"]: report["details"] for report in reports if not report["holds"]}


async def one_violation(shop: Shop, name: str) -> Any:
    """Of the one invariant that does not hold."""
    found = await broken(shop)
    assert list(found) == [name], found
    (detail,) = found[name]
    return detail


def since(detail: Any) -> tuple[str, str, int, bool]:
    began = detail["began"]
    assert began, detail["note"]
    assert began["position"] > 0
    assert began["page"].startswith("/admin/events?")
    return began["context"], began["name"], began["version"], detail["began_exactly"]


async def rows(shop: Shop, context: str, stream: str) -> list[Envelope]:
    return await (await shop.store(context)).log.stream(stream)


async def test_nothing_is_told_of_a_shop_in_order(shop: Shop, buyer: Buyer) -> None:
    await buyer.bought(shop.product())
    assert await broken(shop) == {}


# ---------------------------------------------------------------- stock


async def test_a_shelf_that_something_has_changed(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    product = shop.product()
    await buyer.bought(product)
    more = "update stock set on_hand = on_hand + 2, reserved = reserved + 2 where product_id = :id and reserved = 1"
    await spoiler.do("inventory", more, "update stock set on_hand = on_hand - 2, reserved = reserved - 2 where product_id = :id and reserved = 3", id=product)
    detail = await one_violation(shop, "inventory.adds_up")
    assert (detail["about"], detail["id"], detail["page"]) == ("product", product, f"/admin/stock/{product}")
    assert since(detail)[:2] == ("inventory", "inventory.items_reserved")
    assert not detail["began_exactly"]
    assert detail["remedy"]["command"] == "torg rebuild stock"
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_a_correction_that_never_came_to_the_shelf(shop: Shop, spoiler: Spoiler) -> None:
    product, clerk = shop.product(), await shop.staff("warehouse")
    place = (await clerk.get(f"/inventory/{product}")).json["by_warehouse"][0]["warehouse_id"]
    for quantity in (5, -1):
        reply = await clerk.once(f"/inventory/{product}/movements", {"warehouse_id": place, "quantity": quantity, "reason": "correction"})
        assert reply.status == 201, reply
    here = {"product": product, "place": place}
    more = "update stock set on_hand = on_hand + 1 where product_id = :product and warehouse_id = :place"
    await spoiler.do("inventory", more, more.replace("+ 1", "- 1"), **here)
    detail = (await broken(shop))["inventory.adds_up"][0]
    corrected = [row for row in await rows(shop, "inventory", product) if type(row.message).__name__ == "StockCorrected"]
    assert since(detail) == ("inventory", "inventory.stock_corrected", corrected[1].version, True)
    assert detail["began"]["position"] == corrected[1].position
    await spoiler.undo()
    assert await broken(shop) == {}


# ---------------------------------------------------------------- money


async def test_a_wallet_that_something_has_filled(shop: Shop, spoiler: Spoiler) -> None:
    buyer = await shop.buyer(balance=5_000)
    account = f"wallet:{buyer.user_id}"
    more = "update balance set amount = amount + 7 where account = :account"
    await spoiler.do("payment", more, more.replace("+ 7", "- 7"), account=account)
    detail = await one_violation(shop, "payment.ledger")
    assert (detail["about"], detail["id"]) == ("wallet", buyer.user_id)
    assert "holds 5007" in detail["sentence"]
    assert since(detail) == ("payment", "payment.ledger_posted", 1, False)
    assert detail["began"]["stream"] == account
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_a_payment_that_was_not_carried_on_with_its_log(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    order_id = await buyer.bought(shop.product())
    payment = await buyer.payment(order_id)
    await spoiler.do("payment", "update payment set captured = 0 where id = :id", "update payment set captured = amount where id = :id", id=payment["id"])
    detail = (await broken(shop))["payment.limits"][0]
    assert (detail["about"], detail["id"], detail["page"]) == ("order", order_id, f"/admin/orders/{order_id}")
    assert since(detail)[:2] in (("payment", "payment.ledger_posted"), ("payment", "payment.processed"))
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_an_entry_that_is_gone(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    payment = await buyer.payment(await buyer.bought(shop.product()))
    await spoiler.take("payment", "entry", "reference = :id", id=payment["id"])
    detail = (await broken(shop))["payment.ledger"][0]
    posted = next(row for row in await rows(shop, "payment", payment["id"]) if type(row.message).__name__ == "LedgerPosted")
    assert since(detail) == ("payment", "payment.ledger_posted", posted.version, True)
    await spoiler.undo()
    assert await broken(shop) == {}


# ---------------------------------------------------------------- orders


async def test_a_list_that_has_an_order_as_it_was_says_since_when(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    order_id = await buyer.order(shop.product())
    first = await (await shop.store("order")).database.value("select view from orders where id = :id", id=order_id)
    await buyer.sees(order_id, "confirmed")
    await spoiler.do("order", "update orders set view = :view where id = :id", view=first, id=order_id)
    detail = await one_violation(shop, "order.lists")
    assert (detail["about"], detail["id"], detail["remedy"]["action"]) == ("order", order_id, "rebuild_order")
    assert since(detail)[2:] == (2, True), "what it was when it was placed fits the first row alone"
    assert (await (await shop.staff("admin")).post(f"/admin/orders/{order_id}/rebuild", {})).status == 200
    assert await broken(shop) == {}


async def test_a_cart_that_two_orders_claim(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    first, second = await buyer.bought(shop.product()), await buyer.bought(shop.product())
    claim = "update order_of_cart set order_id = :claimed where bucket_id = (select bucket_id from orders where id = :id)"
    await spoiler.do("order", claim, claim.replace(":claimed", ":id"), claimed=second, id=first)
    detail = await one_violation(shop, "order.one_per_cart")
    assert (detail["id"], detail["remedy"]["action"], detail["remedy"]["page"]) == (first, "cancel", f"/admin/orders/{first}")
    assert since(detail) == ("order", "order.placed", 1, True)
    assert detail["began"]["stream"] == second, "the later one"
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_a_version_that_is_missing(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    await buyer.patch("/users/me", {"city": "Tver"})
    await buyer.patch("/users/me", {"city": "Perm"})
    await spoiler.take("user", "log", "stream = :id and version = 2", id=buyer.user_id)
    detail = await one_violation(shop, "logs.whole")
    assert (detail["about"], detail["id"], detail["remedy"]["action"]) == ("stream", f"user/{buyer.user_id}", "restore")
    assert since(detail) == ("user", "user.changed", 3, True)
    assert detail["note"].startswith("version 2 is missing; before stands version 1, user.registered")
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_a_delivery_that_is_behind_its_log_is_moved_on(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    order_id, courier = await buyer.bought(shop.product()), await shop.staff("courier")
    delivery = (await buyer.delivery(order_id))["id"]
    await carry(courier, delivery, "shipped")
    await spoiler.do("shipping", "update delivery set status = 'scheduled' where id = :id", id=delivery)
    detail = await one_violation(shop, "shipping.deliveries")
    assert (detail["about"], detail["id"], detail["remedy"]["action"]) == ("delivery", delivery, "move_delivery")
    assert since(detail)[:2] == ("shipping", "delivery.shipped")
    assert detail["began_exactly"]
    await carry(courier, delivery, "shipped")
    assert await broken(shop) == {}


# ---------------------------------------------------------------- what is derived


async def test_a_rating_is_counted_anew(shop: Shop, spoiler: Spoiler) -> None:
    product = shop.product()
    await spoiler.do("review", "insert into rating (product_id, one, two, three, four, five) values (:id, 0, 0, 0, 0, 3)", id=product)
    detail = await one_violation(shop, "review.ratings")
    assert (detail["about"], detail["id"], detail["began"]) == ("product", product, None)
    assert detail["note"] == "no rating of the product was ever told"
    assert detail["remedy"]["command"] == "torg rebuild ratings"
    assert (await (await shop.staff("admin")).post("/reviews/ratings/rebuild")).status == 200
    assert await broken(shop) == {}


async def test_a_product_that_the_index_lacks(shop: Shop, spoiler: Spoiler) -> None:
    product, admin = shop.product(), await shop.staff("admin")
    database = (await shop.store("catalog")).database
    document = await database.value("select document from product where id = :id", id=product)
    assert (await admin.delete(f"/products/{product}")).status == 204
    assert await broken(shop) == {}
    await spoiler.do("catalog", "update product set document = :document, on_sale = 1 where id = :id", document=document, id=product)
    found = {detail["id"]: detail for detail in (await broken(shop))["catalog.index"]}
    assert since(found[product]) == ("catalog", "product.withdrawn", 2, False)
    assert found[product]["remedy"]["command"] == "torg rebuild search"
    assert (await admin.post("/catalog/index/rebuild")).status == 200
    assert await broken(shop) == {}


async def test_a_price_that_nobody_has_set_is_set_right(shop: Shop, spoiler: Spoiler) -> None:
    product, admin = shop.product(), await shop.staff("admin")
    right = (await admin.get(f"/products/{product}")).json["price"]
    document = "update product set document = replace(document, :right, :wrong) where id = :id"
    right_text, wrong_text = f'"amount":{right["amount"]}', f'"amount":{right["amount"] + 11}'
    await spoiler.do("catalog", document, right=right_text, wrong=wrong_text, id=product)
    (detail,) = (await broken(shop))["catalog.prices"]
    assert (detail["about"], detail["id"], detail["remedy"]["action"]) == ("product", product, "set_price")
    assert since(detail) == ("catalog", "product.added", 1, False)
    assert (await admin.patch(f"/products/{product}", {"price": right})).status == 200
    assert "catalog.prices" not in await broken(shop)


async def test_a_report_that_lacks_a_sale(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    await buyer.bought(shop.product())
    await shop.settle()
    wrong = "update rollup_day set orders = orders - 1 where dimension = 'day' and day = (select max(day) from rollup_day)"
    await spoiler.do("analytics", wrong)
    (detail,) = (await broken(shop))["analytics.sales"]
    assert detail["about"] == "day"
    assert since(detail)[:2] == ("order", "order.confirmed")
    assert detail["began"]["stream"] == await (await shop.store("analytics")).database.value(
        "select min(order_id) from sale where day = :day", day=detail["id"]
    )
    assert (detail["began_exactly"], detail["remedy"]["command"]) == (False, "torg rebuild reports")
    assert (await (await shop.staff("admin")).post("/analytics/reports/rebuild")).status == 200
    assert await broken(shop) == {}


async def test_a_promo_code_that_is_miscounted(shop: Shop, spoiler: Spoiler) -> None:
    admin = await shop.staff("admin")
    code = {"code": "MISCOUNTED", "kind": "percent", "percent": 5, "uses_total": 3}
    assert (await admin.once("/promo-codes", code)).status == 201
    more = "update promo_code set used = 4 where code = 'MISCOUNTED'"
    await spoiler.do("cart", more, more.replace("4", "0"))
    told = (await broken(shop))["cart.promo_codes"]
    assert [detail["sentence"] for detail in told] == ["MISCOUNTED was used 4 times of 3", "MISCOUNTED counts 4 uses, its orders are 0"]
    assert {(detail["about"], detail["id"], *since(detail)) for detail in told} == {("promo_code", "MISCOUNTED", "cart", "promo.created", 1, False)}
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_a_confirmation_without_a_letter(shop: Shop, buyer: Buyer, spoiler: Spoiler) -> None:
    order_id = await buyer.bought(shop.product())
    await shop.settle()
    await spoiler.take("notification", "mail", "order_id = :id and kind = 'order.confirmed'", id=order_id)
    detail = await one_violation(shop, "notification.every_confirmation")
    assert (detail["about"], detail["id"], detail["began"]["stream"]) == ("order", order_id, buyer.user_id)
    assert since(detail)[:2] == ("notification", "notification.added")
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_a_session_that_outlived_its_user(shop: Shop, spoiler: Spoiler) -> None:
    leaver = await shop.buyer(balance=0)
    (kept,) = await spoiler.take("user", "session", "user_id = :id", id=leaver.user_id)
    await spoiler.undo()
    assert (await leaver.delete("/users/me")).status == 204
    names = [f":{name}" for name in kept]
    await spoiler.do("user", f"insert into session ({', '.join(kept)}) values ({', '.join(names)})", "delete from session where id = :id", **kept)
    detail = await one_violation(shop, "user.sessions")
    assert (detail["about"], detail["id"]) == ("user", leaver.user_id)
    assert since(detail)[:2] == ("user", "user.erased")
    await spoiler.undo()
    assert await broken(shop) == {}


async def test_a_dead_letter_is_handled_anew(shop: Shop, buyer: Buyer) -> None:
    order_id, admin = await buyer.bought(shop.product()), await shop.staff("admin")
    placed = (await rows(shop, "order", order_id))[0]
    store = await shop.store("cart")
    async with store.transaction() as tx:
        await Failures(store, shop.app.registry).keep(tx, "cart", placed, "ValueError: no", 8)
    detail = await one_violation(shop, "messages.handled")
    assert since(detail) == ("order", "order.placed", 1, True)
    (letter,) = (await admin.get("/admin/dead-letters")).json["items"]
    assert (detail["about"], detail["id"], detail["remedy"]["page"]) == ("dead_letter", letter["id"], f"/admin/dead-letters#{letter['id']}")
    assert (await admin.once(f"/admin/dead-letters/{letter['id']}/redrive")).status == 200
    assert await broken(shop) == {}
