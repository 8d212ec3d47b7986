"""What orders do. The table at the bottom is the index."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import msgspec

from torg.contexts.cart.contracts import Asked, CloseCart, GetKeptCart, GetQuote, GiveBackPromoCode, OrderedLine, Quote, RedeemPromoCode
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.inventory.contracts import GetAvailability, Units
from torg.contexts.order import contracts as c
from torg.contexts.order import model
from torg.contexts.order.model import Order
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.sagas import CANCEL, CHECKOUT, RETURN, CancelState, CheckoutState, ReturnState, asked_without_person, without_person
from torg.contexts.payment.contracts import PaymentCaptured, PaymentFailed, PaymentRedirected, PaymentRefunded
from torg.contexts.shipping.contracts import DeliveryDelivered, DeliveryShipped, GetDeliveryQuotes, GetPickupPoint
from torg.contexts.user.contracts import GetAddress, UserErased
from torg.kit import telemetry
from torg.kit.auth import Identity
from torg.kit.calls import Handlers
from torg.kit.errors import ConcurrentChange, DomainError, FieldError, Invalid, NotFound, Unavailable
from torg.kit.messages import Command, Envelope, Event, context_of, encode
from torg.kit.period import refuse_reversed
from torg.kit.policy import Thing
from torg.kit.rebuilding import Findings, Rebuilt
from torg.kit.saga import Instance
from torg.kit.values import Money, moment, stamp

QUOTED = 5  # how often a cart that changes under its quote is looked at again
ERASED_AT_ONCE = 100
CARED_FOR = model.RETURN_WITHIN + timedelta(days=10)  # so long something about an erased person may still come in

# ---------------------------------------------------------------- buyers ask


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


async def cancel_my_order(cmd: c.CancelMyOrder, deps: OrderDeps) -> c.OrderView:
    async with deps.transaction() as tx:
        order = _own(await deps.orders.load(tx, cmd.order_id), cmd.buyer, deps)
        order = await deps.orders.change(tx, order, order.request_cancellation(cmd.reason))
        under_way = await deps.sagas.active(tx, order.id)
        if under_way:
            await deps.sagas.compensate(tx, under_way.id, model.AS_ASKED)
        else:
            await deps.sagas.start(tx, CANCEL, order.id, CancelState(order.id, model.AS_ASKED))
        return await tx.answer(_shown((await deps.orders.load(tx, order.id)).view(), cmd.buyer, deps))


async def request_return(cmd: c.RequestReturn, deps: OrderDeps) -> c.OrderView:
    async with deps.transaction() as tx:
        order = _own(await deps.orders.load(tx, cmd.order_id), cmd.buyer, deps)
        return_id = deps.new_id()
        events = order.request_return(return_id, cmd.lines, cmd.reason, deps.clock())
        order = await deps.orders.change(tx, order, events)
        await deps.sagas.start(tx, RETURN, order.id, _return(order))
        return await tx.answer(_shown(order.view(), cmd.buyer, deps))


async def list_orders(query: c.ListOrders, deps: OrderDeps) -> c.OrderPage:
    since, until = _period(query.since, query.until)
    items, cursor = await deps.orders.page(query.buyer.user_id, since, until, query.status, query.cursor, query.limit)
    return c.OrderPage(tuple(items), cursor)


async def list_all_orders(query: c.ListAllOrders, deps: OrderDeps) -> c.OrderPage:
    since, until = _period(query.since, query.until)
    items, cursor = await deps.orders.page(query.user_id, since, until, query.status, query.cursor, query.limit)
    return c.OrderPage(tuple(_shown(order, query.viewer, deps) if query.viewer else order for order in items), cursor)


async def count_orders(query: c.CountOrders, deps: OrderDeps) -> c.OrderCounts:
    return c.OrderCounts(tuple(await deps.orders.count(stamp(query.since))))


async def get_order(query: c.GetOrder, deps: OrderDeps) -> c.OrderView:
    found = await deps.orders.find(query.order_id)
    if found is None or not deps.access.allows(query.viewer, "orders:read", Thing(owner=found.user_id)):
        raise _not_found(query.order_id)
    return _shown(found, query.viewer, deps)


async def get_history(query: c.GetHistory, deps: OrderDeps) -> c.History:
    await get_order(c.GetOrder(query.order_id, query.viewer), deps)
    rows = await deps.store.log.stream(query.order_id)
    return c.History(tuple(_entry(row) for row in rows))


# ---------------------------------------------------------------- sagas


async def get_saga(query: c.GetSaga, deps: OrderDeps) -> c.SagaView:
    await get_order(c.GetOrder(query.order_id, query.viewer), deps)
    sagas = await deps.sagas.of(query.order_id)
    return _saga_view(next(saga for saga in sagas if saga.type == CHECKOUT.name), deps)


async def find_saga(query: c.FindSaga, deps: OrderDeps) -> c.SagaView:
    return _saga_view(await deps.sagas.find(query.saga_id), deps)


async def list_sagas(query: c.ListSagas, deps: OrderDeps) -> c.SagaPage:
    found, cursor = await deps.sagas.page(query.status, query.cursor, query.limit)
    return c.SagaPage(tuple(_saga_view(saga, deps) for saga in found), cursor)


async def retry_saga(cmd: c.RetrySaga, deps: OrderDeps) -> c.SagaView:
    async with deps.transaction() as tx:
        return await tx.answer(_saga_view(await deps.sagas.retry(tx, cmd.saga_id), deps))


async def compensate_saga(cmd: c.CompensateSaga, deps: OrderDeps) -> c.SagaView:
    async with deps.transaction() as tx:
        return await tx.answer(_saga_view(await deps.sagas.compensate(tx, cmd.saga_id, "given up by an operator"), deps))


async def rebuild_order(cmd: c.RebuildOrder, deps: OrderDeps) -> Rebuilt:
    """The note has a stream of its own: an order's is what the order is made of."""
    began = time.perf_counter()
    async with deps.transaction() as tx:
        was, now = await deps.orders.relist(tx, cmd.order_id, cmd.dry_run)
        if was != now and not cmd.dry_run:
            reason = cmd.reason or "made what the log says"
            told = c.ListMended(about="order", id=cmd.order_id, was=was, now=now, reason=reason, by=cmd.operator.user_id)
            await tx.append(f"mended/{cmd.order_id}", [told])
    changes = [f"order {cmd.order_id}: {was}; by the log {now}"] if was != now else []
    return Findings(1, changes).rebuilt(time.perf_counter() - began)


# ---------------------------------------------------------------- the sagas' steps at home


async def create_order(cmd: c.CreateOrder, deps: OrderDeps) -> None:
    """Nothing is left to do: PlaceOrder's commit made the order and started the saga together."""


async def mark_reserved(cmd: c.MarkReserved, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.reserve())


async def mark_paid(cmd: c.MarkPaid, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.pay(cmd.payment_id))


async def confirm_order(cmd: c.ConfirmOrder, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.confirm(cmd.delivery_date))


async def cancel_order(cmd: c.CancelOrder, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.give_up(cmd.reason))


async def withdraw_order(cmd: c.WithdrawOrder, deps: OrderDeps) -> None:
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, cmd.order_id)
        if order.status == "confirmed" and not await deps.sagas.active(tx, order.id):
            await deps.orders.change(tx, order, order.request_cancellation(cmd.reason))
            await deps.sagas.start(tx, CANCEL, order.id, CancelState(order.id, cmd.reason))


async def finish_cancellation(cmd: c.FinishCancellation, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.finish_cancellation(model.AS_ASKED))


async def resume_order(cmd: c.ResumeOrder, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.resume(cmd.reason))


async def finish_return(cmd: c.FinishReturn, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.finish_return(cmd.return_id))


async def drop_return(cmd: c.DropReturn, deps: OrderDeps) -> None:
    await _decide(cmd.order_id, deps, lambda order: order.drop_return(cmd.return_id, cmd.reason))


async def take_back(cmd: c.TakeBack, deps: OrderDeps) -> None:
    """Raises DomainError `saga.busy` while another return is under way: it waits for its end."""
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, cmd.order_id)
        if events := order.take_back(cmd.return_id):
            order = await deps.orders.change(tx, order, events)
            await deps.sagas.start(tx, RETURN, order.id, _return(order), done=["collect"])


# ---------------------------------------------------------------- others tell


async def on_payment_redirected(event: PaymentRedirected, deps: OrderDeps) -> None:
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, event.order_id)
        if order.payment.status == "pending":  # else it has been paid, or given up, before this was heard
            await deps.orders.change(tx, order, order.note_payment(redirect_url=event.redirect_url))


async def on_payment_failed(event: PaymentFailed, deps: OrderDeps) -> None:
    await _decide(event.order_id, deps, lambda order: order.note_payment(status="failed"))


async def on_payment_captured(event: PaymentCaptured, deps: OrderDeps) -> None:
    await mark_paid(c.MarkPaid(event.order_id, event.payment_id), deps)


async def on_payment_refunded(event: PaymentRefunded, deps: OrderDeps) -> None:
    await _decide(event.order_id, deps, lambda order: order.refund(event.refund_id, event.amount))


async def on_delivery_shipped(event: DeliveryShipped, deps: OrderDeps) -> None:
    await _decide(event.order_id, deps, lambda order: order.ship(event.tracking_number))


async def on_delivery_delivered(event: DeliveryDelivered, deps: OrderDeps) -> None:
    await _decide(event.order_id, deps, lambda order: order.deliver())


async def on_user_erased(event: UserErased, deps: OrderDeps) -> None:
    """Their orders still need their addresses until they have ended."""
    async with deps.transaction() as tx:
        await deps.orders.erase_later(tx, event.user_id)


async def erase_ended(deps: OrderDeps) -> None:
    """Takes what is personal out of orders of erased people, once they have ended."""
    found = await deps.orders.erasable(ERASED_AT_ONCE)
    for user_id in sorted({user_id for _, user_id in found}):
        await deps.store.forget_answers(user_id)
    for order_id, _ in found:
        await _erase(order_id, deps)
    await deps.orders.forget_erased(deps.clock() - CARED_FOR)


async def _erase(order_id: str, deps: OrderDeps) -> None:
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, order_id)
        if order.status in model.ENDED and not await deps.sagas.active(tx, order_id):
            await deps.sagas.redact(tx, order_id, without_person, asked_without_person)
            await deps.orders.erase(tx, order)


# ---------------------------------------------------------------- small print


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


async def _now_or_later(message: Command[None], order_id: str, deps: OrderDeps) -> None:
    """What others come to by themselves, and best at once. Whatever becomes of it changes nothing about the order."""
    try:
        await deps.call(message)
    except (Unavailable, DomainError) as obstacle:
        telemetry.log.warning("it is done later", message=message.NAME, order_id=order_id, detail=obstacle.detail)


async def _decide(order_id: str, deps: OrderDeps, decide: Callable[[Order], Sequence[Event]]) -> None:
    """Brings an order as far as its own rules say."""
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, order_id)
        await deps.orders.change(tx, order, decide(order))


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


def _return(order: Order) -> ReturnState:
    asked = order.returning
    assert asked is not None, "a return saga starts with a requested return"
    lines = tuple(Units(line.product_id, line.quantity) for line in asked.lines)
    return ReturnState(order_id=order.id, return_id=asked.return_id, lines=lines, refund=asked.refund, reason=model.SENT_BACK)


def _period(since: str, until: str) -> tuple[str, str]:
    """Both ends as stamps, empty where left open. Raises Invalid when the first is after the second."""
    if since and until:
        refuse_reversed(moment(since), moment(until))
    return stamp(moment(since)) if since else "", stamp(moment(until)) if until else ""


def _own(order: Order, buyer: Identity, deps: OrderDeps) -> Order:
    if not deps.access.allows(buyer, "orders:write", Thing(owner=order.user_id)):
        raise _not_found(order.id)
    return order


def _shown(order: c.OrderView, viewer: Identity, deps: OrderDeps) -> c.OrderView:
    return deps.access.seen(viewer, "order", order, owner=order.user_id)


def _not_found(order_id: str) -> NotFound:
    return NotFound("order.not_found", f"you have no order {order_id}")


def _entry(row: Envelope) -> c.HistoryEntry:
    return c.HistoryEntry(row.version, row.message.NAME, row.at, msgspec.Raw(encode(row.message)))


def _saga_view(saga: Instance, deps: OrderDeps) -> c.SagaView:
    table = deps.sagas.define(saga.type)
    steps = tuple(
        c.SagaStep(
            step_id=state.name, action=step.action.__name__, service=context_of(step.action), compensation=step.undo.__name__ if step.undo else None,
            status=state.status, attempts=state.attempts, error=state.error or None, started_at=state.started_at, finished_at=state.finished_at,
        )
        for step, state in zip(table.steps, saga.steps, strict=True)
    )  # fmt: skip
    return c.SagaView(
        saga_id=saga.id, saga_type=saga.type, order_id=saga.subject, status=saga.status, current_step=saga.current,
        compensation_required=saga.status in ("compensating", "compensated", "stuck"), steps=steps, created_at=saga.created_at, updated_at=saga.updated_at,
    )  # fmt: skip


HANDLERS: Handlers = {
    c.PlaceOrder: place_order,
    c.CancelMyOrder: cancel_my_order,
    c.RequestReturn: request_return,
    c.ListOrders: list_orders,
    c.ListAllOrders: list_all_orders,
    c.CountOrders: count_orders,
    c.GetOrder: get_order,
    c.GetHistory: get_history,
    c.GetSaga: get_saga,
    c.ListSagas: list_sagas,
    c.FindSaga: find_saga,
    c.RetrySaga: retry_saga,
    c.CompensateSaga: compensate_saga,
    c.RebuildOrder: rebuild_order,
    c.CreateOrder: create_order,
    c.MarkReserved: mark_reserved,
    c.MarkPaid: mark_paid,
    c.ConfirmOrder: confirm_order,
    c.CancelOrder: cancel_order,
    c.WithdrawOrder: withdraw_order,
    c.FinishCancellation: finish_cancellation,
    c.ResumeOrder: resume_order,
    c.FinishReturn: finish_return,
    c.DropReturn: drop_return,
    c.TakeBack: take_back,
}

REACTIONS: Handlers = {
    PaymentRedirected: on_payment_redirected,
    PaymentFailed: on_payment_failed,
    PaymentCaptured: on_payment_captured,
    PaymentRefunded: on_payment_refunded,
    DeliveryShipped: on_delivery_shipped,
    DeliveryDelivered: on_delivery_delivered,
    UserErased: on_user_erased,
}
