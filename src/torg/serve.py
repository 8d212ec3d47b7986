"""Runs a composed application as a process: its folders, its port, its signals, and its end."""

from __future__ import annotations

import asyncio
import errno
import gc
import resource
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from torg import background, compose, topology
from torg.claims import free_port, own_folders
from torg.fleet import wiring
from torg.interim import Closing, Waiting
from torg.kit import failpoints, telemetry
from torg.kit.errors import Unavailable
from torg.kit.http.monitoring import Monitoring, Veiled
from torg.kit.listening import AWAY, CannotStart, Listening, listens
from torg.kit.networks import networks_of
from torg.kit.rehearsal import MovedClock
from torg.kit.rpc.discovery import open_peers
from torg.kit.rpc.door import Asgi
from torg.kit.rpc.fleet import Fleet
from torg.kit.rpc.identity import Keys
from torg.kit.rpc.serving import Serving
from torg.kit.scrubbing import clean
from torg.kit.settings import BadSettings, Settings
from torg.kit.sql.migrate import MigrationRefused
from torg.kit.values import utc_now
from torg.signals import first, on_signals, told_on_input, unless

Prepare = Callable[[compose.Running], Awaitable[None]]
Tell = Callable[[compose.Running, str], None]
DRAIN = 10.0  # seconds that requests under way may take after a signal
LINGERS = 1.0  # seconds that a gateway still answers after a signal, so that its clients can leave one after the other
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between tries to start while an engine is away
FILES = 1024  # that a process has open besides its clients' connections
NOTICED = 3.0  # seconds that a process which nobody supervises still answers after a signal: so long others may take to hear of its end


@dataclass(frozen=True)
class Part:
    """What of the shop a process runs. `front` is the descriptor of the listening socket at which its gateway answers, once it is told to;
    without one the gateway shares the process's own port."""

    name: str
    contexts: tuple[str, ...]
    front: int | None = None

    @property
    def supervised(self) -> bool:
        """Whether its standard input speaks for somebody who watches it."""
        return self.name != ""


def run(settings: Settings, prepare: Prepare, tell: Tell, front: socket.socket | None = None) -> None:
    """Serves until SIGINT or SIGTERM. `prepare` runs once everything works but nobody can reach it yet; `tell` once they can. `front` is a listening socket
    to be taken instead of the settings' address."""
    uvloop.run(_run(settings, prepare, tell, front))


def run_part(settings: Settings, contexts: str, name: str = "", front: int | None = None) -> None:
    """Serves some contexts until SIGINT or SIGTERM, or until its supervisor is no more. Raises one of FAILURES."""
    known = (*topology.NAMES, topology.SANDBOX)
    asked = [word.strip() for word in contexts.split(",")]
    if unknown := [word for word in asked if word not in known]:
        raise topology.BadTopology(f"there is no context {', '.join(map(repr, unknown))}; contexts are {', '.join(known)}")
    part = Part(name, tuple(context for context in known if context in asked), front)
    _refuse_unseen(settings, part)
    uvloop.run(_run_part(settings, part))


def _refuse_unseen(settings: Settings, part: Part) -> None:
    """People and Consul have no keys of the fleet: where it speaks TLS, they need ports of their own. Raises BadSettings."""
    if not settings.tls:
        return
    if topology.GATEWAY in part.contexts and part.front is None and settings.front_port in (0, settings.port):
        raise BadSettings(f"TORG_TLS: at port {settings.port} the fleet alone is answered: set TORG_FRONT_PORT to another one, for the shop's address")
    if settings.discovery.startswith("consul:") and (part.supervised or not settings.monitor_port):
        raise BadSettings("TORG_TLS: Consul asks without TLS whether a process is ready: run processes by themselves (torg serve), and set TORG_MONITOR_PORT")


async def _run(settings: Settings, prepare: Prepare, tell: Tell, front: socket.socket | None) -> None:
    _speak(settings, "torg")
    _rehearse(settings, topology.MAIN)
    with own_folders(Path(settings.data), settings, (*topology.ALL, topology.SANDBOX)):
        if front is None:
            free_port(settings.host, settings.port).close()
        stopping = on_signals()
        async with AsyncExitStack() as opened:
            app = await _alone(settings, stopping, opened)
            if app is None:
                return
            await unless(stopping, prepare(app))
            if not stopping.is_set():
                _settle_memory()
                await _serve(settings, app, stopping, tell, front)


async def _alone(settings: Settings, stopping: asyncio.Event, opened: AsyncExitStack) -> compose.Running | None:
    """The shop, once the engines that it keeps its records in answer; None when a signal came before. Raises Unavailable when they don't for too long."""
    pause, deadline = FIRST_PAUSE, time.monotonic() + settings.start_within
    while not stopping.is_set():
        try:
            return await opened.enter_async_context(running(settings, world_of(settings)))
        except Unavailable as away:
            if time.monotonic() + pause > deadline:
                raise
            _not_yet(away, pause)
        await _rest(stopping, pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    return None


def _not_yet(away: Unavailable, pause: float) -> None:
    telemetry.log.warning("cannot start yet", detail=away.detail, seconds=pause)


async def _rest(stopping: asyncio.Event, seconds: float) -> None:
    """Ends early when a signal comes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


def world_of(settings: Settings) -> compose.World:
    """The real one, unless a rehearsal moves its clock."""
    return compose.World(clock=MovedClock(Path(settings.clock))) if settings.clock else compose.World()


def _rehearse(settings: Settings, process: str) -> None:
    """A crash test may have this process die at moments that it names."""
    if settings.failpoints:
        failpoints.watch(Path(settings.failpoints), process)


@asynccontextmanager
async def running(settings: Settings, world: compose.World | None = None) -> AsyncIterator[compose.Running]:
    """Composed and started, without a port; closed in order at the end."""
    app = await compose.compose(settings, world=world)
    try:
        await background.start(app)
        yield app
    finally:
        await app.close()


async def _serve(settings: Settings, app: compose.Running, stopping: asyncio.Event, tell: Tell, front: socket.socket | None) -> None:
    watched = await _watched(settings, app)
    server = _outside(app, app.asgi, settings, settings.port, front.fileno() if front else None)
    serving = asyncio.ensure_future(server.serve())
    await _until_answering(settings.host, settings.port, serving)
    tell(app, f"http://{settings.host}:{settings.port}")
    await asyncio.wait({serving, asyncio.ensure_future(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await app.http.close()  # open streams would keep the server from draining
    if app.entrance:
        await app.entrance.end()
    await _drain({server: serving})
    await watched.close()


def _outside(app: compose.Running, application: Asgi, settings: Settings, port: int, socket: int | None = None) -> Listening:
    """What strangers speak to; where there is a front door, within its bounds."""
    application = Veiled(application, networks_of("TORG_MONITOR_FROM", settings.monitor_from))
    if app.entrance is None:
        return Listening(application, settings.host, port, socket)
    _open_files(app.entrance.declared.bounds.connections)
    return Listening(application, settings.host, port, socket, app.entrance.declared.bounds, app.entrance.crowd())


async def _watched(settings: Settings, app: compose.Running) -> Watched:
    """The port for those who watch the process, where there is one."""
    if not settings.monitor_port:
        return Watched(None)
    serving = Serving(Monitoring(app.http), settings.host, settings.monitor_port)
    await serving.start()
    return Watched(serving)


@dataclass(frozen=True)
class Watched:
    """Until the process ends, so that its end can be watched too."""

    serving: Serving | None

    async def close(self) -> None:
        if self.serving:
            await self.serving.stop(0)


def _open_files(connections: int) -> None:
    """Allows this process as many open files as it may take connections, and some, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


async def _run_part(settings: Settings, part: Part) -> None:
    _speak(settings, f"torg-{part.name or part.contexts[0]}")
    _rehearse(settings, part.name or part.contexts[0])
    world = world_of(settings)
    stopping = on_signals()
    told = told_on_input(stopping) if part.supervised else None
    with own_folders(Path(settings.data), settings, part.contexts):
        keys = wiring.own_keys(settings, part.contexts, world.randomness)
        app = await _opened(settings, part, world, keys, stopping)
        if app is None:
            return
        try:
            _settle_memory()
            await _serve_part(settings, part, app, stopping, told)
        finally:
            await app.close()


async def _opened(settings: Settings, part: Part, world: compose.World, keys: Keys, stopping: asyncio.Event) -> compose.Running | None:
    """The part, once the engines that it keeps its records in answer; None when a signal came before. Somebody who supervises it is told at once instead."""
    waiting, pause = Waiting(), FIRST_PAUSE
    doors = [Serving(waiting, settings.host, settings.port, tls=wiring.own_tls(settings, part.contexts, keys))]
    if settings.monitor_port and not part.supervised:
        doors.append(Serving(waiting, settings.host, settings.monitor_port))
    try:
        while not stopping.is_set():
            try:
                return await _open(settings, part, world, keys)
            except Unavailable as away:
                if part.supervised:
                    raise
                _not_yet(away, pause)
                if not waiting.detail:
                    for door in doors:
                        await door.start()
                waiting.detail = away.detail
            await _rest(stopping, pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        return None
    finally:
        if waiting.detail:
            for door in doors:
                await door.stop(0)


async def _open(settings: Settings, part: Part, world: compose.World, keys: Keys) -> compose.Running:
    """Composed and started. Raises Unavailable."""
    peers = open_peers(settings.discovery)
    fleet = wiring.join_fleet(part.contexts[0], part.contexts, peers, settings, keys, compose.registry(), utc_now, world.randomness)
    app = await compose.compose(settings, part.contexts, world, fleet)
    try:
        await background.start(app)
    except BaseException:
        await app.close()
        raise
    return app


async def _serve_part(settings: Settings, part: Part, app: compose.Running, stopping: asyncio.Event, told: asyncio.Event | None) -> None:
    assert app.fleet is not None, "who runs a part has others to ask"
    assert app.door is not None, "and is asked by them"
    apart = app.front is None or part.front is not None or settings.front_port
    inside = Serving(app.door, settings.host, settings.port, tls=app.fleet.tls) if apart else None
    outside: dict[Listening, asyncio.Future[None]] = {}
    watched = Watched(None) if part.supervised else await _watched(settings, app)
    closing = Closing(app.front if apart else app.asgi)
    if inside:
        await inside.start()
    if app.front and part.front is None:
        port = settings.front_port or settings.port
        listening = _outside(app, closing, settings, port)
        outside[listening] = asyncio.ensure_future(listening.serve())
        await _until_answering(settings.host, port, outside[listening])
    await app.fleet.peers.announce(part.contexts, f"{settings.host}:{settings.port}", settings.monitor_port if settings.tls else settings.port)
    if part.front is not None and told is not None:
        await first(told, stopping)
        front = _outside(app, closing, settings, settings.port, part.front)
        outside[front] = asyncio.ensure_future(front.serve())
    ends: list[asyncio.Future[Any]] = [*outside.values(), asyncio.ensure_future(stopping.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    closing.begin()
    if app.front or (settings.discovery and not part.supervised):
        await app.fleet.peers.close()
        await asyncio.sleep(LINGERS if part.supervised else NOTICED)
    if inside is None:
        app.fleet.waiting.end()
    if app.front:  # requests that came in here may take other processes that ask this one: it answers them until the last of its own is answered
        await app.http.close()
        await app.front.close()
        await _drain(outside)
        app.ending = True
        await asyncio.sleep(LINGERS if part.supervised and len(part.contexts) > 1 else 0)
    if inside:
        await _end_inside(app, app.fleet, inside)
    await watched.close()


async def _end_inside(app: compose.Running, fleet: Fleet, inside: Serving) -> None:
    """Nobody asks this process any more; what would go on without end is ended."""
    await fleet.peers.close()
    fleet.waiting.end()
    await app.http.close()
    if not await inside.stop(DRAIN):
        telemetry.log.warning("some calls did not end in time", seconds=DRAIN)


async def _drain(servers: Mapping[Listening, asyncio.Future[None]]) -> None:
    """Requests under way come to their end; nothing new is taken."""
    for server in servers:
        server.stop()
    if servers:
        await asyncio.wait(set(servers.values()), timeout=DRAIN)
    for serving in servers.values():
        if serving.done():
            await serving  # raises what ended it, if that was no signal
        else:
            telemetry.log.warning("some requests did not end in time", seconds=DRAIN)


def _speak(settings: Settings, service: str) -> None:
    telemetry.configure_logs(settings.log_level, settings.log_format == "json")
    sys.excepthook = telemetry.tell_of_the_end
    if settings.otlp:
        telemetry.configure_tracing(settings.otlp, service, settings.trace_share)


def _settle_memory() -> None:
    """What is there now stays until the end: without it the collector looks at all of it again and again, for 0.1 s at a time under load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _until_answering(host: str, port: int, serving: asyncio.Future[None]) -> None:
    for _ in range(500):
        if serving.done():
            await serving
        if await listens(host, port):
            return
        await asyncio.sleep(0.01)
    raise CannotStart(f"nothing answers at {host}:{port}, though the server was started")


FAILURES: Final = (CannotStart, MigrationRefused, failpoints.UnknownFailpoint, Unavailable, topology.BadTopology, BadSettings, OSError, sqlite3.Error)
"""What may stand in the way of a start; anything else is a defect and shows as one."""


def explain(error: BaseException) -> str:
    """What a failed start says to a person."""
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if full or (isinstance(error, Unavailable | sqlite3.Error) and "disk is full" in str(error)):
        return "the disk is full: make room and start again (it goes on where it was), or name another folder with --data"
    return clean(str(error))


def fail(error: BaseException) -> None:
    """Ends the process with a clear sentence on standard error; with AWAY where the same start may succeed later."""
    print(f"torg: {explain(error)}", file=sys.stderr)  # noqa: T201 the command line's own voice
    sys.exit(AWAY if isinstance(error, Unavailable) else 1)
