"""Finding other processes: by a file that changes, by DNS, by Consul."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import dns.message
import dns.rrset
import pytest
from aiohttp import web

from torg.fleet.members import Members
from torg.kit.errors import Unavailable
from torg.kit.rpc.consul import ConsulPeers
from torg.kit.rpc.discovery import open_peers
from torg.kit.rpc.dns import open_dns
from torg.kit.rpc.peers import LOOK_EVERY, NOWHERE, FilePeers, Instances, Peers, StaticPeers
from torg.kit.settings import BadSettings
from torg.kit.testing.engines import running


@asynccontextmanager
async def kept_up(peers: Peers) -> AsyncIterator[None]:
    task = asyncio.ensure_future(peers.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peers.close()


async def seen(peers: Peers, context: str, *addresses: str, within: float = 60) -> Instances:
    async with asyncio.timeout(within):
        while True:
            found = await peers.of(context)
            if set(found.addresses) == set(addresses):
                return found
            await asyncio.sleep(0.02)


async def test_a_list_says_what_it_says():
    peers = StaticPeers({"order": ["a:1", "b:1"]})
    assert await peers.of("order") == Instances(("a:1", "b:1"))
    assert await peers.of("cart") == NOWHERE


async def test_a_file_is_read_again_whenever_it_changes(tmp_path: Path):
    members = Members(tmp_path / "peers.toml", ("order", "cart"))
    members.add(["order"], "127.0.0.1:1")
    peers = FilePeers(members.file)
    assert await peers.of("order") == Instances(("127.0.0.1:1",), returning=True)
    assert await peers.of("cart") == Instances((), returning=True)
    async with kept_up(peers):
        for number in range(2, 40):  # several changes within one tick of the file system's clock
            members.add(["order"], f"127.0.0.1:{number}")
            members.remove(f"127.0.0.1:{number - 1}")
            if number % 13 == 0:
                await seen(peers, "order", f"127.0.0.1:{number}")
        members.give_up(["cart"])
        members.remove("127.0.0.1:39")
        await seen(peers, "order")
        assert not (await peers.of("cart")).returning


async def test_a_file_that_breaks_changes_nothing(tmp_path: Path):
    file = tmp_path / "peers.toml"
    file.write_text('order = ["a:1"]')
    peers = FilePeers(file)
    assert (await peers.of("order")).addresses == ("a:1",)
    file.write_text("order = [")
    async with kept_up(peers):
        await asyncio.sleep(2 * LOOK_EVERY)
        assert (await peers.of("order")).addresses == ("a:1",)


# ---------------------------------------------------------------- DNS


class Names(asyncio.DatagramProtocol):
    """A small DNS server: records by (name, type)."""

    def __init__(self, records: Mapping[tuple[str, str], list[str]], ttl: int) -> None:
        self.records, self.ttl, self.asked = dict(records), ttl, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.asked += 1
        query = dns.message.from_wire(data)
        question, reply = query.question[0], dns.message.make_response(query)
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        if values := self.records.get((name, kind)):
            reply.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *values))
        elif name not in {known for known, _ in self.records}:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(reply.to_wire(), address)


@asynccontextmanager
async def names(records: Mapping[tuple[str, str], list[str]], ttl: int = 1) -> AsyncIterator[tuple[Names, str]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Names(records, ttl), ("127.0.0.1", 0))
    try:
        yield server, f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def test_all_address_records_of_a_name_are_instances():
    records = {("order.torg.test.", "A"): ["10.0.0.1", "10.0.0.2"], ("cart.torg.test.", "AAAA"): ["fd00::7"]}
    async with names(records) as (_, server):
        peers = open_dns(f"dns://{{context}}.torg.test:8000?server={server}")
        assert set((await peers.of("order")).addresses) == {"10.0.0.1:8000", "10.0.0.2:8000"}
        assert (await peers.of("cart")).addresses == ("[fd00::7]:8000",)
        assert (await peers.of("payment")).addresses == ()


async def test_service_records_bring_their_ports_and_only_the_best_priority_counts():
    records = {
        ("_http._tcp.order.torg.test.", "SRV"): ["10 5 8001 one.test.", "10 5 8002 two.test.", "20 5 8003 reserve.test."],
        ("one.test.", "A"): ["10.0.0.1"],
        ("two.test.", "A"): ["10.0.0.2"],
        ("reserve.test.", "A"): ["10.0.0.3"],
    }
    async with names(records) as (_, server):
        peers = open_dns(f"dns+srv://_http._tcp.{{context}}.torg.test?server={server}")
        assert set((await peers.of("order")).addresses) == {"10.0.0.1:8001", "10.0.0.2:8002"}


async def test_an_instance_that_comes_or_goes_is_noticed_once_the_records_are_old():
    async with names({("order.torg.test.", "A"): ["10.0.0.1"]}) as (server, at):
        peers = open_dns(f"dns://{{context}}.torg.test:8000?server={at}")
        async with kept_up(peers):
            await seen(peers, "order", "10.0.0.1:8000")
            server.records["order.torg.test.", "A"] = ["10.0.0.2", "10.0.0.3"]
            await seen(peers, "order", "10.0.0.2:8000", "10.0.0.3:8000")


async def test_names_are_not_asked_for_at_every_call():
    async with names({("order.torg.test.", "A"): ["10.0.0.1"]}, ttl=60) as (server, at):
        peers = open_dns(f"dns://{{context}}.torg.test:8000?server={at}")
        async with kept_up(peers):
            for _ in range(100):
                await peers.of("order")
        assert server.asked == 1


async def test_while_nobody_answers_what_was_known_is_used():
    async with names({("order.torg.test.", "A"): ["10.0.0.1"]}) as (_, at):
        peers = open_dns(f"dns://{{context}}.torg.test:8000?server={at}")
        await peers.of("order")
    async with kept_up(peers):
        await asyncio.sleep(2.5)
        assert (await peers.of("order")).addresses == ("10.0.0.1:8000",)
    with pytest.raises(Unavailable, match="nobody could be asked"):
        await open_dns(f"dns://{{context}}.torg.test:8000?server={at}").of("order")


@pytest.mark.parametrize("bad", ["dns://order.torg.test:8000", "dns://{context}.torg.test", "dns+srv://_http._tcp.order", "zookeeper://127.0.0.1"])
def test_a_way_that_cannot_be_is_refused(bad: str):
    with pytest.raises(BadSettings, match="TORG_DISCOVERY"):
        open_peers(bad)


# ---------------------------------------------------------------- Consul


@pytest.fixture(scope="module")
def consul() -> Iterator[str]:
    with running("consul") as settings:
        yield settings["TORG_DISCOVERY"]


class Process:
    """Says whether it is ready, as a context's process does."""

    def __init__(self) -> None:
        self.ready = True

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[str]:
        async def ready(_: web.Request) -> web.Response:
            return web.Response(status=200 if self.ready else 503)

        site = web.Application()
        site.router.add_get("/ready", ready)
        runner = web.AppRunner(site)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def at(url: str) -> ConsulPeers:
    peers = open_peers(url)
    assert isinstance(peers, ConsulPeers)
    return peers


@pytest.mark.slow
async def test_consul_tells_of_processes_that_come_fall_ill_and_go(consul: str):
    here, there, process = at(consul), at(consul), Process()
    async with kept_up(here), process.answering() as address:
        assert (await here.of("order")).addresses == ()
        port = int(address.rpartition(":")[2])
        await there.announce(["order", "payment"], address, port)
        await there.announce(["cart"], "127.0.0.1:1", port)
        await seen(here, "cart", "127.0.0.1:1")
        await seen(here, "order", address)
        await seen(here, "payment", address)
        process.ready = False
        await seen(here, "order")
        process.ready = True
        await seen(here, "order", address)
        await there.close()
        await seen(here, "order")


async def test_a_consul_that_is_away_is_said():
    peers = ConsulPeers("127.0.0.1:1")
    with pytest.raises(Unavailable, match="Consul at"):
        await peers.of("order")
    await peers.close()
