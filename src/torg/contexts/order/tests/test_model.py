"""The rules of an order, without a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.cart.contracts import Quote, QuoteLine
from torg.contexts.order import model
from torg.contexts.order.contracts import DeliveryPlan, OrderReturned, OrderView, ReturnLine
from torg.contexts.order.model import TRANSITIONS, Order
from torg.contexts.user.contracts import Address
from torg.kit.errors import DomainError, Invalid
from torg.kit.messages import Event
from torg.kit.testing import START
from torg.kit.values import Money

PLAN = DeliveryPlan(method="courier", address=Address(city="Moscow", street="Tverskaya 1", postcode="125009"))


def usd(amount: int) -> Money:
    return Money(amount, "USD")


def quote(*lines: tuple[str, int, int], discount: int = 0, available: bool = True, free_delivery: bool = False) -> Quote:
    made = tuple(
        QuoteLine(
            product_id=product, name=product, quantity=quantity, unit_price=usd(price), line_total=usd(price * quantity), category_path=("food",),
            weight_grams=100, available=available,
        )
        for product, quantity, price in lines
    )  # fmt: skip
    total = sum(line.line_total.amount for line in made)
    return Quote(cart_id="c1", lines=made, items_total=usd(total), discount=usd(discount), free_delivery=free_delivery)


def placed(*lines: tuple[str, int, int], discount: int = 0) -> Order:
    return model.apply(None, model.place("o1", "u1", quote(*lines, discount=discount), PLAN, usd(299), "balance", None), START)


def then(order: Order, *decisions: list[Event]) -> Order:
    for event in (event for events in decisions for event in events):
        order = model.apply(order, event, START)
    return order


def delivered(*lines: tuple[str, int, int], discount: int = 0) -> Order:
    order = placed(*lines, discount=discount)
    for decide in (Order.reserve, lambda o: o.pay("p1"), lambda o: o.confirm(None), lambda o: o.ship("T1"), Order.deliver):
        order = then(order, decide(order))
    return order


def test_total_is_items_plus_delivery_less_discount():
    view = placed(("a", 2, 500), discount=100).view()
    assert (view.items_total, view.delivery_price, view.discount, view.total) == (usd(1000), usd(299), usd(100), usd(1199))


def test_free_delivery_costs_nothing():
    assert model.place("o1", "u1", quote(("a", 1, 500), free_delivery=True), PLAN, usd(299), "balance", None).total == usd(500)


def test_an_empty_cart_is_not_ordered():
    with pytest.raises(DomainError) as refused:
        model.place("o1", "u1", quote(), PLAN, usd(299), "balance", None)
    assert refused.value.code == "cart.empty"


def test_what_is_not_available_is_named():
    with pytest.raises(DomainError, match="bread") as refused:
        model.place("o1", "u1", quote(("bread", 1, 500), available=False), PLAN, usd(299), "balance", None)
    assert refused.value.code == "cart.unavailable"


def test_a_total_that_changed_is_asked_about_again():
    with pytest.raises(DomainError) as refused:
        model.place("o1", "u1", quote(("a", 1, 500)), PLAN, usd(299), "balance", usd(700))
    assert refused.value.code == "order.total_changed"


def test_an_order_goes_from_pending_to_delivered():
    order = placed(("a", 1, 500))
    seen = [order.status]
    for decide in (Order.reserve, lambda o: o.pay("p1"), lambda o: o.confirm(None), lambda o: o.ship("T1"), Order.deliver):
        order = then(order, decide(order))
        seen.append(order.status)
    assert seen == ["pending", "reserved", "paid", "confirmed", "shipped", "delivered"]


def test_cash_is_paid_at_the_door_without_changing_the_status():
    order = then(placed(("a", 1, 500)), [*placed(("a", 1, 500)).reserve()])
    order = then(order, order.confirm(None))
    order = then(order, order.ship("T1"))
    order = then(order, order.deliver())
    order = then(order, order.pay("p1"))
    assert (order.status, order.payment.status) == ("delivered", "captured")


def test_a_shipped_order_cannot_be_cancelled():
    order = then(placed(("a", 1, 500)), placed(("a", 1, 500)).confirm(None))
    order = then(order, order.ship("T1"))
    with pytest.raises(DomainError) as refused:
        order.request_cancellation("late")
    assert refused.value.code == "order.not_cancellable"


def test_a_parcel_that_left_while_cancelling_resumes_as_shipped():
    order = then(placed(("a", 1, 500)), placed(("a", 1, 500)).confirm(None))
    order = then(order, order.request_cancellation("x"))
    order = then(order, order.ship("T1"))
    assert order.status == "cancelling"
    assert then(order, order.resume("handed over")).status == "shipped"


def test_giving_up_while_cancelling_ends_as_cancelled():
    order = placed(("a", 1, 500))
    order = then(order, order.request_cancellation("x"))
    assert then(order, order.give_up("x")).status == "cancelled"
    assert then(placed(("a", 1, 500)), placed(("a", 1, 500)).give_up("no stock")).status == "rejected"


def test_part_of_an_order_is_returned_and_later_the_rest():
    order = delivered(("a", 3, 500), ("b", 1, 1000))
    order = then(order, order.request_return("r1", (ReturnLine("a", 2),), "stale", START))
    assert order.status == "return_requested"
    finished = order.finish_return("r1")
    order = then(order, finished)
    assert isinstance(finished[0], OrderReturned) and finished[0].refund == usd(1000)
    assert order.status == "delivered"
    order = then(order, order.request_return("r2", (ReturnLine("a", 1), ReturnLine("b", 1)), "stale", START))
    assert then(order, order.finish_return("r2")).status == "returned"


def test_a_discount_is_given_back_in_proportion():
    order = delivered(("a", 2, 500), discount=100)
    asked = order.request_return("r1", (ReturnLine("a", 1),), "stale", START)
    assert asked[0].refund == usd(450)  # type: ignore[attr-defined]


def test_more_than_is_with_the_buyer_cannot_be_returned():
    order = delivered(("a", 1, 500))
    with pytest.raises(Invalid, match="1 of product a"):
        order.request_return("r1", (ReturnLine("a", 1), ReturnLine("a", 1)), "x", START)
    with pytest.raises(Invalid, match="0 of product zzz"):
        order.request_return("r1", (ReturnLine("zzz", 1),), "x", START)


def test_a_return_after_thirty_days_is_refused():
    order = delivered(("a", 1, 500))
    with pytest.raises(DomainError) as refused:
        order.request_return("r1", (ReturnLine("a", 1),), "x", START + timedelta(days=30, seconds=1))
    assert refused.value.code == "order.not_returnable"


def test_partial_refunds_that_add_up_are_a_whole_one_and_one_told_twice_counts_once():
    order = delivered(("a", 2, 500))
    for refund_id, amount, status in (("r1", 300, "partially_refunded"), ("r1", 300, "partially_refunded"), ("r2", 999, "refunded")):
        order = then(order, order.refund(refund_id, usd(amount)))
        assert order.payment.status == status
    assert order.refunds == {"r1": 300, "r2": 999}


def test_an_attempt_that_was_never_paid_is_closed():
    order = placed(("a", 1, 500))
    order = then(order, order.note_payment(redirect_url="https://bank.example/pay"))
    order = then(order, order.refund("r1", usd(0)))
    assert (order.payment.status, order.payment.redirect_url) == ("failed", None)


@given(
    st.lists(st.sampled_from(["reserve", "pay", "confirm", "give_up", "cancel", "finish", "resume", "ship", "deliver", "return", "back", "drop"]), max_size=25)
)
def test_no_sequence_of_decisions_leaves_the_allowed_transitions(moves: list[str]):
    order = placed(("a", 2, 500))
    for move in moves:
        before = order.status
        order = then(order, _decide(order, move))
        assert order.status == before or order.status in TRANSITIONS[before], f"{move} took it from {before} to {order.status}"
        assert isinstance(order.view(), OrderView)


def _decide(order: Order, move: str) -> list[Event]:
    """A decision as its callers take it: the saga's only where the saga stands there."""
    legal: dict[str, Callable[[], list[Event]]] = {
        "reserve": order.reserve,
        "pay": lambda: order.pay("p1") if order.status in ("reserved", "confirmed", "shipped", "delivered") else [],
        "confirm": lambda: order.confirm(None) if order.status in ("reserved", "paid") else [],
        "give_up": lambda: order.give_up("x") if order.status in ("pending", "reserved", "paid") else [],
        "cancel": lambda: order.request_cancellation("x"),
        "finish": lambda: order.finish_cancellation("x") if order.status == "cancelling" else [],
        "resume": lambda: order.resume("x") if order.status == "cancelling" and order.was_sale else [],
        "ship": lambda: order.ship("T") if order.was_sale and order.status in ("confirmed", "cancelling") else [],
        "deliver": lambda: order.deliver() if order.shipped and order.status in ("shipped", "cancelling") else [],
        "return": lambda: order.request_return("r", (ReturnLine("a", 1),), "x", START),
        "back": lambda: order.finish_return("r"),
        "drop": lambda: order.drop_return("r", "x") if order.status == "return_requested" else [],
    }
    try:
        return legal[move]()
    except DomainError:
        return []
