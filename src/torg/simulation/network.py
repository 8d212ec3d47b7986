"""A simulated network: connections between processes by address, on which everything takes a drawn time, and which can be cut, slowed and broken."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any, Final

from torg.simulation.loop import SimulatedLoop
from torg.simulation.processes import Process, running_in

Address = tuple[str, int]
NEAREST, FARTHEST = 0.0001, 0.001  # seconds that a packet takes
CUT_SHORT = 0.5  # of what is on its way as a connection breaks comes in part
OUTSIDE: Final = "outside"
"""Where people are."""


class Network:
    """`cuts` are pairs of hosts (from, to) between which nothing gets through until a moment; `slow` says how many times longer packets of a host take."""

    def __init__(self, loop: SimulatedLoop, random: Random) -> None:
        self._loop, self._random = loop, random
        self._listeners: dict[Address, Listener] = {}
        self._sockets: dict[Any, Listener] = {}
        self._wires: dict[Wire, None] = {}
        self.cuts: dict[tuple[str, str], float] = {}
        self.slow: dict[str, float] = {}
        self.carried = 0

    # ---------------------------------------------------------------- what goes wrong

    def cut(self, source: str, target: str, seconds: float) -> None:
        """Nothing that one host sends reaches the other for so long; it comes afterwards, as TCP sends it again."""
        self.cuts[source, target] = self._loop.time() + seconds

    def heal(self) -> None:
        self.cuts.clear()
        self.slow.clear()

    def reset(self, share: float) -> int:
        """Breaks so many of the connections there are, some in the middle of what is on its way."""
        chosen = [wire for wire in self._wires if self._random.random() < share]
        for wire in chosen:
            wire.break_()
        return len(chosen)

    def part_of(self, data: bytes) -> bytes:
        """What of a packet's data came before its connection broke: often nothing."""
        return data[: int(self._random.random() * len(data))] if self._random.random() < CUT_SHORT else b""

    def delay(self, source: str, target: str) -> float:
        took = NEAREST + self._random.random() * (FARTHEST - NEAREST)
        if self.slow:
            took *= max(self.slow.get(source, 1.0), self.slow.get(target, 1.0))
        return took

    def closed_until(self, source: str, target: str) -> float:
        return self.cuts.get((source, target), 0.0) if self.cuts else 0.0

    # ---------------------------------------------------------------- the loop's side

    def listen(self, factory: Callable[[], asyncio.Protocol], address: Address) -> Listener:
        if address in self._listeners:
            raise OSError(98, f"{address} is in use")
        listener = self._listeners[address] = Listener(self, factory, address, running_in.get())
        return listener

    def forget(self, listener: Listener) -> None:
        if self._listeners.get(listener.address) is listener:
            del self._listeners[listener.address]

    async def connection(self, factory: Callable[[], asyncio.Protocol], address: Address, sock: Any) -> tuple[asyncio.Transport, asyncio.Protocol]:
        listener = self._sockets.pop(sock) if sock is not None else await self._reach(address)
        protocol = factory()
        near = End(self._loop, protocol, sock, copy_context())
        far = End(self._loop, listener.factory(), None, listener.context)
        wire = Wire(self, self._loop, near, far, _host(), listener.address[0])
        self._wires[wire] = None
        listener.accept(wire)
        protocol.connection_made(near)
        return near, protocol

    async def connect_socket(self, sock: Any, address: Address) -> None:
        self._sockets[sock] = await self._reach(address)

    async def _reach(self, address: Address) -> Listener:
        source = _host()
        for way in ((source, address[0]), (address[0], source)):
            await asyncio.sleep(self.delay(*way))
            while (until := self.closed_until(*way)) > self._loop.time():  # noqa: ASYNC110 the cut may be made longer
                await asyncio.sleep(until - self._loop.time())
        listener = self._listeners.get(address)
        if listener is None:
            raise ConnectionRefusedError(111, f"nobody listens at {address}")
        return listener

    def done(self, wire: Wire) -> None:
        self._wires.pop(wire, None)


def _host() -> str:
    process = running_in.get()
    return process.address if process else OUTSIDE


class Listener:
    """A listening socket; the operating system takes connections for it even while its process is paused."""

    def __init__(self, network: Network, factory: Callable[[], asyncio.Protocol], address: Address, process: Process | None) -> None:
        self.factory, self.address = factory, address
        self.context = process.inside() if process else copy_context()
        self._network, self._process, self._wires = network, process, dict[Wire, None]()
        if process:
            process.on_death.append(self._die)

    def accept(self, wire: Wire) -> None:
        self._wires[wire] = None
        wire.far.open(wire)

    def close(self) -> None:
        self._network.forget(self)

    def _die(self) -> None:
        self.close()
        for wire in self._wires:
            wire.break_(whole=True)


class Wire:
    """A connection: two ends, and what is on its way between them."""

    def __init__(self, network: Network, loop: SimulatedLoop, near: End, far: End, near_host: str, far_host: str) -> None:
        self.network, self.loop, self.near, self.far = network, loop, near, far
        near.join(self, far, near_host, far_host)
        far.join(self, near, far_host, near_host)
        process = running_in.get()
        if process:
            process.on_death.append(self._near_dies)

    def _near_dies(self) -> None:
        self.break_(whole=True)

    def break_(self, whole: bool = False) -> None:
        """Both ends hear of it, each in its time; what is on its way is lost, unless the `whole` of it was sent by one that died after it."""
        for end in (self.near, self.far):
            end.cut_off(whole)
        self.network.done(self)


class End(asyncio.Transport):
    """One end of a connection, as its protocol sees it."""

    def __init__(self, loop: SimulatedLoop, protocol: asyncio.Protocol, sock: socket.socket | None, context: Context) -> None:
        super().__init__()
        self._loop, self._protocol, self._socket, self._context = loop, protocol, sock, context
        self._coming: deque[tuple[float, bytes | None]] = deque()  # None: the other end has closed
        self._wire: Wire
        self._peer: End
        self._source = self._target = ""
        self._reading, self._closing, self._lost, self._expected = True, False, False, False
        self._last = 0.0

    def join(self, wire: Wire, peer: End, source: str, target: str) -> None:
        self._wire, self._peer, self._source, self._target = wire, peer, source, target

    def open(self, wire: Wire) -> None:
        self._loop.call_soon(self._protocol.connection_made, self, context=self._context)

    # ---------------------------------------------------------------- asyncio's words

    def write(self, data: Any) -> None:
        if not self._closing and not self._lost and data:
            self._wire.network.carried += 1
            self._peer.send_towards(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._peer.send_towards(None)
            self._loop.call_soon(self._lose, None, context=self._context)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing or self._lost

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._expect()

    def is_reading(self) -> bool:
        return self._reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._target, 1) if name == "peername" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    # ---------------------------------------------------------------- what comes in

    def send_towards(self, data: bytes | None) -> None:
        """Has data arrive here after a while, behind what was sent before."""
        arrives = max(self._last, self._loop.time() + self._wire.network.delay(self._target, self._source))
        self._last = arrives
        self._coming.append((arrives, data))
        self._expect()

    def cut_off(self, whole: bool) -> None:
        """The connection breaks: nothing more comes than has arrived, or was sent whole before the other end died."""
        if not whole and self._coming:
            part = self._wire.network.part_of(self._coming[0][1] or b"")
            self._coming.clear()
            if part:
                self._coming.append((self._last, part))
        self._last = max(self._last, self._loop.time())
        self._coming.append((self._last, None))
        self._expect()

    def _expect(self) -> None:
        if self._expected or not self._coming or not self._reading or self._lost:
            return
        self._expected = True
        self._loop.call_at(self._coming[0][0], self._arrive, context=self._context)

    def _arrive(self) -> None:
        self._expected = False
        until = self._wire.network.closed_until(self._target, self._source)
        if until > self._loop.time():
            self._expected = True
            self._loop.call_at(until, self._arrive, context=self._context)
            return
        while self._coming and self._coming[0][0] <= self._loop.time() and self._reading and not self._lost:
            _, data = self._coming.popleft()
            if data is None:
                self._lose(None)
            elif not self._closing:
                self._protocol.data_received(data)
        self._expect()

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._coming.clear()
        if self._socket is not None:
            self._socket.close()
        self._wire.network.done(self._wire)
        self._protocol.connection_lost(error)
