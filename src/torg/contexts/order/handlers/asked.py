"""What buyers and staff ask of orders that are there."""

from __future__ import annotations

import time

import msgspec

from torg.contexts.order import contracts as c
from torg.contexts.order import model
from torg.contexts.order.handlers.steps import return_of
from torg.contexts.order.model import Order
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.sagas import CANCEL, RETURN, CancelState
from torg.kit.auth import Identity
from torg.kit.errors import NotFound
from torg.kit.messages import Envelope, encode
from torg.kit.period import refuse_reversed
from torg.kit.policy import Thing
from torg.kit.rebuilding import Findings, Rebuilt
from torg.kit.values import moment, stamp


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
        await deps.sagas.start(tx, RETURN, order.id, return_of(order))
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
