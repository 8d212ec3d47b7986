"""The cart's page and its forms."""

from __future__ import annotations

from collections.abc import Mapping

from torg.contexts.cart.contracts import ApplyPromoCode, CartView, ClearCart, DropPromoCode, GetCart, PutItem, RemoveItem
from torg.contexts.catalog.contracts import ListedProduct, ListProductsById
from torg.contexts.web.model import read_form, safe_path, whole_number
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response

MOST = 99  # of one product


async def cart(visit: Visit) -> Response:
    return await _page(visit)


async def add(visit: Visit) -> Response:
    """Puts so many more of a product into the cart."""
    form = await visit.form()
    back, wanted = safe_path(form.get("back", "/cart")), form.get("product_id", "")
    try:
        before = await visit.ask(GetCart(visitor=visit.identity, guest_cart_id=visit.guest_cart_id, language=visit.language))
        inside = sum(item.quantity for item in before.items if item.product_id == wanted)
        added = whole_number(form.get("quantity", ""))
        now = await visit.ask(_put(visit, before.id if before.guest else "", wanted, min(inside + max(added, 1), MOST)))
    except DomainError as refusal:
        return await _page(visit, refusal.status, faults=visit.faults(refusal))
    visit.remember_cart(now)
    return visit.go(back, "cart_added")


async def change(visit: Visit) -> Response:
    """Sets how many of a product the cart holds; none takes it out."""
    form, product_id = await visit.form(), visit.request.path_values["product_id"]
    typed = form.get("set") or form.get("quantity", "")
    try:
        if form.get("remove") or typed == "0":
            await visit.ask(RemoveItem(visitor=visit.identity, guest_cart_id=visit.guest_cart_id, language=visit.language, product_id=product_id))
            return visit.go("/cart", "cart_removed")
        given = {"visitor": visit.identity, "guest_cart_id": visit.guest_cart_id, "language": visit.language, "product_id": product_id}
        visit.remember_cart(await visit.ask(read_form(PutItem, {"quantity": typed}, visit.deps.clock(), **given)))
    except DomainError as refusal:
        return await _page(visit, refusal.status, faults={product_id: next(iter(visit.faults(refusal).values()))})
    return visit.go("/cart")


async def clear(visit: Visit) -> Response:
    await visit.ask(ClearCart(visitor=visit.identity, guest_cart_id=visit.guest_cart_id, language=visit.language))
    return visit.go("/cart", "cart_cleared")


async def use_promo_code(visit: Visit) -> Response:
    form = await visit.form()
    given = {"visitor": visit.identity, "guest_cart_id": visit.guest_cart_id, "language": visit.language}
    try:
        visit.remember_cart(await visit.ask(read_form(ApplyPromoCode, form, visit.deps.clock(), **given)))
    except DomainError as refusal:
        return await _page(visit, refusal.status, form=form, faults={"code": next(iter(visit.faults(refusal).values()))})
    return visit.go("/cart", "promo_used")


async def drop_promo_code(visit: Visit) -> Response:
    await visit.ask(DropPromoCode(visitor=visit.identity, guest_cart_id=visit.guest_cart_id, language=visit.language))
    return visit.go("/cart", "promo_dropped")


async def _page(visit: Visit, status: int = 200, form: Mapping[str, str] | None = None, faults: Mapping[str, str] | None = None) -> Response:
    now = await visit.ask(GetCart(visitor=visit.identity, guest_cart_id=visit.guest_cart_id, language=visit.language))
    products = await shown_products(visit, now)
    return await visit.page("cart.html", status, cart=now, view=now, products=products, form=form or {}, faults=faults or {})


async def shown_products(visit: Visit, view: CartView) -> dict[str, ListedProduct]:
    """The pictures and stock of what is in a cart, by id; a cart can be shown without."""
    if not view.items:
        return {}
    found = await visit.ask_for_extra(ListProductsById(product_ids=tuple(item.product_id for item in view.items), language=visit.language))
    return {item.id: item for item in found or ()}


def _put(visit: Visit, guest_cart_id: str, product_id: str, quantity: int) -> PutItem:
    given = {"visitor": visit.identity, "guest_cart_id": guest_cart_id, "language": visit.language}
    return read_form(PutItem, {"product_id": product_id, "quantity": str(quantity)}, visit.deps.clock(), **given)
