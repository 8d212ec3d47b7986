"""Runs a composed application as a process: its folders, its port, its signals, and its end."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import uvloop

from torg import compose, topology
from torg.fleet import wiring
from torg.kit import failpoints, telemetry
from torg.kit.errors import Unavailable
from torg.kit.http.operations import Health, Readiness
from torg.kit.listening import CannotStart, Listening, listens
from torg.kit.messages import encode
from torg.kit.rehearsal import MovedClock
from torg.kit.rpc.discovery import open_peers
from torg.kit.rpc.door import Asgi
from torg.kit.rpc.fleet import Fleet
from torg.kit.rpc.serving import Serving
from torg.kit.rpc.wire import refuse
from torg.kit.settings import BadSettings, Settings
from torg.kit.sql.migrate import MigrationRefused
from torg.kit.values import utc_now

Prepare = Callable[[compose.Running], Awaitable[None]]
Tell = Callable[[compose.Running, str], None]
DRAIN = 10.0  # seconds that requests under way may take after a signal
LINGERS = 1.0  # seconds that a gateway still answers after a signal, so that its clients can leave one after the other
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between tries to start while an engine is away
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
    uvloop.run(_run_part(settings, part))


async def _run(settings: Settings, prepare: Prepare, tell: Tell, front: socket.socket | None) -> None:
    _speak(settings, "torg")
    _rehearse(settings, topology.MAIN)
    with own_folders(Path(settings.data), settings, (*topology.ALL, topology.SANDBOX)):
        if front is None:
            free_port(settings.host, settings.port).close()
        stopping = _on_signals()
        async with running(settings, world_of(settings)) as app:
            await _unless(stopping, prepare(app))
            if not stopping.is_set():
                _settle_memory()
                await _serve(settings, app, stopping, tell, front)


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
        await compose.start(app)
        yield app
    finally:
        await app.close()


async def _serve(settings: Settings, app: compose.Running, stopping: asyncio.Event, tell: Tell, front: socket.socket | None) -> None:
    server = Listening(app.asgi, settings.host, settings.port, front.fileno() if front else None)
    serving = asyncio.ensure_future(server.serve())
    await _until_answering(settings, serving)
    tell(app, f"http://{settings.host}:{settings.port}")
    await asyncio.wait({serving, asyncio.ensure_future(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await app.http.close()  # open streams would keep the server from draining
    await _drain({server: serving})


async def _run_part(settings: Settings, part: Part) -> None:
    _speak(settings, f"torg-{part.name or part.contexts[0]}")
    _rehearse(settings, part.name or part.contexts[0])
    world = world_of(settings)
    stopping = _on_signals()
    told = _told(stopping) if part.supervised else None
    with own_folders(Path(settings.data), settings, part.contexts):
        app = await _opened(settings, part, world, stopping)
        if app is None:
            return
        try:
            _settle_memory()
            await _serve_part(settings, part, app, stopping, told)
        finally:
            await app.close()


async def _opened(settings: Settings, part: Part, world: compose.World, stopping: asyncio.Event) -> compose.Running | None:
    """The part, once the engines that it keeps its records in answer; None when a signal came before. Somebody who supervises it is told at once instead."""
    waiting, pause = Waiting(), FIRST_PAUSE
    door = Serving(waiting, settings.host, settings.port)
    try:
        while not stopping.is_set():
            try:
                return await _open(settings, part, world)
            except Unavailable as away:
                if part.supervised:
                    raise
                telemetry.log.warning("cannot start yet", detail=away.detail, seconds=pause)
                if not waiting.detail:
                    await door.start()
                waiting.detail = away.detail
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE)
        return None
    finally:
        if waiting.detail:
            await door.stop(0)


async def _open(settings: Settings, part: Part, world: compose.World) -> compose.Running:
    """Composed and started. Raises Unavailable."""
    peers, secret = open_peers(settings.discovery), compose.fleet_secret(settings, world)
    fleet = wiring.join_fleet(part.contexts[0], part.contexts, peers, settings, secret, compose.registry(), utc_now, world.randomness)
    app = await compose.compose(settings, part.contexts, world, fleet)
    try:
        await compose.start(app)
    except BaseException:
        await app.close()
        raise
    return app


class Waiting:
    """What a process answers that cannot start yet: it lives, and is not ready, for a reason (`detail`)."""

    def __init__(self) -> None:
        self.detail = ""

    async def __call__(self, scope: Any, _: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        answers = {"/health": encode(Health("starting")), "/ready": encode(Readiness("not ready", {"start": self.detail}))}
        body = answers.get(scope["path"]) or encode(refuse(Unavailable(f"this process cannot start yet: {self.detail}")))
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"1")]
        await send({"type": "http.response.start", "status": 200 if scope["path"] == "/health" else 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _serve_part(settings: Settings, part: Part, app: compose.Running, stopping: asyncio.Event, told: asyncio.Event | None) -> None:
    assert app.fleet is not None, "who runs a part has others to ask"
    assert app.door is not None, "and is asked by them"
    inside = Serving(app.door, settings.host, settings.port) if app.front is None or part.front is not None else None
    outside: dict[Listening, asyncio.Future[None]] = {}
    closing = Closing(app.front if part.front is not None else app.asgi)
    if inside:
        await inside.start()
    else:
        listening = Listening(closing, settings.host, settings.port)
        outside[listening] = asyncio.ensure_future(listening.serve())
        await _until_answering(settings, outside[listening])
    await app.fleet.peers.announce(part.contexts, f"{settings.host}:{settings.port}")
    if part.front is not None and told is not None:
        await _first(told, stopping)
        front = Listening(closing, settings.host, settings.port, part.front)
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


async def _end_inside(app: compose.Running, fleet: Fleet, inside: Serving) -> None:
    """Nobody asks this process any more; what would go on without end is ended."""
    await fleet.peers.close()
    fleet.waiting.end()
    await app.http.close()
    if not await inside.stop(DRAIN):
        telemetry.log.warning("some calls did not end in time", seconds=DRAIN)


class Closing:
    """An application. Once it `begins` to close, each answer asks its client for a new connection: the next one finds another process."""

    def __init__(self, application: Asgi | None) -> None:
        self._application, self._closing = application, False

    def begin(self) -> None:
        self._closing = True

    async def __call__(self, scope: object, receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        assert self._application is not None
        await self._application(scope, receive, self._last(send) if self._closing else send)

    def _last(self, send: Callable[[dict[str, object]], Awaitable[None]]) -> Callable[[dict[str, object]], Awaitable[None]]:
        async def last(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                assert isinstance(headers, list)
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        return last


async def _drain(servers: Mapping[Listening, asyncio.Future[None]]) -> None:
    """Requests under way come to their end; nothing new is taken."""
    for server in servers:
        server.stop()  # type: ignore[no-untyped-call]
    if servers:
        await asyncio.wait(set(servers.values()), timeout=DRAIN)
    for serving in servers.values():
        if serving.done():
            await serving  # raises what ended it, if that was no signal
        else:
            telemetry.log.warning("some requests did not end in time", seconds=DRAIN)


def _speak(settings: Settings, service: str) -> None:
    telemetry.configure_logs(settings.log_level, settings.log_format == "json")
    if settings.otlp:
        telemetry.configure_tracing(settings.otlp, service, settings.trace_share)


def _settle_memory() -> None:
    """What is there now stays until the end: without it the collector looks at all of it again and again, for 0.1 s at a time under load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _until_answering(settings: Settings, serving: asyncio.Future[None]) -> None:
    for _ in range(500):
        if serving.done():
            await serving
        if await listens(settings.host, settings.port):
            return
        await asyncio.sleep(0.01)
    raise CannotStart(f"nothing answers at {settings.host}:{settings.port}, though the server was started")


async def _unless(stopping: asyncio.Event, work: Awaitable[None]) -> None:
    """Does the work, or leaves it where it is when a signal comes."""
    task, signalled = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    signalled.cancel()
    await task


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def _on_signals() -> asyncio.Event:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _told(stopping: asyncio.Event) -> asyncio.Event:
    """Set by the first line on standard input: the front may open. Its end means that nobody watches any more: then this process ends too."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()

    def hear() -> None:
        if os.read(0, 1 << 10):
            told.set()
        else:
            loop.remove_reader(0)
            stopping.set()

    loop.add_reader(0, hear)
    return told


def free_port(host: str, port: int) -> socket.socket:
    """A socket that is bound there and does not listen yet. Raises CannotStart."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(f"port {port} is in use: stop what listens there, or choose another with --port") from error
        raise CannotStart(f"cannot listen at {host}:{port}: {error.strerror}") from error
    return bound


@contextmanager
def own_folders(data: Path, settings: Settings, contexts: Sequence[str]) -> Iterator[None]:
    """Makes the folders in which these contexts keep something, and keeps other processes out of them."""
    with ExitStack() as held:
        for context in contexts:
            if context == topology.SANDBOX or (context in topology.CONTEXTS and not (settings.db or context in settings.databases)):
                held.enter_context(own_folder(data, data / context))
        yield


@contextmanager
def own_folder(data: Path, folder: Path) -> Iterator[None]:
    """One process at a time. Raises CannotStart, which names the `data` folder that it belongs to."""
    lock = _locked(data, folder)
    try:
        yield
    finally:
        lock.close()


def _locked(data: Path, folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CannotStart(f"another Torg runs on {data}: stop it, or name another folder with --data") from error
    except OSError as error:
        raise CannotStart(f"cannot use {data} as data folder: {error.strerror}; name another with --data") from error
    return lock


FAILURES: Final = (CannotStart, MigrationRefused, failpoints.UnknownFailpoint, Unavailable, topology.BadTopology, BadSettings, OSError, sqlite3.Error)
"""What may stand in the way of a start; anything else is a defect and shows as one."""


def explain(error: BaseException) -> str:
    """What a failed start says to a person."""
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if full or (isinstance(error, Unavailable | sqlite3.Error) and "disk is full" in str(error)):
        return "the disk is full: make room and start again (it goes on where it was), or name another folder with --data"
    return str(error)


def fail(sentence: str) -> None:
    """Ends the process with a clear sentence on standard error."""
    print(f"torg: {sentence}", file=sys.stderr)  # noqa: T201 the command line's own voice
    sys.exit(1)
