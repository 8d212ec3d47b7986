"""Orders over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from torg.contexts.order import contracts as c
from torg.contexts.order import model
from torg.contexts.order.handlers import asked
from torg.contexts.order.ports import OrderDeps
from torg.kit.http import Request, Response, Route, ServerEvent, Urgency, event_stream, get, post, signed_in
from torg.kit.messages import encode


def routes(deps: OrderDeps) -> Sequence[Route]:
    async def stream(request: Request) -> Response:
        """Each change of the order's status, from the log; resumes behind Last-Event-ID."""
        order = await asked.get_order(c.GetOrder(request.path_values["order_id"], signed_in(request)), deps)
        seen = request.header("last-event-id")
        return event_stream(_changes(order.id, int(seen) if seen.isdecimal() and len(seen) < 19 else 0, deps))

    return (
        *_for_operators(),
        post(
            "/orders", c.PlaceOrder, right="orders:write", status=202, idempotency="required", location=lambda order: f"/api/v1/orders/{order.id}",
            summary="Order what is in the cart", urgency=Urgency.CHECKOUT,
        ),
        get("/orders", c.ListOrders, right="orders:read", summary="Your orders of a period, newest first"),
        get("/orders/{order_id}", c.GetOrder, right="orders:read", urgency=Urgency.CHECKOUT, summary="One order"),
        get("/orders/{order_id}/events", c.GetHistory, right="orders:read", summary="An order's history from the log"),
        get("/orders/{order_id}/saga", c.GetSaga, right="orders:read", summary="How far an order's checkout saga is"),
        get("/orders/{order_id}/stream", endpoint=stream, right="orders:read", media="text/event-stream", summary="An order's changes of status, live (SSE)"),
        post(
            "/orders/{order_id}/cancel", c.CancelMyOrder, about=c.GetOrder, right="orders:write", status=202, idempotency="required",
            summary="Cancel an order",
        ),
        post(
            "/orders/{order_id}/returns", c.RequestReturn, about=c.GetOrder, right="orders:write", status=202, idempotency="required",
            summary="Return delivered goods",
        ),
    )  # fmt: skip


def _for_operators() -> Sequence[Route]:
    return (
        get("/admin/orders", c.ListAllOrders, right="all-orders:read", summary="Everybody's orders of a period, newest first"),
        post(
            "/admin/orders/{order_id}/rebuild", c.RebuildOrder, about=c.GetOrder, right="tables:write",
            summary="Make the lists' row of an order what the log says",
        ),
        get("/admin/sagas", c.ListSagas, right="sagas:read", summary="Sagas, newest first"),
        post(
            "/admin/sagas/{saga_id}/retry", c.RetrySaga, about=c.FindSaga, right="sagas:write", idempotency="accepted",
            summary="Have a saga's current step asked again, now",
        ),
        post(
            "/admin/sagas/{saga_id}/compensate", c.CompensateSaga, about=c.FindSaga, right="sagas:write", idempotency="accepted",
            summary="Give a saga up, and have everything undone"
        ),
    )  # fmt: skip


async def _changes(order_id: str, after: int, deps: OrderDeps) -> AsyncIterator[ServerEvent]:
    order: model.Order | None = None
    async for row in deps.store.log.follow(order_id, 0):
        before, order = order and order.status, model.apply(order, row.message, row.at)
        if order.status != before and row.version > after:
            yield ServerEvent("order.status", encode({"order_id": order_id, "status": order.status, "at": row.at}), str(row.version))
