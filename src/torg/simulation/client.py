"""People's side of the network: HTTP requests from outside, and what came of them."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from torg.kit.rpc.http import Broken, Connections, Unreachable

PATIENCE: Final = 12.0  # seconds that people wait for an answer
AGAIN, LATEST = 0.3, 2.4  # seconds until they ask again: twice as long each time that nobody answers


class NoAnswer(Exception):
    """Nobody knows whether anything came of the request."""


class Reply(msgspec.Struct, frozen=True):
    """An answer; `json` is None where it has none."""

    status: int
    json: Any

    @property
    def code(self) -> str:
        return str(self.json.get("code", "")) if isinstance(self.json, dict) else ""


class Browser:
    """One person's requests to the shop at `front`. `defects` collects answers that nobody should ever get, with what was asked."""

    def __init__(self, front: tuple[str, int], defects: list[str]) -> None:
        self._shop, self._connections, self._defects = f"{front[0]}:{front[1]}", Connections(), defects
        self.token, self.asked, self.unanswered = "", 0, 0

    async def ask(self, method: str, path: str, body: object = None, key: str = "", **query: Any) -> Reply:
        """Raises NoAnswer."""
        target = f"/api/v1{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["idempotency-key"] = key
        data = b"" if body is None else msgspec.json.encode(body)
        if data:
            headers["content-type"] = "application/json"
        reply = await self._send(self._shop, method, target, headers, data)
        if reply.status >= 500 and reply.status != 503:
            self._defects.append(f"{method} {path} was answered {reply.status}: {reply.json}")
        return reply

    async def insist(self, method: str, path: str, body: object = None, key: str = "", **query: Any) -> Reply:
        """The same request until there is an answer."""
        pause = AGAIN
        while True:
            try:
                reply = await self.ask(method, path, body, key, **query)
            except NoAnswer:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LATEST)
                continue
            if reply.status != 503 and reply.code != "idempotency.in_progress":
                return reply
            await asyncio.sleep(AGAIN)

    async def submit(self, address: str, **fields: str) -> int:
        """Sends a form to a page of somebody else's; the answer's status. Raises NoAnswer."""
        page = urlsplit(address)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return (await self._send(page.netloc, "POST", page.path, headers, urlencode(fields).encode())).status

    async def _send(self, address: str, method: str, target: str, headers: dict[str, str], data: bytes) -> Reply:
        lines = [f"{method} {target} HTTP/1.1", f"host: {address}", f"content-length: {len(data)}", *(f"{name}: {value}" for name, value in headers.items())]
        self.asked += 1
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._connections.ask(address, "\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        except (Unreachable, Broken, TimeoutError) as error:
            self.unanswered += 1
            raise NoAnswer(f"{method} {target}: {error}") from error
        is_json = b"json" in answer.header(b"content-type")
        return Reply(answer.status, msgspec.json.decode(answer.body) if answer.body and is_json else None)
