"""Orders of a period, one order with its way, calling it off, sending goods back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta
from typing import get_args

import msgspec

from torg.contexts.catalog.contracts import ListedProduct, ListProductsById
from torg.contexts.order.contracts import (
    CancelMyOrder,
    GetHistory,
    GetOrder,
    GetSaga,
    History,
    ListOrders,
    OrderView,
    RequestReturn,
    ReturnLine,
    SagaView,
    Status,
)  # fmt: skip
from torg.contexts.payment.contracts import ListPayments
from torg.contexts.shipping.contracts import ListDeliveries
from torg.contexts.web.model import MOVING, read_form, way, whole_number
from torg.contexts.web.routes.links import link
from torg.contexts.web.routes.visit import Visit, spoken
from torg.kit.errors import DomainError, FieldError, Invalid
from torg.kit.http import Response

STATUSES: tuple[Status, ...] = get_args(Status)
CALLED_OFF = frozenset({"cancelling", "cancelled"})
REFUSALS = frozenset({"order.rejected", "order.cancellation_failed", "order.return_failed"})
PICTURES = 4  # of an order in the list


async def orders(visit: Visit) -> Response:
    given = {name: value.strip() for name, value in visit.request.query().items() if name in ("from", "to", "status", "cursor")}
    faults: dict[str, str] = {}
    try:
        page = await visit.ask(_question(visit, given))
    except Invalid as refusal:
        faults = visit.faults(refusal)
        page = await visit.ask(ListOrders(buyer=visit.member))
    more = link("/orders", given, cursor=page.next_cursor) if page.next_cursor else ""
    pictures = await _products(visit, *page.items)
    return await visit.page(
        "orders.html", 422 if faults else 200, orders=page.items, products=pictures, form=given, faults=faults, statuses=STATUSES, more=more, shown=PICTURES
    )


async def order(visit: Visit) -> Response:
    return await _page(visit)


async def cancel(visit: Visit) -> Response:
    form, order_id = await visit.form(), visit.request.path_values["order_id"]
    given = {"order_id": order_id, "buyer": visit.member}
    try:
        await visit.ask(read_form(CancelMyOrder, {"reason": form.get("reason") or visit.text("order.cancel.no_reason")}, visit.deps.clock(), **given))
    except DomainError as refusal:
        if (await visit.ask(GetOrder(order_id, visit.member))).status not in CALLED_OFF:  # else it was a second click
            return await _page(visit, refusal, form)
    return visit.go(f"/orders/{order_id}", "order_cancelling")


async def send_back(visit: Visit) -> Response:
    form, order_id = await visit.form(), visit.request.path_values["order_id"]
    try:
        lines = tuple(ReturnLine(name[5:], count) for name, value in form.items() if name.startswith("line.") and (count := whole_number(value)))
        if not lines:
            raise Invalid.fields(FieldError("lines", "missing", "choose what you send back"))
        await visit.ask(read_form(RequestReturn, form, visit.deps.clock(), order_id=order_id, buyer=visit.member, lines=lines))
    except DomainError as refusal:
        if (await visit.ask(GetOrder(order_id, visit.member))).status != "return_requested":
            return await _page(visit, refusal, form)
    return visit.go(f"/orders/{order_id}", "return_requested")


async def _page(visit: Visit, refusal: DomainError | None = None, form: Mapping[str, str] | None = None) -> Response:
    order_id, viewer = visit.request.path_values["order_id"], visit.member
    found = await visit.ask(GetOrder(order_id, viewer))
    logged, saga_state = visit.ask_for_extra(GetHistory(order_id, viewer)), visit.ask_for_extra(GetSaga(order_id, viewer))
    parcels = visit.ask_for_extra(ListDeliveries(viewer=viewer, order_id=order_id))
    paid = visit.ask_for_extra(ListPayments(viewer=viewer, order_id=order_id))
    history, saga, deliveries, payments, products = await asyncio.gather(logged, saga_state, parcels, paid, _products(visit, found))
    return await visit.page(
        "order.html", refusal.status if refusal else 200, order=found, stops=way(found, history.items if history else ()), saga=_told(saga),
        deliveries=deliveries.items if deliveries else (), payment=payments.items[0] if payments and payments.items else None, products=products,
        moving=found.status in MOVING, faults=visit.faults(refusal) if refusal else {}, form=form or {}, reason=spoken(_why(history)),
    )  # fmt: skip


def _question(visit: Visit, given: Mapping[str, str]) -> ListOrders:
    """The period that a person means: the last day belongs to it. Raises Invalid."""
    typed = {"since": given.get("from", ""), "until": given.get("to", ""), "status": given.get("status", ""), "cursor": given.get("cursor", "")}
    if typed["until"]:
        try:
            typed["until"] = (date.fromisoformat(typed["until"]) + timedelta(days=1)).isoformat()
        except (ValueError, OverflowError) as error:
            raise Invalid.fields(FieldError("to", "invalid", "write a date")) from error
    return read_form(ListOrders, typed, visit.deps.clock(), buyer=visit.member)


async def _products(visit: Visit, *found: OrderView) -> dict[str, ListedProduct]:
    """What can still be seen in the catalogue of what was ordered, by id."""
    wanted = dict.fromkeys(line.product_id for one in found for line in one.lines)
    if not wanted:
        return {}
    listed = await visit.ask_for_extra(ListProductsById(product_ids=tuple(wanted), language=visit.language))
    return {item.id: item for item in listed or ()}


def _told(saga: SagaView | None) -> SagaView | None:
    return saga if saga and saga.steps else None


class _Reason(msgspec.Struct):
    reason: str = ""


def _why(history: History | None) -> str:
    """The reason for which an order ended or a wish was refused, as its log tells it."""
    refusals = [entry for entry in history.items if entry.name in REFUSALS] if history else []
    return msgspec.json.decode(refusals[-1].data, type=_Reason).reason if refusals else ""
