"""The HTTP server of a process: on a port of its own, or on a socket that is already listening and may be shared."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

BACKLOG = 1024


class CannotStart(Exception):
    """A sentence for the person who tried: what is in the way and what to do."""


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
