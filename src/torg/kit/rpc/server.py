"""The other end of calls between processes: who may ask is asked for a signature, and what is asked is handled until its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from torg.kit import security, telemetry
from torg.kit.calls import Call, Handle
from torg.kit.chain import DEEPEST, Link, chain
from torg.kit.errors import DomainError, Forbidden, NotFound, TooLarge, Unauthenticated, Unavailable
from torg.kit.messages import Message, Meta, Registry, context_of, encode
from torg.kit.rpc import wire
from torg.kit.rpc.identity import BadIdentity, Identities
from torg.kit.rpc.metrics import SERVED
from torg.kit.rpc.wire import Refusal
from torg.kit.scrubbing import clean

LARGEST: Final = 64 << 20  # bytes
MAY_NOT: Final = "rpc.caller"
"""The code of a call from whom the context is not asked by."""
JSON, PROBLEM = [(b"content-type", b"application/json")], [(b"content-type", b"application/problem+json")]
MayAsk = Callable[[str, str, str], bool]
"""Whether a caller may ask a context for a message."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class RpcServer:
    """An ASGI application below /rpc/. `call` handles the contexts' messages, `own` what processes of a fleet ask each other (by kind);
    `may_ask` says who may ask which context for what."""

    def __init__(
        self,
        call: Call,
        registry: Registry,
        own: Mapping[type[Message], Handle],
        identities: Identities,
        may_ask: MayAsk = lambda *_: True,
    ) -> None:
        self._call, self._registry, self._identities, self._may_ask = call, registry, identities, may_ask
        self._own = {kind.NAME: (msgspec.json.Decoder(kind).decode, handle) for kind, handle in own.items()}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        began, path = time.perf_counter(), scope["path"]
        name = path.removeprefix(wire.PREFIX)
        body, refusal = b"", None
        try:
            body = await self._answer(name, path, scope, await _body(receive))
        except (DomainError, Unavailable) as error:
            refusal = wire.refuse(error)
            if refusal.code in (wire.UNSIGNED, MAY_NOT):
                security.tell("call", code=refusal.code, path=path, address=(scope.get("client") or ("",))[0], detail=refusal.detail)
        except Exception as error:  # noqa: BLE001 the last line: a defect becomes an answer that says so, and a log line with the whole story
            telemetry.log.error("a call failed", message=name, exc_info=error)
            refusal = Refusal("Internal error", 500, clean(f"{name}: {type(error).__name__}: {error}"), "internal", wire.DEFECT)
        await _send(send, body, refusal)
        known = name if name in self._own or self._registry.find(name) else "-"
        _observed(known, refusal.kind if refusal else "done")(time.perf_counter() - began)

    async def _answer(self, name: str, path: str, scope: Any, body: bytes) -> bytes:
        link, meta = self._checked(path, dict(scope["headers"]), scope["method"], body)
        handle, message = self._read(name, body)
        if not self._may_ask(link.caller, context_of(type(message)), name):
            raise Forbidden(MAY_NOT, f"{link.caller} is not among those who may ask {context_of(type(message))} for {name}")
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
            between = self._identities.recognise(headers.get(wire.IDENTITY, b""))
            link, within, meta = wire.read_link(headers, between.caller)
        except BadIdentity as error:
            raise Unauthenticated(wire.UNSIGNED, f"calls between contexts say who asks: {error}") from error
        except ValueError as error:
            raise Unauthenticated(wire.UNSIGNED, f"this is no call of a fleet's: {error}") from error
        parts = wire.signed_parts(path.encode(), link, within, meta, body)
        if method != "POST" or (fault := between.calls.fault(headers.get(wire.SIGNATURE, b""), *parts)):
            raise Unauthenticated(wire.UNSIGNED, f"calls between contexts are signed by who asks: {fault if method == 'POST' else method}")
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
