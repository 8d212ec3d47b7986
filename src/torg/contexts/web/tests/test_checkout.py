"""From a cart to an order by a form: what was seen is what is paid, and once."""

from __future__ import annotations

from typing import Any

import pytest

from torg.contexts.cart.contracts import GetQuote
from torg.contexts.order.contracts import CancelMyOrder, GetOrder, ListOrders, OrderPage, PaymentState, PlaceOrder, RequestReturn, ReturnLine
from torg.contexts.payment.contracts import TopUpWallet
from torg.contexts.user.contracts import AddAddress
from torg.contexts.web.tests.house import CART_ID, ORDER_ID, Shop, a_quote, an_order, dollars, visible
from torg.kit.errors import DomainError

FORM = {
    "cart_id": CART_ID, "city": "Moscow", "method": "courier", "address_id": "home", "payment": "balance", "step": "order",
    "total_courier": "558", "total_pickup": "358",
}  # fmt: skip


def refusing(code: str, detail: str = "no") -> Any:
    def refuse(_: object) -> None:
        raise DomainError(code, detail)

    return refuse


async def test_order_is_placed_for_the_total_that_was_seen(shop: Shop) -> None:
    answer = await shop.post("/checkout", FORM, member=True)
    assert (answer.status, answer.headers["location"]) == (303, f"/orders/{ORDER_ID}")
    (asked,) = shop.told(PlaceOrder)
    assert (asked.delivery.method, asked.delivery.address_id, asked.payment.method, asked.expected_total) == ("courier", "home", "balance", dollars(558))


async def test_each_way_to_deliver_has_its_own_total(shop: Shop) -> None:
    await shop.post("/checkout", {**FORM, "method": "pickup", "pickup_point_id": "p1"}, member=True)
    (asked,) = shop.told(PlaceOrder)
    assert (asked.delivery.pickup_point_id, asked.expected_total) == ("p1", dollars(358))


async def test_form_sent_again_leads_to_the_first_order(shop: Shop) -> None:
    shop.answers(GetQuote, lambda _: a_quote(cart_id="another", lines=()))
    answer = await shop.post("/checkout", FORM, member=True)
    assert (answer.status, answer.headers["location"]) == (303, f"/orders/{ORDER_ID}")
    assert shop.told(PlaceOrder) == []


@pytest.mark.parametrize("code", ["cart.empty", "cart.already_ordered"])
async def test_second_click_while_the_first_is_under_way_leads_to_its_order(shop: Shop, code: str) -> None:
    shop.answers(PlaceOrder, refusing(code))
    assert (await shop.post("/checkout", FORM, member=True)).headers["location"] == f"/orders/{ORDER_ID}"


async def test_old_form_orders_nothing_of_the_cart_that_came_after(shop: Shop) -> None:
    shop.answers(GetQuote, lambda _: a_quote(cart_id="another"))
    await shop.post("/checkout", FORM, member=True)
    assert shop.told(PlaceOrder) == []


async def test_old_form_whose_order_is_not_known_orders_nothing_either(shop: Shop) -> None:
    shop.answers(GetQuote, lambda _: a_quote(cart_id="another"))
    shop.answers(ListOrders, lambda _: OrderPage((), None))
    answer = await shop.post("/checkout", FORM, member=True)
    assert shop.told(PlaceOrder) == []
    assert "The cart has changed since." in visible(answer)


async def test_changed_total_is_shown_before_anything_is_ordered(shop: Shop) -> None:
    shop.answers(PlaceOrder, refusing("order.total_changed"))
    answer = await shop.post("/checkout", FORM, member=True)
    assert answer.status == 409
    assert "The total has changed since you saw it." in visible(answer)
    assert 'name="total_courier" value="558"' in answer.body.decode()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"address_id": "new", "street": "", "postcode": ""}, "Please fill this in."),
        ({"payment": ""}, "Choose how to pay."),
        ({"method": ""}, "Choose how to deliver."),
    ],
)
async def test_what_is_missing_is_said_beside_its_field(shop: Shop, missing: dict[str, str], words: str) -> None:
    answer = await shop.post("/checkout", {**FORM, **missing}, member=True)
    assert answer.status == 422
    assert words in visible(answer)
    assert shop.told(PlaceOrder) == []


async def test_new_address_is_remembered_if_wanted(shop: Shop) -> None:
    form = {**FORM, "address_id": "new", "street": "Arbat 2", "postcode": "119002"}
    await shop.post("/checkout", form, member=True)
    assert shop.told(AddAddress) == []
    await shop.post("/checkout", {**form, "save": "yes"}, member=True)
    assert shop.told(AddAddress)[0].street == "Arbat 2"


async def test_asking_for_another_city_orders_nothing(shop: Shop) -> None:
    answer = await shop.post("/checkout", {**FORM, "city": "Kazan", "step": "quote"}, member=True)
    assert answer.status == 200
    assert 'value="Kazan"' in answer.body.decode()
    assert shop.told(PlaceOrder) == []


async def test_empty_cart_and_missing_goods_lead_back_to_the_cart(shop: Shop) -> None:
    shop.answers(GetQuote, lambda _: a_quote(lines=()))
    assert (await shop.get("/checkout", member=True)).headers["location"] == "/cart"


# ---------------------------------------------------------------- paying by card


async def test_card_goes_to_the_acquirers_page_as_soon_as_there_is_one(shop: Shop) -> None:
    waiting = an_order(status="reserved", payment=PaymentState(method="card", status="pending"))
    ready = an_order(status="reserved", payment=PaymentState(method="card", status="pending", redirect_url="https://bank.example/pay/1"))
    shop.answers(PlaceOrder, lambda _: waiting)
    assert (await shop.post("/checkout", {**FORM, "payment": "card"}, member=True)).headers["location"] == f"/orders/{ORDER_ID}/pay"
    shop.answers(GetOrder, lambda _: ready if len(shop.told(GetOrder)) > 2 else waiting)
    text = (await shop.get(f"/orders/{ORDER_ID}/pay", member=True)).body.decode()
    assert 'content="0; url=https://bank.example/pay/1"' in text


async def test_paid_order_is_not_paid_again(shop: Shop) -> None:
    shop.answers(GetOrder, lambda _: an_order(payment=PaymentState(method="card", status="captured", redirect_url="https://bank.example/pay/1")))
    assert (await shop.get(f"/orders/{ORDER_ID}/pay", member=True)).headers["location"] == f"/orders/{ORDER_ID}"


# ---------------------------------------------------------------- afterwards


async def test_second_cancellation_is_as_good_as_the_first(shop: Shop) -> None:
    shop.answers(CancelMyOrder, refusing("order.not_cancellable"))
    shop.answers(GetOrder, lambda _: an_order(status="cancelling", cancellable=False))
    assert (await shop.post(f"/orders/{ORDER_ID}/cancel", {}, member=True)).status == 303


async def test_order_with_the_carrier_says_why_it_stays(shop: Shop) -> None:
    shop.answers(CancelMyOrder, refusing("order.not_cancellable"))
    shop.answers(GetOrder, lambda _: an_order(status="shipped", cancellable=False))
    answer = await shop.post(f"/orders/{ORDER_ID}/cancel", {"reason": "late"}, member=True)
    assert answer.status == 409
    assert "cannot be cancelled any more" in visible(answer)


async def test_return_names_what_comes_back(shop: Shop) -> None:
    shop.answers(GetOrder, lambda _: an_order(status="delivered"))
    shop.answers(RequestReturn, lambda _: an_order(status="return_requested"))
    answer = await shop.post(f"/orders/{ORDER_ID}/returns", {"line.milk": "1", "line.other": "0", "reason": "sour"}, member=True)
    assert answer.status == 303
    assert shop.told(RequestReturn)[0].lines == (ReturnLine("milk", 1),)
    nothing = await shop.post(f"/orders/{ORDER_ID}/returns", {"line.milk": "0", "reason": "sour"}, member=True)
    assert "Choose what you send back." in visible(nothing)


async def test_orders_of_a_period_include_its_last_day(shop: Shop) -> None:
    await shop.get("/orders?from=2026-03-01&to=2026-03-31&status=delivered", member=True)
    asked = shop.told(ListOrders)[-1]
    assert (asked.since, asked.until, asked.status) == ("2026-03-01", "2026-04-01", "delivered")
    assert (await shop.get("/orders?from=yesterday", member=True)).status == 422


async def test_top_up_sent_twice_is_one_and_the_same(shop: Shop) -> None:
    form = {"key": "00000000-0000-7000-8000-000000000001", "amount": "25,50"}
    first = await shop.post("/wallet/top-ups", form, member=True)
    second = await shop.post("/wallet/top-ups", form, member=True)
    assert [first.status, second.status] == [303, 303]
    assert {(asked.amount, asked.reference) for asked in shop.told(TopUpWallet)} == {(dollars(2550), form["key"])}


@pytest.mark.parametrize("typed", ["", "lots", "-5", "0", "1.234", "999999999"])
async def test_top_up_of_no_amount_is_refused_beside_its_field(shop: Shop, typed: str) -> None:
    answer = await shop.post("/wallet/top-ups", {"key": "k", "amount": typed}, member=True)
    assert answer.status == 422
    assert 'id="amount-fault"' in answer.body.decode()
    assert shop.told(TopUpWallet) == []
