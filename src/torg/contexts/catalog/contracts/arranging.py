"""What orders the shelves: categories, words that mean the same, and the index that is made of it all."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.values import MaybeText, Text

CategoryId = Annotated[str, Meta(min_length=1, max_length=200)]


class Category(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A category; `parent` is empty at the top. Siblings are shown in the order in which they were defined."""

    id: CategoryId
    name: Text
    name_ru: MaybeText = ""
    parent: str = ""
    slug: str = ""


@message("catalog.define_categories")
class DefineCategories(Command[None], frozen=True):
    """Adds these categories or renames and moves those with the same ids; parents before or after their children. Raises Invalid for an unknown parent
    or a circle."""

    IDEMPOTENT = True

    categories: tuple[Category, ...]


@message("catalog.categories_defined")
class CategoriesDefined(Event, frozen=True):
    """These categories are new, renamed or moved."""

    category_ids: tuple[str, ...]


class SynonymGroups(msgspec.Struct, frozen=True):
    """Each group holds words or phrases that mean the same to the search."""

    groups: tuple[tuple[str, ...], ...]


@message("catalog.get_synonyms")
class GetSynonyms(Query[SynonymGroups], frozen=True):
    """All groups of words that mean the same to the search."""


def _groups_rule(value: object, _: datetime) -> str | None:
    if isinstance(value, tuple) and not all(2 <= len(group) <= 20 and all(0 < len(word.strip()) <= 100 for word in group) for group in value):
        return "a group has 2 to 20 words or phrases of up to 100 characters"
    return None


@message("catalog.set_synonyms")
class SetSynonyms(Command[SynonymGroups], frozen=True, kw_only=True):
    """Replaces all groups; searches follow at once."""

    RULES: ClassVar[dict[str, Rule]] = {"groups": _groups_rule}

    staff: Identity
    groups: Annotated[tuple[tuple[str, ...], ...], Meta(max_length=2000)]


@message("catalog.synonyms_set")
class SynonymsSet(Event, frozen=True):
    """These groups took the place of all before them."""

    groups: tuple[tuple[str, ...], ...]


class IndexRebuilt(msgspec.Struct, frozen=True):
    products: int
    seconds: float


@message("catalog.rebuild_index")
class RebuildIndex(Command[IndexRebuilt], frozen=True):
    """Builds the search index anew from the store while the present one serves; answers when the new one serves. Waits for one that is under way."""

    IDEMPOTENT = True
