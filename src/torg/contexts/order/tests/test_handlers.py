"""Orders on a real store; other contexts answer from a table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torg.contexts.cart import contracts as cart
from torg.contexts.catalog import contracts as catalog
from torg.contexts.inventory import contracts as inventory
from torg.contexts.order import contracts as c
from torg.contexts.order.adapters.audit_sql import SqlOrderAudit
from torg.contexts.order.adapters.store_sql import SqlOrderStore
from torg.contexts.order.handlers import HANDLERS, REACTIONS, asked, placing, sagas
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.sagas import SAGAS
from torg.contexts.order.tests.test_model import quote, usd
from torg.contexts.payment import contracts as payment
from torg.contexts.shipping import contracts as shipping
from torg.contexts.user import contracts as user
from torg.kit.auth import Identity, Role
from torg.kit.errors import ConcurrentChange, DomainError, Invalid, NotFound, Unavailable
from torg.kit.messages import Event, Registry
from torg.kit.module import bound
from torg.kit.saga_runner import SagaRunner
from torg.kit.store import Transaction
from torg.kit.testing import Held, TestClock, answering, faults_of, open_store, test_ids

MIGRATIONS = Path(__file__).parents[1] / "migrations"
ANNA, BORIS = Identity("anna", frozenset({Role.CUSTOMER})), Identity("boris", frozenset({Role.CUSTOMER}))
SUPPORT = Identity("sofia", frozenset({Role.SUPPORT}))
HOME = user.Address(city="Moscow", street="Tverskaya 1", postcode="125009")
POINT = shipping.PickupPoint("point-1", "Corner", user.Address(city="Tver", street="Main 2", postcode="170000"))

BREAD = cart.CartItem(product_id="bread", name="Bread", quantity=2, unit_price=usd(500), line_total=usd(1000), available=True)
KEPT = cart.CartView(id="cart", items=(BREAD,), subtotal=usd(1000), discount=usd(0), total=usd(1000), stale=True)


class House:
    """The order context with everyone else played by tables."""

    def __init__(self, deps: OrderDeps, runner: SagaRunner) -> None:
        self.deps, self.runner = deps, runner
        self.carts = 0
        self.asked: list[Any] = []
        self.quoted: Callable[[], cart.Quote] = self.next_quote
        self.closing: Callable[[], Exception | None] = lambda: None

    def next_quote(self) -> cart.Quote:
        self.carts += 1
        return replace_cart(quote(("bread", 2, 500)), f"cart-{self.carts}")

    def answer(self, message: Any, reply: Any) -> Any:
        self.asked.append(message)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def place(self, buyer: Identity = ANNA, **more: Any) -> c.OrderView:
        given = {"delivery": c.DeliveryChoice(method="courier", address=HOME), "payment": c.PaymentChoice("balance"), **more}
        return await placing.place_order(c.PlaceOrder(buyer=buyer, **given), self.deps)

    async def tell(self, event: Event) -> None:
        answers = self.runner.answers()
        if type(event) in answers:
            await answers[type(event)](event)
        if type(event) in REACTIONS:
            await REACTIONS[type(event)](event, self.deps)

    async def confirm(self, order_id: str) -> None:
        await self.tell(inventory.ItemsReserved(order_id=order_id, allocations=(), source="Tver"))
        await self.tell(payment.PaymentProcessed(order_id=order_id, payment_id="p1", amount=usd(1299), method="balance", captured=True))
        now = self.deps.clock()
        await self.tell(shipping.ShippingScheduled(order_id=order_id, delivery_id="d1", tracking_number="T1", shipment_date=now, delivery_date=now))

    async def deliver(self, order_id: str) -> None:
        await self.tell(shipping.DeliveryShipped(order_id=order_id, delivery_id="d1", tracking_number="T1"))
        await self.tell(shipping.DeliveryDelivered(order_id=order_id, delivery_id="d1", at=self.deps.clock()))

    async def status(self, order_id: str) -> str:
        return (await asked.get_order(c.GetOrder(order_id, SUPPORT), self.deps)).status

    async def sent(self) -> list[str]:
        rows = await self.deps.store.log.tail(0, 1000)
        return [type(row.message).__name__ for row in rows]


def replace_cart(found: cart.Quote, cart_id: str) -> cart.Quote:
    return msgspec.structs.replace(found, cart_id=cart_id)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, new_id = TestClock(), test_ids()
    async with open_store(tmp_path, "order", clock, Registry([c, cart, inventory, payment, shipping, user]), MIGRATIONS) as store:
        runner = SagaRunner(store, SAGAS, test_ids("5a6a0000"))
        deps = OrderDeps(
            call=answering({}), clock=clock, new_id=new_id, store=store, currency="USD", orders=SqlOrderStore(store.database, clock), sagas=runner,
            pay_within=timedelta(minutes=15),
        )  # fmt: skip
        made = House(deps, runner)
        offer = shipping.DeliveryQuote(method="courier", price=usd(299), days_min=1, days_max=2)
        pickup = shipping.DeliveryQuote(method="pickup", price=usd(99), days_min=1, days_max=2, pickup_points=(POINT,))
        call = answering(
            {
                cart.GetKeptCart: lambda m: made.answer(m, KEPT),
                catalog.GetOffers: lambda m: made.answer(m, ()),
                inventory.GetAvailability: lambda m: made.answer(m, ()),
                cart.GetQuote: lambda m: made.answer(m, made.quoted()),
                cart.CloseCart: lambda m: made.answer(m, made.closing()),
                cart.RedeemPromoCode: lambda m: made.answer(m, None),
                cart.GiveBackPromoCode: lambda m: made.answer(m, None),
                shipping.GetDeliveryQuotes: lambda m: made.answer(m, (offer, pickup)),
                shipping.GetPickupPoint: lambda m: made.answer(m, POINT),
                user.GetAddress: lambda m: made.answer(m, HOME if m.address_id == "home" else NotFound("address.not_found", "no such address")),
            }
        )
        made.deps = replace(deps, call=call)
        runner.bind(bound(HANDLERS, made.deps))
        yield made


async def test_placing_starts_the_checkout_and_closes_the_cart(house: House):
    view = await house.place()
    assert (view.status, view.bucket_id, view.total) == ("pending", "cart-1", usd(1299))
    assert await house.sent() == ["OrderPlaced", "ReserveItems"]
    assert cart.CloseCart(cart_id="cart-1", user_id="anna", order_id=view.id, lines=(cart.OrderedLine("bread", 2),)) in house.asked


async def test_a_cart_that_changes_under_its_quote_is_looked_at_again(house: House):
    first, looked = house.quoted, list[int]()

    def changed_at_first() -> cart.Quote:
        looked.append(1)
        if len(looked) == 1:
            raise ConcurrentChange("cart.changed", "something was put in")
        return first()

    house.quoted = changed_at_first
    assert (await house.place()).status == "pending"
    assert [type(asked) for asked in house.asked].count(cart.GetKeptCart) == 2


async def test_the_checkout_ends_in_a_confirmed_order(house: House):
    view = await house.place()
    await house.confirm(view.id)
    assert await house.status(view.id) == "confirmed"
    saga = await sagas.get_saga(c.GetSaga(view.id, ANNA), house.deps)
    assert [(step.action, step.status) for step in saga.steps] == [
        ("CreateOrder", "completed"), ("ReserveItems", "completed"), ("ProcessPayment", "completed"), ("ScheduleShipping", "completed"),
        ("ConfirmOrder", "completed"),
    ]  # fmt: skip
    history = await asked.get_history(c.GetHistory(view.id, ANNA), house.deps)
    assert [entry.name for entry in history.items] == ["order.placed", "order.reserved", "order.paid", "order.confirmed"]
    assert [entry.version for entry in history.items] == [1, 2, 3, 4]


async def test_a_cart_is_ordered_once(house: House):
    house.quoted = lambda: replace_cart(quote(("bread", 1, 500)), "same")
    await house.place()
    with pytest.raises(DomainError) as refused:
        await house.place()
    assert refused.value.code == "cart.already_ordered"
    assert await house.sent() == ["OrderPlaced", "ReserveItems"]


async def test_a_refused_payment_rejects_the_order(house: House):
    view = await house.place()
    await house.tell(inventory.ItemsReserved(order_id=view.id, allocations=(), source="Tver"))
    await house.tell(payment.PaymentFailed(order_id=view.id, payment_id="p1", reason="no money"))
    await house.tell(inventory.ItemsReleased(view.id))
    found = await asked.get_order(c.GetOrder(view.id, ANNA), house.deps)
    assert (found.status, found.payment.status, found.cancellable) == ("rejected", "failed", False)


async def test_a_promo_code_is_redeemed_before_the_order_and_its_refusal_leaves_nothing(house: House):
    house.quoted = lambda: msgspec.structs.replace(house.next_quote(), promo_code="TEN")
    await house.place()
    assert any(isinstance(asked, cart.RedeemPromoCode) for asked in house.asked)
    house.deps = replace(house.deps, call=_refusing(house, DomainError("promo.exhausted", "used up")))
    with pytest.raises(DomainError, match="used up"):
        await house.place()
    assert await house.sent() == ["OrderPlaced", "ReserveItems"]


def _refusing(house: House, refusal: Exception) -> Any:
    usual = house.deps.call

    async def call(message: Any) -> Any:
        if isinstance(message, cart.RedeemPromoCode | cart.CloseCart):
            raise refusal
        return await usual(message)

    return call


async def test_an_order_stands_though_its_cart_cannot_be_closed_now(house: House):
    house.deps = replace(house.deps, call=_refusing(house, Unavailable("the cart is away")))
    view = await house.place()
    assert await house.status(view.id) == "pending"


async def test_delivery_needs_somewhere_to_go(house: House):
    with pytest.raises(Invalid, match=r"delivery\.address"):
        await house.place(delivery=c.DeliveryChoice(method="courier"))
    with pytest.raises(Invalid, match="pickup_point_id"):
        await house.place(delivery=c.DeliveryChoice(method="pickup"))
    with pytest.raises(Invalid, match="post does not go"):
        await house.place(delivery=c.DeliveryChoice(method="post", address=HOME))
    with pytest.raises(NotFound):
        await house.place(delivery=c.DeliveryChoice(method="courier", address_id="moon"))


async def test_a_pickup_point_and_a_saved_address_are_filled_in(house: House):
    by_pickup = await house.place(delivery=c.DeliveryChoice(method="pickup", pickup_point_id="point-1"))
    assert (by_pickup.delivery.address.city, by_pickup.delivery_price) == ("Tver", usd(99))
    saved = await house.place(delivery=c.DeliveryChoice(method="courier", address_id="home"))
    assert saved.delivery.address == HOME


async def test_cancelling_while_the_checkout_runs_turns_it_round(house: House):
    view = await house.place()
    await house.tell(inventory.ItemsReserved(order_id=view.id, allocations=(), source="Tver"))
    cancelled = await asked.cancel_my_order(c.CancelMyOrder(order_id=view.id, buyer=ANNA, reason="no"), house.deps)
    assert cancelled.status == "cancelling"
    await house.tell(payment.PaymentRefunded(order_id=view.id, refund_id="r", payment_id="p1", amount=usd(0)))
    await house.tell(inventory.ItemsReleased(view.id))
    assert await house.status(view.id) == "cancelled"


async def test_cancelling_a_confirmed_order_gives_everything_back(house: House):
    view = await house.place()
    await house.confirm(view.id)
    await asked.cancel_my_order(c.CancelMyOrder(order_id=view.id, buyer=ANNA, reason="no"), house.deps)
    with pytest.raises(DomainError) as again:
        await asked.cancel_my_order(c.CancelMyOrder(order_id=view.id, buyer=ANNA, reason="no"), house.deps)
    assert again.value.code == "order.not_cancellable"
    await house.tell(shipping.ShippingCancelled(view.id))
    await house.tell(payment.PaymentRefunded(order_id=view.id, refund_id="r", payment_id="p1", amount=usd(1299)))
    await house.tell(inventory.ItemsReleased(view.id))
    found = await asked.get_order(c.GetOrder(view.id, ANNA), house.deps)
    assert (found.status, found.payment.status) == ("cancelled", "refunded")


async def test_a_return_goes_back_on_the_shelf_and_into_the_wallet(house: House):
    view = await house.place()
    await house.confirm(view.id)
    await house.deliver(view.id)
    wanted = await asked.request_return(c.RequestReturn(order_id=view.id, buyer=ANNA, lines=(c.ReturnLine("bread", 1),), reason="stale"), house.deps)
    assert wanted.status == "return_requested"
    return_id = (await house.deps.store.log.stream(view.id))[-1].message.return_id  # type: ignore[attr-defined]
    await house.tell(shipping.ReturnReceived(order_id=view.id, return_id=return_id))
    await house.tell(inventory.ItemsRestocked(view.id, return_id))
    await house.tell(payment.PaymentRefunded(order_id=view.id, refund_id=return_id, payment_id="p1", amount=usd(500)))
    found = await asked.get_order(c.GetOrder(view.id, ANNA), house.deps)
    assert (found.status, found.payment.status) == ("delivered", "partially_refunded")


async def test_a_cart_that_was_ordered_meanwhile_gives_its_promo_code_back_at_once(house: House):
    """Many requests for the same cart must not use a code up, even for a while."""
    house.quoted = lambda: msgspec.structs.replace(replace_cart(quote(("bread", 1, 500)), "same"), promo_code="TEN")
    for _ in range(2):
        with suppress(DomainError):
            await house.place()
    redeemed = [asked.order_id for asked in house.asked if isinstance(asked, cart.RedeemPromoCode)]
    given_back = [asked.order_id for asked in house.asked if isinstance(asked, cart.GiveBackPromoCode)]
    assert (len(redeemed), given_back) == (2, redeemed[1:])


async def test_a_cart_that_was_ordered_by_two_is_told(house: House):
    await house.place()
    view = await house.place()
    orders = house.deps.orders
    assert isinstance(orders, SqlOrderStore)
    audit = SqlOrderAudit(house.deps.store, orders, pause=0).invariants()
    assert await faults_of(audit) == []
    async with house.deps.transaction() as tx:
        await tx.execute("update order_of_cart set order_id = 'another' where order_id = :id", id=view.id)
    for _ in range(2):
        assert await faults_of(audit) == [f"cart cart-2 was ordered by {view.id}, and by another"]
    async with house.deps.transaction() as tx:
        await tx.execute("update order_of_cart set order_id = :id where order_id = 'another'", id=view.id)
    assert await faults_of(audit) == []


@pytest.mark.race
async def test_a_cart_that_is_ordered_many_times_at_once_becomes_one_order_and_asks_for_its_code_once_a_request(house: House):
    house.quoted = lambda: msgspec.structs.replace(replace_cart(quote(("bread", 1, 500)), "same"), promo_code="TEN")
    place = bound(HANDLERS, house.deps)[c.PlaceOrder]
    cmd = c.PlaceOrder(buyer=ANNA, delivery=c.DeliveryChoice(method="courier", address=HOME), payment=c.PaymentChoice("balance"))
    outcomes = await asyncio.gather(*(place(cmd) for _ in range(8)), return_exceptions=True)
    placed = [outcome.id for outcome in outcomes if isinstance(outcome, c.OrderView)]
    assert [outcome.code for outcome in outcomes if isinstance(outcome, DomainError)] == ["cart.already_ordered"] * 7
    redeemed = [asked.order_id for asked in house.asked if isinstance(asked, cart.RedeemPromoCode)]
    given_back = [asked.order_id for asked in house.asked if isinstance(asked, cart.GiveBackPromoCode)]
    assert (len(redeemed), len(placed), sorted([*given_back, *placed])) == (8, 1, sorted(redeemed))


async def test_a_transaction_takes_an_order_as_it_was_when_it_began(house: House):
    """What is remembered of an order may be newer than what a transaction sees of everything else."""
    view = await house.place()
    seen: list[str] = []
    began, go = asyncio.Event(), asyncio.Event()

    async def look(tx: Transaction) -> None:
        await tx.value("select count(*) from orders")
        began.set()
        await go.wait()
        seen.append((await house.deps.orders.load(tx, view.id)).status)

    looking = Held(house.deps.store, look)
    await began.wait()
    await asked.cancel_my_order(c.CancelMyOrder(order_id=view.id, buyer=ANNA, reason="no"), house.deps)
    go.set()
    await (await looking.done()).commit()
    assert (seen, await house.status(view.id)) == (["pending"], "cancelling")


@pytest.mark.parametrize("obstacle", [Unavailable("the cart is away"), DomainError("cart.contended", "many change it at once")])
async def test_an_order_stands_whatever_becomes_of_its_cart(house: House, obstacle: Exception):
    house.closing = lambda: obstacle
    assert (await house.place()).status == "pending"


async def returning(house: House, quantity: int = 1) -> tuple[str, str]:
    """A delivered order, and its return under way."""
    view = await house.place()
    await house.confirm(view.id)
    await house.deliver(view.id)
    return view.id, await send_back(house, view.id, quantity)


async def send_back(house: House, order_id: str, quantity: int = 1) -> str:
    lines = (c.ReturnLine("bread", quantity),)
    await asked.request_return(c.RequestReturn(order_id=order_id, buyer=ANNA, lines=lines, reason="stale"), house.deps)
    return (await house.deps.store.log.stream(order_id))[-1].message.return_id  # type: ignore[attr-defined, no-any-return]


async def give_up_waiting(house: House) -> None:
    clock = house.deps.clock
    assert isinstance(clock, TestClock)
    clock.advance(days=30)
    await house.runner.work_on_deadlines()
    clock.advance(days=-30)


async def test_goods_that_come_back_after_their_return_was_given_up_are_taken_back(house: House):
    order_id, return_id = await returning(house)
    await give_up_waiting(house)
    assert await house.status(order_id) == "delivered"
    await house.tell(shipping.ReturnReceived(order_id=order_id, return_id=return_id))
    assert (await house.status(order_id), (await house.sent())[-1]) == ("return_requested", "RestockItems")
    await house.tell(inventory.ItemsRestocked(order_id, return_id))
    await house.tell(payment.PaymentRefunded(order_id=order_id, refund_id=return_id, payment_id="p1", amount=usd(500)))
    await house.tell(shipping.ReturnReceived(order_id=order_id, return_id=return_id))
    found = await asked.get_order(c.GetOrder(order_id, ANNA), house.deps)
    assert (found.status, found.payment.status) == ("delivered", "partially_refunded")
    assert (await house.sent()).count("OrderReturned") == 1


async def test_goods_of_a_return_that_was_given_up_are_not_taken_for_those_of_the_next(house: House):
    order_id, first = await returning(house)
    await give_up_waiting(house)
    second = await send_back(house, order_id)
    with pytest.raises(DomainError, match="something else"):  # so that it waits for its turn
        await house.tell(shipping.ReturnReceived(order_id=order_id, return_id=first))
    assert "RestockItems" not in await house.sent()
    await house.tell(shipping.ReturnReceived(order_id=order_id, return_id=second))
    await house.tell(inventory.ItemsRestocked(order_id, first))
    assert (await house.sent())[-1] == "RestockItems"
    await house.tell(inventory.ItemsRestocked(order_id, second))
    await house.tell(payment.PaymentRefunded(order_id=order_id, refund_id=first, payment_id="p1", amount=usd(500)))
    assert await house.status(order_id) == "return_requested"
    await house.tell(payment.PaymentRefunded(order_id=order_id, refund_id=second, payment_id="p1", amount=usd(500)))
    assert await house.status(order_id) == "delivered"
    await house.tell(shipping.ReturnReceived(order_id=order_id, return_id=first))
    assert await house.status(order_id) == "return_requested"


async def test_a_return_whose_goods_are_back_is_not_given_up(house: House):
    order_id, return_id = await returning(house)
    await house.tell(shipping.ReturnReceived(order_id=order_id, return_id=return_id))
    saga = (await sagas.list_sagas(c.ListSagas(status="running"), house.deps)).items[0]
    with pytest.raises(DomainError, match="cannot be undone"):
        await sagas.compensate_saga(c.CompensateSaga(saga.saga_id), house.deps)
    assert await house.status(order_id) == "return_requested"


async def test_lost_stock_after_confirmation_withdraws_the_order(house: House):
    view = await house.place()
    await house.confirm(view.id)
    await house.tell(inventory.ReservationExpired(view.id, gone=True))
    assert await house.status(view.id) == "cancelling"


async def test_a_hold_that_ran_out_while_the_order_was_confirmed_is_left_to_the_stock(house: House):
    """It hears of the confirmation, and holds the same items anew if it can."""
    view = await house.place()
    await house.confirm(view.id)
    await house.tell(inventory.ReservationExpired(view.id))
    assert await house.status(view.id) == "confirmed"


async def test_a_page_to_pay_on_that_is_heard_of_late_is_not_shown(house: House):
    view = await house.place(payment=c.PaymentChoice("card"))
    await house.confirm(view.id)
    await house.tell(payment.PaymentRedirected(order_id=view.id, payment_id="p1", redirect_url="https://acquirer.test/pay"))
    found = await asked.get_order(c.GetOrder(view.id, ANNA), house.deps)
    assert (found.payment.status, found.payment.redirect_url) == ("captured", None)


async def test_somebody_elses_order_is_not_there(house: House):
    view = await house.place(ANNA)
    for ask in (
        asked.get_order(c.GetOrder(view.id, BORIS), house.deps),
        sagas.get_saga(c.GetSaga(view.id, BORIS), house.deps),
        asked.get_history(c.GetHistory(view.id, BORIS), house.deps),
        asked.cancel_my_order(c.CancelMyOrder(order_id=view.id, buyer=BORIS, reason="x"), house.deps),
    ):
        with pytest.raises(NotFound):
            await ask
    assert (await asked.get_order(c.GetOrder(view.id, SUPPORT), house.deps)).id == view.id


async def test_orders_of_a_period_newest_first_page_by_page(house: House):
    clock = house.deps.clock
    assert isinstance(clock, TestClock)
    ids = []
    for _ in range(5):
        ids.append((await house.place()).id)
        clock.advance(hours=10)
    await house.place(BORIS)
    first = await asked.list_orders(c.ListOrders(buyer=ANNA, limit=2), house.deps)
    second = await asked.list_orders(c.ListOrders(buyer=ANNA, limit=2, cursor=first.next_cursor or ""), house.deps)
    third = await asked.list_orders(c.ListOrders(buyer=ANNA, limit=2, cursor=second.next_cursor or ""), house.deps)
    assert [order.id for page in (first, second, third) for order in page.items] == ids[::-1]
    assert third.next_cursor is None
    day = await asked.list_orders(c.ListOrders(buyer=ANNA, since="2026-03-01", until="2026-03-02"), house.deps)
    assert [order.id for order in day.items] == ids[1::-1]
    with pytest.raises(Invalid, match="after"):
        await asked.list_orders(c.ListOrders(buyer=ANNA, since="2026-03-02", until="2026-03-01"), house.deps)
    with pytest.raises(Invalid, match="cursor"):
        await asked.list_orders(c.ListOrders(buyer=ANNA, cursor="garbage"), house.deps)


async def test_an_unanswered_step_is_asked_again_at_its_deadline(house: House):
    clock = house.deps.clock
    assert isinstance(clock, TestClock)
    await house.place()
    clock.advance(seconds=11)
    await house.runner.work_on_deadlines()
    assert await house.sent() == ["OrderPlaced", "ReserveItems", "ReserveItems"]


async def test_operators_retry_and_compensate(house: House):
    view = await house.place()
    saga = (await sagas.list_sagas(c.ListSagas(status="running"), house.deps)).items[0]
    await sagas.retry_saga(c.RetrySaga(saga.saga_id), house.deps)
    assert (await house.sent()).count("ReserveItems") == 2
    given_up = await sagas.compensate_saga(c.CompensateSaga(saga.saga_id), house.deps)
    assert given_up.compensation_required
    await house.tell(inventory.ItemsReleased(view.id))
    assert await house.status(view.id) == "rejected"
    with pytest.raises(NotFound):
        await sagas.retry_saga(c.RetrySaga(saga.saga_id), house.deps)
