"""The category tree and the departments' pictures, kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from torg.contexts.catalog.contracts import CategoryNode, ListCategories, ListProducts
from torg.kit.calls import Call
from torg.kit.errors import DomainError, Unavailable
from torg.kit.values import Language

KEPT = 60.0  # seconds
PICTURES_KEPT = 600.0
PICTURED = 12  # departments


class MemoryCategories:
    """Implements Categories. `spare` asks for pictures, which pages can do without."""

    def __init__(self, call: Call, spare: Call) -> None:
        self._call, self._spare = call, spare
        self._trees: dict[Language, tuple[float, tuple[CategoryNode, ...]]] = {}
        self._pictures: dict[str, str] = {}
        self._look_again = 0.0

    async def tree(self, language: Language) -> tuple[CategoryNode, ...]:
        until, known = self._trees.get(language, (0.0, ()))
        if until > time.monotonic():
            return known
        try:
            known = (await self._call(ListCategories(language=language))).items
        except Unavailable:
            return known  # yesterday's departments are better than none
        self._trees[language] = time.monotonic() + (KEPT if known else 0), known
        return known

    async def pictures(self, language: Language) -> Mapping[str, str]:
        if self._look_again < time.monotonic():
            self._look_again = time.monotonic() + KEPT  # one visitor asks, the others do with what there is
            largest = sorted(await self.tree(language), key=lambda node: -node.product_count)[:PICTURED]
            found = dict(zip((node.id for node in largest), await asyncio.gather(*(self._picture(node.id) for node in largest)), strict=True))
            self._pictures |= {id: picture for id, picture in found.items() if picture}
            if largest and all(found.values()):
                self._look_again = time.monotonic() + PICTURES_KEPT
        return self._pictures

    async def _picture(self, category: str) -> str:
        try:
            found = await self._spare(ListProducts(category=category, sort="-popularity", limit=1))
        except (Unavailable, DomainError):
            return ""
        return next((item.pictures[0] for item in found.items if item.pictures), "")
