"""A listening port that takes TLS and nothing else: who is not one of the fleet's hears nothing of the application behind it."""

from __future__ import annotations

import asyncio
import socket as sockets
import ssl
from collections.abc import Callable
from typing import Final

from torg.kit import security, telemetry
from torg.kit.rpc.tls import Tls, told

HANDSHAKE: Final = 10.0  # seconds
FULL: Final = 0.5  # seconds until the next try, where the system has nothing left for one more connection
TLS: Final = b"\x16"
"""With which a handshake begins (RFC 8446, section 5.1)."""
UNKNOWN: Final = "tls.unknown"
"""The code of who is not let in."""
_WORDS: Final = b"this port speaks TLS, with the services of its fleet alone (TORG_TLS); /health, /ready and /metrics are at TORG_MONITOR_PORT\n"
REFUSED: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_WORDS), _WORDS)


class Entry:
    """Makes a protocol for each connection that is let in, until it is closed."""

    def __init__(self, made: Callable[[], asyncio.Protocol], tls: Tls, host: str, port: int, backlog: int) -> None:
        """Raises OSError where it cannot listen."""
        self._made, self._context = made, tls.taking()
        self._listening = sockets.create_server((host, port), family=sockets.AF_INET6 if ":" in host else sockets.AF_INET, backlog=backlog)
        self._listening.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._welcoming: set[asyncio.Task[None]] = set()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        self._accepting.cancel()
        for welcoming in self._welcoming:
            welcoming.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        while True:
            try:
                arrived, (address, *_) = await self._loop.sock_accept(self._listening)
            except OSError as error:
                telemetry.log.error("a connection could not be taken", error=str(error))
                await asyncio.sleep(FULL)
                continue
            welcoming = self._loop.create_task(self._welcome(arrived, address))
            self._welcoming.add(welcoming)
            welcoming.add_done_callback(self._welcoming.discard)

    async def _welcome(self, arrived: sockets.socket, address: str) -> None:
        fault, let_in = "", False
        try:
            async with asyncio.timeout(HANDSHAKE):
                first = await self._first_byte(arrived)
                if first == TLS:
                    await self._loop.connect_accepted_socket(self._made, arrived, ssl=self._context)
                    let_in = True
                elif first:
                    fault = "it does not speak TLS"
                    arrived.send(REFUSED)
        except ssl.SSLError as error:
            fault = told(error)
        except TimeoutError:
            fault = f"its handshake took more than {HANDSHAKE:.0f} s"
        except OSError:  # it has gone
            pass
        finally:
            if not let_in:
                arrived.close()
        if fault:
            security.tell("call", code=UNKNOWN, address=address, detail=fault)

    async def _first_byte(self, arrived: sockets.socket) -> bytes:
        """Which stays there to be read; empty where nothing will come."""
        ready = self._loop.create_future()
        self._loop.add_reader(arrived, ready.set_result, None)
        try:
            await ready
        finally:
            self._loop.remove_reader(arrived)
        return arrived.recv(1, sockets.MSG_PEEK)
