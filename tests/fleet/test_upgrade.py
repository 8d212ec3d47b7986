"""The next version takes over while people buy: old and new processes stand side by side, and what they tell each other crosses both ways."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.fleet.apart import SERVICES, Apart
from tests.fleet.buying import Buyer, crowd
from tests.fleet.newer import FIELD, WRAPPED
from torg import topology
from torg.kit.rpc.client import PATIENCE
from torg.kit.testing.engines import running
from torg.kit.testing.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.fleet]
BUYERS, EACH = 4, 6  # orders that must come of each step
NOTICED = 1.0  # seconds until everybody has read where others are, also who had to wait for the machine
ALONE = ("catalog", topology.SANDBOX)  # keep something in files: the old one ends before the new one starts
NEWER = "tests.fleet.newer"


class Upgrade:
    """A fleet on servers, and those who buy in it."""

    def __init__(self, fleet: Apart, browser: aiohttp.ClientSession, buyers: Sequence[Buyer]) -> None:
        self.fleet, self.browser, self.buyers = fleet, browser, buyers
        self.serving = {name: [name] for name in SERVICES}
        self.longest_away = 0.0
        """Seconds that people had to wait for one that was alone."""

    async def more_orders(self) -> None:
        """Until there are some more than now."""
        before = self._orders()

        async def there_are() -> bool:
            return self._orders() >= before + EACH

        await until(there_are, "people go on buying", 180)

    async def begin(self, *names: str) -> None:
        """New ones beside the old ones."""
        for name in names:
            self.fleet.start(name, module=NEWER, instance=f"{name}.new")
        await self.fleet.until_ready(self.browser, [f"{name}.new" for name in names])
        await self._find({name: [*self.serving[name], f"{name}.new"] for name in names})

    async def finish(self, *names: str) -> None:
        """The old ones go."""
        await self._find({name: [f"{name}.new"] for name in names})
        await self.fleet.end(*names)

    async def replace(self, name: str) -> None:
        """Others wait for the new one."""
        began = time.monotonic()
        await self._find({name: []})
        await self.fleet.end(name)
        await self.begin(name)
        self.longest_away = max(self.longest_away, time.monotonic() - began)

    async def _find(self, instances: Mapping[str, Sequence[str]]) -> None:
        self.serving |= {name: list(there) for name, there in instances.items()}
        found = {name: [self.fleet.at(one) for one in there] for name, there in self.serving.items()}
        self.fleet.find(found, *(name for name, there in found.items() if not there))
        await asyncio.sleep(NOTICED)

    def _orders(self) -> int:
        return sum(len(buyer.acknowledged) for buyer in self.buyers)


@asynccontextmanager
async def bought_in(fleet: Apart) -> AsyncIterator[Upgrade]:
    """Every process in this version, filled, with people who go on buying until the block ends; then nothing may be amiss."""
    connections = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connections, timeout=aiohttp.ClientTimeout(total=60)) as browser:
        for name in SERVICES:
            fleet.start(name)
        await fleet.until_ready(browser, [name for name in SERVICES if name != topology.SANDBOX])
        await fleet.fill()
        buyers = await crowd(browser, fleet.address, BUYERS)
        buying = [asyncio.ensure_future(buyer.buy()) for buyer in buyers]
        upgrade = Upgrade(fleet, browser, buyers)
        try:
            yield upgrade
        finally:
            for task in buying:
                task.cancel()
            await asyncio.gather(*buying, return_exceptions=True)
        told = sum((buyer.told for buyer in buyers), Counter[str]())
        later = {"cart 503", "order 503"} if upgrade.longest_away > PATIENCE else set()  # on a busy machine one takes longer to start than a request may
        assert set(told) <= {"cart 200", "order 202"} | later, told
        await everything_is_in_order(buyers)


async def everything_is_in_order(buyers: Sequence[Buyer]) -> None:
    """Each order that was acknowledged is confirmed; no message was given up; every invariant holds."""
    operator = Buyer(buyers[0].address, buyers[0].browser, email="admin@torg.example")
    await operator.sign_in()
    for buyer in buyers:
        for order_id in buyer.acknowledged:

            async def confirmed(buyer: Buyer = buyer, order_id: str = order_id) -> bool:
                return bool((await buyer.ask("GET", f"/orders/{order_id}"))[1]["status"] == "confirmed")

            await until(confirmed, f"{order_id} is confirmed", 60)

    async def all_hold() -> bool:
        _, reports, _ = await operator.ask("GET", "/admin/invariants")
        broken = [report for report in reports["items"] if not report["holds"]]
        return not broken

    await until(all_hold, "every invariant holds", 60)
    assert (await operator.ask("GET", "/admin/dead-letters"))[1]["items"] == []


async def counted(url: str) -> Mapping[str, tuple[int, int]]:
    """Of the orders' log by name of the event: how many rows the old version wrote, and how many the new one."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            'select name, count(*) filter (where data not like $1) as old, count(*) filter (where data like $1) as new from "order".log group by name',
            f'%"{FIELD}"%',
        )
    finally:
        await connection.close()
    return {row["name"]: (row["old"], row["new"]) for row in rows}


@pytest.mark.parametrize("bus", ["logs", "kafka"])
async def test_one_process_after_the_other_while_people_buy(bus: str, tmp_path: Path):
    with ExitStack() as stack:
        engines = [stack.enter_context(running(name)) for name in ("postgres", *(["kafka"] if bus == "kafka" else []))]
        settings = {name: value for engine in engines for name, value in engine.items()}
        fleet = Apart(tmp_path, settings)
        stack.callback(fleet.close)
        async with bought_in(fleet) as upgrade:
            await upgrade.more_orders()
            for name in ("inventory", "order"):
                await upgrade.begin(name)
                await upgrade.more_orders()
                await upgrade.finish(name)
            side_by_side = await counted(settings["TORG_DB"])
            assert min(side_by_side["order.placed"]) > 0, "both versions took orders"
            for name in ALONE:
                await upgrade.replace(name)
            rest = [name for name in SERVICES if name not in ("inventory", "order", topology.GATEWAY, *ALONE)]
            await upgrade.begin(*rest)
            await upgrade.more_orders()
            await upgrade.finish(*rest)
            await upgrade.more_orders()
        told = await counted(settings["TORG_DB"])
        assert sum(told[WRAPPED]) > 0, "and told what the old version has no word for"
        await fleet.end(*fleet.running)
