"""Uses of promo codes under any order of redeeming, placing, rejecting and giving up: never more than the limits, never a wrong count."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from torg.contexts.cart.handlers import give_back_unplaced
from torg.contexts.cart.tests.house import open_house, usd
from torg.contexts.order.contracts import DeliveryPlan, OrderPlaced, OrderRejected
from torg.contexts.user.contracts import Address
from torg.kit.auth import Identity
from torg.kit.errors import DomainError
from torg.kit.testing.machines import AsyncMachine

PLAN = DeliveryPlan(method="courier", address=Address(city="Moscow", street="Tverskaya 1", postcode="125009"))
TOTAL, EACH = 4, 2
orders = st.integers(0, 11)


class PromoCodes(AsyncMachine):
    """Order n belongs to user n % 3; `live` are the orders that hold a use, as the rules say."""

    def __init__(self) -> None:
        super().__init__()
        self.house = self.open(open_house(self.folder))
        self.run(self.house.promo("FEW", uses_total=TOTAL, uses_per_person=EACH))
        self._live: set[int] = set()
        self._placed: set[int] = set()
        self._spent: set[int] = set()

    @rule(order=orders)
    def redeem(self, order: int) -> None:
        fits = len(self._live) < TOTAL and sum(other % 3 == order % 3 for other in self._live) < EACH
        may = order in self._live or (order not in self._spent and fits)
        try:
            self.run(self.house.redeem("FEW", f"o-{order}", by=Identity(f"u-{order % 3}", frozenset())))
        except DomainError:
            assert not may
        else:
            assert may
            self._live.add(order)

    @rule(order=orders)
    def place(self, order: int) -> None:
        if order in self._live:
            self._placed.add(order)
            self.house.market.placed.add(f"o-{order}")
            self.run(self.house.tell(_placed(order)))

    @rule(order=orders)
    def reject(self, order: int) -> None:
        self.run(self.house.tell(OrderRejected(order_id=f"o-{order}", user_id=f"u-{order % 3}", reason="")))
        if order in self._live:
            self._end({order})

    @rule()
    def give_up_on_those_never_placed(self) -> None:
        self.house.clock.advance(minutes=11)
        self.run(give_back_unplaced(self.house.deps))
        self._end(self._live - self._placed)

    @invariant()
    def uses_are_those_of_live_orders(self) -> None:
        assert self.run(self.house.used("FEW")) == len(self._live)
        assert self.run(self.house.miscounted()) == []

    def _end(self, ended: set[int]) -> None:
        self._live -= ended
        self._spent |= ended


def _placed(order: int) -> OrderPlaced:
    return OrderPlaced(
        order_id=f"o-{order}", user_id=f"u-{order % 3}", bucket_id=f"b-{order}", lines=(), delivery=PLAN, payment_method="balance",
        items_total=usd(0), delivery_price=usd(0), discount=usd(0), total=usd(0), promo_code="FEW",
    )  # fmt: skip


TestPromoCodes = PromoCodes.TestCase
TestPromoCodes.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
