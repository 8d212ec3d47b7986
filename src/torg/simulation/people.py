"""Those who use the simulated shop: they do their errands, put up with what goes wrong, and write down what they were told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from torg.acquirer.cards import TEST_CARDS, Behaviour
from torg.simulation.client import AGAIN, Browser, NoAnswer, Reply
from torg.simulation.plan import CARRIED, CODE, CURRENCY, TOP_UP, Errand

PASSWORD: Final = "Kettle-Harbour-42"  # noqa: S105 of nobody
TO_MOSCOW: Final = {"method": "courier", "address": {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}}
LOOKS, BETWEEN = 40, 1.0  # for a page to pay on, and seconds between two of them
HAS_COME, COMES = 3 * CARRIED, CARRIED / 2  # seconds until a parcel can have come, and between looks for it
SENT_AT_ONCE: Final = 4
DELIVERED, ORDERED = 4, 6  # units: what comes twice at once is more than was ordered
NEXT: Final = {"scheduled": "shipped", "shipped": "in_transit", "in_transit": "delivered"}


class Account(msgspec.Struct, frozen=True):
    """Who somebody is: made once, before all runs."""

    email: str
    user_id: str
    token: str


class Promise(msgspec.Struct, frozen=True):
    """An order that was acknowledged, and under which key."""

    key: str
    order: dict[str, Any]


@dataclass
class Memory:
    """What one person was told. `keys` are all orders ever asked for; `cancelled`, `topped_up` and `returned` (one unit of a product, at a price,
    by order) what was accepted; `reviewed` are reviews by product."""

    keys: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    returned: dict[str, tuple[str, int]] = field(default_factory=dict)
    reviewed: dict[str, set[str]] = field(default_factory=dict)
    top_ups_asked: int = 0
    topped_up: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)


class Person:
    """Does one errand after the other."""

    def __init__(self, number: int, account: Account, browser: Browser, products: list[str], now: Any) -> None:
        self.number, self.account, self.browser, self.memory = number, account, browser, Memory()
        self._products, self._now, self._keys = products, now, 0
        self._ordered: set[str] = set()  # carts that were, or may have been: they may be closed only after they were filled anew
        self.after: list[asyncio.Task[None]] = []
        browser.token = account.token

    async def live(self, errands: list[Errand]) -> None:
        for errand in errands:
            await asyncio.sleep(max(0.0, errand.at - self._now()))
            await self.do(errand)
        for later in self.after:
            await later

    async def do(self, errand: Errand) -> None:
        if errand.kind == "top_up":
            await self._top_up()
            return
        cart = await self._fill_cart(errand)
        if not cart:
            return
        match errand.kind:
            case "double":
                replies = await self._together(errand, [self._key()] * SENT_AT_ONCE)
            case "tabs":
                replies = await self._together(errand, [self._key() for _ in range(2)])
            case "changed":
                replies = await self._changed(errand)
            case "edited":
                replies = await self._edited(errand)
            case _:
                replies = [await self._check_out(errand, self._key())]
        if errand.kind == "order" and any(reply and reply.code == "cart.empty" for reply in replies) and cart not in self._ordered:
            self.memory.surprises.append(f"person {self.number} filled the cart, and it was empty")
        if any(reply is None or reply.status == 202 for reply in replies):
            self._ordered.add(cart)
        if any(reply and reply.code == "cart.unavailable" for reply in replies):
            await self.signed("DELETE", "/cart")
        for order_id in dict.fromkeys(reply.json["id"] for reply in replies if reply and reply.status == 202):
            await self._afterwards(errand, order_id)

    # ---------------------------------------------------------------- buying

    def _key(self) -> str:
        self._keys += 1
        key = f"order-{self._keys}"  # everybody has the same ones, as it may be
        self.memory.keys.append(key)
        return key

    async def signed(self, method: str, path: str, body: object = None, key: str = "", **query: Any) -> Reply:
        """Insists; signs in anew where the session has ended."""
        while True:
            while not self.browser.token:
                await self._sign_in()
            reply = await self.browser.insist(method, path, body, key, **query)
            if reply.status != 401:
                return reply
            self.browser.token = ""

    async def _sign_in(self) -> None:
        session = await self.browser.insist("POST", "/sessions", {"email": self.account.email, "password": PASSWORD})
        if session.status == 201:
            self.browser.token = session.json["access_token"]
        else:
            await asyncio.sleep(AGAIN)

    async def _fill_cart(self, errand: Errand) -> str:
        """The cart's id, or nothing where nothing went in."""
        cart = ""
        for number, quantity in errand.lines:
            reply = await self.signed("PUT", f"/cart/items/{self._products[number]}", {"quantity": quantity})
            if reply.status == 200:
                cart = reply.json["id"]
        if errand.code:
            await self.signed("POST", "/cart/promo-code", {"code": CODE})
        return cart

    async def _check_out(self, errand: Errand, key: str, method: str = "") -> Reply | None:
        """None where the buyer gave up without an answer: whether there is an order nobody knows."""
        body = {"delivery": TO_MOSCOW, "payment": {"method": method or errand.method}}
        try:
            reply = await (self.signed if errand.patient else self.browser.ask)("POST", "/orders", body, key)
        except NoAnswer:
            return None
        if reply.status == 202:
            self.memory.promises.append(Promise(key, reply.json))
        elif reply.status not in (409, 422, 503, 401):
            self.memory.surprises.append(f"an order was answered {reply.status}: {reply.json}")
        return reply

    async def _together(self, errand: Errand, keys: list[str]) -> list[Reply | None]:
        return list(await asyncio.gather(*(self._check_out(errand, key) for key in keys)))

    async def _changed(self, errand: Errand) -> list[Reply | None]:
        key, other = self._key(), "cash" if errand.method != "cash" else "balance"
        replies = [await self._check_out(errand, key), await self._check_out(errand, key, other)]
        if all(reply is not None and reply.status == 202 for reply in replies):
            self.memory.surprises.append(f"one key was answered for two different orders: {replies}")
        return replies

    async def _edited(self, errand: Errand) -> list[Reply | None]:
        number, quantity = errand.lines[0]
        change = self.signed("PUT", f"/cart/items/{self._products[number]}", {"quantity": quantity + 3})
        reply, _ = await asyncio.gather(self._check_out(errand, self._key()), change)
        await self.signed("DELETE", "/cart")
        return [reply]

    async def _top_up(self) -> None:
        self.memory.top_ups_asked += 1
        key = f"money-{self.memory.top_ups_asked}"
        body = {"amount": {"amount": TOP_UP, "currency": CURRENCY}}
        replies = await asyncio.gather(*(self.signed("POST", "/wallet/top-ups", body, key) for _ in range(2)))
        if any(reply.status == 201 for reply in replies):
            self.memory.topped_up.append(key)

    # ---------------------------------------------------------------- afterwards

    async def _afterwards(self, errand: Errand, order_id: str) -> None:
        if errand.method == "card":
            self.after.append(asyncio.create_task(self._pay(errand, order_id)))
        if errand.then:
            self.after.append(asyncio.create_task(self._regret(errand, order_id)))

    async def _look_at(self, order_id: str) -> Any:
        """Who has been promised an order sees it."""
        reply = await self.signed("GET", f"/orders/{order_id}")
        if reply.status == 200:
            return reply.json
        self.memory.surprises.append(f"person {self.number} asked for an order that was acknowledged, and was answered {reply.status}")
        return {"status": "cancelled", "payment": {}}

    async def _pay(self, errand: Errand, order_id: str) -> None:
        """On the acquirer's page; some leave, some are sent away by their bank."""
        if errand.card == "leaves":
            return
        for _ in range(LOOKS):
            order = await self._look_at(order_id)
            if order["status"] not in ("pending", "reserved"):
                return
            if page := order["payment"].get("redirect_url"):
                break
            await asyncio.sleep(BETWEEN)
        else:
            return
        behaviour = Behaviour(errand.card) if errand.card != "gives up" else Behaviour.SUCCESS
        typed = {"decision": "give_up"} if errand.card == "gives up" else {
            "decision": "pay", "number": TEST_CARDS[behaviour], "expiry": "12/30", "code": "123",
        }  # fmt: skip
        await self._submit(page, **typed)
        if behaviour is Behaviour.CONFIRMATION:
            await self._submit(page, decision="confirm")

    async def _submit(self, page: str, **typed: str) -> None:
        for _ in range(LOOKS):
            try:
                await self.browser.submit(page, **typed)
                return
            except NoAnswer:
                await asyncio.sleep(AGAIN)

    async def _regret(self, errand: Errand, order_id: str) -> None:
        await asyncio.sleep(errand.later)
        if errand.then == "cancel":
            replies = await self._twice(f"/orders/{order_id}/cancel", {"reason": "changed my mind"}, f"cancel-{order_id}")
            if any(reply.status == 202 for reply in replies):
                self.memory.cancelled.append(order_id)
            return
        await asyncio.sleep(HAS_COME)
        for _ in range(LOOKS):
            order = await self._look_at(order_id)
            if order["status"] == "delivered":
                await (self._return if errand.then == "return" else self._review)(order_id, order["lines"][0])
                return
            if order["status"] in ("rejected", "cancelled"):
                return
            await asyncio.sleep(COMES)

    async def _return(self, order_id: str, line: dict[str, Any]) -> None:
        body = {"lines": [{"product_id": line["product_id"], "quantity": 1}], "reason": "too large"}
        replies = await self._twice(f"/orders/{order_id}/returns", body, f"return-{order_id}")
        if any(reply.status == 202 for reply in replies):
            self.memory.returned[order_id] = line["product_id"], line["unit_price"]["amount"]

    async def _review(self, order_id: str, line: dict[str, Any]) -> None:
        """One product has one review of one person, however many parcels of it they got."""
        body = {"rating": 1 + len(self.memory.keys) % 5, "title": "As described", "text": "It is a thing, and it came."}
        replies = await self._twice(f"/products/{line['product_id']}/reviews", body, f"review-{order_id}")
        written = self.memory.reviewed.setdefault(line["product_id"], set())
        written.update(reply.json["id"] for reply in replies if reply.status == 201)
        if len(written) > 1:
            self.memory.surprises.append(f"{line['product_id']} was reviewed {len(written)} times by one person")

    async def _twice(self, path: str, body: object, key: str) -> list[Reply]:
        return list(await asyncio.gather(*(self.signed("POST", path, body, f"{key}-{number}") for number in range(2))))


class Clerk(Person):
    """Somebody of the staff: changes prices, corrects stock, orders more of it, sends parcels on beside the carrier, and lets reviews through. `corrected` is
    by how much there is more of each product."""

    def __init__(self, number: int, account: Account, browser: Browser, products: list[str], now: Any) -> None:
        super().__init__(number, account, browser, products, now)
        self.corrected: dict[str, int] = {}

    async def do(self, errand: Errand) -> None:
        product_id, quantity = self._products[errand.lines[0][0]], errand.lines[0][1]
        match errand.kind:
            case "price":
                await self.signed("PATCH", f"/products/{product_id}", {"price": {"amount": 1000 + int(errand.at * 100), "currency": CURRENCY}})
            case "correct":
                await self._correct(product_id, 5 if quantity > 1 else -1)
            case "purchase":
                await self._purchase(product_id)
            case "carry":
                await self._carry()
            case _:
                await self._moderate()

    async def _correct(self, product_id: str, change: int) -> None:
        warehouse = await self._warehouse(product_id)
        if warehouse:
            body = {"warehouse_id": warehouse, "quantity": change, "reason": "correction"}
            reply = await self.signed("POST", f"/inventory/{product_id}/movements", body, self._next("correction"))
            self._count(product_id, change, reply)

    async def _purchase(self, product_id: str) -> None:
        """What was ordered comes, and two say so at once; together they say more than was ordered."""
        warehouse = await self._warehouse(product_id)
        if not warehouse:
            return
        supplier = (await self.signed("POST", "/suppliers", {"name": "Works"}, self._next("supplier"))).json["id"]
        lines = [{"product_id": product_id, "quantity": ORDERED}]
        draft = await self.signed("POST", "/purchase-orders", {"supplier_id": supplier, "warehouse_id": warehouse, "lines": lines}, self._next("draft"))
        path, came = f"/purchase-orders/{draft.json['id']}", {"lines": [{"product_id": product_id, "quantity": DELIVERED}]}
        await self.signed("POST", f"{path}/order", {}, self._next("placed"))
        replies = await self._twice(f"{path}/receipts", came, self._next("receipt"))
        for reply in replies:
            self._count(product_id, DELIVERED, reply)
        if all(reply.status == 201 for reply in replies):
            self.memory.surprises.append(f"{ORDERED} units of {product_id} were ordered, and {DELIVERED} received twice")

    async def _carry(self) -> None:
        """Two couriers tell the same of the newest parcels at once."""
        found = (await self.signed("GET", "/deliveries", limit=3)).json["items"]
        for delivery in found:
            if (status := NEXT.get(delivery["status"])) is not None:
                await self._twice(f"/deliveries/{delivery['id']}/status", {"status": status}, self._next("carried"))

    async def _moderate(self) -> None:
        waiting = (await self.signed("GET", "/reviews", status="pending")).json["items"]
        for review in waiting:
            decision = {"decision": "approve"} if review["rating"] > 1 else {"decision": "reject", "reason": "says nothing"}
            await self._twice(f"/reviews/{review['id']}/moderation", decision, self._next("moderated"))

    async def _warehouse(self, product_id: str) -> str:
        stock = await self.signed("GET", f"/inventory/{product_id}")
        return stock.json["by_warehouse"][0]["warehouse_id"] if stock.status == 200 and stock.json.get("by_warehouse") else ""

    def _next(self, what: str) -> str:
        self._keys += 1
        return f"{what}-{self._keys}"

    def _count(self, product_id: str, change: int, reply: Reply) -> None:
        if reply.status == 201:
            self.corrected[product_id] = self.corrected.get(product_id, 0) + change
