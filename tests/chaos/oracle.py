"""What must be true of the shop after all that happened to it, judged by what the buyers wrote down."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.buyers import POCKET, Buyer, Promise, Record

SAGAS_END_WITHIN = 60.0  # seconds
UNDER_WAY = ("running", "compensating")
SOLD = ("confirmed", "shipped", "delivered")
ENDED = (*SOLD, "rejected", "cancelled")


class Oracle:
    """Looks at everything over HTTP: buyers at their own things, an administrator at the whole."""

    def __init__(self, buyers: Sequence[Buyer], admin: Buyer, record: Record, opening: Mapping[str, int], data: Path) -> None:
        self._buyers, self._admin, self._record, self._opening, self._data = buyers, admin, record, opening, data
        self.counts = Counter[str]()
        self.settled_after = 0.0

    async def faults(self, doubts_last: float, alone: bool = True) -> list[str]:
        """A sentence for each thing that is wrong. What only time can tell of is looked at again `doubts_last` seconds later. `alone` when nobody else has
        bought anything, so that all stock and all cards can be accounted for."""
        found = await self._sagas_end()
        orders = [order for buyer in self._buyers for order in await self._orders_of(buyer)]
        by_buyer = {buyer.user_id: [order for order in orders if order["user_id"] == buyer.user_id] for buyer in self._buyers}
        found += self._promises_kept({order["id"]: order for order in orders})
        found += [fault for buyer in self._buyers for fault in await self._money_adds_up(buyer, by_buyer[buyer.user_id])]
        if alone:
            found += await self._stock_adds_up(orders)
            found += await self._cards_add_up(orders)
        found += await self._invariants_hold(doubts_last)
        return found

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

    def _promises_kept(self, orders: Mapping[str, Any]) -> list[str]:
        found = []
        for promise in self._record.promises:
            order = orders.get(promise.order_id)
            if order is None:
                self.counts["lost"] += 1
                found.append(f"LOST: order {promise.order_id} was acknowledged to {promise.user_id}, and is not there")
            elif not _as_promised(order, promise):
                found.append(f"order {promise.order_id} is not what was promised: {order}")
            elif order["status"] not in ENDED:
                found.append(f"order {promise.order_id} hangs at {order['status']}")
        by_key = Counter(promise.key for promise in self._record.promises)
        found += [f"DOUBLED: one key got {times} orders" for times in by_key.values() if times > 1]
        by_cart = Counter(order["bucket_id"] for order in orders.values())
        found += [f"DOUBLED: cart {cart} became {times} orders" for cart, times in by_cart.items() if times > 1]
        for buyer in self._buyers:
            own = [order for order in orders.values() if order["user_id"] == buyer.user_id]
            if len(own) > len(buyer.keys):
                found.append(f"DOUBLED: {buyer.user_id} asked {len(buyer.keys)} times and has {len(own)} orders")
            found += [
                f"{order['id']} was cancelled, and is {order['status']}" for order in own if order["id"] in buyer.cancelled and order["status"] != "cancelled"
            ]
        self.counts.update(order["status"] for order in orders.values())
        return found

    async def _money_adds_up(self, buyer: Buyer, orders: Sequence[Any]) -> list[str]:
        spent = sum(order["total"]["amount"] for order in orders if order["payment"]["method"] == "balance" and order["status"] in SOLD)
        _, wallet = await buyer.insist("GET", "/wallet")
        holds = wallet["balance"]["amount"]
        return [] if holds == POCKET - spent else [f"the wallet of {buyer.user_id} holds {holds}, not {POCKET} less {spent} spent"]

    async def _stock_adds_up(self, orders: Sequence[Any]) -> list[str]:
        sold = Counter[str]()
        for order in orders:
            if order["status"] in SOLD:
                sold.update({line["product_id"]: line["quantity"] for line in order["lines"]})
        found = []
        for product_id, opening in self._opening.items():
            stock = await self._see(f"/inventory/{product_id}")
            if stock["available"] != opening - sold[product_id]:
                found.append(f"of {product_id} there are {stock['available']} for sale: of {opening} were sold {sold[product_id]}")
            if stock["on_hand"] - stock["reserved"] != stock["available"]:
                found.append(f"of {product_id} lie {stock['on_hand']}, {stock['reserved']} reserved, but {stock['available']} are for sale")
        return found

    async def _cards_add_up(self, orders: Sequence[Any]) -> list[str]:
        """The acquirer keeps the money of what was sold, and of nothing else."""
        kept = sum(charge["captured"]["amount"] - charge["refunded"]["amount"] for charge in await self._acquirers_books())
        sold = sum(order["total"]["amount"] for order in orders if order["payment"]["method"] == "card" and order["status"] in SOLD)
        return [] if kept == sold else [f"the acquirer keeps {kept}, the card orders sold come to {sold}"]

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
        orders, cursor = list[Any](), ""
        while True:
            _, page = await buyer.insist("GET", "/orders?limit=100" + (f"&cursor={cursor}" if cursor else ""))
            orders += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return orders

    async def _see(self, path: str) -> Any:
        status, reply = await self._admin.insist("GET", path)
        assert status == 200, (path, status, reply)
        return reply


def _as_promised(order: Any, promise: Promise) -> bool:
    quantity = sum(line["quantity"] for line in order["lines"] if line["product_id"] == promise.product_id)
    return (order["user_id"], order["total"]["amount"], quantity, order["payment"]["method"]) == (
        promise.user_id, promise.total, promise.quantity, promise.method,
    )  # fmt: skip
