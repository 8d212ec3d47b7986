"""What deliveries do. The tables at the bottom are the index."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from torg.contexts.order.contracts import GetOrder, OrderConfirmed
from torg.contexts.shipping import contracts as c
from torg.contexts.shipping.model import delivery as model
from torg.contexts.shipping.model import tariffs
from torg.contexts.shipping.ports import ShippingDeps
from torg.contexts.user.contracts import UserErased
from torg.kit.auth import Identity, Role
from torg.kit.calls import Handlers
from torg.kit.errors import DomainError, NotFound
from torg.kit.policy import Thing
from torg.kit.rebuilding import Findings, Rebuilt
from torg.kit.store import Transaction

MOVED_AT_ONCE = 100
ERASED_AT_ONCE = 100
LOOKS = 20  # portions that are looked through for a page of what a courier of some cities may see
CARED_FOR = timedelta(days=40)  # so long an order that was placed before may still be booked, or sent back

# ---------------------------------------------------------------- buyers and couriers ask


async def get_delivery_quotes(query: c.GetDeliveryQuotes, deps: ShippingDeps) -> tuple[c.DeliveryQuote, ...]:
    return tariffs.quotes(query.city, query.weight_grams, deps.currency)


async def get_pickup_point(query: c.GetPickupPoint, deps: ShippingDeps) -> c.PickupPoint:
    if query.pickup_point_id not in tariffs.POINTS:
        raise NotFound("pickup_point.not_found", f"there is no pick-up point {query.pickup_point_id!r}: GET /delivery/quotes lists them")
    return tariffs.POINTS[query.pickup_point_id]


async def list_deliveries(query: c.ListDeliveries, deps: ShippingDeps) -> c.DeliveryPage:
    whose = "" if deps.access.sees_all(query.viewer, "deliveries:read") else query.viewer.user_id
    shown, cursor = list[c.DeliveryView](), query.cursor
    for _ in range(LOOKS):
        found, after = await deps.deliveries.page(whose, query.order_id, query.status, cursor, query.limit - len(shown))
        shown += [_shown(delivery, query.viewer, deps) for delivery in found if _may_see(delivery, query.viewer, deps)]
        cursor = after or ""
        if not cursor or len(shown) == query.limit:
            break
    return c.DeliveryPage(tuple(shown), cursor or None)


async def get_delivery(query: c.GetDelivery, deps: ShippingDeps) -> c.DeliveryView:
    return _shown(await _visible(query.delivery_id, query.viewer, deps), query.viewer, deps)


async def track_delivery(query: c.TrackDelivery, deps: ShippingDeps) -> c.Tracking:
    found = await _visible(query.delivery_id, query.viewer, deps)
    return c.Tracking(model.tracking(found, await deps.store.log.stream(found.order_id)))


async def move_delivery(cmd: c.MoveDelivery, deps: ShippingDeps) -> c.DeliveryView:
    found = await deps.deliveries.find(cmd.delivery_id)
    if cmd.courier is not None:
        deps.access.require(cmd.courier, "deliveries:write", Thing(city=found.destination.city), deps.clock())
    await _check_readiness(found, cmd.status, deps)
    async with deps.transaction() as tx:
        moved = await _move(tx, await deps.deliveries.load(tx, cmd.delivery_id), cmd.status, deps)
        return await tx.answer(_shown(moved, cmd.courier, deps) if cmd.courier else moved.view())


async def carry_on(deps: ShippingDeps) -> None:
    """The simulated carrier: every parcel that has lain long enough goes a step on."""
    if deps.stage is None:
        return
    now = deps.clock()
    while waiting := await deps.deliveries.waiting(now - deps.stage, now, MOVED_AT_ONCE):
        moved = await asyncio.gather(*(deps.store.undisturbed(partial(_carry, id, now - deps.stage, now, deps), "shipping.carrier") for id in waiting))
        if not any(moved):
            return
        now = deps.clock()


async def _carry(delivery_id: str, since: datetime, now: datetime, deps: ShippingDeps) -> bool:
    async with deps.transaction() as tx:
        found = await deps.deliveries.load(tx, delivery_id)
        status = found.next()
        if status is None or since < found.updated_at <= now:
            return False
        await _move(tx, found, status, deps)
        return True


# ---------------------------------------------------------------- operators ask


async def rebuild_delivery(cmd: c.RebuildDelivery, deps: ShippingDeps) -> Rebuilt:
    began, found = time.perf_counter(), Findings(1)
    async with deps.transaction() as tx:
        delivery = await deps.deliveries.load(tx, cmd.delivery_id)
        said = model.as_logged(delivery, await tx.stream(delivery.order_id))
        if said is None:
            found.left.append(f"delivery {delivery.id}: {delivery.status}; the log has no row of it: ask the carrier where the parcel is")
        elif said.status != delivery.status:
            found.changes.append(f"delivery {delivery.id}: {delivery.status}; by the log {said.status}")
            if not cmd.dry_run:
                await deps.deliveries.move(tx, said, delivery.status)
                told = c.DeliveryMended(
                    order_id=delivery.order_id, about="delivery", id=delivery.id, was=delivery.status, now=said.status,
                    reason=cmd.reason or "made what the log says", by=cmd.operator.user_id,
                )  # fmt: skip
                await tx.append(delivery.order_id, [told])
    return found.rebuilt(time.perf_counter() - began)


# ---------------------------------------------------------------- sagas ask


async def schedule_shipping(cmd: c.ScheduleShipping, deps: ShippingDeps) -> None:
    async with deps.transaction() as tx:
        booking = model.schedule(deps.new_id(), cmd, deps.clock())
        if not await deps.deliveries.book(tx, booking):
            earlier = await deps.deliveries.of(tx, cmd.order_id)
            assert earlier is not None, "an order whose booking collides has one"
            booking = earlier
        await tx.append(cmd.order_id, [booking.answer()])


async def cancel_shipping(cmd: c.CancelShipping, deps: ShippingDeps) -> None:
    async with deps.transaction() as tx:
        found = await deps.deliveries.of(tx, cmd.order_id)
        if found is None:
            await deps.deliveries.book(tx, model.called_off(deps.new_id(), cmd.order_id, deps.clock()))
        elif found.status == "scheduled" and not await _call_off(tx, found, deps):
            found = await deps.deliveries.of(tx, cmd.order_id)
        await tx.append(cmd.order_id, [model.cancelling_answer(cmd.order_id, found)])


async def schedule_return(cmd: c.ScheduleReturn, deps: ShippingDeps) -> None:
    """Answered when the parcel is back; at once only by a refusal, or when it is back already."""
    async with deps.transaction() as tx:
        sent = await deps.deliveries.of(tx, cmd.order_id)
        if sent is None or sent.status != "delivered":
            await tx.append(cmd.order_id, [c.ReturnRefused(order_id=cmd.order_id, return_id=cmd.return_id, reason=model.NOT_DELIVERED)])
            return
        booking = model.schedule_return(deps.new_id(), cmd, sent, deps.clock())
        if await deps.deliveries.book(tx, booking):
            await tx.append(cmd.order_id, [booking.scheduled()])
            return
        earlier = await deps.deliveries.of(tx, cmd.order_id, cmd.return_id)
        if earlier is not None and earlier.status == "returned":
            await tx.append(cmd.order_id, [c.ReturnReceived(order_id=cmd.order_id, return_id=cmd.return_id)])


async def on_order_confirmed(event: OrderConfirmed, deps: ShippingDeps) -> None:
    async with deps.transaction() as tx:
        await deps.deliveries.confirm(tx, event.order_id)


async def on_user_erased(event: UserErased, deps: ShippingDeps) -> None:
    """Their parcels still need their addresses until they have arrived."""
    async with deps.transaction() as tx:
        await deps.deliveries.erase_later(tx, event.user_id)


async def erase_ended(deps: ShippingDeps) -> None:
    """Forgets where parcels of erased people went, once nothing of their orders is on its way."""
    long_ago = deps.clock() - CARED_FOR
    found = await deps.deliveries.erasable(long_ago, ERASED_AT_ONCE)
    for user_id in sorted({delivery.user_id for delivery in found}):
        await deps.store.forget_answers(user_id)
    if found:
        async with deps.transaction() as tx:
            for delivery in found:
                await deps.deliveries.erase(tx, delivery.erased())
    await deps.deliveries.erase_failed(long_ago)
    await deps.deliveries.forget_erased(long_ago)


# ---------------------------------------------------------------- small print


async def _move(tx: Transaction, found: model.Delivery, status: c.DeliveryStatus, deps: ShippingDeps) -> model.Delivery:
    moved, events = found.move(status, deps.clock())
    if events:
        if not await deps.deliveries.move(tx, moved, found.status):
            raise DomainError("delivery.transition", f"somebody else has moved delivery {found.id} just now: look at it again")
        await tx.append(found.order_id, events)
    return moved


async def _call_off(tx: Transaction, found: model.Delivery, deps: ShippingDeps) -> bool:
    return await deps.deliveries.move(tx, replace(found, status="cancelled", updated_at=deps.clock()), "scheduled")


async def _check_readiness(found: model.Delivery, status: str, deps: ShippingDeps) -> None:
    """A parcel leaves only for a confirmed order. Asks the order itself if its confirmation has not been heard of here (yet)."""
    if status != "shipped" or found.status != "scheduled" or found.confirmed:
        return
    order = await deps.call(GetOrder(found.order_id, Identity(found.user_id, frozenset({Role.CUSTOMER}))))
    if order.status != "confirmed":
        raise DomainError("delivery.not_ready", f"the order is {order.status.replace('_', ' ')}: hand its parcel over once it is confirmed")


async def _visible(delivery_id: str, viewer: Identity, deps: ShippingDeps) -> model.Delivery:
    found = await deps.deliveries.find(delivery_id)
    if not _may_see(found, viewer, deps):
        raise NotFound("delivery.not_found", f"there is no delivery {delivery_id}")
    return found


def _may_see(delivery: model.Delivery, viewer: Identity, deps: ShippingDeps) -> bool:
    return deps.access.allows(viewer, "deliveries:read", Thing(owner=delivery.user_id, city=delivery.destination.city))


def _shown(delivery: model.Delivery, viewer: Identity, deps: ShippingDeps) -> c.DeliveryView:
    return deps.access.seen(viewer, "delivery", delivery.view(), owner=delivery.user_id)


HANDLERS: Handlers = {
    c.GetDeliveryQuotes: get_delivery_quotes,
    c.GetPickupPoint: get_pickup_point,
    c.ListDeliveries: list_deliveries,
    c.GetDelivery: get_delivery,
    c.TrackDelivery: track_delivery,
    c.MoveDelivery: move_delivery,
    c.RebuildDelivery: rebuild_delivery,
}

REACTIONS: Handlers = {
    c.ScheduleShipping: schedule_shipping,
    c.CancelShipping: cancel_shipping,
    c.ScheduleReturn: schedule_return,
    OrderConfirmed: on_order_confirmed,
    UserErased: on_user_erased,
}
