"""Somebody who listens on the wires between the processes of a fleet: each connection passes through here, and all its bytes are noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from torg.kit.ports import free_port


class Wire:
    """`begins` is how each side of each connection began, `heard` all that was said."""

    def __init__(self, to: int) -> None:
        self.port, self._to = free_port(), to
        self.heard, self.begins = bytearray(), list[bytes]()

    async def between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(reader, far_writer))
            both.create_task(self._pass_on(far_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = True
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if first:
                    self.begins.append(data[:8])
                    first = False
                self.heard += data
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def listened_to(ports: Iterable[int]) -> AsyncIterator[list[Wire]]:
    """A wire before each of these ports."""
    wires = [Wire(port) for port in ports]
    async with AsyncExitStack() as stack:
        for wire in wires:
            await stack.enter_async_context(await asyncio.start_server(wire.between, "127.0.0.1", wire.port))
        yield wires
