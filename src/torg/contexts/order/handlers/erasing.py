"""What is personal leaves a person's orders once these have ended."""

from __future__ import annotations

from datetime import timedelta

from torg.contexts.order import model
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.sagas import asked_without_person, without_person
from torg.contexts.user.contracts import UserErased

ERASED_AT_ONCE = 100
CARED_FOR = model.RETURN_WITHIN + timedelta(days=10)  # so long something about an erased person may still come in


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
