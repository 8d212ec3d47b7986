"""What a process has for itself while it runs: the port that people come to, and the folders in which its contexts keep something."""

from __future__ import annotations

import errno
import fcntl
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from torg import topology
from torg.kit.listening import CannotStart
from torg.kit.settings import Settings


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
