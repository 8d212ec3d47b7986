"""Buyers who go on buying while the shop dies around them, and write down what they were told."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from tests.chaos.record import NO_ANSWER, Promise, Record

PASSWORD = "Kettle-Harbour-42"
POCKET, TOP_UP = 5_000_000, 1_000  # minor units
TO_MOSCOW = {"method": "courier", "address": {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}}
GOOD_CARD = {"decision": "pay", "number": "4242 4242 4242 4242", "expiry": "12/30", "code": "123"}
PATIENCE, LONGEST = 0.1, 1.0  # seconds until somebody who got no answer asks again: twice as long each time
ANSWERED = 20.0  # seconds that people wait for an answer
CODE: Final = "CHAOS10"
CODES: Final = 200
"""How often the promo code may be used."""
P = TypeVar("P", bound="Person")


class NotJson(Exception):
    """An answer of the API that nobody can read; it is on record."""


AWAY = (aiohttp.ClientError, OSError, TimeoutError, NotJson)
HABITS: Final = {"order": 52, "look": 18, "double": 6, "tabs": 6, "promo": 6, "top_up": 4, "return": 4, "review": 4}
"""What people do, and how often."""
WATCHED, CANCELLED, PATIENT, PAYS = 0.4, 0.15, 0.7, 0.8
OLD = 8.0  # seconds until a parcel can have come
LEAVE = 40.0  # seconds
LOOKS = 40  # for a page to pay on, or a confirmation, with pauses of PATIENCE to 0.5 s


@dataclass
class Memory:
    """What one person was told: `keys` are all orders ever asked for, `cancelled`, `returned` (a unit's price by order) and `topped_up` what was accepted."""

    keys: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    returned: dict[str, tuple[str, int]] = field(default_factory=dict)
    topped_up: int = 0
    top_ups_asked: int = 0
    bought: list[tuple[float, str]] = field(default_factory=list)
    corrected: Counter[str] = field(default_factory=Counter)


class Person:
    """Somebody with an account, who asks the shop for things. `pace` is between how many seconds they think before the next thing."""

    def __init__(
        self, address: str, browser: aiohttp.ClientSession, record: Record, products: list[str], random: Random, counts: Counter[str],
        pace: tuple[float, float] = (0.0, 0.0),
    ) -> None:  # fmt: skip
        self.address, self._browser, self._record, self._products, self._random, self._counts = address, browser, record, products, random, counts
        self._pace, self.memory, self.leaving = pace, Memory(), False
        self.token = self.user_id = ""
        self.email = f"{uuid.uuid4().hex}@buyers.torg.example"

    async def ask(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, Any]:
        """One request; raises one of AWAY when there is no answer."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["idempotency-key"] = key
        began, what = time.monotonic(), f"{method} {path.partition('?')[0]}"
        timeout = aiohttp.ClientTimeout(total=ANSWERED)
        try:
            async with self._browser.request(method, f"{self.address}/api/v1{path}", json=body, headers=headers, timeout=timeout) as reply:
                text = await reply.read()
        except AWAY:
            self._counts["unanswered"] += 1
            self._record.answer(began, what, NO_ANSWER)
            raise
        self._counts[f"status {reply.status // 100}xx"] += 1
        self._record.answer(began, what, reply.status, text)
        try:
            return reply.status, msgspec.json.decode(text) if text else None
        except msgspec.DecodeError:
            self._record.defects.append(f"{what} was answered {reply.status} {dict(reply.headers)}, and no JSON: {text[:300]!r}")
            raise NotJson(what) from None

    async def insist(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, Any]:
        """The same request until there is an answer, less and less often; the same key sees to it that it takes effect once. Signs in anew where the session
        has ended."""
        pause = PATIENCE
        while True:
            try:
                status, reply = await self.ask(method, path, body, key)
            except AWAY:
                pass
            else:
                if status == 401 and self.token:
                    await self.sign_in()
                elif status != 503 and not (status == 409 and reply["code"] == "idempotency.in_progress"):
                    return status, reply
            await asyncio.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 2, LONGEST)

    async def sign_in(self) -> None:
        self.token = ""
        status, session = await self.insist("POST", "/sessions", {"email": self.email, "password": PASSWORD})
        assert status == 201, (self.email, status, session)
        self.token = session["access_token"]

    async def live(self) -> None:
        """Does what they came for, until they are `leaving`."""

    async def think(self) -> None:
        await asyncio.sleep(self._random.uniform(*self._pace))


class Buyer(Person):
    """Does one errand after the other."""

    async def live(self) -> None:
        """Until it is cancelled, or `leaving`."""
        await self._arrive()
        errands = {
            "order": self._order, "look": self._look, "double": self._double, "tabs": self._tabs, "promo": self._with_code, "top_up": self._top_up,
            "return": self._return, "review": self._review,
        }  # fmt: skip
        while not self.leaving:
            await errands[self._random.choices(tuple(HABITS), tuple(HABITS.values()))[0]]()
            await self.think()

    async def _arrive(self) -> None:
        await self.insist("POST", "/users", {"email": self.email, "password": PASSWORD, "full_name": "Anna Petrova"})
        await self.sign_in()
        _, me = await self.insist("GET", "/users/me")
        self.user_id = me["id"]
        await self.insist("POST", "/wallet/top-ups", {"amount": {"amount": POCKET, "currency": "USD"}}, key=uuid.uuid4().hex)

    # ---------------------------------------------------------------- buying

    async def _order(self) -> None:
        if await self._fill_cart():
            method = self._method()
            for order_id in await self._check_out(method, [self._key()]):
                await self._afterwards(order_id, method)

    async def _double(self) -> None:
        """Three times at once, as a finger that slips."""
        if await self._fill_cart():
            for order_id in await self._check_out("balance", [self._key()] * 3):
                await self._afterwards(order_id, "balance")

    async def _tabs(self) -> None:
        """The same cart in two tabs at once."""
        if await self._fill_cart():
            await self._check_out("cash", [self._key(), self._key()])

    async def _with_code(self) -> None:
        if await self._fill_cart():
            await self.insist("POST", "/cart/promo-code", {"code": CODE})
            await self._check_out("balance", [self._key()])

    def _method(self) -> str:
        return self._random.choices(("balance", "cash", "card"), (7, 2, 1))[0]

    def _key(self) -> str:
        key = uuid.uuid4().hex
        self.memory.keys.append(key)
        return key

    async def _fill_cart(self) -> bool:
        product_id, quantity = self._random.choice(self._products), self._random.randint(1, 3)
        status, _ = await self.insist("PUT", f"/cart/items/{product_id}", {"quantity": quantity})
        if status != 200:
            self._counts["not for sale"] += 1
        return status == 200

    async def _check_out(self, method: str, keys: list[str]) -> list[str]:
        """All at once; the orders that were acknowledged. A buyer of little faith may give up when there is no answer: then nobody knows whether there is an
        order, and either is right."""
        patient = self._random.random() < PATIENT
        told = await asyncio.gather(*(self._buy(method, key, patient) for key in keys))
        return list(dict.fromkeys(order_id for order_id in told if order_id))

    async def _buy(self, method: str, key: str, patient: bool) -> str:
        began, body = time.monotonic(), {"delivery": TO_MOSCOW, "payment": {"method": method}}
        try:
            status, order = await (self.insist if patient else self.ask)("POST", "/orders", body, key)
        except AWAY:
            return ""
        if status != 202:
            self._counts[f"refused {order['code']}"] += 1
            return ""
        line, total = order["lines"][0], order["total"]["amount"]
        self._record.write(Promise(key, order["id"], self.user_id, line["product_id"], line["quantity"], total, method, began, time.monotonic()))
        self.memory.bought.append((began, order["id"]))
        return str(order["id"])

    # ---------------------------------------------------------------- afterwards

    async def _afterwards(self, order_id: str, method: str) -> None:
        if method == "card":
            await self._pay(order_id)
        elif self._random.random() < CANCELLED:
            status, _ = await self.insist("POST", f"/orders/{order_id}/cancel", {"reason": "changed my mind"}, key=uuid.uuid4().hex)
            if status == 202:
                self.memory.cancelled.add(order_id)
        elif self._random.random() < WATCHED:
            await self._watch(order_id)

    async def _watch(self, order_id: str) -> None:
        began, pause = self.memory.bought[-1][0], PATIENCE
        for _ in range(LOOKS):
            status, order = await self.insist("GET", f"/orders/{order_id}")
            if status == 200 and order["status"] in ("confirmed", "shipped", "delivered"):
                self._record.confirmed.append((began, time.monotonic()))
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def _pay(self, order_id: str) -> None:
        """On the acquirer's page, however often it is away; some leave without."""
        pause = PATIENCE
        for _ in range(LOOKS):
            status, order = await self.insist("GET", f"/orders/{order_id}")
            if status != 200:
                return  # the order is lost: that will be told
            if page := order["payment"].get("redirect_url"):
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        else:
            return
        typed = GOOD_CARD if self._random.random() < PAYS else {"decision": "give_up"}
        while True:
            try:
                async with self._browser.post(page, data=typed, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=ANSWERED)) as reply:
                    await reply.read()
                    return
            except AWAY:
                await asyncio.sleep(PATIENCE)

    # ---------------------------------------------------------------- other things people do

    async def _look(self) -> None:
        """Around, without buying."""
        for path in ("/categories", "/products?query=milk&limit=5", f"/products/{self._random.choice(self._products)}", "/cart", "/orders?limit=5"):
            await self.insist("GET", path)

    async def _top_up(self) -> None:
        """Twice at once with one key."""
        self.memory.top_ups_asked += 1
        key, body = uuid.uuid4().hex, {"amount": {"amount": TOP_UP, "currency": "USD"}}
        replies = await asyncio.gather(*(self.insist("POST", "/wallet/top-ups", body, key) for _ in range(2)))
        self.memory.topped_up += any(status == 201 for status, _ in replies)

    async def _delivered(self) -> Any:
        """An order of theirs that has been delivered, if one has."""
        old = [order_id for at, order_id in self.memory.bought if at < time.monotonic() - OLD and order_id not in self.memory.returned]
        if not old:
            return None
        status, order = await self.insist("GET", f"/orders/{self._random.choice(old)}")
        return order if status == 200 and order["status"] == "delivered" else None

    async def _return(self) -> None:
        if order := await self._delivered():
            line = order["lines"][0]
            body = {"lines": [{"product_id": line["product_id"], "quantity": 1}], "reason": "too large"}
            self.memory.returned[order["id"]] = line["product_id"], line["unit_price"]["amount"]  # once asked for it may come true
            status, _ = await self.insist("POST", f"/orders/{order['id']}/returns", body, uuid.uuid4().hex)
            if status != 202:
                del self.memory.returned[order["id"]]

    async def _review(self) -> None:
        if order := await self._delivered():
            written = {"rating": self._random.randint(1, 5), "title": "As it was told", "text": "It came through all of that, and in time."}
            await self.insist("POST", f"/products/{order['lines'][0]['product_id']}/reviews", written, uuid.uuid4().hex)


class Clerk(Person):
    """Somebody of the staff: corrects stock and prices while people buy."""

    async def live(self) -> None:
        """Until it is `leaving`."""
        while not self.leaving:
            product_id = self._random.choice(self._products)
            if self._random.random() < 0.3:
                await self.insist("PATCH", f"/products/{product_id}", {"price": {"amount": self._random.randint(100, 900), "currency": "USD"}})
            else:
                await self._correct(product_id, self._random.choice((5, 3, -1)))
            await self.think()

    async def _correct(self, product_id: str, change: int) -> None:
        status, stock = await self.insist("GET", f"/inventory/{product_id}")
        if status != 200 or not stock.get("by_warehouse"):
            return
        self.memory.corrected[product_id] += change  # once asked for it may come true, and it is insisted on
        body = {"warehouse_id": stock["by_warehouse"][0]["warehouse_id"], "quantity": change, "reason": "counted"}
        status, _ = await self.insist("POST", f"/inventory/{product_id}/movements", body, uuid.uuid4().hex)
        if status != 201:
            self.memory.corrected[product_id] -= change


async def go_home(people: Sequence[Person], living: Sequence[asyncio.Task[None]]) -> None:
    """Everybody ends what they are at, or is told to stop where they are; whoever broke down on the way is told of."""
    for person in people:
        person.leaving = True
    _, late = await asyncio.wait(living, timeout=LEAVE)
    for task in late:
        task.cancel()
    for outcome in await asyncio.gather(*living, return_exceptions=True):
        if outcome is not None and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def administrator(address: str, browser: aiohttp.ClientSession, record: Record, random: Random) -> Person:
    """The one of the demonstration, signed in."""
    return await _signed_in(Person(address, browser, record, [], random, Counter()))


async def clerk(address: str, browser: aiohttp.ClientSession, record: Record, products: list[str], random: Random, pace: tuple[float, float]) -> Clerk:
    """The administrator once more, at work in the warehouse."""
    return await _signed_in(Clerk(address, browser, record, products, random, Counter(), pace))


async def _signed_in(person: P) -> P:
    person.email = "admin@torg.example"
    await person.sign_in()
    return person
