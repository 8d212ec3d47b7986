"""The category tree and the departments' pictures, kept for a while."""

from __future__ import annotations

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
    """Implements Categories."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._trees: dict[Language, tuple[float, tuple[CategoryNode, ...]]] = {}
        self._pictures: tuple[float, dict[str, str]] = 0.0, {}

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
        until, known = self._pictures
        if until < time.monotonic():
            largest = sorted(await self.tree(language), key=lambda node: -node.product_count)[:PICTURED]
            known = {node.id: picture for node in largest if (picture := await self._picture(node.id))}
            self._pictures = time.monotonic() + (PICTURES_KEPT if largest and len(known) == len(largest) else KEPT), known
        return known

    async def _picture(self, category: str) -> str:
        try:
            found = await self._call(ListProducts(category=category, sort="-popularity", limit=1))
        except (Unavailable, DomainError):
            return ""
        return next((item.pictures[0] for item in found.items if item.pictures), "")
