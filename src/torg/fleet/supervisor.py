"""Runs a topology on one machine: a process for each part of it, started, watched, replaced and ended together."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from torg.fleet import children
from torg.fleet.children import Child
from torg.fleet.members import Members
from torg.fleet.plan import Planned, stopping_order
from torg.fleet.words import Words
from torg.kit.listening import AWAY, CannotStart
from torg.kit.rpc.http import Connections
from torg.kit.rpc.peers import LOOK_EVERY
from torg.kit.rpc.tls import Tls

BACKLOG: Final = 1024
STARTS: Final = 120.0  # seconds that a process may take until it answers
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds before one that has crashed is started again
FIRST_WAIT, LONGEST_WAIT = 1.0, 5.0  # seconds between tries of a first start while an engine is away
STEADY: Final = 20.0  # seconds after which a crash is the first one again
HOPEFUL: Final = 3  # crashes in a row for which others still wait for it
NOTICED: Final = 3 * LOOK_EVERY  # seconds within which everybody knows of a change


class Supervisor:
    """`environment` is what all processes have besides this one's ({process} in it stands for the name of each); `front` the shop's socket, bound but not
    listening yet. `start_within`: so many seconds processes may find engines away at the first start; `tls`: how they are asked."""

    def __init__(
        self, planned: Sequence[Planned], environment: Mapping[str, str], peers: Path, front: socket.socket, words: Words, start_within: float = 0,
        tls: Tls | None = None,
    ) -> None:  # fmt: skip
        self._start_within = start_within
        self._planned, self._environment, self._front, self._words = planned, environment, front, words
        self.members = Members(peers, tuple(dict.fromkeys(context for process in planned for context in process.contexts)))
        self._children: dict[str, Child] = {}
        self._launched: list[Child] = []
        self._turns: dict[str, int] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._connections = Connections(tls)
        self._opened = False
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """All processes, until each answers. Raises CannotStart when one ends instead."""
        self.members.write()
        await _together([self._bring_up(process) for process in self._planned])
        await _together([self._until(child, "/ready") for child in self._children.values()])

    async def open(self) -> None:
        """Lets the shop be reached."""
        self._front.listen(BACKLOG)
        self._opened = True
        for child in self._children.values():
            if child.planned.front:
                await child.open()

    async def restart(self) -> None:
        """Replaces one process after another. Two of them side by side where their records allow it; else whoever asks waits for the new one."""
        async with self._turn:
            for process in self._planned:
                if not await self._replace(process):
                    self._words.say(process.name, "does not start any more: the old one goes on, and nothing else is replaced")
                    return

    async def stop(self) -> None:
        """Ends all: first those that take requests in."""
        for watching in self._watching.values():
            watching.cancel()
        await asyncio.gather(*self._watching.values(), return_exceptions=True)
        for group in stopping_order(self._planned):
            await asyncio.gather(*(child.end() for child in self._launched if child.planned in group))
        await self._connections.close()

    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self._children.items()}

    # ---------------------------------------------------------------- one process

    async def _bring_up(self, process: Planned) -> None:
        """At the first start an engine that is away is waited for: whoever starts everything at once should not have to know in which order."""
        pause, deadline = FIRST_WAIT, time.monotonic() + self._start_within
        while True:
            child = await self._launch(process)
            self._children[process.name] = child
            try:
                await self._until(child, "/health")
                break
            except CannotStart:
                if child.alive or await child.wait() != AWAY or time.monotonic() + pause > deadline:
                    raise
            self._words.say(process.name, f"cannot start yet, as it says above; it is tried again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_WAIT)
        await self._introduce(child)
        self._watch(child)

    async def _launch(self, process: Planned) -> Child:
        """Under the name that the bus knew it by when it ended unasked, so that its partitions wait for it; two side by side have different ones."""
        instance = f"{process.name}.{self._turns.get(process.name, 0)}"
        own = {name: value.replace("{process}", process.name) for name, value in self._environment.items()}
        child = await children.start(process, {**own, "TORG_INSTANCE": instance}, self._front.fileno(), self._words)
        self._launched = [*(one for one in self._launched if one.alive), child]
        return child

    async def _introduce(self, child: Child) -> None:
        """From now on others ask it."""
        self.members.expect(child.planned.contexts)
        self.members.add(child.planned.contexts, child.address)
        if self._opened and child.planned.front:
            await child.open()

    async def _until(self, child: Child, path: str) -> None:
        """Until it answers at the path with 200. Raises CannotStart when it ends, or takes too long."""
        ended, deadline = asyncio.ensure_future(child.wait()), time.monotonic() + STARTS
        try:
            while not await child.answers(self._connections, path):
                if ended.done():
                    raise CannotStart(f"{child.planned.name} ended before it answered; what it said stands above")
                if time.monotonic() > deadline:
                    raise CannotStart(f"{child.planned.name} is not ready after {STARTS:.0f} seconds: curl http://{child.address}{path} says why")
                await asyncio.sleep(0.02)
        finally:
            ended.cancel()

    def _watch(self, child: Child) -> None:
        self._watching[child.planned.name] = asyncio.ensure_future(self._keep(child))

    async def _keep(self, child: Child) -> None:
        """Starts it again when it ends unasked, later each time."""
        process, crashes = child.planned, 0
        while True:
            began = time.monotonic()
            status = await child.wait()
            if child.ending:
                return
            crashes = 1 if time.monotonic() - began > STEADY else crashes + 1
            self.members.remove(child.address)
            if crashes > HOPEFUL:
                self.members.give_up(process.contexts)
            pause = min(FIRST_PAUSE * 2 ** (crashes - 1), LONGEST_PAUSE)
            self._words.say(process.name, f"ended with {_named(status)}; it is started again in {pause:.1f} s")
            await asyncio.sleep(pause)
            child = await self._again(process)

    async def _again(self, process: Planned) -> Child:
        child = await self._launch(process)
        self._children[process.name] = child
        try:
            await self._until(child, "/health")
            await self._introduce(child)
        except CannotStart as hopeless:
            self._words.say(process.name, str(hopeless))
            child.kill()  # its end is noticed as any other
        return child

    async def _replace(self, process: Planned) -> bool:
        """Whether there is a new one, or will be."""
        old = self._children[process.name]
        self._words.say(process.name, "is replaced")
        if process.alone:
            self._watching.pop(process.name).cancel()
            await self._end(old)
            self._watch(await self._again(process))
            return True
        self._turns[process.name] = 1 - self._turns.get(process.name, 0)
        new = await self._launch(process)
        try:
            await self._until(new, "/ready")
        except CannotStart:
            self._turns[process.name] = 1 - self._turns[process.name]
            await new.end()
            return False
        self._watching.pop(process.name).cancel()
        self._children[process.name] = new
        await self._introduce(new)
        self._watch(new)
        await self._end(old)
        return True

    async def _end(self, child: Child) -> None:
        """Nobody asks it any more before it ends. A gateway's process hands its own requests on first: who answers them may ask its contexts."""
        child.ending = True
        if child.planned.front:
            child.tell_to_end()
            await child.until_done(self._connections)
        self.members.remove(child.address)
        await asyncio.sleep(NOTICED)
        await child.end()


async def _together(work: Iterable[Coroutine[None, None, None]]) -> None:
    """All at once; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in work:
                group.create_task(part)
    except* CannotStart as failed:
        raise failed.exceptions[0] from None


def _named(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name


async def supervise(supervisor: Supervisor, prepare: Callable[[], Awaitable[None]], tell: Callable[[], None]) -> None:
    """Until SIGINT or SIGTERM; SIGHUP replaces all processes, one after the other. `prepare` runs before the shop can be reached, `tell` once it can."""
    stopping, replacing, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, replacing.set)
    running = asyncio.ensure_future(_run(supervisor, prepare, tell, replacing))
    signalled = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({running, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        for task in (running, signalled):
            task.cancel()
        await asyncio.gather(running, signalled, return_exceptions=True)
        await supervisor.stop()


async def _run(supervisor: Supervisor, prepare: Callable[[], Awaitable[None]], tell: Callable[[], None], replacing: asyncio.Event) -> None:
    await supervisor.start()
    await prepare()
    await supervisor.open()
    tell()
    while True:
        await replacing.wait()
        replacing.clear()
        await supervisor.restart()
