"""A buyer places an order: what it takes from other contexts first, then one commit."""

from __future__ import annotations

from functools import partial

from torg.contexts.cart.contracts import Asked, CloseCart, GetKeptCart, GetQuote, GiveBackPromoCode, OrderedLine, Quote, RedeemPromoCode
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.inventory.contracts import GetAvailability, Units
from torg.contexts.order import contracts as c
from torg.contexts.order import model
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.sagas import CHECKOUT, CheckoutState
from torg.contexts.shipping.contracts import GetDeliveryQuotes, GetPickupPoint
from torg.contexts.user.contracts import GetAddress
from torg.kit import telemetry
from torg.kit.errors import ConcurrentChange, DomainError, FieldError, Invalid, Unavailable
from torg.kit.messages import Command
from torg.kit.values import Money

QUOTED = 5  # how often a cart that changes under its quote is looked at again


async def place_order(cmd: c.PlaceOrder, deps: OrderDeps) -> c.OrderView:
    user_id, order_id = cmd.buyer.user_id, deps.new_id()
    quote = await _quote(user_id, deps)
    if await deps.orders.ordered_elsewhere(user_id, quote.cart_id):
        raise model.already_ordered()
    plan = await _plan_delivery(cmd.delivery, user_id, deps)
    placed = model.place(order_id, user_id, quote, plan, await _delivery_price(plan, quote, deps), cmd.payment.method, cmd.expected_total)
    if quote.promo_code:
        await deps.call(RedeemPromoCode(code=quote.promo_code, user_id=user_id, order_id=order_id, items_total=quote.items_total))
    try:
        view = await deps.store.undisturbed(partial(_file_order, placed, deps), cmd.NAME)  # what was asked of others above is not asked again
    except DomainError:
        if quote.promo_code:  # given back by itself in a while; at once, so that requests for one cart do not use a code up
            await _now_or_later(GiveBackPromoCode(order_id), order_id, deps)
        raise
    await _now_or_later(_close_cart(placed), order_id, deps)  # it follows order.placed by itself; at once, so that the buyer's next item goes into a new cart
    return view


async def _file_order(placed: c.OrderPlaced, deps: OrderDeps) -> c.OrderView:
    async with deps.transaction() as tx:
        order = await deps.orders.place(tx, placed)
        await deps.sagas.start(tx, CHECKOUT, order.id, _checkout(placed, deps), done=["create"])
        return await tx.answer(order.view())


async def _quote(user_id: str, deps: OrderDeps) -> Quote:
    """The catalogue and the stock are asked from here: through the cart that would be a chain of three. Something else may be put in meanwhile."""
    for attempt in range(QUOTED):
        kept = await deps.call(GetKeptCart(user_id=user_id))
        ids = tuple(item.product_id for item in kept.items)
        offers, stock = (await deps.call(GetOffers(ids)), await deps.call(GetAvailability(ids))) if ids else ((), ())
        try:
            return await deps.call(GetQuote(user_id, Asked(product_ids=ids, offers=offers, stock=stock)))
        except ConcurrentChange:
            if attempt == QUOTED - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


async def _plan_delivery(choice: c.DeliveryChoice, user_id: str, deps: OrderDeps) -> c.DeliveryPlan:
    """Where it goes: the pick-up point's address, a saved one, or the one that was sent. Raises Invalid when there is none of these."""
    if choice.method == "pickup":
        if not choice.pickup_point_id:
            raise Invalid.fields(FieldError("delivery.pickup_point_id", "missing", "choose a pick-up point: GET /delivery/quotes lists them"))
        point = await deps.call(GetPickupPoint(choice.pickup_point_id))
        return c.DeliveryPlan(method="pickup", address=point.address, pickup_point_id=point.id)
    if choice.address_id:
        return c.DeliveryPlan(method=choice.method, address=await deps.call(GetAddress(user_id, choice.address_id)))
    if choice.address is None:
        raise Invalid.fields(FieldError("delivery.address", "missing", "say where to deliver: address or address_id"))
    return c.DeliveryPlan(method=choice.method, address=choice.address)


async def _delivery_price(plan: c.DeliveryPlan, quote: Quote, deps: OrderDeps) -> Money:
    weight = sum(line.weight_grams * line.quantity for line in quote.lines)
    for offer in await deps.call(GetDeliveryQuotes(city=plan.address.city, weight_grams=weight)):
        if offer.method == plan.method:
            return offer.price
    raise Invalid.fields(FieldError("delivery.method", "unavailable", f"{plan.method} does not go to {plan.address.city}"))


def _checkout(placed: c.OrderPlaced, deps: OrderDeps) -> CheckoutState:
    return CheckoutState(
        order_id=placed.order_id, user_id=placed.user_id, lines=tuple(Units(line.product_id, line.quantity) for line in placed.lines),
        weight_grams=sum(line.weight_grams * line.quantity for line in placed.lines), delivery=placed.delivery, method=placed.payment_method,
        total=placed.total, pay_until=deps.clock() + deps.pay_within, pay_seconds=deps.pay_within.total_seconds(),
    )  # fmt: skip


def _close_cart(placed: c.OrderPlaced) -> CloseCart:
    lines = tuple(OrderedLine(line.product_id, line.quantity) for line in placed.lines)
    return CloseCart(cart_id=placed.bucket_id, user_id=placed.user_id, order_id=placed.order_id, lines=lines)


async def _now_or_later(message: Command[None], order_id: str, deps: OrderDeps) -> None:
    """What others come to by themselves, and best at once. Whatever becomes of it changes nothing about the order."""
    try:
        await deps.call(message)
    except (Unavailable, DomainError) as obstacle:
        telemetry.log.warning("it is done later", message=message.NAME, order_id=order_id, detail=obstacle.detail)
