"""Releases: the one that runs, and others that add to its records, as the next versions of a shop do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from bench.processes import ROOT

ADDED: Final = {
    "order": "orders", "inventory": "stock", "payment": "payment", "cart": "promo_code", "shipping": "delivery", "user": "users", "review": "review",
    "notification": "notification",
}  # fmt: skip
"""Contexts whose records a release adds to: a column to their busiest table, and a table."""
VERSION: Final = "rehearsal"


class Releases:
    """`source` is what processes are started from; another release in its place is what new ones are started from."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.number = folder, 0
        folder.mkdir(parents=True)
        shutil.copytree(ROOT / "src", folder / "0", ignore=shutil.ignore_patterns("tests"))
        self.source = folder / "now"
        self.source.symlink_to("0")

    def next(self) -> int:
        """Makes one more release, and has it be what is started from now on; its number."""
        old, self.number = self._folder / str(self.number), self.number + 1
        new = self._folder / str(self.number)
        shutil.copytree(old, new)
        for context, table in ADDED.items():
            name = f"{9000 + self.number}_rehearsal.sql"
            statements = f"alter table {table} add column rehearsal_{self.number} text;\ncreate table {self.table(self.number)} (id text primary key);\n"
            (new / "torg" / "contexts" / context / "migrations" / name).write_text(statements)
        link = self._folder / "new"
        link.symlink_to(str(self.number))
        link.replace(self.source)
        return self.number

    @staticmethod
    def table(number: int) -> str:
        """The table that a release brings to each of these contexts."""
        return f"rehearsal_of_{number}"
