"""A request from outside, as it is handed on: what it says of itself, what the gateway says of it, and its body piece by piece."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from torg.contexts.gateway.model import Row
from torg.kit import telemetry
from torg.kit.http.cache import FOR_GATEWAY
from torg.kit.rpc.door import FORWARDED, GATEWAY, HANDED_ON, KEEPS, PROTO, REQUEST, handed_on, target_of
from torg.kit.rpc.http import Headers
from torg.kit.rpc.identity import Identities
from torg.kit.rpc.wire import IDENTITY, WITHIN

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TRACE: Final = b"traceparent"
HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Said of one connection and not of what comes through it (RFC 9110, section 7.6.1)."""
REPLACED: Final = frozenset({FORWARDED, PROTO, REQUEST, HANDED_ON, IDENTITY, TRACE, WITHIN, KEEPS, b"expect"})
FRAMING: Final = frozenset({b"content-length", b"host"})
"""What says where a request ends and whom it is for goes on, whatever is said of it: without it a body would be taken for the next request."""
NOT_OURS: Final = HOP_BY_HOP | REPLACED

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Gone(Exception):
    """Whoever asks went away before everything was said: nobody's fault, and nobody waits for an answer."""


class Incoming:
    """A request under way; its first piece is at hand, the rest is still to come if `more`. `timeout`: seconds for the answer to begin, once all is said;
    `gone`: whoever sent it went away before that."""

    def __init__(self, scope: Any, receive: Receive, id: str, row: Row) -> None:
        self.scope, self.receive, self.id, self.context, self.timeout = scope, receive, id, row.context, row.timeout
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: Headers = scope["headers"]
        named = dict(self.headers)
        self.trace = telemetry.trace_of(named[TRACE].decode("latin-1")) if TRACE in named else ""
        self.first, self.more = b"", False
        self.framed = b"content-length" in named
        self.due, self.gone = time.monotonic() + row.timeout, False
        self.leaves: list[Callable[[], None]] = []

    def leave(self) -> None:
        """Its places are others' now."""
        while self.leaves:
            self.leaves.pop()()

    async def begin(self) -> None:
        """Waits for the first piece. Raises Gone."""
        message = await self.receive()
        if message["type"] != "http.request":
            self.gone = True
            raise Gone
        self.due = time.monotonic() + self.timeout
        self.more = bool(message.get("more_body"))
        self.first = self.framed_piece(message.get("body", b""))

    @property
    def repeatable(self) -> bool:
        return self.method in SAFE and not self.more

    def head(self, identities: Identities | None) -> bytes:
        """The request's line and headers as they go on: what is said of the connection stays here, what the gateway says is signed."""
        client = (self.scope.get("client") or ("",))[0].encode()
        proto, id, target = self.scope.get("scheme", "http").encode(), self.id.encode(), target_of(self.scope)
        method = self.method.encode()
        lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % header for header in kept(self.headers, NOT_OURS))]
        lines += [b"x-forwarded-for: " + client, b"x-forwarded-proto: " + proto, b"x-request-id: " + id]
        if identities is not None:
            between = identities.introduce(GATEWAY, self.context)
            lines += [b"torg-identity: " + between.token, b"torg-gateway: " + handed_on(between, method, target, client, proto, id)]
        if FOR_GATEWAY in self.scope:
            lines.append(KEEPS + b": 1")
        if self.trace:
            lines.append(b"traceparent: " + self.trace.encode("latin-1"))
        if identities is not None and not self.more:
            lines.append(b"%b: %d" % (WITHIN, max(int((self.due - time.monotonic()) * 1000), 1)))
        if self.more and not self.framed:
            lines.append(b"transfer-encoding: chunked")
        elif self.first and not self.framed:
            lines.append(b"content-length: %d" % len(self.first))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def framed_piece(self, piece: bytes) -> bytes:
        """A piece of the body, as a chunk where nobody has said how long the whole will be."""
        return piece if self.framed or not self.more else b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """The rest of the body. Raises Gone."""
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                self.gone = True
                raise Gone
            yield self.framed_piece(message.get("body", b""))
            if not message.get("more_body"):
                break
        if not self.framed:
            yield b"0\r\n\r\n"


def kept(headers: Headers, but: frozenset[bytes] = HOP_BY_HOP) -> Headers:
    """Those that are meant for the other end."""
    left = [header for header in headers if header[0] not in but]
    if len(left) == len(headers):
        return left
    named = {word.strip() for name, value in headers if name == b"connection" for word in value.lower().split(b",")} - FRAMING
    return [header for header in left if header[0] not in named]
