"""The category tree, kept for a minute."""

from __future__ import annotations

import time

from torg.contexts.catalog.contracts import CategoryNode, ListCategories
from torg.kit.calls import Call
from torg.kit.errors import Unavailable
from torg.kit.values import Language

KEPT = 60.0  # seconds


class MemoryCategories:
    """Implements Categories."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._kept: dict[Language, tuple[float, tuple[CategoryNode, ...]]] = {}

    async def tree(self, language: Language) -> tuple[CategoryNode, ...]:
        until, known = self._kept.get(language, (0.0, ()))
        if until > time.monotonic():
            return known
        try:
            known = (await self._call(ListCategories(language=language))).items
        except Unavailable:
            return known  # yesterday's departments are better than none
        self._kept[language] = time.monotonic() + (KEPT if known else 0), known
        return known
