"""Plays the year of purchases against a running shop, through its public API alone: accounts, wallets, carts, orders, deliveries, reviews.

Every order's Idempotency-Key comes from its basket, and what was acknowledged is kept in a ledger: a replay that was cut short goes on where it was."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from zlib import crc32

from torg.demo.ledger import Acknowledged, Ledger
from torg.demo.opinions import is_let_through, is_reviewed, opinion
from torg.demo.purchases import CITIES, Household, Purchase
from torg.demo.shop import Refused, Reply, Shop

MOST_UNITS = 99  # of a product in one order; what the source counts in thousands is fuel
TOP_UP = 2_000_00  # minor units
DELIVERY_AT_MOST = 100_00  # minor units that a delivery may add to a cart's total
LEFT_OPEN = 300  # the newest orders are not delivered, so that the shop has something under way; of few, one in five
OUTCOME_WITHIN = 300.0  # seconds until an order must be confirmed or rejected
REJECTED = "order.rejected"
SETTLED = frozenset({"confirmed", "shipped", "delivered", "rejected", "cancelled"})
_COUNTRY = {city.name: city.country for city in CITIES}


class CannotReplay(Exception):
    """A sentence for the person who asked for it."""


@dataclass(frozen=True)
class Plan:
    """`speed` is times real time, 0 as fast as it goes; `password` the staff's; households' passwords are derived from `secret`."""

    purchases: Sequence[Purchase]
    households: Mapping[str, Household]
    password: str
    secret: str
    speed: float = 0
    buyers: int = 32
    currency: str = "USD"


@dataclass
class Tally:
    """What came of it so far."""

    baskets: int = 0
    acknowledged: int = 0
    repeated: int = 0
    confirmed: int = 0
    delivered: int = 0
    reviews: int = 0
    done_before: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


@dataclass
class _Account:
    """A household's account as this run knows it; `balance` is minor units, None before it has signed in."""

    household: Household
    token: str = ""
    user_id: str = ""
    balance: int | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Replay:
    """One run over one shop."""

    def __init__(self, plan: Plan, shop: Shop, ledger: Ledger, tally: Tally) -> None:
        self._plan, self._shop, self._ledger, self.tally = plan, shop, ledger, tally
        self._accounts = {id: _Account(household) for id, household in plan.households.items()}
        self._registered = {told.household_id for told in ledger.known.values()}
        self._staff: dict[str, str] = {}
        self._points: dict[str, list[str]] = {}
        self._placed: asyncio.Queue[tuple[Purchase, _Account, str, bool]] = asyncio.Queue()

    async def run(self) -> None:
        """All of it; ends when every order's outcome is known. Raises CannotReplay, ShopAway."""
        await self._check_ledger()
        for name in ("courier", "moderator"):
            await self._sign_in_staff(name)
        baskets: asyncio.Queue[tuple[int, Purchase]] = asyncio.Queue(maxsize=self._plan.buyers)
        async with asyncio.TaskGroup() as group:
            buyers = [group.create_task(self._buyer(baskets)) for _ in range(self._plan.buyers)]
            followers = [group.create_task(self._follower()) for _ in range(max(2, self._plan.buyers // 2))]
            flushing = group.create_task(self._ledger.keep_flushing())
            await self._hand_out(baskets)
            await baskets.join()
            await self._placed.join()
            for task in (*buyers, *followers, flushing):
                task.cancel()

    async def _hand_out(self, baskets: asyncio.Queue[tuple[int, Purchase]]) -> None:
        began, first = time.monotonic(), self._plan.purchases[0].at if self._plan.purchases else None
        for number, purchase in enumerate(self._plan.purchases):
            if self._plan.speed and first:
                due = (purchase.at - first).total_seconds() / self._plan.speed
                await asyncio.sleep(max(0.0, due - (time.monotonic() - began)))
            if _key(purchase) in self._ledger.known:
                self.tally.done_before += 1
                self.tally.baskets += 1
            else:
                await baskets.put((number, purchase))

    async def _check_ledger(self) -> None:
        """A ledger of another shop would have this one go without its orders."""
        told = next(iter(self._ledger.known.values()), None)
        account = told and self._accounts.get(told.household_id)
        if not told or not account:
            return
        try:
            await self._sign_in(account)
        except CannotReplay:
            account.user_id = ""
        if account.user_id != told.user_id:
            raise CannotReplay(f"{self._ledger.file} tells of another shop's orders: remove it, or name another file with --record")

    # ---------------------------------------------------------------- buyers

    async def _buyer(self, baskets: asyncio.Queue[tuple[int, Purchase]]) -> None:
        while True:
            number, purchase = await baskets.get()
            account = self._accounts[purchase.household_id]
            async with account.turn:  # one cart, one basket at a time
                try:
                    if order := await self._buy(purchase, account):
                        self._placed.put_nowait((purchase, account, order, self._is_delivered(number)))
                except Refused as refusal:
                    self.tally.refused[refusal.code] += 1
            self.tally.baskets += 1
            baskets.task_done()

    def _is_delivered(self, number: int) -> bool:
        total = len(self._plan.purchases)
        return number < total - min(LEFT_OPEN, -(-total // 5))

    async def _buy(self, purchase: Purchase, account: _Account) -> str:
        """The order's id; empty when nothing of the basket can be bought."""
        if account.balance is None:
            await self._sign_in(account)
            await self._as(account, "DELETE", "/cart")  # what a run that was cut short left in it
        total = await self._fill(purchase, account)
        if not total:
            return ""
        await self._fund(purchase, account, total + DELIVERY_AT_MOST)
        reply = await self._order(purchase, account)
        order = reply.body
        self._ledger.add(Acknowledged(_key(purchase), order["id"], purchase.household_id, order["user_id"]))
        self.tally.acknowledged += 1
        if reply.replayed:
            self.tally.repeated += 1
            await self._as(account, "DELETE", "/cart")
        if order["payment"]["method"] == "balance" and account.balance is not None:
            account.balance -= order["total"]["amount"]
        return str(order["id"])

    async def _fill(self, purchase: Purchase, account: _Account) -> int:
        """Puts the basket into the cart, without what cannot be bought; what the cart comes to, in minor units."""
        cart: Any = None
        for line in purchase.lines:
            if line.quantity > MOST_UNITS:
                self.tally.dropped["more than 99 units"] += 1
                continue
            try:
                cart = (await self._as(account, "PUT", f"/cart/items/{line.product_id}", {"quantity": line.quantity})).body
            except Refused as refusal:
                if refusal.status not in (404, 409):
                    raise
                self.tally.dropped[refusal.code] += 1
        for item in cart["items"] if cart else ():
            if not item["available"]:
                self.tally.dropped["stock.not_enough"] += 1
                cart = (await self._as(account, "DELETE", f"/cart/items/{item['product_id']}")).body
        return int(cart["total"]["amount"]) if cart and cart["items"] else 0

    async def _fund(self, purchase: Purchase, account: _Account, wanted: int) -> None:
        for number in count():
            if account.balance is not None and account.balance >= wanted:
                return
            amount = {"amount": max(TOP_UP, wanted), "currency": self._plan.currency}
            reply = await self._as(account, "POST", "/wallet/top-ups", {"amount": amount}, f"{_key(purchase)}-top-up-{number}-{amount['amount']}")
            account.balance = await self._balance(account) if reply.replayed else reply.body["balance"]["amount"]

    async def _order(self, purchase: Purchase, account: _Account) -> Reply:
        choice = await self._delivery(purchase, account)
        payment = {"method": "cash" if _draw("pays", purchase) % 7 == 0 else "balance"}
        try:
            return await self._as(account, "POST", "/orders", {"delivery": choice, "payment": payment}, _key(purchase))
        except Refused as refusal:
            if refusal.status == 422 and choice["method"] != "courier":  # too heavy for the post: somebody has to carry it
                by_hand = {"method": "courier", "address": _address(account.household)}
                return await self._as(account, "POST", "/orders", {"delivery": by_hand, "payment": payment}, f"{_key(purchase)}-courier")
            await self._as(account, "DELETE", "/cart")
            raise

    async def _delivery(self, purchase: Purchase, account: _Account) -> dict[str, Any]:
        """Six in ten by courier, three fetch it where there is a counter, one by post."""
        draw, city = _draw("delivery", purchase) % 10, account.household.city
        if city not in self._points:
            quotes = (await self._shop.ask("GET", f"/delivery/quotes?city={city.replace(' ', '%20')}")).body
            self._points[city] = [point["id"] for quote in quotes for point in quote.get("pickup_points") or ()]
        if points := self._points[city] if 6 <= draw < 9 else []:
            return {"method": "pickup", "pickup_point_id": points[_draw("counter", purchase) % len(points)]}
        return {"method": "post" if draw == 9 else "courier", "address": _address(account.household)}

    # ---------------------------------------------------------------- accounts

    async def _as(self, account: _Account, method: str, path: str, body: object = None, key: str = "") -> Reply:
        """Asks in a household's name; signs in again when its token has expired."""
        try:
            return await self._shop.ask(method, path, body, account.token, key)
        except Refused as refusal:
            if refusal.status != 401:
                raise
        await self._sign_in(account)
        return await self._shop.ask(method, path, body, account.token, key)

    async def _sign_in(self, account: _Account) -> None:
        """Whoever has bought before signs in; others register first, unless they turn out to have done so."""
        household, password = account.household, self._password(account.household)
        if household.id not in self._registered:
            await self._register(household, password)
            self._registered.add(household.id)
        try:
            account.token = await self._token(household.email, password)
        except Refused as refusal:
            if refusal.code != "session.bad_credentials":
                raise
            raise CannotReplay(
                f"{household.email} has another password here: point --data at the folder with the secret of the replay that made it"
            ) from refusal
        account.balance = await self._balance(account)

    async def _balance(self, account: _Account) -> int:
        profile = (await self._shop.ask("GET", "/users/me", token=account.token)).body
        account.user_id = profile["id"]
        return int(profile["balance"]["amount"]) if profile["balance"] else 0

    async def _register(self, household: Household, password: str) -> None:
        person = {
            "email": household.email, "password": password, "full_name": household.full_name, "city": household.city,
            "birth_date": household.birth_date.isoformat(),
        }  # fmt: skip
        try:
            await self._shop.ask("POST", "/users", person)
        except Refused as refusal:
            if refusal.code != "user.email_taken":
                raise

    async def _token(self, email: str, password: str) -> str:
        return str((await self._shop.ask("POST", "/sessions", {"email": email, "password": password})).body["access_token"])

    def _password(self, household: Household) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._plan.secret.encode(), household.email.encode(), "sha256"))[:24].decode()

    async def _sign_in_staff(self, name: str) -> None:
        try:
            self._staff[name] = await self._token(f"{name}@torg.example", self._plan.password)
        except Refused as refusal:
            raise CannotReplay(f"{name}@torg.example cannot sign in ({refusal}): give the demonstration accounts' password with --password") from refusal

    async def _as_staff(self, name: str, method: str, path: str, body: object = None) -> Any:
        try:
            return (await self._shop.ask(method, path, body, self._staff[name])).body
        except Refused as refusal:
            if refusal.status != 401:
                raise
        await self._sign_in_staff(name)
        return (await self._shop.ask(method, path, body, self._staff[name])).body

    # ---------------------------------------------------------------- after the order

    async def _follower(self) -> None:
        while True:
            purchase, account, order_id, delivered = await self._placed.get()
            try:
                await self._follow(purchase, account, order_id, delivered)
            except Refused as refusal:
                self.tally.refused[refusal.code] += 1
            self._placed.task_done()

    async def _follow(self, purchase: Purchase, account: _Account, order_id: str, delivered: bool) -> None:
        order = await self._outcome(account, order_id)
        if order["status"] == "rejected":
            self.tally.refused[await self._reason(account, order_id)] += 1
            return
        self.tally.confirmed += 1
        if delivered:
            await self._deliver(order_id)
            if is_reviewed(purchase.basket_id):
                await self._review(purchase, account, order["lines"][0]["product_id"])

    async def _outcome(self, account: _Account, order_id: str) -> Any:
        deadline, pause = time.monotonic() + OUTCOME_WITHIN, 0.1
        while True:
            order = (await self._as(account, "GET", f"/orders/{order_id}")).body
            if order["status"] in SETTLED:
                return order
            if time.monotonic() > deadline:
                raise Refused(0, "order.unsettled", f"order {order_id} is {order['status']} after {OUTCOME_WITHIN:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def _reason(self, account: _Account, order_id: str) -> str:
        history = (await self._as(account, "GET", f"/orders/{order_id}/events")).body["items"]
        return str(next((entry["data"]["reason"] for entry in history if entry["name"] == REJECTED), REJECTED))

    async def _deliver(self, order_id: str) -> None:
        for delivery in (await self._as_staff("courier", "GET", f"/deliveries?order_id={order_id}"))["items"]:
            way = ("scheduled", "shipped", "in_transit", "delivered")
            if delivery["status"] not in way:
                continue
            for status in way[way.index(delivery["status"]) + 1 :]:
                await self._as_staff("courier", "POST", f"/deliveries/{delivery['id']}/status", {"status": status})
            self.tally.delivered += 1

    async def _review(self, purchase: Purchase, account: _Account, product_id: str) -> None:
        view = opinion(product_id, purchase.household_id, account.household.city)
        written = await self._write(account, product_id, view._asdict())
        if written:
            decision = (
                {"decision": "approve"} if is_let_through(purchase.basket_id) else {"decision": "reject", "reason": "Tell of the product itself, please."}
            )
            await self._as_staff("moderator", "POST", f"/reviews/{written}/moderation", decision)
            self.tally.reviews += 1

    async def _write(self, account: _Account, product_id: str, view: Mapping[str, object]) -> str:
        """The review's id; empty when this household has reviewed the product already. Word of the delivery takes a moment to reach the reviews."""
        for attempt in range(8):
            try:
                return str((await self._as(account, "POST", f"/products/{product_id}/reviews", view)).body["id"])
            except Refused as refusal:
                if refusal.code == "review.already_written":
                    return ""
                if refusal.code != "review.not_purchased":
                    raise
            await asyncio.sleep(0.1 * 2**attempt)
        return ""


async def replay(plan: Plan, address: str, ledger: Ledger, tally: Tally, tell: Callable[[str], None], patience: float = 600) -> None:
    """Plays the plan against the shop at `address`. Raises CannotReplay, ShopAway; may be cancelled at any moment."""
    with ledger:
        async with Shop(address, patience, tell, plan.buyers * 2) as shop:
            if not await shop.answers():
                raise CannotReplay(f"nothing answers at {address}: start the shop with ./torg up, or name another with --to")
            try:
                await Replay(plan, shop, ledger, tally).run()
            except BaseExceptionGroup as failures:
                raise _first(failures) from failures


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _key(purchase: Purchase) -> str:
    return f"replay-{purchase.basket_id}"


def _draw(what: str, purchase: Purchase) -> int:
    return crc32(f"{what} {purchase.basket_id}".encode())


def _address(household: Household) -> dict[str, str]:
    number = crc32(household.email.encode())
    return {
        "city": household.city, "street": f"Sadovaya {number % 120 + 1}", "postcode": str(100000 + number % 99999),
        "country": _COUNTRY.get(household.city, "RU"),
    }  # fmt: skip
