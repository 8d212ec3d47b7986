"""The shop as its customers reach it: the public HTTP API, asked with patience while the shop is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

API = "/api/v1"
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between two tries
BUSY = "idempotency.in_progress"


class ShopAway(Exception):
    """The shop did not answer for longer than anybody waits; a sentence."""


class Refused(Exception):
    """The shop said no: its status, stable code and sentence."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code = status, code


class Reply(msgspec.Struct, frozen=True):
    """What came back; `replayed` when the same Idempotency-Key had been answered before."""

    body: Any
    replayed: bool


class Shop:
    """Asks again, with growing pauses, while the shop is away or busy: everything asked through it may safely come twice.

    `patience` is how many seconds an absence may last; `tell` hears when one begins and ends."""

    def __init__(self, address: str, patience: float, tell: Callable[[str], None], connections: int = 100) -> None:
        self._base, self._patience, self._tell = address.rstrip("/"), patience, tell
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections), timeout=aiohttp.ClientTimeout(total=60, sock_connect=5)
        )  # fmt: skip
        self._away_since: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def answers(self) -> bool:
        """Whether somebody is there now."""
        try:
            async with self._session.get(f"{self._base}/health") as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def ask(self, method: str, path: str, body: object = None, token: str = "", key: str = "") -> Reply:
        """One request and its answer, however many tries it takes. Raises Refused, ShopAway."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            wait = await self._once(method, path, msgspec.json.encode(body) if body is not None else None, headers)
            if isinstance(wait, Reply):
                return wait
            if time.monotonic() - began > self._patience:
                raise ShopAway(f"the shop at {self._base} has not answered for {self._patience:.0f} seconds")
            await asyncio.sleep(max(wait, pause))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply | float:
        """An answer; or how many seconds the shop wants to be left alone."""
        try:
            async with self._session.request(method, self._base + API + path, data=body, headers=headers) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._miss(str(error) or type(error).__name__)
            return 0
        if response.status in (429, 503):
            return float(response.headers.get("Retry-After", 1))
        self._back()
        if response.status < 400:
            return Reply(msgspec.json.decode(content) if content else None, "Idempotent-Replayed" in response.headers)
        refusal = _refusal(response.status, content)
        if refusal.code == BUSY:
            return 0
        raise refusal

    def _miss(self, why: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._tell(f"the shop does not answer ({why}); asking again until it does")

    def _back(self) -> None:
        if self._away_since is not None:
            self._tell(f"the shop is back after {time.monotonic() - self._away_since:.1f} s")
            self._away_since = None


def _refusal(status: int, content: bytes) -> Refused:
    try:
        problem = msgspec.json.decode(content)
        return Refused(status, problem["code"], problem["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return Refused(status, f"http.{status}", content[:200].decode(errors="replace"))
