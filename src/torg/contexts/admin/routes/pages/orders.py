"""Orders for support: finding them, and everything about one."""

from __future__ import annotations

from typing import get_args

import msgspec

from torg.contexts.admin.routes.pages.visit import Visit
from torg.contexts.order.contracts import (
    CancelMyOrder,
    GetHistory,
    GetOrder,
    GetSaga,
    ListAllOrders,
    OrderPage,
    Status,
)
from torg.contexts.payment.contracts import ListPayments
from torg.contexts.shipping.contracts import ListDeliveries
from torg.contexts.user.contracts import ListUsers, User
from torg.kit.errors import DomainError, NotFound
from torg.kit.http import Response
from torg.kit.http.forms import read_form
from torg.kit.values import is_id

PLACES = ("user_id", "order_id")  # said beside the entries of a history already


async def listed(visit: Visit, refusal: DomainError | None = None) -> Response:
    words = visit.query.get("q", "").strip()
    if is_id(words):
        return visit.go(f"/admin/orders/{words}")
    people = (await visit.ask(ListUsers(query=words, limit=10))).items if words else ()
    page = await _found(visit, people) if people or not words else OrderPage((), None)
    names = {person.id: person.email for person in people} or await visit.names([order.user_id for order in page.items])
    return visit.page("orders.html", refusal, orders=page.items, more_cursor=page.next_cursor, names=names, people=people, statuses=get_args(Status))


async def one(visit: Visit, refusal: DomainError | None = None) -> Response:
    order_id, viewer = visit.of_path("order_id"), visit.identity
    order = await visit.ask(GetOrder(order_id, viewer))
    saga = await visit.ask_for_extra(GetSaga(order_id, viewer))
    history = await visit.ask(GetHistory(order_id, viewer))
    payments = await visit.ask_for_extra(ListPayments(viewer=viewer, order_id=order_id))
    deliveries = await visit.ask_for_extra(ListDeliveries(viewer=viewer, order_id=order_id))
    return visit.page(
        "order.html", refusal, order=order, saga=saga, history=[(entry, _told(entry.data)) for entry in history.items],
        payments=payments.items if payments else (), deliveries=deliveries.items if deliveries else (), names=await visit.names([order.user_id]),
    )  # fmt: skip


async def cancel(visit: Visit) -> Response:
    order_id = visit.of_path("order_id")
    try:
        await visit.ask(read_form(CancelMyOrder, await visit.form(), visit.deps.clock(), order_id=order_id, buyer=visit.identity))
    except NotFound:
        raise
    except DomainError as refusal:
        return await one(visit.back_at(f"/admin/orders/{order_id}"), refusal)
    return visit.go(f"/admin/orders/{order_id}", "cancelled")


async def _found(visit: Visit, people: tuple[User, ...]) -> OrderPage:
    """Those of the person found, or everybody's; of several people, the page lists the people."""
    if len(people) > 1 and not any(person.email == visit.query["q"].strip().lower() for person in people):
        return OrderPage((), None)
    return await visit.ask(read_form(ListAllOrders, _renamed(visit.query), visit.deps.clock(), viewer=visit.identity, user_id=people[0].id if people else ""))


def _renamed(query: dict[str, str]) -> dict[str, str]:
    return {{"from": "since", "to": "until"}.get(name, name): value for name, value in query.items()}


def _told(data: msgspec.Raw) -> str:
    """What an event says besides whom it is about."""
    told = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: value for name, value in told.items() if name not in PLACES}).decode()
