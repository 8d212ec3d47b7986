"""Stock for its keepers: finding a product, what lies where, and corrections."""

from __future__ import annotations

from torg.contexts.admin.routes.pages.visit import Visit
from torg.contexts.catalog.contracts import GetOffers, ListProducts
from torg.contexts.inventory.contracts import GetStock, ListLowStock, ListMovements, ListWarehouses, MoveStock, SetStockAlert
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.forms import read_form


async def found(visit: Visit) -> Response:
    words = visit.query.get("q", "").strip()
    if not words:
        return await _low(visit)
    if await visit.ask(GetOffers((words,))):
        return visit.go(f"/admin/stock/{words}")
    products = await visit.ask(ListProducts(query=words, cursor=visit.query.get("cursor", ""), language=visit.language))
    return visit.page("stock.html", products=products.items, more_cursor=products.next_cursor, low=None, names={})


async def _low(visit: Visit) -> Response:
    low = await visit.ask(ListLowStock(cursor=visit.query.get("cursor", ""), limit=100))
    offers = await visit.ask(GetOffers(tuple(line.product_id for line in low.items)))
    names = {offer.product_id: offer.name for offer in offers}
    return visit.page("stock.html", products=None, low=low.items, names=names, more_cursor=low.next_cursor)


async def one(visit: Visit, refusal: DomainError | None = None) -> Response:
    product_id = visit.of_path("product_id")
    offers = await visit.ask(GetOffers((product_id,)))
    stock = await visit.ask(GetStock(product_id, visit.identity))
    houses = {house.id: house for house in (await visit.ask(ListWarehouses())).items}
    movements = await visit.ask(ListMovements(product_id=product_id, cursor=visit.query.get("cursor", "")))
    return visit.page(
        "product_stock.html", refusal, product_id=product_id, offer=offers[0] if offers else None, stock=stock, houses=houses,
        movements=movements.items, more_cursor=movements.next_cursor,
    )  # fmt: skip


async def move(visit: Visit) -> Response:
    product_id = visit.of_path("product_id")
    try:
        await visit.ask(read_form(MoveStock, await visit.form(), visit.deps.clock(), product_id=product_id, keeper=visit.identity))
    except DomainError as refusal:
        return await one(visit.back_at(f"/admin/stock/{product_id}"), refusal)
    return visit.go(f"/admin/stock/{product_id}", "corrected")


async def alert(visit: Visit) -> Response:
    product_id = visit.of_path("product_id")
    try:
        await visit.ask(read_form(SetStockAlert, await visit.form(), visit.deps.clock(), product_id=product_id))
    except DomainError as refusal:
        return await one(visit.back_at(f"/admin/stock/{product_id}"), refusal)
    return visit.go(f"/admin/stock/{product_id}", "alert")
