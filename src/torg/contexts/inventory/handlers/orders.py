"""The saga's way: holding items for orders, letting them go, handing them over, taking them back."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers.telling import tell
from torg.contexts.inventory.model import allocation
from torg.contexts.inventory.model.reservation import CONTENDED, SHORT, Reservation, answer_again
from torg.contexts.inventory.ports import InventoryDeps
from torg.contexts.order.contracts import OrderConfirmed
from torg.contexts.shipping.contracts import DeliveryShipped
from torg.kit.store import Transaction

TRIES = 5  # on an engine with parallel writers, others may take what was free a moment ago
EXPIRED_AT_ONCE = 100


async def reserve_items(cmd: c.ReserveItems, deps: InventoryDeps) -> None:
    async with deps.transaction() as tx:
        if found := await deps.reservations.find(tx, cmd.order_id):
            await tx.append(cmd.order_id, [answer_again(found)])
            return
        answer = await _hold(tx, cmd.order_id, cmd.lines, cmd.city, deps)
        await _file(tx, answer, cmd.hold_until, deps)


async def release_items(cmd: c.ReleaseItems, deps: InventoryDeps) -> None:
    async with deps.transaction() as tx:
        found = await deps.reservations.find(tx, cmd.order_id)
        if found is None:
            await deps.reservations.file(tx, cmd.order_id, "released", None, None)
        elif found.live and await deps.reservations.move(tx, found, "released"):
            await tell(tx, await deps.shelves.let_go(tx, found.allocations))
        await tx.append(cmd.order_id, [c.ItemsReleased(cmd.order_id)])


async def restock_items(cmd: c.RestockItems, deps: InventoryDeps) -> None:
    """Goods go back to the warehouse they came from."""
    async with deps.transaction() as tx:
        parts: tuple[c.Allocation, ...] = ()
        if await deps.shelves.first_time(tx, cmd.return_id):
            found = await deps.reservations.find(tx, cmd.order_id)
            gave = found.allocations if found else ()
            parts = allocation.back_home(cmd.lines, gave, "" if gave else await deps.warehouses.first(tx))
            await tell(tx, await deps.shelves.put(tx, parts, "returned", cmd.return_id))
        await tx.append(cmd.order_id, [c.ItemsRestocked(cmd.order_id, cmd.return_id, parts)])


async def expire_reservations(deps: InventoryDeps) -> None:
    """Frees what was held for orders that were not paid in time; each order in a transaction of its own."""
    while due := await deps.reservations.run_out(deps.clock(), EXPIRED_AT_ONCE):
        freed = await asyncio.gather(*(deps.store.undisturbed(partial(_expire, order_id, deps), c.ReservationExpired.NAME) for order_id in due))
        if not any(freed):
            return


async def _expire(order_id: str, deps: InventoryDeps) -> bool:
    async with deps.transaction() as tx:
        found = await deps.reservations.find(tx, order_id)
        if found is None or found.status != "held" or not await deps.reservations.move(tx, found, "expired"):
            return False
        await tell(tx, await deps.shelves.let_go(tx, found.allocations))
        await tx.append(order_id, [c.ReservationExpired(order_id)])
        return True


async def on_order_confirmed(event: OrderConfirmed, deps: InventoryDeps) -> None:
    """What an order holds no longer runs out; if it had, the same items are held anew, or the order hears that they are gone."""
    async with deps.transaction() as tx:
        found = await deps.reservations.find(tx, event.order_id)
        if found is None or found.status not in ("held", "expired"):
            return
        if found.status == "expired" and not await _hold_anew(tx, found, event.city, deps):
            await tx.append(event.order_id, [c.ReservationExpired(event.order_id, gone=True)])
            return
        held = Reservation(found.order_id, "held", found.answer)
        if await deps.reservations.move(tx, held, "secured"):
            await tx.append(event.order_id, [c.ReservationSecured(event.order_id)])


async def on_delivery_shipped(event: DeliveryShipped, deps: InventoryDeps) -> None:
    """The parcel has left: its units are no longer in the house. Of an expired hold, the same items are taken if they are there."""
    async with deps.transaction() as tx:
        found = await deps.reservations.find(tx, event.order_id)
        if found is not None and found.status == "expired" and await _hold_anew(tx, found, "", deps):
            found = await deps.reservations.find(tx, event.order_id)
        if found is not None and found.live and await deps.reservations.move(tx, found, "shipped"):
            await deps.shelves.hand_over(tx, event.order_id, found.allocations)
            await tx.append(event.order_id, [c.ItemsShipped(order_id=event.order_id, allocations=found.allocations)])


async def _hold(tx: Transaction, order_id: str, lines: tuple[c.Units, ...], city: str, deps: InventoryDeps) -> c.ItemsReserved | c.ReservationFailed:
    """Puts the lines aside and logs the answer."""
    answer = await _choose(tx, order_id, lines, city, deps)
    await tx.append(order_id, [answer])
    return answer


async def _choose(tx: Transaction, order_id: str, lines: tuple[c.Units, ...], city: str, deps: InventoryDeps) -> c.ItemsReserved | c.ReservationFailed:
    products = tuple(line.product_id for line in allocation.merged(lines))
    for _ in range(TRIES):
        plan = allocation.allocate(lines, await deps.shelves.free(tx, products), city)
        if isinstance(plan, allocation.Shortage):
            return c.ReservationFailed(order_id=order_id, reason=SHORT, short=plan.products)
        offers = await deps.shelves.hold(tx, plan.allocations)
        if offers is not None:
            await tell(tx, offers)
            return c.ItemsReserved(order_id=order_id, allocations=plan.allocations, source=plan.source)
    return c.ReservationFailed(order_id=order_id, reason=CONTENDED)


async def _file(tx: Transaction, answer: c.ItemsReserved | c.ReservationFailed, hold_until: datetime, deps: InventoryDeps) -> None:
    if isinstance(answer, c.ItemsReserved):
        await deps.reservations.file(tx, answer.order_id, "held", answer, hold_until)
    else:
        await deps.reservations.file(tx, answer.order_id, "refused", answer, None)


async def _hold_anew(tx: Transaction, lost: Reservation, city: str, deps: InventoryDeps) -> bool:
    """Holds what an expired reservation held, from wherever it is now; says whether that was possible."""
    lines = tuple(c.Units(part.product_id, part.quantity) for part in lost.allocations)
    answer = await _choose(tx, lost.order_id, lines, city, deps)
    if isinstance(answer, c.ReservationFailed):
        return False
    await tx.append(lost.order_id, [answer])
    await deps.reservations.file(tx, lost.order_id, "held", answer, deps.clock())
    return True
