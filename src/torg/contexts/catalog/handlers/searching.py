"""Questions that the index answers, and what staff tell it."""

from __future__ import annotations

import time

from msgspec import UNSET

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model, ports
from torg.contexts.catalog.ports import CatalogDeps, SearchRequest
from torg.kit.errors import FieldError, Invalid
from torg.kit.values import Language, Money, in_language


async def list_products(query: c.ListProducts, deps: CatalogDeps) -> c.ProductPage:
    try:
        page = await deps.index.search(_request(query))
    except ports.BadCursor as bad:
        raise Invalid.fields(FieldError("cursor", "invalid", f"{bad}; pass next_cursor of the page before, with the same query, filters and sort")) from bad
    if page.understood and page.total and not query.cursor:
        deps.index.note_query(page.corrected_query or query.query)
    tree = await deps.categories.tree()
    return c.ProductPage(
        items=tuple([on_card(card, tree, query.language, deps.currency) for card in page.items]),
        next_cursor=page.next_cursor,
        total=page.total,
        facets=_facets(page.facets),
        corrected_query=page.corrected_query or UNSET,
    )


async def suggest(query: c.Suggest, deps: CatalogDeps) -> c.SuggestionList:
    found = await deps.index.suggest(query.query, query.limit)
    return c.SuggestionList(tuple(c.SuggestedText(one.text, one.kind, one.id or "") for one in found))


async def get_synonyms(_: c.GetSynonyms, deps: CatalogDeps) -> c.SynonymGroups:
    return c.SynonymGroups(tuple(await deps.memory.synonyms()))


async def set_synonyms(cmd: c.SetSynonyms, deps: CatalogDeps) -> c.SynonymGroups:
    groups = tuple(tuple(word.strip() for word in group) for group in cmd.groups)
    async with deps.transaction() as tx:
        await deps.memory.set_synonyms(tx, groups)
        await tx.append("synonyms", [c.SynonymsSet(groups)])
        reply = await tx.answer(c.SynonymGroups(groups))
    await deps.index.set_synonyms(groups)
    deps.purge("products")
    return reply


async def rebuild_index(_: c.RebuildIndex, deps: CatalogDeps) -> c.IndexRebuilt:
    began = time.perf_counter()
    return c.IndexRebuilt(await deps.feed.rebuild(), round(time.perf_counter() - began, 3))


async def recall_searches(deps: CatalogDeps) -> None:
    """Tells the index what it, or that of another process, was told and has learnt."""
    await recall_synonyms(deps)
    deps.index.remember_queries(await deps.memory.past_queries())


async def recall_synonyms(deps: CatalogDeps) -> None:
    """Another process may have been told new ones."""
    await deps.index.set_synonyms(await deps.memory.synonyms())


async def keep_queries(deps: CatalogDeps) -> None:
    """Has the store remember what was searched for, if there is anything new."""
    if fresh := deps.index.fresh_queries():
        async with deps.transaction() as tx:
            await deps.memory.keep_past_queries(tx, fresh)


async def share_queries(deps: CatalogDeps) -> None:
    """Keeps what was searched for, and hears what other processes kept."""
    await keep_queries(deps)
    deps.index.remember_queries(await deps.memory.past_queries())


def on_card(card: ports.ProductCard, tree: model.CategoryTree, language: Language, currency: str) -> c.ListedProduct:
    """A card of the index as a list shows it."""
    return c.ListedProduct(
        id=card.id,
        name=in_language(card.name, card.name_ru, language),
        category=card.category,
        category_path=tree.refs(card.category, language),
        brand=card.brand,
        price=Money(card.price, currency),
        old_price=UNSET if card.old_price is None else Money(card.old_price, currency),
        quantity=card.quantity,
        in_stock=card.quantity > 0,
        rating=c.RatingSummary(card.rating_average, card.rating_count),
        pictures=model.pictures_of(card.id, (card.picture,) if card.picture else ()),
        created_at=card.created_at,
        updated_at=card.updated_at or card.created_at,
    )


def _request(query: c.ListProducts) -> SearchRequest:
    return SearchRequest(
        text=query.query,
        category=query.category or None,
        brand=query.brand or None,
        price_min=query.price_min,
        price_max=query.price_max,
        in_stock=query.in_stock,
        rating_min=query.rating_min,
        sort=query.sort,
        limit=query.limit,
        cursor=query.cursor or None,
        language=query.language,
    )


def _facets(facets: ports.Facets) -> c.Facets:
    return c.Facets(_values(facets.category), _values(facets.brand), _values(facets.price), _values(facets.rating))


def _values(values: tuple[ports.FacetValue, ...]) -> tuple[c.FacetValue, ...]:
    return tuple([c.FacetValue(one.value, one.name, one.count) for one in values])
