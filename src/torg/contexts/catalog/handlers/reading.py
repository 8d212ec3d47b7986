"""Questions that the store answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal

from torg.contexts.analytics.contracts import GetRecommendations
from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.handlers.searching import on_card
from torg.contexts.catalog.ports import CatalogDeps, SearchRequest
from torg.kit.errors import NotFound, Unavailable

SOON = 0.3  # seconds: pages wait for hardly more


async def get_offers(query: c.GetOffers, deps: CatalogDeps) -> tuple[c.Offer, ...]:
    return await deps.products.offers(query.product_ids)


async def get_product(query: c.GetProduct, deps: CatalogDeps) -> c.ProductView:
    return model.view(await _find(query.product_id, deps), await deps.categories.tree(), query.language)


async def list_products_by_id(query: c.ListProductsById, deps: CatalogDeps) -> tuple[c.ListedProduct, ...]:
    tree = await deps.categories.tree()
    found = await deps.products.find_all(query.product_ids)
    return tuple(model.listed(stocked, tree, query.language) for stocked in found if stocked.product.on_sale)


async def list_shelf(query: c.ListShelf, deps: CatalogDeps) -> tuple[c.ListedProduct, ...]:
    tree = await deps.categories.tree()
    found = await deps.products.shelf(tree.below([query.category]), query.limit)
    return tuple(model.listed(stocked, tree, query.language) for stocked in found)


async def list_categories(query: c.ListCategories, deps: CatalogDeps) -> c.CategoryList:
    tree = await deps.categories.tree()
    return c.CategoryList(tree.shown(await deps.products.count_by_category(), query.language))


async def recommend(query: c.Recommend, deps: CatalogDeps) -> c.RecommendedProducts:
    product = (await _find(query.product_id, deps)).product
    together = await _or_none(_bought_together(query, deps))
    similar = await _or_none(_most_popular_around(product, query, deps))
    missing: tuple[tuple[Literal["bought_together", "similar"], object], ...] = (("bought_together", together), ("similar", similar))
    return c.RecommendedProducts(together or (), similar or (), tuple(name for name, found in missing if found is None))


async def _or_none(asked: Awaitable[tuple[c.ListedProduct, ...]]) -> tuple[c.ListedProduct, ...] | None:
    """None while whoever would know is away: a product's page does without."""
    try:
        async with asyncio.timeout(SOON):
            return await asked
    except (Unavailable, TimeoutError):
        return None


async def _bought_together(query: c.Recommend, deps: CatalogDeps) -> tuple[c.ListedProduct, ...]:
    together = (await deps.spare(GetRecommendations(query.product_id, query.limit))).bought_together
    shown = await list_products_by_id(c.ListProductsById(product_ids=together, language=query.language), deps)
    return shown[: query.limit]


async def _most_popular_around(product: model.Product, query: c.Recommend, deps: CatalogDeps) -> tuple[c.ListedProduct, ...]:
    """Of its category; of the wider ones where that has too few."""
    tree = await deps.categories.tree()
    found: dict[str, c.ListedProduct] = {}
    for category in reversed(tree.path_ids(product.category)):
        page = await deps.index.search(SearchRequest(category=category, sort="-popularity", limit=query.limit + 1, language=query.language))
        for card in page.items:
            found.setdefault(card.id, on_card(card, tree, query.language, deps.currency))
        found.pop(product.id, None)
        if len(found) >= query.limit:
            break
    return tuple(found.values())[: query.limit]


async def _find(product_id: str, deps: CatalogDeps) -> model.Stocked:
    found = await deps.products.find(product_id)
    if found is None or not found.product.on_sale:
        raise NotFound("product.not_found", f"there is no product {product_id}" if found is None else f"{found.product.name} is no longer sold")
    return found
