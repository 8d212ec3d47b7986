"""Brings what changes in the store into the index, by the store's revisions: whatever stops the process, it goes on behind the index's position.

Of several processes one at a time does so, and another takes over when it is gone; should two do it for a moment, the index refuses what is older than it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from torg.contexts.catalog import model
from torg.contexts.catalog.ports import CategoryName, CategoryStore, Changes, ProductChange, ProductDocument, ProductIndex, ProductStore
from torg.kit.errors import Unavailable
from torg.kit.telemetry import log

AT_ONCE = 500  # changes
LINGER = 0.02  # seconds, so that the sales of a busy moment come together
LOOK_EVERY = 1.0  # seconds, for what other processes have changed
BULK = 500  # changes: more at once are a load under way
LONGEST_WAITS = 10  # looks at whether it goes on


class Feed:
    """Implements IndexFeed; `run` is to be supervised. A load is over when hardly anything has come for `settled_after` seconds."""

    def __init__(self, products: ProductStore, categories: CategoryStore, index: ProductIndex, purge: Callable[..., None], settled_after: float = 2.0) -> None:
        self._products, self._categories, self._index, self._purge = products, categories, index, purge
        self._settled_after = settled_after
        self._changed = asyncio.Event()
        self._building = asyncio.Lock()
        self._reached = 0

    async def check(self) -> str:
        """Whether anything can be searched for."""
        return await self._index.check()

    def wake(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled, follows the store whenever this process is the one that feeds the index. An index that is away is waited for."""
        away = False
        while True:
            try:
                if await self._index.claim():
                    await self._follow()
                away = False
            except Unavailable as reason:
                if not away:
                    log.warning("the search index can't be fed; it catches up once it is back", reason=reason.detail)
                away = True
            await asyncio.sleep(LOOK_EVERY)

    async def _follow(self) -> None:
        """For as long as this process feeds the index. One without a position, or ahead of the store (a backup was put back), is built anew."""
        position = self._index.position
        if position is None or position > await self._products.revision():
            await self.rebuild()
        else:
            self._reached = position
        while await self._index.claim():
            self._changed.clear()
            await self._catch_up()
            await self._woken()

    async def rebuild(self) -> int:
        async with self._building:
            return await self._build()

    async def _build(self) -> int:
        revision, count = await self._products.revision(), 0

        async def documents() -> AsyncIterator[ProductDocument]:
            nonlocal count
            tree = await self._categories.tree(fresh=True)
            async for stocked in self._products.on_sale():
                count += 1
                yield document(stocked, tree)

        await self._index.rebuild(documents(), revision)
        self._reached = revision
        self._purge("products")
        return count

    async def _catch_up(self) -> None:
        if await self._behind() > BULK:
            await self._let_settle()
            async with self._building:  # which may have ended with nothing left to do
                if await self._behind() > sum((await self._products.count_by_category()).values()) // 2:
                    await self._build()
        while await self._behind():
            async with self._building:
                await self._take(await self._products.changes(self._reached, AT_ONCE))

    async def _behind(self) -> int:
        return await self._products.revision() - self._reached

    async def _let_settle(self) -> None:
        """A load is under way: one build of all of it is cheaper than many updates."""
        for _ in range(LONGEST_WAITS):
            before = await self._behind()
            await asyncio.sleep(self._settled_after)
            if await self._behind() < before + BULK:
                return

    async def _take(self, changes: Changes) -> None:
        tree = await self._categories.tree(fresh=bool(changes.products))  # these may be here because another process renamed their categories
        whole = {stocked.product.id for stocked in changes.products}
        gone = [stocked.product.id for stocked in changes.products if not stocked.product.on_sale]
        figures = [_figures(id_, new) for id_, new in changes.figures if id_ not in whole]
        await self._index.change(figures)
        await self._index.put([document(stocked, tree) for stocked in changes.products if stocked.product.on_sale])
        await self._index.remove(gone, changes.revision)
        self._reached = changes.revision
        if whole:
            self._purge("products")

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._changed.wait()
        except TimeoutError:
            return  # another process may have changed something
        await asyncio.sleep(LINGER)


def document(stocked: model.Stocked, tree: model.CategoryTree) -> ProductDocument:
    """A product as the index takes it."""
    product, figures = stocked.product, stocked.figures
    attributes = [word for one in product.attributes for word in (one.value, one.value_ru) if word]
    return ProductDocument(
        id=product.id,
        name=product.name,
        name_ru=product.name_ru,
        category_path=tuple(CategoryName(one.id, one.name, one.name_ru) for one in tree.path(product.category)),
        brand=product.brand,
        price=product.price.amount,
        old_price=product.old_price.amount if product.old_price else None,
        quantity=figures.quantity,
        rating_average=figures.rating_hundredths / 100,
        rating_count=figures.rating_count,
        picture=product.pictures[0] if product.pictures else None,
        popularity=product.popularity,
        created_at=product.created_at,
        updated_at=product.updated_at,
        description=product.description,
        description_ru=product.description_ru,
        keywords=tuple(attributes),
    )


def _figures(id_: str, figures: model.Figures) -> ProductChange:
    return ProductChange(id=id_, quantity=figures.quantity, rating_average=figures.rating_hundredths / 100, rating_count=figures.rating_count)
