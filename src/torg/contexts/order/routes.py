"""Orders over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from torg.contexts.order import contracts as c
from torg.contexts.order import handlers, model
from torg.contexts.order.ports import OrderDeps
from torg.kit.auth import SIGNED_IN, Role
from torg.kit.http import Request, Response, Route, ServerEvent, Urgency, event_stream, get, post, signed_in
from torg.kit.messages import encode

OPERATORS = frozenset({Role.SUPPORT})


def routes(deps: OrderDeps) -> Sequence[Route]:
    async def stream(request: Request) -> Response:
        """Each change of the order's status, from the log; resumes behind Last-Event-ID."""
        order = await handlers.get_order(c.GetOrder(request.path_values["order_id"], signed_in(request)), deps)
        seen = request.header("last-event-id")
        return event_stream(_changes(order.id, int(seen) if seen.isdecimal() and len(seen) < 19 else 0, deps))

    return (
        *_for_operators(),
        post(
            "/orders", c.PlaceOrder, who=SIGNED_IN, status=202, idempotency="required", location=lambda order: f"/api/v1/orders/{order.id}",
            summary="Order what is in the cart", urgency=Urgency.CHECKOUT,
        ),
        get("/orders", c.ListOrders, who=SIGNED_IN, summary="Your orders of a period, newest first"),
        get("/orders/{order_id}", c.GetOrder, who=SIGNED_IN, urgency=Urgency.CHECKOUT, summary="One order"),
        get("/orders/{order_id}/events", c.GetHistory, who=SIGNED_IN, summary="An order's history from the log"),
        get("/orders/{order_id}/saga", c.GetSaga, who=SIGNED_IN, summary="How far an order's checkout saga is"),
        get("/orders/{order_id}/stream", endpoint=stream, who=SIGNED_IN, media="text/event-stream", summary="An order's changes of status, live (SSE)"),
        post("/orders/{order_id}/cancel", c.CancelMyOrder, who=SIGNED_IN, status=202, idempotency="required", summary="Cancel an order"),
        post("/orders/{order_id}/returns", c.RequestReturn, who=SIGNED_IN, status=202, idempotency="required", summary="Return delivered goods"),
    )  # fmt: skip


def _for_operators() -> Sequence[Route]:
    return (
        get("/admin/orders", c.ListAllOrders, who=OPERATORS, summary="Everybody's orders of a period, newest first"),
        get("/admin/sagas", c.ListSagas, who=OPERATORS, summary="Sagas, newest first"),
        post("/admin/sagas/{saga_id}/retry", c.RetrySaga, who=OPERATORS, idempotency="accepted", summary="Have a saga's current step asked again, now"),
        post(
            "/admin/sagas/{saga_id}/compensate", c.CompensateSaga, who=OPERATORS, idempotency="accepted", summary="Give a saga up, and have everything undone"
        ),
    )  # fmt: skip


async def _changes(order_id: str, after: int, deps: OrderDeps) -> AsyncIterator[ServerEvent]:
    order: model.Order | None = None
    async for row in deps.store.log.follow(order_id, 0):
        before, order = order and order.status, model.apply(order, row.message, row.at)
        if order.status != before and row.version > after:
            yield ServerEvent("order.status", encode({"order_id": order_id, "status": order.status, "at": row.at}), str(row.version))
