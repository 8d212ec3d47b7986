"""What is told of sagas, and what operators do to them."""

from __future__ import annotations

from torg.contexts.order import contracts as c
from torg.contexts.order.handlers.asked import get_order
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.sagas import CHECKOUT
from torg.kit.messages import context_of
from torg.kit.saga import Instance


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
