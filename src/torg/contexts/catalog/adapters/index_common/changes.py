"""Updates on their way into an index, by product id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec import UNSET
from msgspec.structs import asdict, replace

from torg.contexts.catalog.ports import ProductCard, ProductChange, ProductDocument

Update = ProductDocument | ProductChange | None
"""A whole product, new figures for it, or its removal."""

Updates = dict[str, Update]
Card = TypeVar("Card", bound=ProductCard)


def merge(updates: Updates, later: Mapping[str, Update]) -> None:
    """Adds later updates to those that wait, so that each product has one."""
    for id_, update in later.items():
        earlier = updates.get(id_)
        if not isinstance(update, ProductChange) or id_ not in updates:
            updates[id_] = update
        elif isinstance(earlier, ProductChange):
            updates[id_] = replace(earlier, **set_figures(update))
        elif earlier is not None:
            updates[id_] = changed(earlier, update)


def changed(product: Card, change: ProductChange) -> Card:
    return replace(product, **set_figures(change))


def updated(card: ProductCard, update: Update) -> ProductCard | None:
    """The card after the update; None when it is gone."""
    if isinstance(update, ProductChange):
        return changed(card, update)
    return None if update is None else ProductCard(**{name: getattr(update, name) for name in ProductCard.__struct_fields__})


def set_figures(change: ProductChange) -> dict[str, int | float | None]:
    return {name: value for name, value in asdict(change).items() if name != "id" and value is not UNSET}


class Waiting:
    """Updates that were accepted and aren't in the index yet; pages show them all along. Those that no search could tell apart from what is in the index
    are quiet: they wait longer. During a rebuild a journal of all updates is kept besides."""

    def __init__(self, position: int | None = None) -> None:
        self.accepted = position
        self.journal: Updates | None = None
        self.journal_reaches: int | None = None
        self._pending: Updates = {}
        self._in_flight: Updates = {}
        self._quiet: Updates = {}

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def quiet(self) -> bool:
        """Whether any wait longer."""
        return bool(self._quiet)

    def accept(self, updates: Mapping[str, Update], position: int | None) -> None:
        merge(self._pending, updates)
        self.accepted = self.accepted if position is None else position
        if self.journal is not None:
            merge(self.journal, updates)
            self.journal_reaches = self.journal_reaches if position is None else position

    def take(self, everything: bool) -> Updates:
        """The updates to write now: those pending, on top of the quiet ones for the same products. They are in flight until `written` or `failed`."""
        ids = list(self._quiet) if everything else [id_ for id_ in self._pending if id_ in self._quiet]
        taken: Updates = {id_: self._quiet.pop(id_) for id_ in ids}
        merge(taken, self._pending)
        self._pending, self._in_flight = {}, taken
        return taken

    def written(self, quiet: Updates) -> None:
        """All that were in flight are in the index, but these are still to wait."""
        merge(self._quiet, quiet)
        self._in_flight = {}

    def failed(self) -> None:
        """Those in flight wait again."""
        merge(self._in_flight, self._pending)
        self._pending, self._in_flight = self._in_flight, {}

    def begin_journal(self) -> None:
        self.journal, self.journal_reaches = dict(self._pending), None

    def end_journal(self) -> Updates:
        """What came since it began; a new one goes on."""
        updates, self.journal = self.journal or {}, {}
        return updates

    def start_from(self, position: int | None) -> None:
        """A rebuilt index serves, which has all that came until the journal was ended."""
        self._pending, self._quiet, self.accepted = self.journal or {}, {}, position

    def forget(self, position: int | None) -> None:
        """Somebody else writes them."""
        self._pending, self._in_flight, self._quiet, self.accepted = {}, {}, {}, position

    def latest(self, card: ProductCard) -> ProductCard | None:
        """With the figures that wait to be written, so that a page shows the present price and stock."""
        latest: ProductCard | None = card
        for updates in (self._quiet, self._in_flight, self._pending):
            if latest is not None and card.id in updates:
                latest = updated(latest, updates[card.id])
        return latest
