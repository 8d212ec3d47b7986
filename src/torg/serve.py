"""Runs a composed application as a process: its folder, its port, its signals, and its end."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from torg import compose
from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.settings import Settings
from torg.kit.sql.migrate import MigrationRefused

Prepare = Callable[[compose.Running], Awaitable[None]]
Tell = Callable[[compose.Running, str], None]
DRAIN = 10.0  # seconds that requests under way may take after a signal


class CannotStart(Exception):
    """A sentence for the person who tried: what is in the way and what to do."""


def run(settings: Settings, prepare: Prepare, tell: Tell) -> None:
    """Serves until SIGINT or SIGTERM. `prepare` runs once everything works but nobody can reach it yet; `tell` once they can."""
    uvloop.run(_run(settings, prepare, tell))


async def _run(settings: Settings, prepare: Prepare, tell: Tell) -> None:
    telemetry.configure_logs(settings.log_level, settings.log_format == "json")
    if settings.otlp:
        telemetry.configure_tracing(settings.otlp, "torg", settings.trace_share)
    with _own_folder(Path(settings.data)):
        _free_port(settings.host, settings.port)
        stopping = _on_signals()
        async with running(settings) as app:
            await _unless(stopping, prepare(app))
            if not stopping.is_set():
                _settle_memory()
                await _serve(settings, app, stopping, tell)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[compose.Running]:
    """Composed and started, without a port; closed in order at the end."""
    app = await compose.compose(settings)
    try:
        await compose.start(app)
        yield app
    finally:
        await app.close()


async def _serve(settings: Settings, app: compose.Running, stopping: asyncio.Event, tell: Tell) -> None:
    server = Server(
        app.asgi, address=settings.host, port=settings.port, interface=Interfaces.ASGINL, log_enabled=False, websockets=False, backlog=1024,
        http=HTTPModes.http1,
    )  # fmt: skip
    serving = asyncio.ensure_future(server.serve())
    await _until_answering(settings, serving)
    tell(app, f"http://{settings.host}:{settings.port}")
    await asyncio.wait({serving, asyncio.ensure_future(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await app.http.close()  # open streams would keep the server from draining
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=DRAIN)
    if serving.done():
        await serving  # raises what ended it, if that was no signal
    else:
        telemetry.log.warning("some requests did not end in time", seconds=DRAIN)


def _settle_memory() -> None:
    """What is there now stays until the end: without it the collector looks at all of it again and again, for 0.1 s at a time under load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _until_answering(settings: Settings, serving: asyncio.Future[None]) -> None:
    for _ in range(500):
        if serving.done():
            await serving
        try:
            _, writer = await asyncio.open_connection(settings.host, settings.port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        await writer.wait_closed()
        return
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


def _on_signals() -> asyncio.Event:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _free_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotStart(f"port {port} is in use: stop what listens there, or choose another with --port") from error
            raise CannotStart(f"cannot listen at {host}:{port}: {error.strerror}") from error


class _own_folder:  # noqa: N801 used as a context manager only
    """Makes the data folder and keeps other processes out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[str] | None = None

    def __enter__(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self._folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(f"another Torg runs on {self._folder}: stop it, or name another folder with --data") from error
        except OSError as error:
            raise CannotStart(f"cannot use {self._folder} as data folder: {error.strerror}; name another with --data") from error

    def __exit__(self, *_: object) -> None:
        assert self._lock is not None
        self._lock.close()


FAILURES: Final = (CannotStart, MigrationRefused, Unavailable, OSError, sqlite3.Error)
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
