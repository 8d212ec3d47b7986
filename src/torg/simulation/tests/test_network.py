"""Connections over the simulated network: in order, in time, cut, broken, and ended by a process's death."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from torg.simulation.loop import SimulatedLoop
from torg.simulation.network import OUTSIDE, Network
from torg.simulation.processes import Process

SERVER = ("10.0.0.1", 80)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.heard, self.lost = b"", False

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True


def carried_out(scene: Callable[[SimulatedLoop, Network, Process], Awaitable[None]]) -> None:
    loop = SimulatedLoop(Random("network"))
    loop.network, process = Network(loop, Random("packets")), Process("server", SERVER[0])

    async def play() -> None:
        async def serve() -> None:
            await loop.create_server(Echo, *SERVER)

        await loop.create_task(serve(), context=process.inside())
        await scene(loop, loop.network, process)

    loop.run_until_complete(play())
    loop.throw_away()
    assert not loop.defects


async def connected(loop: SimulatedLoop) -> tuple[asyncio.Transport, Client]:
    transport, client = await loop.create_connection(Client, *SERVER)
    return transport, client


def test_what_is_sent_comes_in_order_after_a_while():
    async def scene(loop: SimulatedLoop, network: Network, process: Process) -> None:
        transport, client = await connected(loop)
        for number in range(50):
            transport.write(b"%d " % number)
        assert len(client.heard) == 0
        await asyncio.sleep(1)
        assert client.heard == b"".join(b"%d " % number for number in range(50))

    carried_out(scene)


def test_nothing_gets_through_a_cut_and_all_of_it_afterwards():
    async def scene(loop: SimulatedLoop, network: Network, process: Process) -> None:
        transport, client = await connected(loop)
        network.cut(SERVER[0], OUTSIDE, 5)
        transport.write(b"hello")
        await asyncio.sleep(4.9)
        assert len(client.heard) == 0
        await asyncio.sleep(1)
        assert client.heard == b"hello"

    carried_out(scene)


def test_both_ends_hear_of_a_broken_connection():
    async def scene(loop: SimulatedLoop, network: Network, process: Process) -> None:
        _, client = await connected(loop)
        assert network.reset(1.0) == 1
        await asyncio.sleep(1)
        assert client.lost
        _, another = await connected(loop)
        assert not another.lost

    carried_out(scene)


def test_who_is_connected_to_a_process_hears_of_its_death_and_reaches_it_no_more():
    async def scene(loop: SimulatedLoop, network: Network, process: Process) -> None:
        _, client = await connected(loop)
        process.kill()
        await asyncio.sleep(1)
        assert client.lost
        with pytest.raises(ConnectionRefusedError):
            await connected(loop)

    carried_out(scene)


def test_a_paused_process_takes_connections_and_answers_later():
    async def scene(loop: SimulatedLoop, network: Network, process: Process) -> None:
        process.pause()
        transport, client = await connected(loop)
        transport.write(b"hello")
        await asyncio.sleep(3)
        assert len(client.heard) == 0
        process.resume(loop.again)
        await asyncio.sleep(1)
        assert client.heard == b"hello"

    carried_out(scene)
