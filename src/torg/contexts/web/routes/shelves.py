"""Looking around: the home page, departments, categories and search."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice

from babel.numbers import get_currency_precision

from torg.contexts.catalog.contracts import CategoryNode, ListedProduct, ListProducts, ListShelf, ProductPage
from torg.contexts.web.model import minor_units, path_to, read_form
from torg.contexts.web.routes.links import link
from torg.contexts.web.routes.visit import AWAY, Visit
from torg.kit.errors import Invalid, NotFound, Unavailable
from torg.kit.http import Response

SORTS = ("relevance", "-popularity", "price", "-price", "-rating", "-created_at")
FILTERS = ("query", "brand", "price_min", "price_max", "in_stock", "rating_min", "sort")
SHOWN_DEPARTMENTS = 12
ON_A_SHELF = 12
ON_A_BARE_SHELF = 48  # without search there is no next page
IN_THE_WINDOW = 6
LOOKED_THROUGH_FOR_OFFERS = 100  # of the most popular products


async def home(visit: Visit) -> Response:
    asked = visit.ask_for_extra(ListProducts(sort="-popularity", in_stock=True, limit=LOOKED_THROUGH_FOR_OFFERS, language=visit.language))
    tree, popular, pictures = await asyncio.gather(visit.deps.categories.tree(visit.language), asked, visit.deps.categories.pictures(visit.language))
    items = popular.items if popular else ()
    offers = tuple(islice((item for item in items if item.old_price), ON_A_SHELF))
    chosen = {item.id for item in offers}
    shelf = [item for item in items if item.id not in chosen][:ON_A_SHELF]
    departments = sorted(tree, key=lambda node: -node.product_count)[:SHOWN_DEPARTMENTS]
    return await visit.page(
        "home.html", departments=departments, pictures=pictures, popular=shelf, offers=offers, window=_window(items), away=popular is None
    )  # fmt: skip


async def departments(visit: Visit) -> Response:
    return await visit.page("departments.html", tree=await visit.deps.categories.tree(visit.language))


async def category(visit: Visit) -> Response:
    wanted = visit.request.path_values["category_id"]
    tree = await visit.deps.categories.tree(visit.language)
    path = path_to(tree, wanted)
    if tree and not path:
        raise NotFound("category.not_found", f"there is no category {wanted}")
    return await _listing(visit, f"/catalog/{wanted}", tree, path)


async def search(visit: Visit) -> Response:
    given = visit.request.query()
    if not given.get("query", "").strip() and not given.get("brand"):
        return Response.see_other("/catalog")
    tree = await visit.deps.categories.tree(visit.language)
    return await _listing(visit, "/search", tree, path_to(tree, given.get("category", "")))


async def _listing(visit: Visit, base: str, tree: Sequence[CategoryNode], path: Sequence[CategoryNode]) -> Response:
    given = {name: value.strip() for name, value in visit.request.query().items() if value.strip()}
    chosen = {name: given[name] for name in FILTERS if name in given}
    category = path[-1].id if path else ""
    if base == "/search" and category:
        chosen["category"] = category
    try:
        found = await visit.deps.search(_question(visit, chosen, category, given.get("cursor", "")))
    except Invalid:
        return visit.go(link(base, {name: chosen[name] for name in ("query", "category") if name in chosen}))
    except Unavailable:
        return await _without_search(visit, tree, path, chosen.get("query", ""))
    return await visit.page(
        "listing.html", base=base, chosen=chosen, crumbs=path, found=found, query=chosen.get("query", ""), sorts=SORTS,
        children=_children(path[-1].children if path else tree, found), more=_more(base, chosen, found), removable=_removable(base, chosen, found, path),
    )  # fmt: skip


async def _without_search(visit: Visit, tree: Sequence[CategoryNode], path: Sequence[CategoryNode], query: str) -> Response:
    """The catalogue itself knows the categories, and some of what lies in one."""
    below = [node for node in (path[-1].children if path else tree) if node.product_count]
    lying = await _shelf(visit, path[-1].id) if path and not query else ()
    pictures = await visit.deps.categories.pictures(visit.language)
    return await visit.page("listing_away.html", 200 if lying else AWAY, crumbs=path, query=query, below=below, lying=lying, pictures=pictures)


async def _shelf(visit: Visit, category: str) -> Sequence[ListedProduct]:
    found = await visit.ask_for_extra(ListShelf(category=category, limit=ON_A_BARE_SHELF, language=visit.language))
    return found or ()


def _question(visit: Visit, chosen: Mapping[str, str], category: str, cursor: str) -> ListProducts:
    digits = get_currency_precision(visit.deps.currency)
    prices = {name: minor_units(chosen[name], digits) for name in ("price_min", "price_max") if name in chosen}
    sort = {} if "query" in chosen or "sort" in chosen else {"sort": "-popularity"}
    rest = {name: value for name, value in chosen.items() if name not in prices} | sort
    return read_form(ListProducts, rest, visit.deps.clock(), category=category, cursor=cursor, language=visit.language, **prices)


def _children(below: Sequence[CategoryNode], found: ProductPage) -> Sequence[tuple[str, str, int]]:
    """Categories to go on to, as (id, name, count)."""
    counts = {value.value: value.count for value in found.facets.category}
    return sorted(((node.id, node.name, counts[node.id]) for node in below if counts.get(node.id)), key=lambda one: -one[2])


def _more(base: str, chosen: Mapping[str, str], found: ProductPage) -> str:
    return link(base, chosen, cursor=found.next_cursor) if found.next_cursor else ""


def _removable(base: str, chosen: Mapping[str, str], found: ProductPage, path: Sequence[CategoryNode]) -> list[tuple[str, str, str]]:
    """What is filtered by, as (kind, value, address without it)."""
    names = {value.value: value.name for value in found.facets.brand}
    shown = {"brand": names.get(chosen.get("brand", ""), chosen.get("brand", "")), "category": path[-1].name if path else ""}
    kinds = [name for name in ("category", "brand", "price_min", "price_max", "rating_min", "in_stock") if name in chosen]
    return [(kind, shown.get(kind) or chosen[kind], link(base, {name: chosen[name] for name in chosen if name != kind})) for kind in kinds]


def _window(items: Sequence[ListedProduct]) -> list[str]:
    """Pictures for the shop window: the most popular product of each of the first departments."""
    pictures: dict[str, str] = {}
    for item in items:
        if item.pictures and item.category_path:
            pictures.setdefault(item.category_path[0].id, item.pictures[0])
    return list(pictures.values())[:IN_THE_WINDOW]
