"""Two gateways of one shop that share Redis: what one person has under way is counted of both, and what a killed one held is free soon."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.fleet.buying import Buyer
from tests.fleet.test_front_door import APART
from tests.fleet.test_up import processes
from tests.test_up import until_ready, up
from torg.kit.limits.shared import LEASE
from torg.kit.ports import free_port
from torg.kit.testing.engines import running
from torg.kit.testing.waiting import SETTLE, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.fleet, pytest.mark.engine]
MOST = 24  # connections: so many are hardly ever all at one of the two


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    (tmp_path / "gateway.toml").write_text(f"[bounds]\nrequests_per_person = {MOST}\n")
    with running("redis") as settings:
        asked = ("--topology", APART, "--instances", "main=2", "--port", str(free_port()), "--data", str(tmp_path / "data"))
        process = up(*asked, TORG_GATEWAY=str(tmp_path / "gateway.toml"), **settings)
        try:
            yield until_ready(process), tmp_path / "data"
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=180)
            assert (process.returncode, "Traceback" in said) == (0, False), said
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


class Person:
    """Each request on a connection of its own, so that either gateway may have it."""

    def __init__(self, buyer: Buyer) -> None:
        self.buyer, self.headers = buyer, {"authorization": f"Bearer {buyer.token}"}
        self.streams: list[aiohttp.ClientResponse] = []

    async def status(self) -> int:
        async with self.buyer.browser.get(f"{self.buyer.address}/api/v1/orders", headers=self.headers) as reply:
            return reply.status

    async def listen(self) -> int:
        stream = await self.buyer.browser.get(f"{self.buyer.address}/api/v1/notifications/stream", headers=self.headers)
        if stream.status == 200:
            self.streams.append(stream)
        else:
            stream.close()
        return stream.status

    async def lost(self) -> int:
        """How many of the streams have broken off, once the process that held them is gone: all that it had to say is here then."""
        reading = [asyncio.ensure_future(to_the_end(stream)) for stream in self.streams]
        gone, others = await asyncio.wait(reading, timeout=1)
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return len(gone)


async def to_the_end(stream: aiohttp.ClientResponse) -> None:
    with suppress(aiohttp.ClientError):
        while await stream.content.readany():
            continue


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def person(address: str) -> AsyncIterator[Person]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as browser:
        await (buyer := Buyer(address, browser)).arrive()
        listening = Person(buyer)
        try:
            yield listening
        finally:
            for stream in listening.streams:
                stream.close()


async def test_what_one_person_has_under_way_is_counted_of_both_and_a_killed_ones_part_is_free_after_its_lease(shop: tuple[str, Path]):
    address, data = shop
    async with person(address) as anna, person(address) as boris:
        assert [await anna.listen() for _ in range(MOST)] == [200] * MOST
        assert [await anna.status() for _ in range(10)] == [429] * 10, "by whichever of the two"
        assert await boris.status() == 200
        gateways = {name: pid for name, pid in processes(data).items() if name.startswith("main")}
        assert len(gateways) == 2
        os.kill(gateways["main.2"], signal.SIGKILL)
        await until(lambda: not alive(gateways["main.2"]), "it is gone, and its sockets are closed")
        lost = await anna.lost()
        assert 0 < lost < MOST, "both had some of them"

        async def one_is_free() -> bool:
            return await anna.status() == 200

        await until(one_is_free, "what the killed one held is free", LEASE + SETTLE)

        async def all_are_free() -> bool:
            return await anna.listen() == 429 and len(anna.streams) == MOST + lost

        await until(all_are_free, "just what it held is free", LEASE + SETTLE)
        anna.streams[-1].close()
        await until(one_is_free, "one that has left makes room for one")
