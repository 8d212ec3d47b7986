"""The category tree as the products tell it: names for facets and suggestions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from msgspec import Struct

from torg.contexts.catalog.adapters.index_common.words import words_of
from torg.contexts.catalog.ports import CategoryName
from torg.kit.values import Language, in_language


class CategoryNode(Struct, frozen=True):
    """A category and the one it lies in."""

    named: CategoryName
    parent: str | None


def nodes_of(path: Iterable[CategoryName]) -> Iterable[CategoryNode]:
    parent = None
    for category in path:
        yield CategoryNode(category, parent)
        parent = category.id


class Categories:
    """One state of the tree."""

    def __init__(self, nodes: Mapping[str, CategoryNode]) -> None:
        self._nodes = dict(nodes)
        self._below: dict[str, list[str]] = {}
        for id_, node in self._nodes.items():
            if node.parent is not None:
                self._below.setdefault(node.parent, []).append(id_)
        pairs = {(word, id_) for id_, node in self._nodes.items() for word in words_of(f"{node.named.name} {node.named.name_ru}")}
        self._words = sorted(pairs)

    def name(self, id_: str, language: Language) -> str:
        node = self._nodes.get(id_)
        if node is None:
            return id_
        return in_language(node.named.name, node.named.name_ru, language) or id_

    def around(self, id_: str) -> frozenset[str]:
        """The category, those above it and those just below."""
        kept = set(self._below.get(id_, ()))
        above: str | None = id_
        while above is not None and above not in kept:
            kept.add(above)
            above = self._nodes[above].parent if above in self._nodes else None
        return frozenset(kept)

    def beginning_with(self, words: Iterable[str]) -> set[str]:
        """Ids of the categories in whose names each of the words begins one."""
        found: set[str] | None = None
        for word in words:
            ids = self._with_word(word)
            found = ids if found is None else found & ids
        return found or set()

    def _with_word(self, beginning: str) -> set[str]:
        first = bisect_left(self._words, (beginning, ""))
        last = bisect_left(self._words, (beginning + "\U0010ffff", ""), first)
        return {id_ for _, id_ in self._words[first:last]}
