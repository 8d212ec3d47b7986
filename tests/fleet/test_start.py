"""Processes that are started one by one, in any order, their engines after them: each waits for what it needs, says so, and is ready once that is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest
import pytest_asyncio

from tests.fleet.apart import SERVICES, STARTS, Apart
from torg import topology
from torg.engines import run
from torg.engines.catalogue import named
from torg.kit.ports import free_port
from torg.kit.testing.engines import open_folder, refusal_skips
from torg.kit.testing.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.fleet]
LATE = ("postgres", "redis", "kafka")


@pytest_asyncio.fixture(loop_scope="session")
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@contextmanager
def apart(folder: Path, **settings: str) -> Iterator[Apart]:
    fleet = Apart(folder, settings)
    try:
        yield fleet
    finally:
        fleet.close()


async def works(fleet: Apart, browser: aiohttp.ClientSession) -> None:
    """Somebody registers and is welcomed: over the gateway, three processes and what tells one of the other."""
    api, person = f"{fleet.address}/api/v1", {"email": "anna@buyers.torg.example", "password": "Kettle-Harbour-42", "full_name": "Anna Petrova"}
    async with browser.post(f"{api}/users", json=person) as reply:
        assert reply.status == 201, await reply.text()
    async with browser.post(f"{api}/sessions", json={name: person[name] for name in ("email", "password")}) as reply:
        token = (await reply.json())["access_token"]

    async def welcomed() -> bool:
        async with browser.get(f"{api}/notifications", headers={"authorization": f"Bearer {token}"}) as reply:
            return bool(reply.status == 200 and (await reply.json())["items"])

    await until(welcomed, "the feed has a welcome", 60)


@pytest.mark.parametrize("seed", [1, 2])
async def test_processes_start_in_any_order(seed: int, tmp_path: Path, browser: aiohttp.ClientSession):
    random = Random(seed)
    order = random.sample(SERVICES, len(SERVICES))
    with apart(tmp_path) as fleet:
        for name in order[:-1]:
            fleet.start(name)
            await asyncio.sleep(random.random() * 0.5)
        missing = order[-1]
        for name in order[:-1]:

            async def answers(name: str = name) -> bool:
                return (await fleet.ready(browser, name))[0] != 0

            await until(answers, f"{name} answers", STARTS)
        for name in [name for name in order[:-1] if missing in topology.NEEDS.get(name, ())]:

            async def misses_it(name: str = name) -> bool:
                status, checks = await fleet.ready(browser, name)
                return status == 503 and "cannot be reached" in checks.get(f"{missing} answers", "")

            await until(misses_it, f"{name} says that {missing} is missing", STARTS)
        fleet.start(missing)
        await fleet.until_ready(browser, order)
        await works(fleet, browser)
        await fleet.end(*order)


async def test_engines_come_after_the_processes(tmp_path: Path, browser: aiohttp.ClientSession):
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        places = {name: run.place_of(named(name), folder, free_port()) for name in LATE}
        settings = {key: value for name, place in places.items() for key, value in named(name).settings(place).items()}
        fleet = stack.enter_context(apart(tmp_path, **settings))
        for name in SERVICES:
            fleet.start(name)

        async def waits() -> bool:
            status, checks = await fleet.ready(browser, "order")
            return status == 503 and "PostgreSQL" in checks.get("start", "")

        await until(waits, "order says that it waits for PostgreSQL", STARTS)
        async with browser.get(f"http://{fleet.at('order')}/health") as reply:
            assert reply.status == 200, "it lives, so that nobody starts it again"
        with refusal_skips():
            for name, place in places.items():
                stack.callback(run.stop, named(name), place, _quietly)
                await asyncio.to_thread(run.start, named(name), place, _quietly)
        await fleet.until_ready(browser, SERVICES)
        await works(fleet, browser)
        await fleet.end(*SERVICES)


async def test_a_process_that_waits_for_an_engine_ends_when_told_to(tmp_path: Path, browser: aiohttp.ClientSession):
    with apart(tmp_path, TORG_DB=f"postgresql://nobody@127.0.0.1:{free_port()}/none") as fleet:
        fleet.start("order")

        async def waits() -> bool:
            return (await fleet.ready(browser, "order"))[0] == 503

        await until(waits, "order waits", 60)
        await fleet.end("order")


def _quietly(_: str) -> None: ...
