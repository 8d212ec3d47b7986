"""What must be true at every moment, whatever goes wrong just then: looked at while it does, in what is safe on the disks."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from torg.simulation.people import Person
from torg.simulation.site import ACQUIRER, Site

EVERY: Final = 1.0  # seconds between two looks; each death has one besides

ALWAYS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "payment": (
        ("select account from balance where amount < 0", "{account} is below zero"),
        ("select account from balance b where account like 'wallet:%' and amount <> (select sum(amount) from entry e where e.account = b.account)",
         "{account} holds something else than its entries come to"),
        ("select id from payment where captured > amount or refunded + refunding > captured", "payment {id} took or gave back too much"),
    ),
    "inventory": (
        ("select product_id from stock where reserved < 0 or reserved > on_hand", "more of {product_id} is reserved than there is"),
        ("select product_id from for_sale f where available <> (select sum(on_hand - reserved) from stock s where s.product_id = f.product_id)",
         "another number of {product_id} is offered than is free"),
    ),
    "order": (("select bucket_id from orders group by bucket_id having count(*) > 1", "cart {bucket_id} was ordered twice"),),
    "cart": (("select code from promo_code where used > uses_total", "{code} was used too often"),),
    ACQUIRER: (("select reference from charge where refunded > captured or captured > amount", "the books on {reference} do not fit"),),
}  # fmt: skip
"""By context: what finds rows that must never be, and what to say of each."""


class Watch:
    """Looks again and again until it is cancelled. `found` is what it saw, `looks` how often it looked."""

    def __init__(self, site: Site, people: Sequence[Person]) -> None:
        self._site, self._people = site, people
        self._versions: dict[tuple[str, str], int] = {}
        self._read: Counter[str] = Counter()
        self._safe: set[str] = set()
        self._disks: dict[Path, sqlite3.Connection] = {}
        self._seen: dict[sqlite3.Connection, int] = {}  # which of its versions
        self.found: list[str] = []
        self.looks = 0

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(EVERY)
                self.look()
        finally:
            for disk in self._disks.values():
                disk.close()

    def look(self) -> None:
        self.looks += 1
        for context, file in self._site.files.items():
            if file not in self._disks:
                self._disks[file] = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
                self._disks[file].row_factory = sqlite3.Row
            self.found += [f"at some moment {sentence}" for sentence in self._look_at(context, self._disks[file])]

    def _look_at(self, context: str, disk: sqlite3.Connection) -> list[str]:
        promises = self._promises(disk) if context == "order" else []
        (version,) = disk.execute("pragma data_version").fetchone()
        if version == self._seen.get(disk):
            return promises
        self._seen[disk] = version
        found = [sentence.format(**dict(row)) for statement, sentence in ALWAYS.get(context, ()) for row in disk.execute(statement)]
        return promises + found + self._new_rows(context, disk)

    def _new_rows(self, context: str, disk: sqlite3.Connection) -> list[str]:
        """Versions follow one another; money that is posted sums to zero."""
        found = []
        for row in disk.execute("select position, stream, version, name, data from log where position > ? order by position", (self._read[context],)):
            before = self._versions.get((context, row["stream"]), 0)
            if row["version"] != before + 1:
                found.append(f"version {row['version']} of {row['stream']} stood behind {before} in the log of {context}")
            if row["name"] == "payment.ledger_posted" and sum(posting["amount"] for posting in msgspec.json.decode(row["data"])["postings"]):
                found.append(f"the postings of {row['stream']} did not sum to zero")
            self._versions[context, row["stream"]] = row["version"]
            self._read[context] = row["position"]
        return found

    def _promises(self, disk: sqlite3.Connection) -> list[str]:
        """An order that was acknowledged is on the disk, and not only in somebody's memory."""
        new = {promise.order["id"] for person in self._people for promise in person.memory.promises} - self._safe
        self._safe |= new
        return [f"order {id} was acknowledged, and not safe" for id in sorted(new) if not disk.execute("select 1 from orders where id = ?", (id,)).fetchone()]
