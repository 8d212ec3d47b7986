"""What must stay true in the catalogue: its documents say what the log says, and the index what the documents say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.ports import LARGEST_PAGE, CatalogDeps, ProductCard, SearchRequest, Sort
from torg.kit.messages import Message
from torg.kit.operations import Invariant
from torg.kit.portions import portions
from torg.kit.values import Money

AT_ONCE = 500  # log rows, products; then others have their turn
LOOKED_AT: tuple[Sort, ...] = ("-popularity", "-created_at", "price")
OTHERS = 1000  # products that nothing is new about, at each look
TRIES = 6


def invariants(deps: CatalogDeps, pause: float = 0.5) -> Sequence[Invariant]:
    """`pause`: seconds that the index is given to hear of the latest changes, several times."""
    index = partial(_settled, partial(index_equals_store, deps), pause)
    return (
        Invariant("catalog.prices", "Every product is sold at the last price in the log.", PriceAudit(deps).look),
        Invariant("catalog.index", "The search finds just the products on sale, as the store knows them.", index),
    )


class PriceAudit:
    """Compares the store with the log: all products at the first look, then those that are new in the log, the next thousand of the others, and whatever
    was wrong before. So each look costs little, and none is left out for long."""

    def __init__(self, deps: CatalogDeps) -> None:
        self._deps = deps
        self._said: dict[str, Money] = {}
        self._position = 0
        self._next = 0
        self._wrong: list[str] = []

    async def look(self) -> list[str]:
        chosen = [*await self._heard(), *self._others(), *self._wrong]
        suspects = list[str]()
        for some in portions(chosen, AT_ONCE):
            found = {stocked.product.id: stocked.product.price for stocked in await self._deps.products.find_all(some)}
            suspects += [product_id for product_id in some if found.get(product_id) != self._said[product_id]]
            await asyncio.sleep(0)
        disputes = {product_id: await _dispute(product_id, self._deps) for product_id in dict.fromkeys(suspects)}
        self._wrong = [product_id for product_id, sentence in disputes.items() if sentence]
        return [sentence for sentence in disputes.values() if sentence]

    async def _heard(self) -> list[str]:
        """The products that the log has spoken of since the last look."""
        fresh = dict[str, Money]()
        while rows := await self._deps.store.log.tail(self._position, AT_ONCE):
            for row in rows:
                _note(fresh, row.message)
            self._position = rows[-1].position
            await asyncio.sleep(0)
        self._said |= fresh
        return list(fresh)

    def _others(self) -> list[str]:
        known = list(self._said)
        chosen = known[self._next : self._next + OTHERS]
        self._next = self._next + OTHERS if self._next + OTHERS < len(known) else 0
        return chosen


async def index_equals_store(deps: CatalogDeps) -> list[str]:
    """Looks at how many there are, and closely at those that are shown first."""
    differences, total = list[str](), 0
    for sort in LOOKED_AT:
        page = await deps.index.search(SearchRequest(sort=sort, limit=LARGEST_PAGE))
        total = page.total
        known = {stocked.product.id: stocked for stocked in await deps.products.find_all([card.id for card in page.items])}
        differences += [sentence for card in page.items if (sentence := _difference(card, known.get(card.id)))]
    on_sale = sum((await deps.products.count_by_category()).values())
    if total != on_sale:
        differences.append(f"the search finds {total} products of {on_sale} on sale")
    return sorted(set(differences))


async def _settled(look: Callable[[], Awaitable[list[str]]], pause: float) -> list[str]:
    """What is still wrong after a while."""
    found = await look()
    for _ in range(TRIES - 1):
        if not found:
            break
        await asyncio.sleep(pause)
        found = await look()
    return found


async def _dispute(product_id: str, deps: CatalogDeps) -> str:
    """A second look at one product, at one moment: it may have been edited since the first."""
    said = dict[str, Money]()
    for row in await deps.store.log.stream(product_id):
        _note(said, row.message)
    found = await deps.products.find(product_id)
    if found is None:
        return f"{product_id} was added, but is not in the store"
    price, logged = found.product.price, said[product_id]
    return "" if price == logged else f"{product_id} is sold at {price.amount}, but the log says {logged.amount}"


def _note(said: dict[str, Money], message: Message) -> None:
    if isinstance(message, c.ProductAdded | c.PriceChanged):
        said[message.product_id] = message.price


def _difference(card: ProductCard, stocked: model.Stocked | None) -> str:
    """As far as a search can tell: how many there are of a product in stock may be some seconds old."""
    if stocked is None or not stocked.product.on_sale:
        return f"the search shows {card.id}, which is not on sale"
    product, figures = stocked.product, stocked.figures
    shown: dict[str, object] = {
        "name": card.name, "price": card.price, "in stock": card.in_stock, "rating": round(card.rating_average * 100), "ratings": card.rating_count,
    }  # fmt: skip
    real = (product.name, product.price.amount, figures.quantity > 0, figures.rating_hundredths, figures.rating_count)
    wrong = [f"{name} {value!r}, not {other!r}" for (name, value), other in zip(shown.items(), real, strict=True) if value != other]
    return f"the search shows {card.id} other than it is: {'; '.join(wrong)}" if wrong else ""
