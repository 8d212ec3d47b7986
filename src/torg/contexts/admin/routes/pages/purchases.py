"""Purchase orders and suppliers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.inventory.contracts import (
    AddSupplier,
    CancelPurchaseOrder,
    DraftPurchaseOrder,
    GetPurchaseOrder,
    ListPurchaseOrders,
    ListSuppliers,
    ListWarehouses,
    PlacePurchaseOrder,
    PurchaseLine,
    ReceivePurchase,
)
from torg.kit.errors import DomainError, FieldError, Invalid
from torg.kit.http import Response
from torg.kit.http.forms import read_form


async def listed(visit: Visit, refusal: DomainError | None = None) -> Response:
    page = await visit.ask(ListPurchaseOrders(cursor=visit.query.get("cursor", "")))
    suppliers = {supplier.id: supplier for supplier in (await visit.ask(ListSuppliers(limit=100))).items}
    houses = {house.id: house for house in (await visit.ask(ListWarehouses())).items}
    typed = await visit.form() if refusal else Given()
    return visit.page("purchases.html", refusal, purchases=page.items, more_cursor=page.next_cursor, suppliers=suppliers, houses=houses, typed=typed)


async def one(visit: Visit, refusal: DomainError | None = None) -> Response:
    purchase = await visit.ask(GetPurchaseOrder(visit.of_path("purchase_order_id")))
    offers = await visit.ask(GetOffers(tuple(line.product_id for line in purchase.lines)))
    suppliers = {supplier.id: supplier for supplier in (await visit.ask(ListSuppliers(limit=100))).items}
    houses = {house.id: house for house in (await visit.ask(ListWarehouses())).items}
    names = {offer.product_id: offer.name for offer in offers}
    return visit.page("purchase.html", refusal, purchase=purchase, names=names, suppliers=suppliers, houses=houses)


async def draft(visit: Visit) -> Response:
    form = await visit.form()
    try:
        made = await visit.ask(read_form(DraftPurchaseOrder, form, visit.deps.clock(), keeper=visit.identity, lines=_typed_lines(form.get("wanted", ""))))
    except DomainError as refusal:
        return await listed(visit.back_at("/admin/purchases"), refusal)
    return visit.go(f"/admin/purchases/{made.id}", "drafted")


async def place(visit: Visit) -> Response:
    purchase_id = visit.of_path("purchase_order_id")
    try:
        await visit.ask(PlacePurchaseOrder(purchase_id, visit.identity))
    except DomainError as refusal:
        return await one(visit.back_at(f"/admin/purchases/{purchase_id}"), refusal)
    return visit.go(f"/admin/purchases/{purchase_id}", "ordered")


async def cancel(visit: Visit) -> Response:
    purchase_id = visit.of_path("purchase_order_id")
    try:
        await visit.ask(CancelPurchaseOrder(purchase_id, visit.identity))
    except DomainError as refusal:
        return await one(visit.back_at(f"/admin/purchases/{purchase_id}"), refusal)
    return visit.go(f"/admin/purchases/{purchase_id}", "given_up")


async def receive(visit: Visit) -> Response:
    purchase_id = visit.of_path("purchase_order_id")
    try:
        await visit.ask(ReceivePurchase(purchase_order_id=purchase_id, keeper=visit.identity, lines=_counted_lines(await visit.form())))
    except DomainError as refusal:
        return await one(visit.back_at(f"/admin/purchases/{purchase_id}"), refusal)
    return visit.go(f"/admin/purchases/{purchase_id}", "received")


async def add_supplier(visit: Visit) -> Response:
    try:
        await visit.ask(read_form(AddSupplier, await visit.form(), visit.deps.clock()))
    except DomainError as refusal:
        return await listed(visit.back_at("/admin/purchases"), refusal)
    return visit.go("/admin/purchases", "supplier")


def _typed_lines(text: str) -> tuple[PurchaseLine, ...]:
    """A product's id and a number of units on each line. Raises Invalid."""
    lines = [_line(*words) if len(words := line.split()) == 2 else None for line in text.splitlines() if line.strip()]
    if not lines or None in lines:
        raise Invalid.fields(FieldError("lines", "invalid", "write on each line a product's id and how many units of it, such as: 1029743 24"))
    return tuple(line for line in lines if line)


def _counted_lines(form: Mapping[str, str]) -> tuple[PurchaseLine, ...]:
    """What was counted of each product; nothing of those left empty. Raises Invalid."""
    counted = {name.removeprefix("count:"): typed.strip() for name, typed in form.items() if name.startswith("count:") and typed.strip() not in ("", "0")}
    lines = [_line(product_id, typed) for product_id, typed in counted.items()]
    if not lines or None in lines:
        raise Invalid.fields(FieldError("lines", "invalid", "say how many units of at least one product have come, in whole numbers"))
    return tuple(line for line in lines if line)


def _line(product_id: str, quantity: str) -> PurchaseLine | None:
    try:
        return msgspec.convert({"product_id": product_id, "quantity": quantity}, PurchaseLine, strict=False)
    except msgspec.ValidationError:
        return None
