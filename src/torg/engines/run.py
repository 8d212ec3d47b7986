"""Installs engines, starts them beside this process, waits until they answer, and ends them: whatever the engine is."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torg.engines import processes, users
from torg.engines.port import Engine, EngineRefused, Place, Tell

PATIENCE = 180.0
"""Seconds that a server may take to answer after its start."""


@runtime_checkable
class Interrupted(Protocol):
    """An engine that ends in order at another signal than SIGTERM."""

    stop_signal: signal.Signals


@dataclass(frozen=True)
class Started:
    """The process that serves a place, as the file beside the place keeps it; without a mark it is none of ours, only the port is known."""

    pid: int
    mark: str
    port: int


def homes() -> Path:
    """Where installed engines are kept: the cache folder of the one who asks. Root's is the system's, since servers that run as another user must be able
    to read it."""
    if os.geteuid() == 0:
        return Path("/var/cache/torg/engines")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torg" / "engines"


def place_of(engine: Engine, data: Path, port: int = 0, home: Path | None = None) -> Place:
    """The engine's place below the data folder: at the port where it runs now or ran last, unless one is asked for."""
    folder = data.absolute() / "engines" / engine.name
    kept = _kept(folder)
    return Place((home or homes()) / engine.name, folder, port or (kept.port if kept else engine.port))


def install(engine: Engine, place: Place, tell: Tell) -> None:
    """Makes sure that the engine is installed; a second one who asks meanwhile waits for the first. Raises EngineRefused."""
    make(place.home)
    with _turn(place.home.with_name(f"{engine.name}.lock"), tell, f"another process installs {engine.name}; waiting for it"), readable_files():
        engine.install(place.home, tell)


def start(engine: Engine, place: Place, tell: Tell, patience: float = PATIENCE) -> None:
    """Has the engine run and ready, whatever is missing: installed, started, answering, prepared. Raises EngineRefused."""
    install(engine, place, tell)
    make(place.data)
    with _turn(place.data.with_name(f"{engine.name}.lock"), tell, f"another process starts {engine.name}; waiting for it"):
        if started := running(place):
            if started.port != place.port:
                raise EngineRefused(f"{engine.name} runs already, at 127.0.0.1:{started.port}: end it first, or leave out the other port.")
            tell("runs already")
        else:
            _launch(engine, place, tell)
        _until_it_answers(engine, place, patience)
        engine.prepare(place)
    tell(f"ready at 127.0.0.1:{place.port}")


def stop(engine: Engine, place: Place, tell: Tell, patience: float = 60) -> bool:
    """Ends what was started at this place and nothing else; tells whether something ran."""
    started = running(place)
    if not started:
        return False
    signalled = engine.stop_signal if isinstance(engine, Interrupted) else signal.SIGTERM
    in_order = processes.end(started.pid, started.mark, signalled, patience)
    tell("ended" if in_order else f"still ran after {patience:.0f} s and was killed")
    return True


def running(place: Place) -> Started | None:
    """The process that was started at this place, if it still runs."""
    kept = _kept(place.data)
    return kept if kept and kept.mark and processes.mark(kept.pid) == kept.mark else None


def remember(place: Place) -> None:
    """Keeps the port of an engine that somebody else runs."""
    _keep(place.data, Started(0, "", place.port))


def log_of(place: Place) -> Path:
    """What the server wrote; beside its folder, which may be another user's."""
    return place.data.with_name(f"{place.data.name}.log")


# ---------------------------------------------------------------- starting


def _launch(engine: Engine, place: Place, tell: Tell) -> None:
    if _listens(place.port):
        raise EngineRefused(
            f"Something else listens at 127.0.0.1:{place.port}, where {engine.name} should: end it, or choose another port ({engine.name}:PORT)."
        )
    if user := engine.user():
        for folder in (place.home, place.data):
            if shut := users.closed(folder, user):
                raise EngineRefused(f"{engine.name} runs as {user!r}, who can't enter {shut}: open it (chmod o+x), or choose another folder.")
        users.own(place.data, user)
    command = engine.command(place)
    tell(f"starting {engine.version}")
    log = log_of(place)
    with log.open("a") as words:
        words.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {shlex.join(command)}\n")
    environment = {**os.environ, **({"HOME": str(place.data)} if user else {}), **engine.environment(place)}
    try:
        child = processes.Detached(command, log, place.data, environment, user)
    except OSError as error:
        raise EngineRefused(f"{engine.name} can't be started: {error}") from error
    _keep(place.data, Started(child.pid, processes.mark(child.pid), place.port))


def _until_it_answers(engine: Engine, place: Place, patience: float) -> None:
    since = time.monotonic()
    while fault := engine.fault(place):
        if not running(place):
            raise EngineRefused(f"{engine.name} ended while it started. Its last words ({log_of(place)}):\n{_last_words(place)}")
        if time.monotonic() - since > patience:
            stop(engine, place, lambda _: None)
            raise EngineRefused(f"{engine.name} didn't answer within {patience:.0f} s: {fault}. Its last words ({log_of(place)}):\n{_last_words(place)}")
        time.sleep(0.1)


def _last_words(place: Place, lines: int = 8) -> str:
    return "\n".join(f"  | {line}" for line in log_of(place).read_text(errors="replace").splitlines()[-lines:])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---------------------------------------------------------------- files


def _kept(folder: Path) -> Started | None:
    try:
        return Started(**json.loads(folder.with_name(f"{folder.name}.process").read_text()))
    except (OSError, ValueError, TypeError):  # none was started, or the disk was full when it was written
        return None


def _keep(folder: Path, started: Started) -> None:
    file = folder.with_name(f"{folder.name}.process")
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(started)))
    fresh.replace(file)


def make(folder: Path) -> None:
    """Makes the folder, open for other users to read. Raises EngineRefused."""
    try:
        with readable_files():
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineRefused(f"{folder} can't be made: {error.strerror}. Choose another folder, or make it writable.") from error


@contextmanager
def readable_files() -> Iterator[None]:
    """What is written meanwhile can be read by the system user that runs the server, whatever the umask. That is the process's: before threads, not in one."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _turn(file: Path, tell: Tell, waiting: str) -> Iterator[None]:
    """One at a time, across processes; a lock ends with its process."""
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
