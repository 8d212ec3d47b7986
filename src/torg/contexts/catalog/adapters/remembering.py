"""What a process remembers of the catalogue, for as long as nobody is heard to have changed it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from torg.contexts.catalog.contracts import Offer
from torg.contexts.catalog.model import CategoryTree, Product, offer
from torg.contexts.catalog.ports import CategoryStore
from torg.kit.errors import Unavailable
from torg.kit.sql import Database

LONGEST_ERA: Final = 5.0  # seconds
OFFERS: Final = 4096


class Eras:
    """What was read in one era may be remembered until the next: an era ends with a commit of this process, when another one tells of its own, and after
    `longest` seconds where others write, as what they tell may be lost."""

    def __init__(self, database: Database, longest: float = LONGEST_ERA) -> None:
        self.shared, self._longest = database.shared, longest
        self.ended = 0
        self._expired, self._until = 0, 0.0
        database.watch(lambda _: self.end())

    def current(self) -> int:
        """Look before reading, and keep what was read under that number."""
        if self.shared and (now := time.monotonic()) > self._until:
            self._expired, self._until = self._expired + 1, now + self._longest
        return self.ended + self._expired

    def end(self) -> None:
        """Something has changed."""
        self.ended += 1


class KeptTree:
    """The tree of categories, read anew in each era; the same one for as long as it is the same, as others remember by it. An old one does while nobody is
    known to have changed it and it cannot be read."""

    def __init__(self, eras: Eras, read: Callable[[], Awaitable[CategoryTree]]) -> None:
        self._eras, self._read = eras, read
        self._tree: CategoryTree | None = None
        self._era = self._ended = -1

    async def tree(self, fresh: bool) -> CategoryTree:
        era, ended, known = self._eras.current(), self._eras.ended, self._tree
        changed = ended != self._ended or (fresh and self._eras.shared)
        if known is None or changed or era != self._era:
            self._era = era  # meanwhile others go on with the one there is
            try:
                read = await self._read()
            except Unavailable:
                if known is None or changed:
                    raise
                return known
            if self._tree is None or read.categories != self._tree.categories:
                self._tree = read
            self._ended = ended
        assert self._tree is not None, "it was just read, or was there"
        return self._tree


class KeptOffers:
    """The offers last asked for, `most` of them."""

    def __init__(
        self, eras: Eras, load: Callable[[Sequence[str]], Awaitable[Mapping[str, Product]]], categories: CategoryStore, most: int = OFFERS
    ) -> None:  # fmt: skip
        self._eras, self._load, self._categories, self._most = eras, load, categories, most
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._era, self._tree = -1, CategoryTree(())

    async def of(self, product_ids: Sequence[str]) -> tuple[Offer, ...]:
        """In this order; products that do not exist are left out."""
        tree, era = await self._categories.tree(), self._eras.current()
        if tree is not self._tree or era != self._era:
            self._offers.clear()
            self._tree, self._era = tree, era
        found = {product_id: known for product_id in product_ids if (known := self._offers.get(product_id))}
        if missing := [product_id for product_id in product_ids if product_id not in found]:
            products = await self._load(missing)
            found |= {product_id: offer(product, tree) for product_id, product in products.items()}
            if self._era == era == self._eras.current():
                self._remember(found)
        return tuple([found[product_id] for product_id in product_ids if product_id in found])

    def _remember(self, offers: Mapping[str, Offer]) -> None:
        self._offers.update(offers)
        while len(self._offers) > self._most:
            self._offers.popitem(last=False)
