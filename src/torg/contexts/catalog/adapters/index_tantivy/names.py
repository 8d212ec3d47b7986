"""What a generation remembers beside tantivy's files: names of categories, and which brands and category paths the numbers in columns mean.

Facets count numbers instead of texts, since tantivy looks every counted text up in the dictionary of each segment: with 3,000 types and as
many brands in six segments that alone took four milliseconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from torg.contexts.catalog.adapters.index_common.categories import CategoryNode, nodes_of
from torg.contexts.catalog.adapters.index_tantivy.files import write_whole
from torg.contexts.catalog.ports import ProductCard

FILE = "names.json"

CategoryPath = tuple[str, ...]
Name = TypeVar("Name", str, CategoryPath)


class _Saved(msgspec.Struct):
    categories: dict[str, CategoryNode] = {}
    brands: list[str] = []
    paths: list[CategoryPath] = []


class Names:
    """Lists only grow, so that readers may share them with the writer."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        saved = msgspec.json.decode(self._file.read_bytes(), type=_Saved) if self._file.exists() else _Saved()
        self.categories = saved.categories
        self.brands = saved.brands
        self.paths = saved.paths
        self._brand_numbers = {brand: number for number, brand in enumerate(self.brands)}
        self._path_numbers = {path: number for number, path in enumerate(self.paths)}
        self._changed = False

    def numbers(self, product: ProductCard) -> dict[str, int]:
        """Columns of the product's brand and path, as far as it has them."""
        numbers: dict[str, int] = {}
        if product.brand:
            numbers["brand_number"] = self._number(product.brand, self._brand_numbers, self.brands)
        if product.category_path:
            path = tuple(category.id for category in product.category_path)
            numbers["path_number"] = self._number(path, self._path_numbers, self.paths)
            self._note_categories(product)
        return numbers

    def save(self) -> None:
        """To be called before the products that use them are committed, so that no number is ever nameless."""
        if self._changed:
            write_whole(self._file, msgspec.json.encode(_Saved(self.categories, self.brands, self.paths)))
            self._changed = False

    def _number(self, name: Name, numbers: dict[Name, int], names: list[Name]) -> int:
        number = numbers.get(name)
        if number is None:
            number = numbers[name] = len(names)
            names.append(name)
            self._changed = True
        return number

    def _note_categories(self, product: ProductCard) -> None:
        for node in nodes_of(product.category_path):
            if self.categories.get(node.named.id) != node:
                self.categories[node.named.id] = node
                self._changed = True
