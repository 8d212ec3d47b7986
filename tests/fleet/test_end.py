"""A signal in the middle of work: what was acknowledged is there afterwards, what was not answered has not happened, and nothing ends with a fault."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.fleet.buying import Buyer, crowd
from tests.test_up import until_ready, up
from torg.kit.ports import free_port
from torg.kit.testing.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.fleet]
BUYERS, BEFORE = 8, 40  # buyers; orders before the signal


async def listen(buyer: Buyer) -> str:
    """Follows the notifications; how that came to its end."""
    try:
        async with buyer.browser.get(f"{buyer.address}/api/v1/notifications/stream", headers={"authorization": f"Bearer {buyer.token}"}) as reply:
            assert reply.status == 200
            async for _ in reply.content:
                continue
    except aiohttp.ClientError as error:
        return f"{type(error).__name__}: {error}"
    return "closed"


@contextmanager
def opened(data: Path, port: int, topology: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = up("--topology", topology, "--port", str(port), "--data", str(data))
    try:
        yield process, until_ready(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("topology", ["all", "services"])
async def test_a_signal_under_load_loses_nothing(topology: str, tmp_path: Path):
    port = free_port()
    connections = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connections, timeout=aiohttp.ClientTimeout(total=60)) as browser:
        with opened(tmp_path, port, topology) as (process, address):
            buyers = await crowd(browser, address, BUYERS)
            listening = asyncio.ensure_future(listen(buyers[0]))
            buying = [asyncio.ensure_future(buyer.buy()) for buyer in buyers]

            async def busy() -> bool:
                return sum(len(buyer.acknowledged) for buyer in buyers) >= BEFORE

            await until(busy, "orders come in", 180)
            process.send_signal(signal.SIGTERM)
            _, said = await asyncio.to_thread(process.communicate, timeout=180)
            await asyncio.gather(*buying)
            told = sum((buyer.told for buyer in buyers), Counter[str]())
            assert (process.returncode, "Traceback" in said) == (0, False), said
            assert await listening == "closed"
            assert not [what for what in told if what.startswith("FAULT")], told
        with opened(tmp_path, port, topology):
            for buyer in buyers:
                await buyer.sign_in()
                assert sorted(await buyer.orders()) == sorted(buyer.acknowledged), told
