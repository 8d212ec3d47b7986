"""Rewrites requests and answers, in front of everything else; what streams goes on streaming."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from torg.contexts.gateway.adapters.guard_asgi import Guard
from torg.contexts.gateway.model.rewriting import Rewrite, Rewrites
from torg.kit.errors import Problem
from torg.kit.http.request import Headers
from torg.kit.messages import encode
from torg.kit.rpc.paths import unquote

LARGEST: Final = 1 << 20  # bytes of an answer whose fields are chosen
JSON: Final = b"application/json"


class Rewriting:
    """An ASGI application in front of the guard."""

    def __init__(self, guard: Guard, rewrites: Rewrites) -> None:
        self._guard, self._rewrites = guard, rewrites

    async def close(self) -> None:
        await self._guard.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        found = self._rewrites.find(_host(scope["headers"]), [unquote(segment) for segment in raw.split(b"/") if segment])
        if found is None:
            await self._guard(scope, receive, send)
            return
        matched, rewrite = found
        answering = _Answering(rewrite, raw, matched, send) if _changes(rewrite) else send
        await self._guard(_rewritten(scope, rewrite, rewrite.path(raw, matched)), receive, answering)


class _Answering:
    """Passes on an answer as the rewrite has it; JSON whose fields are chosen is held until it is whole."""

    def __init__(self, rewrite: Rewrite, raw: bytes, matched: int, send: Any) -> None:
        self._rewrite, self._raw, self._matched, self._send = rewrite, raw, matched, send
        self._start: Any = None
        self._held: list[bytes] | None = None

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            start = {**message, "headers": self._headers(message["headers"])}
            if not self._chosen(start):
                await self._send(start)
                return
            self._start, self._held = start, []
        elif self._held is None:
            await self._send(message)
        else:
            self._held.append(message.get("body", b""))
            if sum(map(len, self._held)) > LARGEST:
                await self._refuse("it is too large")
            elif not message.get("more_body"):
                await self._choose(b"".join(self._held))

    def _headers(self, headers: Headers) -> Headers:
        added = [(name.encode(), value.encode()) for name, value in self._rewrite.answer_add.items()]
        gone = {name for name, _ in added} | {name.encode() for name in self._rewrite.answer_remove}
        return [*((name, self._placed(name, value)) for name, value in headers if name not in gone), *added]

    def _placed(self, name: bytes, value: bytes) -> bytes:
        return self._rewrite.place(value, self._raw, self._matched) if name == b"location" else value

    def _chosen(self, start: Any) -> bool:
        """Of refusals all fields stay."""
        kind = next((value for name, value in start["headers"] if name == b"content-type"), b"")
        return bool(self._rewrite.keep or self._rewrite.drop) and 200 <= start["status"] < 300 and kind.partition(b";")[0].strip() == JSON

    async def _choose(self, body: bytes) -> None:
        try:
            document = msgspec.json.decode(body) if body else None  # a HEAD's
        except msgspec.DecodeError:
            await self._refuse("it cannot be read")
            return
        chosen = msgspec.json.encode(self._rewrite.fields(document)) if body else b""
        headers = [header for header in self._start["headers"] if header[0] != b"content-length"]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": chosen, "more_body": not body})  # what a HEAD's would be long nobody knows
        if not body:
            await self._send({"type": "http.response.body", "body": b""})

    async def _refuse(self, why: str) -> None:
        """Rather than to show what was to be left out."""
        problem = Problem("Internal error", 500, f"the fields of this answer could not be chosen: {why}", "rewrite.failed")
        self._held, send, self._send = None, self._send, _nowhere
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"application/problem+json")]})
        await send({"type": "http.response.body", "body": encode(problem)})


async def _nowhere(_: Any) -> None:
    """What is left of an answer that was refused."""


def _rewritten(scope: Any, rewrite: Rewrite, raw: bytes) -> Any:
    added = [(name.encode(), value.encode()) for name, value in rewrite.add.items()]
    gone = {name for name, _ in added} | {name.encode() for name in rewrite.remove}
    if rewrite.keep or rewrite.drop:
        gone |= {b"range", b"accept-encoding"}
    headers = [*(header for header in scope["headers"] if header[0] not in gone), *added]
    return {**scope, "path": unquote(raw) if rewrite.becomes else scope["path"], "raw_path": raw, "headers": headers}


def _changes(rewrite: Rewrite) -> bool:
    """Whether anything of the answer becomes different."""
    return bool(rewrite.becomes or rewrite.answer_add or rewrite.answer_remove or rewrite.keep or rewrite.drop)


def _host(headers: Headers) -> str:
    host = next((value for name, value in headers if name == b"host"), b"").decode("latin-1").lower()
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
