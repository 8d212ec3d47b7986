"""From a cart to an order, and from an order to its payment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from torg.contexts.cart.contracts import GetQuote, Quote
from torg.contexts.catalog.contracts import ListProductsById
from torg.contexts.order.contracts import DeliveryChoice, GetOrder, ListOrders, OrderView, PaymentChoice, PlaceOrder
from torg.contexts.payment.contracts import GetBalance, Method
from torg.contexts.shipping.contracts import DeliveryQuote, GetDeliveryQuotes
from torg.contexts.user.contracts import AddAddress, AddressView, GetProfile, ListAddresses
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError, FieldError, Invalid
from torg.kit.http import Response
from torg.kit.values import Money

PAYMENTS: Sequence[Method] = ("balance", "card", "cash")
ORDERED_ALREADY = frozenset({"cart.empty", "cart.already_ordered"})
PAGE_COMES_WITHIN = 3.0  # seconds that a buyer is held until the acquirer has made its page
LOOK_AGAIN = 0.05


@dataclass(frozen=True)
class Way:
    """A way to deliver, and what the order comes to with it."""

    offer: DeliveryQuote
    price: Money
    total: Money


async def show_checkout(visit: Visit) -> Response:
    return await _page(visit, dict(visit.request.query()))


async def check_out(visit: Visit) -> Response:
    """Orders what the form shows; `step` asks just for the ways to deliver to another city."""
    form = await visit.form()
    if form.get("step") == "quote" or "to_city" in form:
        return await _page(visit, {**form, "city": form.get("to_city") or form.get("city", "")})
    buyer, cart_id = visit.member, form.get("cart_id", "")
    if cart_id and (await visit.ask(GetQuote(buyer.user_id))).cart_id != cart_id:
        return await _of_an_old_cart(visit, form)
    try:
        order = await visit.ask(PlaceOrder(buyer=buyer, delivery=_delivery(form), payment=_payment(form), expected_total=_expected(visit, form)))
    except DomainError as refusal:
        placed = await _order_of(visit, cart_id) if refusal.code in ORDERED_ALREADY else None
        return _onwards(visit, placed) if placed else await _page(visit, form, refusal)
    await _save_address(visit, form)
    return _onwards(visit, order)


async def pay(visit: Visit) -> Response:
    """Takes the buyer to the acquirer's page as soon as there is one. By a page, for a redirect after a form may not leave the shop (form-action)."""
    order_id, viewer = visit.request.path_values["order_id"], visit.member
    order = await visit.ask(GetOrder(order_id, viewer))
    for _ in range(int(PAGE_COMES_WITHIN / LOOK_AGAIN)):
        if order.payment.redirect_url or not _may_get_page(order):
            break
        await asyncio.sleep(LOOK_AGAIN)
        order = await visit.ask(GetOrder(order_id, viewer))
    if not _may_get_page(order):
        return visit.go(f"/orders/{order.id}")
    return await visit.page("pay.html", order=order, target=order.payment.redirect_url)


def _may_get_page(order: OrderView) -> bool:
    return order.payment.method == "card" and order.payment.status == "pending" and order.status in ("pending", "reserved")


def _onwards(visit: Visit, order: OrderView) -> Response:
    return visit.go(f"/orders/{order.id}/pay") if order.payment.method == "card" else visit.go(f"/orders/{order.id}", "order_placed")


async def _of_an_old_cart(visit: Visit, form: dict[str, str]) -> Response:
    """The form's cart is another one by now. A cart is ordered once, so that a second click or a page sent again leads to the order it became."""
    if placed := await _order_of(visit, form["cart_id"]):
        return _onwards(visit, placed)
    return await _page(visit, form, DomainError("cart.changed", "the cart is another one by now: look at it again"))


async def _order_of(visit: Visit, cart_id: str) -> OrderView | None:
    latest = await visit.ask(ListOrders(buyer=visit.member, limit=10))
    return next((order for order in latest.items if order.bucket_id == cart_id), None)


def _delivery(form: Mapping[str, str]) -> DeliveryChoice:
    """Raises Invalid that names every bad field."""
    method = form.get("method", "")
    if method not in ("courier", "pickup", "post"):
        raise Invalid.fields(FieldError("method", "missing", "choose how to deliver"))
    if method == "pickup":
        return msgspec.convert({"method": method, "pickup_point_id": form.get("pickup_point_id", "")}, DeliveryChoice)
    if form.get("address_id") and form["address_id"] != "new":
        return msgspec.convert({"method": method, "address_id": form["address_id"]}, DeliveryChoice)
    return msgspec.convert({"method": method, "address": _address(form)}, DeliveryChoice)


def _address(form: Mapping[str, str]) -> dict[str, str]:
    typed = {name: form.get(name, "") for name in ("city", "street", "postcode")}
    if empty := [FieldError(name, "missing", "this field is required") for name, value in typed.items() if not value]:
        raise Invalid.fields(*empty)
    if long := [FieldError(name, "too_long", "200 characters are the most") for name, value in typed.items() if len(value) > 200]:
        raise Invalid.fields(*long)
    return typed


async def _save_address(visit: Visit, form: Mapping[str, str]) -> None:
    if form.get("save") and form.get("method") != "pickup" and form.get("address_id", "new") == "new":
        await visit.ask_for_extra(AddAddress(holder=visit.member, city=form["city"], street=form["street"], postcode=form["postcode"]))


def _payment(form: Mapping[str, str]) -> PaymentChoice:
    for method in PAYMENTS:
        if form.get("payment") == method:
            return PaymentChoice(method)
    raise Invalid.fields(FieldError("payment", "missing", "choose how to pay"))


def _expected(visit: Visit, form: Mapping[str, str]) -> Money | None:
    """The total that the buyer saw beside the way they chose."""
    seen = form.get(f"total_{form.get('method', '')}", "")
    return Money(int(seen), visit.deps.currency) if seen.isascii() and seen.isdigit() else None


async def _page(visit: Visit, form: dict[str, str], refusal: DomainError | None = None) -> Response:
    buyer = visit.member
    quote = await visit.ask(GetQuote(buyer.user_id))
    if not quote.lines:
        return visit.go("/cart")
    if not all(line.available for line in quote.lines):
        return visit.go("/cart", "cart_unavailable")
    addresses = await visit.ask_for_extra(ListAddresses(buyer))
    saved = addresses.items if addresses else ()
    city = form.get("city") or await _city(visit, saved)
    ways = await _ways(visit, city, quote) if city else ()
    balance = await visit.ask_for_extra(GetBalance(buyer.user_id))
    listed = await visit.ask_for_extra(ListProductsById(product_ids=tuple(line.product_id for line in quote.lines), language=visit.language))
    filled = _filled({**form, "city": city}, ways, saved, balance)
    return await visit.page(
        "checkout.html", refusal.status if refusal else 200, quote=quote, ways=ways, form=filled, balance=balance,
        names={item.id: item.name for item in listed or ()},
        faults=_near(visit.faults(refusal)) if refusal else {}, here_saved=[one for one in saved if one.city.casefold() == city.casefold()],
        cities=[one for one in dict.fromkeys(one.city for one in saved) if one.casefold() != city.casefold()],
        now=next((way for way in ways if way.offer.method == filled["method"]), None),
    )  # fmt: skip


async def _city(visit: Visit, saved: Sequence[AddressView]) -> str:
    if saved:
        return saved[0].city
    profile = await visit.ask_for_extra(GetProfile(visit.member))
    return profile.city if profile else ""


async def _ways(visit: Visit, city: str, quote: Quote) -> Sequence[Way]:
    weight = sum(line.weight_grams * line.quantity for line in quote.lines)
    try:
        offers = await visit.ask(GetDeliveryQuotes(city=city[:200], weight_grams=weight))
    except DomainError:
        return ()
    nothing = Money(0, visit.deps.currency)
    prices = [nothing if quote.free_delivery else offer.price for offer in offers]
    return [Way(offer, price, quote.items_total + price - quote.discount) for offer, price in zip(offers, prices, strict=True)]


def _filled(form: dict[str, str], ways: Sequence[Way], saved: Sequence[AddressView], balance: Money | None) -> dict[str, str]:
    """The form with what is most likely wanted where nothing was chosen yet."""
    methods = [way.offer.method for way in ways]
    if form.get("method") not in methods:
        form["method"] = methods[0] if methods else ""
    here = [one.id for one in saved if one.city.casefold() == form["city"].casefold()]
    if form.get("address_id") not in (*here, "new"):
        form["address_id"] = here[0] if here else "new"
    dearest = max((way.total for way in ways), default=None)
    if form.get("payment") not in PAYMENTS:
        form["payment"] = "balance" if balance and dearest and balance >= dearest else "card"
    return {"street": "", "postcode": "", "pickup_point_id": "", **form}


def _near(faults: Mapping[str, str]) -> dict[str, str]:
    """Fields of the message by the names they have on the page."""
    return {field.removeprefix("delivery.").removeprefix("payment."): sentence for field, sentence in faults.items()}
