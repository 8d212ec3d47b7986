"""The HTTP server of a process: on a port of its own, or on a socket that is already listening and may be shared."""

from __future__ import annotations

import asyncio
import os
import socket as sockets
from collections.abc import MutableMapping
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

BACKLOG = 1024
FIRST_HANDED: Final = 3
"""The descriptor that a service manager hands over first (sd_listen_fds(3))."""


class CannotStart(Exception):
    """A sentence for the person who tried: what is in the way and what to do."""


def handed_over(environment: MutableMapping[str, str]) -> sockets.socket | None:
    """The listening socket that whoever started this process keeps for it, by systemd's protocol (sd_listen_fds(3)): who connects while one process ends and
    the next begins waits in it. None where there is none. Raises CannotStart for anything but one TCP socket."""
    named = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if named[0] != str(os.getpid()):
        return None
    try:
        handed = sockets.socket(fileno=FIRST_HANDED) if named[1] == "1" else None
    except OSError:
        handed = None
    if handed is None or handed.type != sockets.SOCK_STREAM or handed.family not in (sockets.AF_INET, sockets.AF_INET6):
        raise CannotStart(f"LISTEN_FDS={named[1]}: one listening TCP socket can be handed over, as descriptor {FIRST_HANDED}: have one ListenStream=host:port")
    return handed


async def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


class Listening(Server):
    """Serves an ASGI application. `socket` is the descriptor of a listening socket to be taken instead of host and port."""

    def __init__(self, application: Any, host: str, port: int, socket: int | None = None) -> None:
        super().__init__(
            application, address=host, port=port, interface=Interfaces.ASGINL, log_enabled=False, websockets=False, backlog=BACKLOG, http=HTTPModes.http1
        )
        self._socket = socket

    def _init_shared_socket(self) -> None:
        if self._socket is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
        else:
            holder: Any = SocketHolder
            self._shd = holder(os.dup(self._socket), False, BACKLOG)  # descriptor, whether it is a Unix socket, backlog
