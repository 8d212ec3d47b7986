"""Deliveries: a courier's round, on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.contexts.shipping.contracts import DeliveryStatus, DeliveryView, ListDeliveries, MoveDelivery
from torg.kit.access import HIDDEN
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.forms import read_form

TABS: Final[tuple[DeliveryStatus, ...]] = ("scheduled", "shipped", "in_transit", "delivered", "returned", "cancelled")
NEXT: Final[Mapping[DeliveryStatus, DeliveryStatus]] = {"scheduled": "shipped", "shipped": "in_transit", "in_transit": "delivered"}
DO: Final[Mapping[DeliveryStatus, str]] = {"shipped": "Picked up", "in_transit": "On the way", "delivered": "Delivered", "returned": "Back in the warehouse"}
"""What the button says that moves a parcel to this status."""


async def listed(visit: Visit, refusal: DomainError | None = None) -> Response:
    order_id = visit.query.get("order_id", "")
    asked = visit.query.get("status", "" if order_id else "scheduled")
    status = next((tab for tab in TABS if tab == asked), None)
    page = await visit.ask(ListDeliveries(viewer=visit.identity, order_id=order_id, status=status, cursor=visit.query.get("cursor", "")))
    steps = {delivery.id: following(delivery) for delivery in page.items} if visit.may("deliveries:write") else {}
    contacts = await visit.contacts([delivery.user_id for delivery in page.items])
    names = {user_id: contact.full_name for user_id, contact in contacts.items()}
    return visit.page(
        "deliveries.html",
        refusal,
        deliveries=page.items,
        more_cursor=page.next_cursor,
        shown_tabs=TABS,
        tab=status,
        steps=steps,
        do=DO,
        names=names,
        hidden=HIDDEN,
    )


async def move(visit: Visit) -> Response:
    form = await visit.form()
    shown = form.get("status_shown", "")
    visit.query = Given({"status": shown})
    try:
        await visit.ask(read_form(MoveDelivery, form, visit.deps.clock(), delivery_id=visit.of_path("delivery_id"), courier=visit.identity))
    except DomainError as refusal:
        return await listed(visit.back_at("/admin/deliveries"), refusal)
    return visit.go("/admin/deliveries", "moved", status=shown)


def following(delivery: DeliveryView) -> DeliveryStatus | None:
    """The one status that may come next."""
    if delivery.kind == "return":
        return "returned" if delivery.status == "scheduled" else None
    return NEXT.get(delivery.status)
