"""The acquirer put together: its folder, its HTTP application, its jobs."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torg.acquirer.beside import PREFIX
from torg.acquirer.books import Books
from torg.acquirer.faults import FaultPanel
from torg.acquirer.handlers import HANDLERS, AcquirerDeps, settle_late_ones
from torg.acquirer.notices import POLL, Notices
from torg.acquirer.routes import ACCESS, routes
from torg.kit.auth import Identity, Role
from torg.kit.http import App
from torg.kit.log import Log
from torg.kit.messages import Registry
from torg.kit.module import bound
from torg.kit.sql.committer import Committer
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.store import Store
from torg.kit.tasks import Job, Supervisor
from torg.kit.values import Clock, NewId


@dataclass(frozen=True)
class Acquirer:
    """A running acquirer. `base_url` is where merchants and buyers find it, `secret` what its merchant shares with it."""

    http: App
    base_url: str
    secret: str
    faults: FaultPanel
    notices: Notices
    store: Store
    jobs: Sequence[Job]

    def start(self, supervisor: Supervisor) -> None:
        """Runs its jobs under supervision."""
        for job in self.jobs:
            supervisor.start_job(job)

    async def close(self) -> None:
        """Call after the supervisor was closed."""
        await self.http.close()
        await self.notices.close()
        await self.store.database.close()


async def open_acquirer(
    folder: Path, secret: str, public_url: str, webhook_url: str, clock: Clock, new_id: NewId, sync: str = "FULL", committer: Committer | None = None
) -> Acquirer:  # fmt: skip
    """Opens the books in `folder`. `public_url` is the address that buyers' browsers reach it at, without the prefix; nothing runs yet."""
    database = _database(folder, sync, committer)
    await migrate(database, [KIT, Path(__file__).parent / "migrations"], clock)
    store = Store("acquirer", database, Log("acquirer", database, Registry(())), clock)
    base_url, faults = public_url.rstrip("/") + PREFIX, FaultPanel()
    notices = Notices(store, new_id, faults, secret, webhook_url, base_url)
    deps = AcquirerDeps(clock=clock, new_id=new_id, store=store, books=Books(database, clock), notices=notices, faults=faults, base_url=base_url)
    jobs = (Job("acquirer.notices", 0, notices.run), Job("acquirer.banks", POLL, partial(settle_late_ones, deps)))
    return Acquirer(_http(deps, secret, public_url.startswith("https:")), base_url, secret, faults, notices, store, jobs)


def _database(folder: Path, sync: str, committer: Committer | None) -> SqliteDatabase:
    folder.mkdir(parents=True, exist_ok=True)
    return SqliteDatabase(folder / "acquirer.db", sync, committer)


def _http(deps: AcquirerDeps, secret: str, secure: bool) -> App:
    async def authenticate(token: str) -> Identity | None:
        return Identity("merchant", frozenset({Role.PARTNER})) if hmac.compare_digest(token.encode(), secret.encode()) else None

    http, handlers = App(deps.clock, deps.new_id, authenticate, access=ACCESS, secure=secure, takes_cards=True), bound(HANDLERS, deps)
    http.add(routes(deps), handlers.__getitem__, deps.store)
    return http
