"""That trouble on the way between two really reaches them, and ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.chaos.proxy import TROUBLES, Proxies, Wires
from torg.kit.rpc.peers import FilePeers
from torg.kit.testing.engines import started
from torg.kit.testing.waiting import until

LONG = b"x" * 5_000 + b"\n"


@pytest.fixture(scope="module")
def proxies() -> Iterator[Proxies]:
    with started("toxiproxy") as (place, _):
        yield Proxies(f"http://127.0.0.1:{place.port}")


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says what it hears, a line at a time."""
    heard, talking = list[bytes](), set[asyncio.StreamWriter]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.add(writer)
        with suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                heard.append(line)
                writer.write(line)
                await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard
        for writer in talking:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def say(port: int, line: bytes = LONG, patience: float = 60) -> tuple[str, float]:
    """What comes of it, and how long that takes."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(patience):
            writer.write(line)
            said = await reader.readuntil(b"\n")
        return ("whole" if said == line else "other"), time.monotonic() - began
    except TimeoutError:
        return "nothing", time.monotonic() - began
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        part = len(error.partial) if isinstance(error, asyncio.IncompleteReadError) else 0
        return ("cut" if part else "reset"), time.monotonic() - began
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.engine
@pytest.mark.parametrize(
    ("kind", "comes", "is_heard"),
    [
        ("is cut", "nothing", False),
        ("swallows what is asked", "nothing", False),
        ("swallows what is answered", "nothing", True),
        ("cuts answers off", "cut", True),
        ("resets connections", "reset", True),
        ("is slow", "whole", True),
        ("comes in small pieces", "whole", True),
    ],
)
async def test_trouble_is_what_it_is_called(proxies: Proxies, kind: str, comes: str, is_heard: bool):
    async with echo() as (port, heard):
        way = proxies.before(kind.replace(" ", "-"), port)
        assert (await say(way))[0] == "whole"
        heard.clear()
        async with proxies.trouble(kind.replace(" ", "-"), kind):
            outcome, seconds = await say(way, LONG, 1.5 if comes == "nothing" else 60)
        assert (outcome, bool(heard)) == (comes, is_heard)
        if kind == "is slow":
            assert seconds > 0.2
        assert (await say(way))[0] == "whole"
        proxies.remove(kind.replace(" ", "-"))


def test_all_kinds_of_trouble_are_tried():
    tried = test_trouble_is_what_it_is_called.pytestmark[0].args[1]
    assert {kind for kind, _, _ in tried} == set(TROUBLES)


@pytest.mark.engine
async def test_only_the_one_who_asks_meets_trouble_on_its_wire(proxies: Proxies, tmp_path: Path):
    async with echo() as (port, _):
        peers = tmp_path / "fleet" / "peers.toml"
        peers.parent.mkdir()
        peers.write_text(f'returning = []\ncart = ["127.0.0.1:{port}"]\n')
        wires = Wires(tmp_path)
        wires.open(["order", "web"])
        following = asyncio.create_task(wires.follow())

        async def address(process: str) -> int:
            known = await FilePeers(tmp_path / "wires" / f"{process}.toml").of("cart")
            return int(known.addresses[0].rpartition(":")[2]) if known.addresses else 0

        await until(lambda: address("order"))
        await until(lambda: address("web"))
        assert await address("order") == await address("web") == port
        async with wires.trouble(proxies, "order", "cart", "is cut"):
            assert await address("web") == port
            assert (await say(await address("order"), patience=1.5))[0] == "nothing"
        assert await address("order") == port
        following.cancel()
