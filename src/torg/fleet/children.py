"""One process of a fleet, as its supervisor has it: started, asked how it is, told to open, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torg.fleet.plan import Planned
from torg.fleet.words import Words
from torg.kit.ports import free_port
from torg.kit.rpc.http import Broken, Connections, Unreachable
from torg.kit.rpc.peers import LOOK_EVERY

ENDS = 20.0  # seconds that a process may take to end in order; after that it is killed
OPEN = b"open\n"
LIMIT = 1 << 20  # bytes of a line in its log


class Child:
    """A process that runs. Its standard input is how it is told things: its end tells it that its supervisor is no more."""

    def __init__(self, planned: Planned, port: int, process: Process, speaking: asyncio.Future[Any]) -> None:
        self.planned, self.port, self.ending = planned, port, False
        self._process, self._speaking = process, speaking

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def open(self) -> None:
        """Has a gateway answer at the shop's address."""
        assert self._process.stdin is not None
        self._process.stdin.write(OPEN)
        await self._process.stdin.drain()

    async def answers(self, connections: Connections, path: str = "/health") -> bool:
        request = f"GET {path} HTTP/1.1\r\nhost: {self.address}\r\n\r\n".encode()
        with suppress(Unreachable, Broken, TimeoutError):
            async with asyncio.timeout(2):
                return (await connections.ask(self.address, request, self.planned.contexts[0])).status == 200
        return False

    async def wait(self) -> int:
        """Its exit status, once all it has said is passed on."""
        status = await self._process.wait()
        await asyncio.shield(self._speaking)
        return status

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def until_done(self, connections: Connections) -> None:
        """Until it has no request of its own under way any more, as long as it may take to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDS):
                while self.alive and await self.answers(connections, "/ready"):  # noqa: ASYNC110 it is asked, it does not tell
                    await asyncio.sleep(LOOK_EVERY)

    def tell_to_end(self) -> None:
        self.ending = True
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    async def end(self) -> None:
        self.tell_to_end()
        try:
            async with asyncio.timeout(ENDS):
                await self.wait()
        except TimeoutError:
            self._process.kill()
            await self.wait()


async def start(planned: Planned, environment: Mapping[str, str], front: int | None, words: Words) -> Child:
    """Starts `torg serve` for these contexts, on a free port; the one with the gateway is given the shop's socket."""
    port = free_port()
    handed = (front,) if planned.front and front is not None else ()
    command = [sys.executable, "-m", "torg", "serve", ",".join(planned.contexts), "--port", str(port), "--name", planned.name]
    command += [argument for descriptor in handed for argument in ("--front", str(descriptor))]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LIMIT, pass_fds=handed, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    speaking = asyncio.gather(words.pass_on(planned.name, process.stdout), words.pass_on(planned.name, process.stderr))
    return Child(planned, port, process, speaking)
