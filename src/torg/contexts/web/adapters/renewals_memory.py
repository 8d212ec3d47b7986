"""Sessions carried on, at most once for each refresh token of this process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from torg.contexts.user.contracts import RefreshSession, Tokens
from torg.kit.values import Clock

Buy = Callable[[RefreshSession], Awaitable[Tokens]]
REMEMBERED = timedelta(seconds=60)  # longer than a browser takes to send what it had begun with the old token


class MemoryRenewals:
    """Implements Renewals. A used refresh token ends its session, so two tabs that wake up together must share one answer."""

    def __init__(self, buy: Buy, clock: Clock) -> None:
        self._buy, self._clock = buy, clock
        self._bought: dict[bytes, tuple[datetime, asyncio.Future[Tokens]]] = {}

    async def renew(self, refresh_token: str) -> Tokens:
        self._forget()
        key = hashlib.sha256(refresh_token.encode()).digest()
        if key not in self._bought:
            renewal = asyncio.ensure_future(self._buy(RefreshSession(refresh_token)))
            self._bought[key] = self._clock(), renewal
            renewal.add_done_callback(partial(self._forget_failed, key))
        return await asyncio.shield(self._bought[key][1])

    def _forget_failed(self, key: bytes, renewal: asyncio.Future[Tokens]) -> None:
        """What bought nothing is asked again: the store may have been away; and guesses fill no memory."""
        if renewal.cancelled() or renewal.exception():
            self._bought.pop(key, None)

    def _forget(self) -> None:
        before = self._clock() - REMEMBERED
        for key, (at, _) in list(self._bought.items()):
            if at > before:
                return  # the rest is younger
            del self._bought[key]
