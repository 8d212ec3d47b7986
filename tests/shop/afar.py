"""Opens the small shop as processes, as `torg up --topology …` does; what tests do with it goes over HTTP, or to the files that processes keep."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from tests.shop.goods import CURRENCY, fill
from tests.shop.opening import Shop, indexed
from tests.shop.people import Visitor
from tests.shop.waiting import until
from torg import compose, serve, topology
from torg.fleet import wiring
from torg.fleet.plan import plan
from torg.fleet.supervisor import NOTICED, Supervisor
from torg.fleet.words import Words
from torg.kit import values
from torg.kit.bus import FailedMessage
from torg.kit.calls import Call
from torg.kit.chain import Chained, within
from torg.kit.log import Log
from torg.kit.rehearsal import MovedClock
from torg.kit.rpc.fleet import Fleet, until_settled
from torg.kit.rpc.peers import FilePeers
from torg.kit.settings import Settings
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.store import Store
from torg.kit.testing.http import Answer
from torg.opening import operating

MAIN_CONTEXT = "user"  # runs in the main process of every mix
HEARD = 2 * NOTICED  # seconds until all processes know of a change of their peers


class FarShop(Shop):
    """A shop whose contexts run in other processes. `app` is composed for its shape alone: it is asked nothing, and nothing of it runs."""

    told_within = 0.2

    def __init__(self, shape: compose.Running, clock: MovedClock, supervisor: Supervisor, fleet: Fleet, browser: aiohttp.ClientSession) -> None:
        super().__init__(shape, clock)
        self.supervisor, self._fleet, self._browser = supervisor, fleet, browser
        self._stores: dict[str, Store] = {}

    async def send(self, method: str, target: str, body: object = None, *, raw: bytes | None = None, **headers: Any) -> Answer:
        data = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
        sent = {**({"content-type": "application/json"} if data else {}), **{name.replace("_", "-"): value for name, value in headers.items()}}
        address, plain = URL(self.address + target, encoded=True), ("content-type", "user-agent")
        stream = BytesIO(data) if data else None
        async with self._browser.request(method, address, data=stream, headers=sent, allow_redirects=False, skip_auto_headers=plain) as answer:
            return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.read())

    @property
    def call(self) -> Call:
        return Chained(self._fleet.remote, wiring.OPERATOR, edge=True)

    def store(self, context: str) -> Store:
        if context not in self._stores:
            database = SqliteDatabase(Path(self.app.settings.data).parent / "data" / context / f"{context}.db", sync="OFF")
            self._stores[context] = Store(context, database, Log(context, database, self.app.registry), values.utc_now)
        return self._stores[context]

    async def failed(self) -> list[tuple[str, FailedMessage]]:
        return [(context, failed) for context, desk in self._fleet.desks().items() for failed in await desk.failed_messages()]

    async def settle(self) -> None:
        await until_settled(self._fleet.desks())

    @asynccontextmanager
    async def unreachable(self, context: str) -> AsyncIterator[None]:
        members = self.supervisor.members
        if set(members.addresses[MAIN_CONTEXT]) == set(members.addresses[context]):
            pytest.skip(f"in this topology {context} and who asks it are one process")
        addresses = members.addresses.pop(context)
        members.give_up([context])
        await asyncio.sleep(HEARD)
        try:
            yield
        finally:
            members.addresses[context] = addresses
            members.expect([context])
            await asyncio.sleep(HEARD)

    def merchant(self) -> Visitor:
        return Visitor(self, self.app.settings.acquirer_secret, prefix="")

    async def close(self) -> None:
        for store in self._stores.values():
            await store.database.close()


@asynccontextmanager
async def open_far_shop(folder: Path, chosen: str) -> AsyncIterator[FarShop]:
    """The whole shop in the processes of a topology, filled and indexed, until the block ends."""
    data, clock, front = folder / "data", MovedClock(folder / "clock"), serve.free_port("127.0.0.1", 0)
    clock.advance(seconds=0)
    settings = Settings(
        port=front.getsockname()[1], data=str(data), sync="OFF", currency=CURRENCY, password_memory_kib=8, log_level="error", clock=str(folder / "clock"),
        public_url=f"http://127.0.0.1:{front.getsockname()[1]}", demo=False,
    )  # fmt: skip
    planned = plan(topology.read(chosen), {}, settings)
    words = Words([process.name for process in planned], sys.stdout, os.environ)
    supervisor = Supervisor(planned, environment(settings), data / "fleet" / "peers.toml", front, words)
    async with AsyncExitStack() as stack:
        stack.callback(front.close)
        stack.push_async_callback(supervisor.stop)
        fleet = await stack.enter_async_context(operating(settings, FilePeers(data / "fleet" / "peers.toml")))
        await supervisor.start()
        await supervisor.open()
        browser = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()))
        shape = await compose.compose(msgspec.structs.replace(settings, data=str(folder / "shape"), acquirer_secret=_kept(data / "acquirer" / "secret")))
        stack.push_async_callback(shape.close)
        shop = FarShop(shape, clock, supervisor, fleet, browser)
        stack.push_async_callback(shop.close)
        with within(60):
            await fill(shop.call)
        await shop.settle()
        await until(lambda: indexed(shop), "the search index is complete")
        yield shop


def environment(settings: Settings) -> dict[str, str]:
    """What tells processes of these settings."""
    told = {name: str(getattr(settings, name)) for name in ("data", "sync", "currency", "password_memory_kib", "log_level", "clock", "public_url")}
    named = {f"TORG_{name.upper()}": value for name, value in told.items()}
    return {**named, "TORG_FRONT": settings.public_url, "TORG_DISCOVERY": f"file:{settings.data}/fleet/peers.toml", "PYTHONPATH": os.pathsep.join(sys.path)}


def _kept(file: Path) -> str:
    return file.read_text().strip()
