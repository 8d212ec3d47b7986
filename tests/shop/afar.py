"""Opens the small shop as processes, as `torg up --topology …` does; what tests do with it goes over HTTP, or to the files that processes keep."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from bench.fleet import cpu
from yarl import URL

from tests.shop.goods import CURRENCY, fill
from tests.shop.opening import Shop, indexed
from tests.shop.people import Visitor
from torg import claims, compose, topology
from torg.engines import run
from torg.engines.catalogue import ENGINES
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
from torg.kit.sql.committer import Committer
from torg.kit.sql.opening import open_database
from torg.kit.store import Store
from torg.kit.testing.engines import started
from torg.kit.testing.http import Answer
from torg.kit.testing.waiting import until
from torg.opening import engines_environment, operating, with_engines

MAIN_CONTEXT = "user"  # runs in the main process of every mix
HEARD = 5 * NOTICED  # seconds until all processes know of a change of their peers, also those that had to wait for the machine


class FarShop(Shop):
    """A shop whose contexts run in other processes. `app` is composed for its shape alone: it is asked nothing, and nothing of it runs."""

    told_within = 4.0  # sooner than what nobody was told of is forgotten

    def __init__(
        self, shape: compose.Running, settings: Settings, clock: MovedClock, supervisor: Supervisor, fleet: Fleet, browser: aiohttp.ClientSession
    ) -> None:
        super().__init__(shape, clock)
        self.settings, self.supervisor, self._fleet, self._browser = settings, supervisor, fleet, browser
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

    async def store(self, context: str) -> Store:
        if context not in self._stores:
            database = await open_database(self.settings, context, Path(self.settings.data) / context, Committer())
            self._stores[context] = Store(context, database, Log(context, database, self.app.registry), values.utc_now)
        return self._stores[context]

    async def failed(self) -> list[tuple[str, FailedMessage]]:
        return [(context, failed) for context, desk in self._fleet.desks(wiring.OPERATOR).items() for failed in await desk.failed_messages()]

    async def settle(self) -> None:
        await until_settled(self._fleet.desks(wiring.OPERATOR))

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

    @asynccontextmanager
    async def gone(self, name: str) -> AsyncIterator[None]:
        """A process that was killed, and that nobody starts again until the block ends."""
        supervisor = self.supervisor
        child = supervisor._children[name]
        supervisor._watching.pop(name).cancel()
        child.kill()
        supervisor.members.remove(child.address)
        supervisor.members.give_up(child.planned.contexts)
        await asyncio.sleep(HEARD)
        try:
            yield
        finally:
            supervisor._watch(await supervisor._again(child.planned))
            await asyncio.sleep(HEARD)

    @contextmanager
    def broken_disk(self, context: str) -> Iterator[None]:
        pytest.skip(f"the disk of {context} is another process's")

    def merchant(self) -> Visitor:
        return Visitor(self, self.app.settings.acquirer_secret, prefix="")

    async def close(self) -> None:
        for store in self._stores.values():
            await store.database.close()


@dataclass
class Cost:
    """What a topology took for a run of journeys: seconds of CPU of the shop's processes and of the engines, and seconds on the clock."""

    ready: float = 0
    wall: float = 0
    shop: float = 0
    engines: float = 0

    def __str__(self) -> str:
        spent = f"{self.shop:.0f} s of CPU in the shop's processes, {self.engines:.0f} s in engines"
        return f"ready after {self.ready:.1f} s; journeys took {self.wall:.0f} s, {spent}"


@asynccontextmanager
async def open_far_shop(
    folder: Path, chosen: str, servers: bool = False, cost: Cost | None = None, databases: Mapping[str, str] | None = None, index: str = "",
    tls: bool = False,
) -> AsyncIterator[FarShop]:  # fmt: skip
    """The whole shop in the processes of a topology, filled and indexed, until the block ends. On `servers`, all of its engines are real ones of its own, and
    the shop in one process is there twice. `databases` are of single contexts; `index` is a search server, as TORG_INDEX; `tls` as TORG_TLS."""
    cost = cost or Cost()
    data, clock, front = folder / "data", MovedClock(folder / "clock"), claims.free_port("127.0.0.1", 0)
    clock.advance(seconds=0)
    async with AsyncExitStack() as stack:
        stack.callback(front.close)
        engines = [stack.enter_context(started(engine.name)) for engine in ENGINES] if servers else []
        named: dict[str, Any] = {"index": index} | {name.removeprefix("TORG_").lower(): url for _, settings in engines for name, url in settings.items()}
        settings = Settings(
            port=front.getsockname()[1], data=str(data), sync="OFF", currency=CURRENCY, password_memory_kib=8, log_level="error",
            clock=str(folder / "clock"), public_url=f"http://127.0.0.1:{front.getsockname()[1]}", demo=False,
            staff_factor="never", databases=dict(databases or {}), tls=tls, **named,
        )  # fmt: skip
        topology_ = topology.read(chosen)
        planned = plan(topology_, dict.fromkeys(topology_.processes, 2 if servers and topology_.alone else 1), settings)
        words = Words([process.name for process in planned], sys.stdout, os.environ)
        keys = wiring.own_keys(settings, (wiring.OPERATOR,), values.randomness)
        asking = wiring.own_tls(settings, (wiring.OPERATOR,), keys)
        supervisor = Supervisor(planned, environment(settings), data / "fleet" / "peers.toml", front, words, tls=asking)
        stack.push_async_callback(supervisor.stop)
        fleet = await stack.enter_async_context(operating(settings, FilePeers(data / "fleet" / "peers.toml")))
        began = time.monotonic()
        await supervisor.start()
        await supervisor.open()
        cost.ready = time.monotonic() - began
        browser = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()))
        embedded = with_engines(settings, "embedded")
        shape = await compose.compose(msgspec.structs.replace(embedded, data=str(folder / "shape"), acquirer_secret=_kept(data / "acquirer" / "secret")))
        stack.push_async_callback(shape.close)
        shop = FarShop(shape, settings, clock, supervisor, fleet, browser)
        stack.push_async_callback(shop.close)
        with within(60):
            await fill(shop.call, shop.settle)
        await until(lambda: indexed(shop), "the search index is complete")
        began = time.monotonic()
        yield shop
        cost.wall = time.monotonic() - began
        cost.shop = sum(cpu(pid) for pid in supervisor.pids().values())
        cost.engines = sum(cpu(running.pid) for place, _ in engines if (running := run.running(place)))


def environment(settings: Settings) -> dict[str, str]:
    """What tells processes of these settings."""
    told = {name: str(getattr(settings, name)) for name in ("data", "sync", "currency", "password_memory_kib", "log_level", "clock", "public_url", "tls")}
    named = {f"TORG_{name.upper()}": value for name, value in told.items()} | engines_environment(settings)
    return {**named, "TORG_FRONT": settings.public_url, "TORG_DISCOVERY": f"file:{settings.data}/fleet/peers.toml", "PYTHONPATH": os.pathsep.join(sys.path)}


def _kept(file: Path) -> str:
    return file.read_text().strip()
