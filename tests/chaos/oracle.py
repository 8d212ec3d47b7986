"""What must be true of the shop after all that happened to it, judged by what those outside were told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.buyers import CODE, CODES, POCKET, TOP_UP, Buyer, Person
from tests.chaos.record import Promise, Record

SAGAS_END_WITHIN = 60.0  # seconds
SETTLES_WITHIN = 60.0  # seconds until consumers have handled everything
UNDER_WAY = ("running", "compensating")
SOLD = ("confirmed", "shipped", "delivered")
RETURNING = ("return_requested", "returned")
CALLED_OFF = ("cancelled", "shipped", "delivered", "rejected")
"""What becomes of an order whose cancellation was accepted: the parcel may have been handed over a moment before."""
ENDED = (*SOLD, *RETURNING, "rejected", "cancelled")


class Oracle:
    """Looks at everything over HTTP: buyers at their own things, an administrator at the whole. `corrected`: what clerks added to the stock."""

    def __init__(
        self, buyers: Sequence[Buyer], admin: Person, record: Record, opening: Mapping[str, int], data: Path, corrected: Mapping[str, int] | None = None
    ) -> None:
        self._buyers, self._admin, self._record, self._opening, self._data = buyers, admin, record, opening, data
        self._corrected = corrected or {}
        self.counts = Counter[str]()
        self.settled_after = 0.0
        self._payments: dict[str, Any] = {}

    async def faults(self, doubts_last: float, alone: bool = True) -> list[str]:
        """A sentence for each thing that is wrong. What only time can tell of is looked at again `doubts_last` seconds later. `alone` when nobody else has
        bought anything, so that all stock and all cards can be accounted for."""
        found = list(self._record.defects) + await self._sagas_end()
        if alone:
            found += await self._settles()
        orders = [order for buyer in self._buyers for order in await self._orders_of(buyer)]
        by_buyer = {buyer.user_id: [order for order in orders if order["user_id"] == buyer.user_id] for buyer in self._buyers}
        found += self._promises_kept({order["id"]: order for order in orders})
        for buyer in self._buyers:
            self._payments |= await _payments_of(buyer)
        found += [fault for buyer in self._buyers for fault in await self._money_adds_up(buyer, by_buyer[buyer.user_id])]
        if alone:
            found += await self._stock_adds_up(orders)
            found += await self._cards_add_up(orders)
            found += await self._codes_add_up()
        found += await self._invariants_hold(doubts_last)
        return found

    async def holds(self, doubts_last: float = 20.0) -> list[str]:
        """Just what the shop can say of itself."""
        return await self._sagas_end() + await self._settles() + await self._invariants_hold(doubts_last)

    async def _sagas_end(self) -> list[str]:
        began = time.monotonic()
        while time.monotonic() - began < SAGAS_END_WITHIN:
            left = [saga for status in UNDER_WAY for saga in (await self._see(f"/admin/sagas?limit=100&status={status}"))["items"]]
            if not left:
                self.settled_after = time.monotonic() - began
                stuck = (await self._see("/admin/sagas?limit=100&status=stuck"))["items"]
                return [f"the saga of order {saga['order_id']} is stuck at {saga['current_step']}" for saga in stuck]
            await asyncio.sleep(0.2)
        return [f"the saga of order {saga['order_id']} has not ended: it is {saga['status']} at {saga['current_step']}" for saga in left]

    async def _settles(self) -> list[str]:
        """Consumers have nothing left to handle, and failed on nothing."""
        deadline = time.monotonic() + SETTLES_WITHIN
        while True:
            behind = [
                f"{consumer['name']} has {consumer['lags']} to handle, {consumer['failed']} failed and {consumer['dead']} dead"
                for consumer in (await self._see("/admin/consumers"))["items"] if any(consumer["lags"].values()) or consumer["failed"] or consumer["dead"]
            ]  # fmt: skip
            if not behind or time.monotonic() > deadline:
                return behind
            await asyncio.sleep(0.5)

    def _promises_kept(self, orders: Mapping[str, Any]) -> list[str]:
        found, by_key = list[str](), dict[str, set[str]]()
        for promise in self._record.promises:
            by_key.setdefault(promise.key, set()).add(promise.order_id)
            order = orders.get(promise.order_id)
            if order is None:
                self.counts["lost"] += 1
                found.append(f"LOST: order {promise.order_id} was acknowledged to {promise.user_id}, and is not there")
            elif not as_promised(order, promise):
                found.append(f"order {promise.order_id} is not what was promised: {order}")
            elif order["status"] not in ENDED:
                found.append(f"order {promise.order_id} hangs at {order['status']}")
        found += [f"DOUBLED: one key got {len(ids)} orders" for ids in by_key.values() if len(ids) > 1]
        by_cart = Counter(order["bucket_id"] for order in orders.values())
        found += [f"DOUBLED: cart {cart} became {times} orders" for cart, times in by_cart.items() if times > 1]
        for buyer in self._buyers:
            own, memory = [order for order in orders.values() if order["user_id"] == buyer.user_id], buyer.memory
            if len(own) > len(memory.keys):
                found.append(f"DOUBLED: {buyer.user_id} asked {len(memory.keys)} times and has {len(own)} orders")
            found += [
                f"{order['id']} was cancelled, and is {order['status']}"
                for order in own
                if order["id"] in memory.cancelled and order["status"] not in CALLED_OFF
            ]
        self.counts.update(order["status"] for order in orders.values())
        return found

    async def _money_adds_up(self, buyer: Buyer, orders: Sequence[Any]) -> list[str]:
        found, spent, came_back = list[str](), 0, 0
        for order in orders:
            went_back = self._refunded(order)
            if went_back and order["status"] in (*SOLD, *RETURNING) and went_back > buyer.memory.returned.get(order["id"], ("", 0))[1]:
                found.append(f"{went_back} of order {order['id']} were paid back, for something that came to {buyer.memory.returned.get(order['id'])}")
            if order["payment"]["method"] == "balance":
                spent += self._kept(order)
            elif order["payment"]["method"] == "cash":
                came_back += went_back
        _, wallet = await buyer.insist("GET", "/wallet")
        holds, right = wallet["balance"]["amount"], POCKET + buyer.memory.topped_up * TOP_UP + came_back - spent
        doubtful = range(right, right + (buyer.memory.top_ups_asked - buyer.memory.topped_up) * TOP_UP + 1, TOP_UP)
        if holds not in doubtful:
            found.append(
                f"the wallet of {buyer.user_id} holds {holds}, not {right}: {POCKET}, {buyer.memory.topped_up} top-ups, {came_back} back, {spent} spent"
            )
        return found

    def _refunded(self, order: Any) -> int:
        payment = self._payments.get(order["id"])
        return int(payment["refunded"]["amount"]) if payment else 0

    def _kept(self, order: Any) -> int:
        """What the shop has of an order's price in the end."""
        return int(order["total"]["amount"]) - self._refunded(order) if order["status"] in (*SOLD, *RETURNING) else 0

    async def _stock_adds_up(self, orders: Sequence[Any]) -> list[str]:
        sold, found = Counter[str](), list[str]()
        came_back = Counter(product_id for buyer in self._buyers for product_id, _ in buyer.memory.returned.values())
        for order in orders:
            if order["status"] in (*SOLD, *RETURNING):
                for line in order["lines"]:
                    sold[line["product_id"]] += line["quantity"]
        for product_id, opening in self._opening.items():
            stock = await self._see(f"/inventory/{product_id}")
            right = opening + self._corrected.get(product_id, 0) - sold[product_id]
            if not right <= stock["available"] <= right + came_back[product_id]:
                found.append(f"of {product_id} there are {stock['available']} for sale, not {right}: of {opening} were sold {sold[product_id]}")
            if stock["on_hand"] - stock["reserved"] != stock["available"]:
                found.append(f"of {product_id} lie {stock['on_hand']}, {stock['reserved']} reserved, but {stock['available']} are for sale")
        return found

    async def _cards_add_up(self, orders: Sequence[Any]) -> list[str]:
        """The acquirer keeps the money of what was sold, once each, and of nothing else."""
        found, by_order = list[str](), {payment["id"]: order_id for order_id, payment in self._payments.items()}
        charges: dict[str, list[Any]] = {}
        for charge in await self._acquirers_books():
            if charge["reference"] in by_order:
                charges.setdefault(by_order[charge["reference"]], []).append(charge)
            elif charge["captured"]["amount"] != charge["refunded"]["amount"]:
                found.append(f"the acquirer keeps money for {charge['reference']}, which is nobody's payment")
        for order in orders:
            own = charges.get(order["id"], [])
            kept = sum(charge["captured"]["amount"] - charge["refunded"]["amount"] for charge in own)
            if order["payment"]["method"] == "card" and kept != (right := self._kept(order)):
                found.append(f"the acquirer keeps {kept} of order {order['id']} ({order['status']}), which comes to {right}")
            captured = [charge for charge in own if charge["captured"]["amount"]]
            self.counts["charged"] += bool(captured)
            if len(captured) > 1 or any(charge["captured"]["amount"] > order["total"]["amount"] for charge in captured):
                self.counts["charged twice"] += 1
                found.append(f"CHARGED TWICE: order {order['id']} of {order['total']['amount']}: {captured}")
        return found

    async def _codes_add_up(self) -> list[str]:
        promo = [each for each in (await self._see("/promo-codes?limit=100"))["items"] if each["code"] == CODE]
        return [f"{CODE} was used {each['used']} times, {CODES} were allowed" for each in promo if not 0 <= each["used"] <= CODES]

    async def _acquirers_books(self) -> list[Any]:
        charges, cursor = list[Any](), ""
        headers = {"authorization": f"Bearer {(self._data / 'acquirer' / 'secret').read_text().strip()}"}
        async with aiohttp.ClientSession(headers=headers) as merchant:
            while True:
                async with merchant.get(f"{self._admin.address}/acquirer/books", params={"limit": 100, "cursor": cursor}) as reply:
                    page = await reply.json()
                charges += page["items"]
                cursor = page["next_cursor"]
                if not cursor:
                    return charges

    async def _invariants_hold(self, doubts_last: float) -> list[str]:
        await self._see("/admin/invariants")
        await asyncio.sleep(doubts_last)
        reports = (await self._see("/admin/invariants"))["items"]
        self.counts["invariants"] = len(reports)
        return [f"{report['context']}.{report['name']}: {sentence}" for report in reports for sentence in report["violations"]]

    async def _orders_of(self, buyer: Buyer) -> list[Any]:
        await buyer.sign_in()
        return await all_of(buyer, "/orders")

    async def _see(self, path: str) -> Any:
        status, reply = await self._admin.insist("GET", path)
        assert status == 200, (path, status, reply)
        return reply


async def _payments_of(buyer: Buyer) -> dict[str, Any]:
    return {payment["order_id"]: payment for payment in await all_of(buyer, "/payments")}


async def all_of(buyer: Person, path: str) -> list[Any]:
    found, cursor = list[Any](), ""
    while True:
        _, page = await buyer.insist("GET", f"{path}?limit=100" + (f"&cursor={cursor}" if cursor else ""))
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def as_promised(order: Any, promise: Promise) -> bool:
    """Whether it is still what was acknowledged."""
    quantity = sum(line["quantity"] for line in order["lines"] if line["product_id"] == promise.product_id)
    return (order["user_id"], order["total"]["amount"], quantity, order["payment"]["method"]) == (
        promise.user_id, promise.total, promise.quantity, promise.method,
    )  # fmt: skip
