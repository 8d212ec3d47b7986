"""Stock under any sequence of what may happen to it, beside a model of a few dictionaries; the audit must agree at every moment."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers.auditing import Auditor
from torg.contexts.inventory.tests.house import open_house
from torg.kit.errors import Invalid
from torg.kit.testing.machines import AsyncMachine

PRODUCTS = ("apple", "pear")
orders = st.sampled_from(["o1", "o2", "o3"])
products = st.sampled_from(PRODUCTS)


class Stock(AsyncMachine):
    """`units`: everything in the house per product; `held`: what each order was given; `seen`: orders that may not ask (again)."""

    def __init__(self) -> None:
        super().__init__()
        self.house = self.open(open_house(self.folder, PRODUCTS))
        self.units = dict.fromkeys(PRODUCTS, 0)
        self.held: dict[str, dict[str, int]] = {}
        self.secured: set[str] = set()
        self.seen: set[str] = set()
        self.lost: dict[str, dict[str, int]] = {}
        self.gone: dict[str, dict[str, int]] = {}
        self.returned: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.auditor = Auditor(self.house.deps)
        self.warehouses = (self.house.moscow, self.house.kazan, self.house.vladivostok)
        for product in PRODUCTS:
            for where in (0, 1):
                self.receive(product, 3, where)

    def free(self, product: str) -> int:
        return self.units[product] - sum(held.get(product, 0) for held in self.held.values())

    @rule(product=products, quantity=st.integers(1, 2), where=st.integers(0, 2))
    def receive(self, product: str, quantity: int, where: int) -> None:
        self.run(self.house.receive(self.warehouses[where], **{product: quantity}))
        self.units[product] += quantity

    @rule(product=products, quantity=st.integers(-4, -1), where=st.integers(0, 2))
    def take_away(self, product: str, quantity: int, where: int) -> None:
        on_hand, reserved = self.run(self.house.stock(product)).get(self.warehouses[where], (0, 0))
        try:
            self.run(self.house.do(c.MoveStock(product_id=product, warehouse_id=self.warehouses[where], quantity=quantity, reason="x")))
            self.units[product] += quantity
            assert on_hand + quantity >= reserved
        except Invalid:
            assert on_hand + quantity < reserved

    @rule(order=orders, wish=st.dictionaries(products, st.integers(1, 5), min_size=1), city=st.sampled_from(["Moscow", "Atlantis"]))
    def reserve(self, order: str, wish: dict[str, int], city: str) -> None:
        (answer,) = self.run(self.house.told(self.house.ask(order, city, minutes=20, **wish), order))[-1:]
        if order in self.seen:
            return
        self.seen.add(order)
        enough = all(self.free(product) >= quantity for product, quantity in wish.items())
        assert isinstance(answer, c.ItemsReserved if enough else c.ReservationFailed)
        if enough:
            self.held[order] = wish

    @rule(order=orders)
    def release(self, order: str) -> None:
        self.run(self.house.do(c.ReleaseItems(order)))
        self.seen.add(order)
        self.held.pop(order, None)
        self.secured.discard(order)

    @rule(minutes=st.sampled_from([5, 25]))
    def wait(self, minutes: int) -> None:
        self.house.clock.advance(minutes=minutes)
        self.run(self.house.expire())
        live = {row.order_id for row in self.run(self.house.logged(c.ReservationExpired))}
        for order in set(self.held) & live - self.secured:
            if self.run(self._status(order)) == "expired":
                self.lost[order] = self.held.pop(order)

    async def _status(self, order: str) -> str:
        status: str = await self.house.store.database.value("select status from reservation where order_id = :order", order=order)
        return status

    @rule(order=orders)
    def confirm(self, order: str) -> None:
        self.run(self.house.do(self.house.confirm(order)))
        self._regain(order)
        if order in self.held:
            self.secured.add(order)

    @rule(order=orders)
    def ship(self, order: str) -> None:
        self.run(self.house.do(self.house.shipped(order)))
        self._regain(order)
        for product, quantity in self.held.pop(order, {}).items():
            self.units[product] -= quantity
            self.gone.setdefault(order, {})[product] = quantity
        self.secured.discard(order)

    def _regain(self, order: str) -> None:
        """What was lost by expiry is held anew if it is still there; whoever released it meanwhile has lost it for good."""
        wish = self.lost.get(order)
        if wish and self.run(self._status(order)) != "released" and all(self.free(product) >= quantity for product, quantity in wish.items()):
            self.held[order] = self.lost.pop(order)

    @rule(wish=st.dictionaries(products, st.integers(1, 3), min_size=1), city=st.sampled_from(["Kazan", "Vladivostok"]))
    def sell(self, wish: dict[str, int], city: str) -> None:
        order = f"s{len(self.seen)}"
        self.reserve(order, wish, city)
        self.confirm(order)
        self.ship(order)

    @precondition(lambda self: bool(self.gone))
    @rule(which=st.integers(0, 9))
    def send_back(self, which: int) -> None:
        order = sorted(self.gone)[which % len(self.gone)]
        return_id, goods = f"{order}/return", self.gone[order]
        lines = tuple(c.Units(product, 1) for product in goods)
        for _ in range(2):  # a saga that got no answer asks again
            self.run(self.house.do(c.RestockItems(order_id=order, return_id=return_id, lines=lines)))
        if return_id not in self.returned:
            self.returned.add(return_id)
            for product in goods:
                self.units[product] += 1

    @invariant()
    def what_is_for_sale_is_what_the_model_says(self) -> None:
        if not hasattr(self, "house"):
            return
        for product in PRODUCTS:
            assert self.run(self.house.available(product)) == self.free(product), product

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        if not hasattr(self, "auditor"):
            return
        for check in self.auditor.invariants():
            assert self.run(check.check()) == [], check.name


TestStock = Stock.TestCase
TestStock.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
