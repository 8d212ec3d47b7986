"""The other end of calls between processes: who may ask is asked for a signature, and what is asked is handled until its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from torg.kit import telemetry
from torg.kit.calls import Call, Handle
from torg.kit.chain import DEEPEST, Link, chain
from torg.kit.errors import DomainError, Forbidden, NotFound, TooLarge, Unauthenticated, Unavailable
from torg.kit.messages import Message, Meta, Registry, encode
from torg.kit.rpc import wire
from torg.kit.rpc.metrics import SERVED
from torg.kit.rpc.signing import Signer
from torg.kit.rpc.wire import Refusal

LARGEST: Final = 64 << 20  # bytes
JSON, PROBLEM = [(b"content-type", b"application/json")], [(b"content-type", b"application/problem+json")]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class RpcServer:
    """An ASGI application below /rpc/. `call` handles the contexts' messages, `own` what processes of a fleet ask each other (by kind);
    `callers` are all who may ask at all."""

    def __init__(self, call: Call, registry: Registry, own: Mapping[type[Message], Handle], signer: Signer, callers: Collection[str]) -> None:
        self._call, self._registry, self._signer, self._callers = call, registry, signer, frozenset(callers)
        self._own = {kind.NAME: (msgspec.json.Decoder(kind).decode, handle) for kind, handle in own.items()}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        began, path = time.perf_counter(), scope["path"]
        name = path.removeprefix(wire.PREFIX)
        body, refusal = b"", None
        try:
            body = await self._answer(name, path, scope, await _body(receive))
        except (DomainError, Unavailable) as error:
            refusal = wire.refuse(error)
        except Exception as error:  # noqa: BLE001 the last line: a defect becomes an answer that says so, and a log line with the whole story
            telemetry.log.error("a call failed", message=name, exc_info=error)
            refusal = Refusal("Internal error", 500, f"{name}: {type(error).__name__}: {error}", "internal", wire.DEFECT)
        await _send(send, body, refusal)
        known = name if name in self._own or self._registry.find(name) else "-"
        _observed(known, refusal.kind if refusal else "done")(time.perf_counter() - began)

    async def _answer(self, name: str, path: str, scope: Any, body: bytes) -> bytes:
        link, meta = self._checked(path, dict(scope["headers"]), scope["method"], body)
        handle, message = self._read(name, body)
        token = chain.set(link)
        try:
            async with asyncio.timeout(link.due - time.monotonic()):
                with telemetry.span("rpc", name, meta), telemetry.acting(_within_span(meta)):
                    return encode(await handle(message))
        except TimeoutError as late:
            raise Unavailable(f"{name} was not done when its answer was due") from late
        finally:
            chain.reset(token)

    def _checked(self, path: str, headers: dict[bytes, bytes], method: str, body: bytes) -> tuple[Link, Meta]:
        try:
            link, within, meta = wire.read_link(headers)
        except ValueError as error:
            raise Unauthenticated(wire.UNSIGNED, f"this is no call of a fleet's: {error}") from error
        parts = wire.signed_parts(path.encode(), link, within, meta, body)
        if method != "POST" or (fault := self._signer.fault(headers.get(wire.SIGNATURE, b""), *parts)):
            raise Unauthenticated(wire.UNSIGNED, f"calls between contexts are signed with the fleet's secret: {fault if method == 'POST' else method}")
        if link.caller not in self._callers:
            raise Forbidden("rpc.caller", f"{link.caller!r} is no context of this shop")
        if not 1 <= link.depth <= DEEPEST:
            raise RuntimeError(f"a chain of calls may be {DEEPEST} deep, not {link.depth}")
        return link, wire.read_meta(meta)

    def _read(self, name: str, body: bytes) -> tuple[Handle, Message]:
        if found := self._own.get(name):
            return found[1], found[0](body)
        if not self._registry.find(name):
            raise NotFound("message.not_found", f"there is no message {name!r}")
        return self._call, self._registry.decode(name, body)


async def _body(receive: Receive) -> bytes:
    first = await receive()
    if not first.get("more_body"):
        whole: bytes = first.get("body", b"")
        return whole
    chunks, size, message = [first.get("body", b"")], 0, first
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > LARGEST:
            raise TooLarge("body.too_large", f"a call may have {LARGEST} bytes at most")
    return b"".join(chunks)


async def _send(send: Send, body: bytes, refusal: Refusal | None) -> None:
    status, headers = (refusal.status, PROBLEM) if refusal else (200, JSON)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": encode(refusal) if refusal else body})


def _within_span(meta: Meta) -> Meta:
    trace = telemetry.traceparent()
    return Meta(meta.cause, meta.actor, meta.request, trace) if trace else meta


@cache
def _observed(message: str, outcome: str) -> Callable[[float], None]:
    return SERVED.labels(message, outcome).observe
