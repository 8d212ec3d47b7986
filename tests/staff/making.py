"""Something to do for each write that the staff may ask for: the thing that it is about, as it has to be for that, and a body or a form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.shop import Buyer, Shop, Visitor, fresh, until
from tests.shop.cards import page_of, pay
from tests.shop.goods import CURRENCY, goods
from tests.shop.people import COURIER, deliver
from torg.acquirer.cards import Behaviour
from torg.kit.auth import Role
from torg.kit.bus import Failures

Values = dict[str, str]
Body = object
GOOD = {"rating": 5, "title": "Good", "text": "Fresh and tasty."}
CHARGES = ("again", "once-more")
"""Charges of one payment, besides the one that counts."""


class Maker:
    """Makes what is asked for in a shop, as those do whose business it is."""

    def __init__(self, shop: Shop, admin: Visitor) -> None:
        self.shop, self.admin = shop, admin
        self._buyer: Buyer | None = None
        self._charges: list[str] = []

    async def buyer(self) -> Buyer:
        self._buyer = self._buyer or await self.shop.buyer()
        return self._buyer

    async def made(self, path: str, body: object, name: str = "id") -> str:
        reply = await self.admin.once(path, body)
        assert reply.status in (200, 201), reply
        text: str = reply.json[name]
        return text

    # ---------------------------------------------------------------- by the name that it has in a path

    async def product_id(self, _: Values) -> str:
        return self.shop.product()

    async def order_id(self, _: Values) -> str:
        return await (await self.buyer()).bought(self.shop.product())

    async def delivered_order(self, values: Values) -> str:
        buyer, product_id = await self.buyer(), self.shop.product()
        order_id = await buyer.bought(product_id)
        await deliver(await self.shop.staff("courier"), buyer, order_id)
        values["bought"] = product_id
        return order_id

    async def delivery_id(self, values: Values) -> str:
        text: str = (await (await self.buyer()).delivery(await self.order_id(values)))["id"]
        return text

    async def payment_id(self, values: Values) -> str:
        text: str = (await (await self.buyer()).payment(await self.order_id(values)))["id"]
        return text

    async def saga_id(self, _: Values) -> str:
        """One that waits for a card."""
        buyer = await self.buyer()
        order_id = await buyer.order(self.shop.product(), method="card")
        await page_of(buyer, order_id)
        text: str = (await buyer.get(f"/orders/{order_id}/saga")).json["saga_id"]
        return text

    async def review_id(self, values: Values) -> str:
        buyer = await self.buyer()
        await self.delivered_order(values)

        async def taken() -> Any:
            reply = await buyer.post(f"/products/{values['bought']}/reviews", GOOD)
            return reply.json["id"] if reply.status == 201 else None

        text: str = await until(taken, "the review is taken")
        return text

    async def published_review(self, values: Values) -> str:
        review_id = await self.review_id(values)
        await self.made(f"/reviews/{review_id}/moderation", {"decision": "approve"})
        return review_id

    async def charge_id(self, _: Values) -> str:
        if not self._charges:
            await self._charge_again()
            self._charges = list(CHARGES)
        return self._charges.pop()

    async def _charge_again(self) -> None:
        """The sandbox keeps one charge for a reference: its table is made one that doesn't."""
        buyer = await self.buyer()
        order_id = await buyer.order(self.shop.product(), method="card")
        await pay(await page_of(buyer, order_id), Behaviour.SUCCESS)
        await buyer.sees(order_id, "confirmed")
        payment, acquirer = await buyer.payment(order_id), self.shop.app.acquirer
        assert acquirer is not None
        async with acquirer.store.transaction() as tx:
            await tx.execute("create table loose as select * from charge")
            for id in CHARGES:
                await tx.execute("insert into loose select * from charge where reference = :reference", reference=payment["id"])
                await tx.execute("update loose set id = :id where rowid = (select max(rowid) from loose)", id=id)
            await tx.execute("drop table charge")
            await tx.execute("alter table loose rename to charge")

    async def key_id(self, _: Values) -> str:
        reply = await (await self.shop.buyer(0)).post("/users/me/api-keys", {"name": "mine", "scopes": ["orders:read"]})
        text: str = reply.json["id"]
        return text

    async def client_id(self, _: Values) -> str:
        return await self.made("/admin/clients", {"name": "Ledger", "redirect_uris": ["https://ledger.example/back"], "scopes": ["openid"]})

    async def rule_id(self, _: Values) -> str:
        return await self.made("/admin/networks", {"network": "203.0.113.0/24", "kind": "block", "reason": "a flood"})

    async def country_rule(self, _: Values) -> str:
        return await self.made("/admin/countries", {"country": "FR", **BLOCKED})

    async def code(self, _: Values) -> str:
        return await self.made("/promo-codes", {"code": f"C{fresh()[:8]}", "kind": "percent", "percent": 5}, "code")

    async def user_id(self, _: Values) -> str:
        return (await self.shop.buyer(0)).user_id

    async def session_id(self, values: Values) -> str:
        buyer = await self.shop.buyer(0)
        values["user_id"] = buyer.user_id
        text: str = (await buyer.get("/sessions")).json["items"][0]["id"]
        return text

    async def supplier(self) -> str:
        return await self.made("/suppliers", {"name": f"Northern cheese {fresh()[:6]}"})

    async def warehouse(self) -> str:
        text: str = (await self.admin.get("/warehouses")).json["items"][0]["id"]
        return text

    async def purchase_order_id(self, values: Values) -> str:
        values["bought"] = self.shop.product()
        lines = [{"product_id": values["bought"], "quantity": 2}]
        return await self.made("/purchase-orders", {"supplier_id": await self.supplier(), "warehouse_id": await self.warehouse(), "lines": lines})

    async def placed_purchase(self, values: Values) -> str:
        id = await self.purchase_order_id(values)
        await self.made(f"/purchase-orders/{id}/order", None)
        return id

    async def dead_letter_id(self, values: Values) -> str:
        buyer = await self.buyer()
        placed = (await (await self.shop.store("order")).log.stream(await buyer.bought(self.shop.product())))[0]
        store = await self.shop.store("cart")
        async with store.transaction() as tx:
            await Failures(store, self.shop.app.registry).keep(tx, "cart", placed, "ValueError: no", 8)
        text: str = (await self.admin.get("/admin/dead-letters")).json["items"][0]["id"]
        return text

    async def values(self, path: str) -> Values:
        """What stands in the places of a path."""
        values, special = Values(), SPECIAL.get(path, {})
        for name in reversed([part[1:-1] for part in path.split("/") if part.startswith("{")]):
            if name not in values:
                values[name] = await (special.get(name) or getattr(Maker, name))(self, values)
        return values

    async def body(self, asked: str, values: Values) -> Body:
        found = BODIES.get(asked)
        return await found(self, values) if callable(found) else found


Making = Callable[[Maker, Values], Awaitable[Any]]


async def an_order(maker: Maker, _: Values) -> Body:
    await maker.admin.put(f"/cart/items/{maker.shop.product()}", {"quantity": 1})
    return {"delivery": COURIER, "payment": {"method": "cash"}}


async def a_return(_: Maker, values: Values) -> Body:
    return {"lines": [{"product_id": values["bought"], "quantity": 1}], "reason": "too big"}


async def a_movement(maker: Maker, _: Values) -> Body:
    return {"warehouse_id": await maker.warehouse(), "quantity": 1, "reason": "counted"}


async def a_purchase(maker: Maker, _: Values) -> Body:
    lines = [{"product_id": maker.shop.product(), "quantity": 2}]
    return {"supplier_id": await maker.supplier(), "warehouse_id": await maker.warehouse(), "lines": lines}


async def a_typed_purchase(maker: Maker, _: Values) -> Body:
    return {"supplier_id": await maker.supplier(), "warehouse_id": await maker.warehouse(), "wanted": f"{maker.shop.product()} 2"}


async def a_receipt(_: Maker, values: Values) -> Body:
    return {"lines": [{"product_id": values["bought"], "quantity": 1}]}


async def a_counted_receipt(_: Maker, values: Values) -> Body:
    return {f"count:{values['bought']}": "1"}


async def a_moderator(_: Maker, __: Values) -> Body:
    return {"roles": [Role.MODERATOR]}


SPECIAL: Mapping[str, Mapping[str, Making]] = {
    "/api/v1/orders/{order_id}/returns": {"order_id": Maker.delivered_order},
    "/api/v1/reviews/{review_id}/reply": {"review_id": Maker.published_review},
    "/api/v1/purchase-orders/{purchase_order_id}/receipts": {"purchase_order_id": Maker.placed_purchase},
    "/api/v1/admin/countries/{rule_id}": {"rule_id": Maker.country_rule},
    "/admin/countries/{rule_id}/remove": {"rule_id": Maker.country_rule},
    "/admin/purchases/{purchase_order_id}/receipts": {"purchase_order_id": Maker.placed_purchase},
}
PROGRAM = {"name": "Ledger", "redirect_uris": ["https://ledger.example/back"], "scopes": ["openid", "orders:read"]}
BLOCKED = {"kind": "block", "reason": "a flood"}
BODIES: Mapping[str, Body | Making] = {
    "PUT /api/v1/admin/api-keys/{key_id}/tier": {"tier": "premium"},
    "PUT /api/v1/admin/users/{user_id}/roles": a_moderator,
    "POST /api/v1/admin/clients": PROGRAM,
    "POST /api/v1/admin/networks": {"network": "198.51.100.0/24", **BLOCKED},
    "POST /api/v1/admin/countries": {"country": "DE", **BLOCKED},
    "POST /api/v1/admin/dead-letters/redrive": {"consumer": "cart"},
    "PUT /api/v1/catalog/synonyms": {"groups": [["tea", "chai"]]},
    "POST /api/v1/products": {
        "name": "Walnut lamp", "description": "It stands.", "category": goods()[0].category_id, "brand": "Airy",
        "price": {"amount": 4990, "currency": CURRENCY},
    },
    "POST /api/v1/products/import": f"id,name,category,price\nlamp-2,Copper lamp,{goods()[0].category_id},1999\n",
    "PATCH /api/v1/products/{product_id}": {"price": {"amount": 12345, "currency": CURRENCY}},
    "POST /api/v1/payments/charges/{charge_id}/refund": {"reason": "taken twice"},
    "POST /api/v1/deliveries/{delivery_id}/status": {"status": "shipped"},
    "POST /api/v1/reviews/{review_id}/moderation": {"decision": "approve"},
    "POST /api/v1/reviews/{review_id}/reply": {"text": "Thank you."},
    "POST /api/v1/orders": an_order,
    "POST /api/v1/orders/{order_id}/cancel": {"reason": "asked for by phone"},
    "POST /api/v1/orders/{order_id}/returns": a_return,
    "POST /api/v1/promo-codes": {"code": "FIFTH", "kind": "percent", "percent": 20},
    "POST /api/v1/suppliers": {"name": "Southern cheese"},
    "POST /api/v1/purchase-orders": a_purchase,
    "POST /api/v1/purchase-orders/{purchase_order_id}/receipts": a_receipt,
    "POST /api/v1/warehouses": {"name": "Kazan store", "city": "Kazan"},
    "PUT /api/v1/inventory/{product_id}/alert": {"alert_below": 3},
    "POST /api/v1/inventory/{product_id}/movements": a_movement,
    "POST /admin/api-keys/{key_id}/tier": {"tier": "premium"},
    "POST /admin/users/{user_id}/roles": {"moderator": "1"},
    "POST /admin/clients": {"name": "Ledger", "redirect_uris": "https://ledger.example/back", "logout_uris": "", "openid": "1", "tier": "free"},
    "POST /admin/networks": {"network": "192.0.2.0/24", **BLOCKED},
    "POST /admin/countries": {"country": "ES", **BLOCKED},
    "POST /admin/dead-letters/redrive": {"consumer": "cart", "name": ""},
    "POST /admin/charges/{charge_id}/refund": {"reason": "taken twice"},
    "POST /admin/deliveries/{delivery_id}/status": {"status": "shipped", "status_shown": "scheduled"},
    "POST /admin/reviews/{review_id}/moderation": {"decision": "approve", "status": "pending"},
    "POST /admin/orders/{order_id}/cancel": {"reason": "asked for by phone"},
    "POST /admin/promo-codes": {"code": "SIXTH", "kind": "percent", "percent": "17"},
    "POST /admin/suppliers": {"name": "Eastern cheese"},
    "POST /admin/purchases": a_typed_purchase,
    "POST /admin/purchases/{purchase_order_id}/receipts": a_counted_receipt,
    "POST /admin/stock/{product_id}/alert": {"alert_below": "3"},
    "POST /admin/stock/{product_id}/movements": a_movement,
}  # fmt: skip
"""What has to be sent; nothing for all others."""
