"""What must stay true in the catalogue: its documents say what the log says, and the index what the documents say. What is new is looked at, and a slice of
what is old, at each look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.ports import LARGEST_PAGE, CatalogDeps, ProductCard, SearchRequest, Sort
from torg.kit.auditing import Beginning, Come, Fault, Invariant, LogRounds, not_before, since, untold
from torg.kit.messages import Envelope, Message
from torg.kit.portions import portions
from torg.kit.values import Money

AT_ONCE: Final = 500  # products; then others have their turn
LOOKED_AT: Final[tuple[Sort, ...]] = ("-popularity", "-created_at", "price")
PAGES: Final = 2  # of the index, looked through at one look
MANY, SELDOM = 50_000, 20  # from so many products on they are counted at every so many looks only
KEPT: Final = 1000  # products that were wrong
TRIES: Final = 6


def invariants(deps: CatalogDeps, pause: float) -> Sequence[Invariant]:
    """`pause`: seconds that the index is given to hear of the latest changes, several times."""
    prices, index = PriceAudit(deps), IndexAudit(deps, pause)
    return (
        Invariant("catalog.prices", "Every product is sold at the last price in the log.", prices.look, "set_price", prices.since_when, prices.come),
        Invariant(
            "catalog.index", "The search finds just the products on sale, as the store knows them.", index.look, "rebuild_search", index.since_when, index.come
        ),
    )


class PriceAudit:
    """Compares the store with the log: the products of which the log has something new, those of a slice of its old rows, and whatever was wrong before."""

    def __init__(self, deps: CatalogDeps) -> None:
        self._deps, self._log = deps, LogRounds(deps.store.log)
        self.come = self._log.come
        self._wrong: list[str] = []

    async def look(self) -> list[Fault]:
        said = dict[str, Money]()
        async for rows in self._log.portions():
            for row in rows:
                _note(said, row.message)
        suspects = list(self._wrong)
        for some in portions(said, AT_ONCE):
            found = {stocked.product.id: stocked.product.price for stocked in await self._deps.products.find_all(some)}
            suspects += [product_id for product_id in some if found.get(product_id) != said[product_id]]
            await asyncio.sleep(0)
        faults = [fault for product_id in dict.fromkeys(suspects) if (fault := await _dispute(product_id, self._deps))]
        self._wrong = [fault.id for fault in faults][:KEPT]
        return faults

    async def since_when(self, fault: Fault) -> Beginning:
        found, rows = await self._deps.products.find(fault.id), _priced(await self._deps.store.log.stream(fault.id))
        if found is None:
            return not_before(rows[-1] if rows else None, "no row of the log takes a product away")
        as_now = [number for number, row in enumerate(rows) if _price(row) == found.product.price]
        if as_now and as_now[-1] < len(rows) - 1:
            return since(rows[as_now[-1] + 1], "the product has the price that it had before this row")
        return not_before(rows[-1] if rows else None, "the log never had this price: something else has set it")


class IndexAudit:
    """Compares the index with the store: how many products there are, those that are shown first, and a slice of all. Where the numbers differ, products are
    sought in the index one after the other, until it is known which it lacks."""

    def __init__(self, deps: CatalogDeps, pause: float) -> None:
        self._deps, self._pause = deps, pause
        self._log, self._cursor, self._counted, self._looks = LogRounds(deps.store.log, old=2), "", 0, 0
        self._wrong: list[str] = []
        self._seen = self._whole = self._rounds = 0

    def come(self) -> Come:
        return Come(self._seen, self._whole, self._rounds)

    async def look(self) -> list[Fault]:
        """What is still wrong after a while."""
        chosen = [*self._wrong, *await self._slice()]
        found = await self._faults(chosen)
        for _ in range(TRIES - 1):
            if not found:
                break
            await asyncio.sleep(self._pause)
            found = await self._faults(list(dict.fromkeys([*chosen, *(fault.id for fault in found if fault.id)])))
        self._wrong = [fault.id for fault in found if fault.id][:KEPT]
        return found

    async def since_when(self, fault: Fault) -> Beginning:
        if not fault.id:
            return untold("an index keeps no history, and which product it is was not found yet")
        rows = await self._deps.store.log.stream(fault.id)
        return not_before(rows[-1] if rows else None, "an index keeps no history: this is the last that happened to the product")

    async def _slice(self) -> list[str]:
        """The next products that the index has."""
        found: list[str] = []
        for _ in range(PAGES):
            page = await self._deps.index.search(SearchRequest(sort="-created_at", limit=LARGEST_PAGE, cursor=self._cursor or None, counted=False))
            found += [card.id for card in page.items]
            self._cursor = page.next_cursor or ""
            self._seen += len(page.items)
            await asyncio.sleep(0)
            if not self._cursor:
                self._seen, self._whole, self._rounds = 0, self._seen, self._rounds + 1
                break
        return found

    async def _faults(self, chosen: Sequence[str]) -> list[Fault]:
        found, total = dict[str, Fault](), 0
        for sort in LOOKED_AT:
            page = await self._deps.index.search(SearchRequest(sort=sort, limit=LARGEST_PAGE))
            total = page.total
            known = await self._known([card.id for card in page.items])
            found |= {card.id: fault for card in page.items if (fault := _difference(card, known.get(card.id)))}
        for some in portions([id for id in chosen if id not in found], LARGEST_PAGE):
            found |= await self._sought(await self._known(some))
            await asyncio.sleep(0)
        on_sale = await self._on_sale()
        if total == on_sale:
            return _in_order(found.values())
        async for rows in self._log.portions():
            added = [row.message.product_id for row in rows if isinstance(row.message, c.ProductAdded)]
            found |= await self._sought(await self._known([id for id in added if id not in found]))
        return _in_order([Fault(sentence=f"the search finds {total} products of {on_sale} on sale"), *found.values()])

    async def _known(self, ids: Sequence[str]) -> dict[str, model.Stocked]:
        return {stocked.product.id: stocked for stocked in await self._deps.products.find_all(ids)}

    async def _sought(self, known: Mapping[str, model.Stocked]) -> dict[str, Fault]:
        """Those on sale that the index does not find by what they are."""
        found: dict[str, Fault] = {}
        for id, stocked in known.items():
            if stocked.product.on_sale:
                card = await self._card(stocked)
                fault = _difference(card, stocked) if card else Fault(sentence=f"{id} is on sale, and the search lacks it", about="product", id=id)
                found |= {id: fault} if fault else {}
        return found

    async def _card(self, stocked: model.Stocked) -> ProductCard | None:
        product, cursor = stocked.product, ""
        for _ in range(PAGES):
            page = await self._deps.index.search(
                SearchRequest(
                    category=product.category, brand=product.brand or None, price_min=product.price.amount, price_max=product.price.amount, sort="price",
                    limit=LARGEST_PAGE, cursor=cursor or None, counted=False,
                )
            )  # fmt: skip
            card = next((card for card in page.items if card.id == product.id), None)
            cursor = page.next_cursor or ""
            if card or not cursor:
                return card
        return ProductCard(id=product.id, name=product.name, price=product.price.amount, created_at=product.created_at)  # too many are alike to tell

    async def _on_sale(self) -> int:
        """Counted anew at each look while there are few, else now and then."""
        self._looks += 1
        if self._counted < MANY or self._looks % SELDOM == 0:
            self._counted = sum((await self._deps.products.count_by_category()).values())
        return self._counted


async def _dispute(product_id: str, deps: CatalogDeps) -> Fault | None:
    """A second look at one product, at one moment: it may have been edited since the first."""
    said = dict[str, Money]()
    for row in await deps.store.log.stream(product_id):
        _note(said, row.message)
    found = await deps.products.find(product_id)
    if found is None:
        return Fault(sentence=f"{product_id} was added, but is not in the store", about="product", id=product_id, remedy="restore")
    price, logged = found.product.price, said[product_id]
    if price == logged:
        return None
    return Fault(sentence=f"{product_id} is sold at {price.amount}, but the log says {logged.amount}", about="product", id=product_id)


def _note(said: dict[str, Money], message: Message) -> None:
    if isinstance(message, c.ProductAdded | c.PriceChanged):
        said[message.product_id] = message.price


def _priced(rows: Sequence[Envelope]) -> list[Envelope]:
    return [row for row in rows if isinstance(row.message, c.ProductAdded | c.PriceChanged)]


def _price(row: Envelope) -> Money | None:
    return row.message.price if isinstance(row.message, c.ProductAdded | c.PriceChanged) else None


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: fault.sentence)


def _difference(card: ProductCard, stocked: model.Stocked | None) -> Fault | None:
    """As far as a search can tell: how many there are of a product in stock may be some seconds old."""
    if stocked is None or not stocked.product.on_sale:
        return Fault(sentence=f"the search shows {card.id}, which is not on sale", about="product", id=card.id)
    product, figures = stocked.product, stocked.figures
    shown: dict[str, object] = {
        "name": card.name, "price": card.price, "in stock": card.in_stock, "rating": round(card.rating_average * 100), "ratings": card.rating_count,
    }  # fmt: skip
    real = (product.name, product.price.amount, figures.quantity > 0, figures.rating_hundredths, figures.rating_count)
    wrong = [f"{name} {value!r}, not {other!r}" for (name, value), other in zip(shown.items(), real, strict=True) if value != other]
    return Fault(sentence=f"the search shows {card.id} other than it is: {'; '.join(wrong)}", about="product", id=card.id) if wrong else None
