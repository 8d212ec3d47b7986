"""The HTTP server of a process: on a port of its own, or on a socket that is already listening and may be shared."""

from __future__ import annotations

import asyncio
import os
import socket as sockets
from collections.abc import MutableMapping
from typing import Final

from torg.kit.rpc.bounds import Bounds, Crowd
from torg.kit.rpc.exchange import Asgi
from torg.kit.rpc.serving import Serving
from torg.kit.values import utc_now

LONGEST: Final = 60.0  # seconds that requests under way may take once it stops; who stops it may be less patient
FIRST_HANDED: Final = 3
"""The descriptor that a service manager hands over first (sd_listen_fds(3))."""


AWAY: Final = os.EX_TEMPFAIL
"""The exit status of a process that an engine kept from starting: the same start may succeed later."""


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


class Listening:
    """Serves an ASGI application to the outside. `socket` is the descriptor of a listening socket to be taken instead of host and port."""

    def __init__(
        self, application: Asgi, host: str, port: int, socket: int | None = None, bounds: Bounds | None = None, crowd: Crowd | None = None
    ) -> None:  # fmt: skip
        self._serving, self._stopping = Serving(application, host, port, socket, bounds, crowd, utc_now), asyncio.Event()

    async def serve(self) -> None:
        """Until it is told to `stop`, and what is under way has come to its end. Raises OSError where it cannot listen."""
        await self._serving.start()
        try:
            await self._stopping.wait()
        finally:
            await self._serving.stop(LONGEST)

    def stop(self) -> None:
        self._stopping.set()
