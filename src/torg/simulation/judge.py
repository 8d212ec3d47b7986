"""What must be true at the end of a run: judged by what people were told, by the acquirer's books, and by what the shop says of itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from torg.kit.values import stamp
from torg.simulation.people import Clerk, Person
from torg.simulation.plan import CODE, CODES, FEW, POCKET, POOR, SCARCE, SMALL_CHANGE, TOP_UP, UNITS
from torg.simulation.site import START, Site

SOLD: Final = ("confirmed", "shipped", "delivered")
RETURNING: Final = ("return_requested", "returned")
ENDED: Final = (*SOLD, *RETURNING, "rejected", "cancelled")
CALLED_OFF: Final = ("cancelled", "rejected", "shipped", "delivered")
"""What becomes of an order whose cancellation was accepted: the parcel may have been handed over a moment before."""
ENDS_WITHIN, PAYS_WITHIN = 60.0, 75.0  # seconds that sagas may take after the last fault, and that buyers at the acquirer's page have besides
SETTLES_WITHIN, DOUBTS_LAST = 60.0, 16.0
HEARD_WITHIN = 5.0  # seconds until everybody has heard of what happened
WHERE_PARCELS_ARE: Final = {"confirmed": ("scheduled",), "shipped": ("shipped", "in_transit"), "cancelled": ("cancelled",), "rejected": ("cancelled",)}
COMES_BACK_WITHIN = 120.0  # that a parcel takes to come back
_UNDER_WAY = "select id, status, subject, deadline, instance from saga where status in ('running', 'compensating')"


class Judge:
    """Looks at everything once it is quiet."""

    def __init__(self, site: Site, people: Sequence[Person], clerk: Clerk, admin: Person, products: Sequence[str]) -> None:
        self._site, self._people, self._clerk, self._admin, self._products = site, people, clerk, admin, products
        self.counts: Counter[str] = Counter()
        self._payments: Mapping[str, Mapping[str, Any]] = {}
        self._returned: Mapping[str, tuple[str, int]] = {}
        self._excess: list[str] = []

    async def verdict(self) -> list[str]:
        """A sentence for each thing that is wrong."""
        found = await self._sagas_end()
        found += await self._settles()
        await self._invariants()
        await asyncio.sleep(DOUBTS_LAST)
        found += await self._invariants()
        orders = {person.number: await self._orders_of(person) for person in self._people}
        self._payments = {row["order_id"]: row for row in self._site.rows("payment", "select * from payment")}
        self._returned = {id: what for person in self._people for id, what in person.memory.returned.items()}
        for person in self._people:
            found += person.memory.surprises
            found += self._promises(person, orders[person.number])
            found += await self._wallet(person, orders[person.number])
        found += self._clerk.memory.surprises + self._excess + await self._curious(orders)
        everything = [order for own in orders.values() for order in own]
        self.counts.update(order["status"] for order in everything)
        found += self._codes(everything)
        found += self._parcels(everything)
        found += await self._stock(everything)
        found += await self._cards(everything)
        found += await self._dead_letters()
        return found

    # ---------------------------------------------------------------- everything ends

    async def _sagas_end(self) -> list[str]:
        deadline = self._site.loop.time() + ENDS_WITHIN + PAYS_WITHIN + (COMES_BACK_WITHIN if self._returns() else 0)
        while left := self._site.rows("order", _UNDER_WAY):
            if self._site.loop.time() > deadline:
                return [f"the saga of {row['subject']} has not ended: {row['status']}, {row['instance']}" for row in left]
            await asyncio.sleep(1)
        return []

    def _returns(self) -> bool:
        return any(person.memory.returned for person in self._people)

    async def _settles(self) -> list[str]:
        deadline = self._site.loop.time() + SETTLES_WITHIN
        while True:
            behind = [
                f"{consumer['name']} has {consumer['lags']} to handle, {consumer['failed']} failed and {consumer['dead']} dead"
                for consumer in (await self._see("/admin/consumers"))["items"] if any(consumer["lags"].values()) or consumer["failed"] or consumer["dead"]
            ]  # fmt: skip
            if not behind:
                return []
            if self._site.loop.time() > deadline:
                return behind
            await asyncio.sleep(0.5)

    async def _invariants(self) -> list[str]:
        reports = (await self._see("/admin/invariants"))["items"]
        self.counts["invariants"] = len(reports)
        return [f"{report['context']}.{report['name']}: {sentence}" for report in reports for sentence in report["violations"]]

    async def _dead_letters(self) -> list[str]:
        return [f"{letter['consumer']} failed on {letter['name']}: {letter['error']}" for letter in (await self._see("/admin/dead-letters?limit=100"))["items"]]

    # ---------------------------------------------------------------- people

    def _promises(self, person: Person, orders: Sequence[Any]) -> list[str]:
        memory, by_id, found = person.memory, {order["id"]: order for order in orders}, list[str]()
        for promise in memory.promises:
            order = by_id.get(promise.order["id"])
            if order is None:
                found.append(f"LOST: order {promise.order['id']} was acknowledged, and is not there")
            elif (order["total"], order["lines"], order["bucket_id"]) != (promise.order["total"], promise.order["lines"], promise.order["bucket_id"]):
                found.append(f"order {order['id']} is not what was promised: {order} for {promise.order}")
        by_key: dict[str, set[str]] = {}
        for promise in memory.promises:
            by_key.setdefault(promise.key, set()).add(promise.order["id"])
        found += [f"DOUBLED: one key got {len(ids)} orders" for ids in by_key.values() if len(ids) > 1]
        found += [f"DOUBLED: cart {cart} became {times} orders" for cart, times in Counter(order["bucket_id"] for order in orders).items() if times > 1]
        if len(orders) > len(memory.keys):
            found.append(f"DOUBLED: person {person.number} asked for {len(memory.keys)} orders and has {len(orders)}")
        found += [f"order {order['id']} hangs at {order['status']}" for order in orders if order["status"] not in ENDED]
        called_off = [by_id[id] for id in memory.cancelled if id in by_id]
        found += [f"{order['id']} was cancelled, and is {order['status']}" for order in called_off if order["status"] not in CALLED_OFF]
        self.counts["acknowledged"] += len({promise.order["id"] for promise in memory.promises})
        return found

    async def _wallet(self, person: Person, orders: Sequence[Any]) -> list[str]:
        opening = SMALL_CHANGE if person.number < POOR else POCKET
        topped_up = person.memory.top_ups_asked * TOP_UP  # people ask until they are answered
        spent = sum(self._kept(order) for order in orders if order["payment"]["method"] == "balance")
        holds = (await person.signed("GET", "/wallet")).json["balance"]["amount"]
        came_back = sum(self._payments[order["id"]]["refunded"] for order in orders if order["payment"]["method"] == "cash" and order["id"] in self._payments)
        right = opening + topped_up + came_back - spent
        return [] if holds == right else [f"the wallet of person {person.number} holds {holds}, not {opening} and {topped_up} and {came_back} less {spent}"]

    async def _curious(self, orders: Mapping[int, Sequence[Any]]) -> list[str]:
        """Nobody sees anybody else's order."""
        found = []
        for person, other in zip(self._people, (*self._people[1:], self._people[0]), strict=True):
            for order in orders[other.number][:1]:
                reply = await person.signed("GET", f"/orders/{order['id']}")
                found += [f"person {person.number} was shown an order of person {other.number}"] if reply.status != 404 else []
        return found

    def _kept(self, order: Mapping[str, Any]) -> int:
        """What the shop has of an order's price in the end."""
        if order["status"] not in (*SOLD, *RETURNING):
            return 0
        _, price = self._returned.get(order["id"], ("", 0))
        went_back: int = self._payments[order["id"]]["refunded"]
        if went_back > price:
            self._excess.append(f"{went_back} of order {order['id']} were paid back, for something that came to {price}")
        total: int = order["total"]["amount"]
        return total - went_back

    async def _orders_of(self, person: Person) -> list[Any]:
        orders, cursor = list[Any](), ""
        while True:
            page = (await person.signed("GET", "/orders", limit=100, **({"cursor": cursor} if cursor else {}))).json
            orders += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return orders

    # ---------------------------------------------------------------- things and money

    def _codes(self, orders: Sequence[Any]) -> list[str]:
        used = sum(1 for order in orders if order["discount"]["amount"] and order["status"] in (*SOLD, *RETURNING))
        return [] if used <= CODES else [f"{CODE} was used {used} times, {CODES} were allowed"]

    def _parcels(self, orders: Sequence[Any]) -> list[str]:
        """An order is where its parcel has been for a while."""
        since = stamp(START + timedelta(seconds=self._site.loop.time() - HEARD_WITHIN))
        at_rest = f"select order_id, status from delivery where return_id = '' and updated_at < '{since}'"
        parcels = {row["order_id"]: row["status"] for row in self._site.rows("shipping", at_rest)}
        return [
            f"order {order['id']} is {order['status']}, and its parcel {parcels[order['id']]}"
            for order in orders if order["id"] in parcels and parcels[order["id"]] not in WHERE_PARCELS_ARE.get(order["status"], (parcels[order["id"]],))
        ]  # fmt: skip

    async def _stock(self, orders: Sequence[Any]) -> list[str]:
        sold, found = Counter[str](), list[str]()
        came_back = Counter(product_id for product_id, _ in self._returned.values())
        for order in orders:
            if order["status"] in (*SOLD, *RETURNING):
                for line in order["lines"]:
                    sold[line["product_id"]] += line["quantity"]
        for number, product_id in enumerate(self._products):
            stock = (await self._clerk.signed("GET", f"/inventory/{product_id}")).json
            right = (FEW if number < SCARCE else UNITS) + self._clerk.corrected.get(product_id, 0) - sold[product_id]
            if not right <= stock["available"] <= right + came_back[product_id]:
                found.append(f"of {product_id} there are {stock['available']} for sale, not {right}: {sold[product_id]} were sold")
            if stock["on_hand"] - stock["reserved"] != stock["available"] or stock["reserved"] < 0 or stock["available"] < 0:
                found.append(f"the stock of {product_id} does not add up: {stock}")
        return found

    async def _cards(self, orders: Sequence[Any]) -> list[str]:
        """The acquirer keeps the money of what was sold, once, and of nothing else."""
        payments = {row["id"]: row for row in self._site.rows("payment", "select * from payment where method = 'card'")}
        by_order, found = dict[str, list[Mapping[str, Any]]](), list[str]()
        for charge in self._site.rows("acquirer", "select * from charge"):
            payment = payments.get(charge["reference"])
            if payment is None:
                found.append(f"the acquirer has a charge for {charge['reference']}, which is no payment")
            else:
                by_order.setdefault(payment["order_id"], []).append(charge)
        for order in orders:
            kept = sum(charge["captured"] - charge["refunded"] for charge in by_order.get(order["id"], []))
            if order["payment"]["method"] == "card":
                right = self._kept(order)
                found += [f"the acquirer keeps {kept} of order {order['id']} ({order['status']}), which comes to {right}"] if kept != right else []
            captures = sum(1 for charge in by_order.get(order["id"], []) if charge["captured"])
            found += [f"order {order['id']} was captured {captures} times"] if captures > 1 else []
        return found

    async def _see(self, path: str) -> Any:
        reply = await self._admin.signed("GET", path)
        assert reply.status == 200, (path, reply)
        return reply.json
