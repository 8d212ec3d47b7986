"""The log of stock, added up."""

from __future__ import annotations

import asyncio
from typing import Final

from torg.contexts.inventory.model.ledger import Ledger
from torg.contexts.inventory.ports import Book
from torg.kit.store import Transaction

PORTION: Final = 500  # log rows between two breaths


class Fold:
    """Adds the log up once and goes on where it stopped. Where a transaction that it has read in is lost, it has to begin anew."""

    def __init__(self, book: Book) -> None:
        self.ledger = Ledger()
        self._book, self._position = book, 0
        self._ahead: set[int] = set()  # positions of rows that are in the ledger already, although others may still appear before them

    async def catch_up(self, most: int | None = None) -> bool:
        """Whether all that is committed is in the ledger now; a breath after each portion."""
        read = 0
        while entries := await self._book.entries(self._position, PORTION):
            for self._position, event in entries:
                if self._position not in self._ahead:
                    self.ledger.apply(event)
                self._ahead.discard(self._position)
            read += len(entries)
            if most is not None and read >= most:
                return False
            await asyncio.sleep(0)
        return True

    async def add(self, tx: Transaction) -> None:
        """The rest, so that log and shelves are seen at one moment."""
        after = self._position
        while entries := await self._book.entries_seen(tx, after, PORTION):
            for after, event in entries:
                if after not in self._ahead:
                    self._ahead.add(after)
                    self.ledger.apply(event)
