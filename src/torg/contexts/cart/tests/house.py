"""A cart context on a throw-away file, with a catalogue and a stock that are set by hand, and a browser to ask it with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from torg.contexts.cart import contracts as c
from torg.contexts.cart.adapters.audit_sql import SqlPromoAudit
from torg.contexts.cart.adapters.promos_sql import SqlPromoCodes
from torg.contexts.cart.adapters.store_redis import RedisCartStore
from torg.contexts.cart.adapters.store_sql import SqlCartStore
from torg.contexts.cart.handlers import HANDLERS, REACTIONS
from torg.contexts.cart.ports import CartDeps
from torg.contexts.catalog import contracts as catalog
from torg.contexts.catalog.contracts import GetOffers, Offer
from torg.contexts.inventory import contracts as inventory
from torg.contexts.inventory.contracts import GetAvailability, Units
from torg.contexts.order import contracts as order
from torg.contexts.order.contracts import GetOrder
from torg.contexts.user import contracts as user
from torg.kit.auth import Identity, Role
from torg.kit.calls import Handle
from torg.kit.errors import NotFound, Unavailable
from torg.kit.messages import Command, Event, Message, Query, Registry
from torg.kit.module import bound
from torg.kit.redis import Redis
from torg.kit.testing import TestClock, answering, faults_of, open_store, test_ids
from torg.kit.values import Language, Money

R = TypeVar("R")
MIGRATIONS = Path(__file__).parents[1] / "migrations"
CONTRACTS: list[ModuleType] = [c, catalog, inventory, order, user]
ANNA = Identity("00000000-0000-7000-8000-00000000a11a", frozenset({Role.CUSTOMER}))
BORIS = Identity("00000000-0000-7000-8000-00000000b0b0", frozenset({Role.CUSTOMER}))
GUEST = "00000000-0000-7000-8000-0000000e0e57"
OTHER_GUEST = "00000000-0000-7000-8000-00000000e157"


def usd(amount: int) -> Money:
    return Money(amount, "USD")


@dataclass
class Market:
    """What the other contexts say; set `away` to have one of them not answer."""

    prices: dict[str, int] = field(default_factory=dict)
    stock: dict[str, int] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    placed: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)

    def sell(self, product_id: str, price: int, stock: int = 1000) -> None:
        self.prices[product_id], self.stock[product_id] = price, stock

    def offers(self, query: GetOffers) -> tuple[Offer, ...]:
        self._answer("catalog")
        return tuple(self._offer(id) for id in query.product_ids if id in self.prices)

    def availability(self, query: GetAvailability) -> tuple[Units, ...]:
        self._answer("inventory")
        return tuple(Units(id, self.stock.get(id, 0)) for id in query.product_ids)

    def order(self, query: GetOrder) -> None:
        self._answer("order")
        if query.order_id not in self.placed:
            raise NotFound("order.not_found", "no such order")

    def _offer(self, id: str) -> Offer:
        return Offer(
            product_id=id, name=f"Tea {id}", name_ru=f"Чай {id}", price=usd(self.prices[id]), category_path=("food", "tea"), brand="Leaf",
            weight_grams=200, on_sale=id not in self.withdrawn,
        )  # fmt: skip

    def _answer(self, context: str) -> None:
        if context in self.away:
            raise Unavailable(f"{context} is away")


@dataclass(frozen=True)
class House:
    """Where carts are asked for things."""

    deps: CartDeps
    market: Market
    clock: TestClock
    handlers: dict[type[Message], Handle]

    async def ask(self, message: Command[R] | Query[R]) -> R:
        reply: R = await self.handlers[type(message)](message)
        return reply

    async def tell(self, event: Event) -> None:
        """As the bus does: in one transaction."""
        async with self.deps.transaction():
            await self.handlers[type(event)](event)

    async def miscounted(self) -> list[str]:
        """What the auditor finds."""
        return await faults_of(SqlPromoAudit(self.deps.store).invariants())

    async def put(self, product_id: str, quantity: int = 1, by: Identity | None = ANNA, guest: str = "") -> c.CartView:
        return await self.ask(c.PutItem(visitor=by, guest_cart_id=guest, language=Language.EN, product_id=product_id, quantity=quantity))

    async def remove(self, product_id: str, by: Identity | None = ANNA) -> c.CartView:
        return await self.ask(c.RemoveItem(visitor=by, guest_cart_id="", language=Language.EN, product_id=product_id))

    async def cart(self, by: Identity | None = ANNA, guest: str = "", language: Language = Language.EN) -> c.CartView:
        return await self.ask(c.GetCart(visitor=by, guest_cart_id=guest, language=language))

    async def apply(self, code: str, by: Identity | None = ANNA, guest: str = "") -> c.CartView:
        return await self.ask(c.ApplyPromoCode(visitor=by, guest_cart_id=guest, language=Language.EN, code=code))

    async def promo(self, code: str, **terms: Any) -> c.PromoCode:
        """A code of 10 per cent, unless the terms say otherwise."""
        return await self.ask(c.CreatePromoCode(**{"code": code, **(terms if "kind" in terms else {"kind": "percent", "percent": 10, **terms})}))

    async def redeem(self, code: str, order_id: str, by: Identity = ANNA, total: int = 1000) -> None:
        await self.ask(c.RedeemPromoCode(code=code, user_id=by.user_id, order_id=order_id, items_total=usd(total)))

    async def used(self, code: str) -> int:
        promo = await self.deps.promos.find(code)
        assert promo is not None
        return promo.used

    async def logged(self) -> list[str]:
        return [row["name"] for row in await self.deps.store.database.all("select name from log order by position")]


@asynccontextmanager
async def open_house(folder: Path, redis: Redis | None = None) -> AsyncIterator[House]:
    clock, market, new_id = TestClock(), Market(), test_ids()
    call = answering({GetOffers: market.offers, GetAvailability: market.availability, GetOrder: market.order})
    async with open_store(folder, "cart", clock, Registry(CONTRACTS), MIGRATIONS) as store:
        carts = RedisCartStore(redis, store, new_id) if redis else SqlCartStore(store)
        deps = CartDeps(call, clock, new_id, store, "USD", carts, SqlPromoCodes(store.database))
        yield House(deps, market, clock, {**bound(HANDLERS, deps), **bound(REACTIONS, deps)})


def quantities(view: c.CartView) -> dict[str, int]:
    return {item.product_id: item.quantity for item in view.items}
