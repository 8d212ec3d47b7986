"""Telling the merchant: signed webhooks, sent again with growing pauses until they are taken."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import timedelta

import aiohttp

from torg.acquirer.charges import Charge
from torg.acquirer.faults import FaultPanel
from torg.acquirer.messages import Notice
from torg.kit.messages import encode
from torg.kit.sql import Row
from torg.kit.store import Store, Transaction
from torg.kit.tasks import Bell
from torg.kit.telemetry import log
from torg.kit.values import NewId, moment, stamp

SIGNATURE = "Acquirer-Signature"
TRIES = 60
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=0.5), timedelta(minutes=5)
PATIENCE = aiohttp.ClientTimeout(total=10)
POLL = 0.5  # seconds


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The signature header: HMAC-SHA256 over `timestamp.body`."""
    code = hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={code}"


class Notices:
    """The outbox of webhooks."""

    def __init__(self, store: Store, new_id: NewId, faults: FaultPanel, secret: str, webhook_url: str, base_url: str) -> None:
        self._store, self._new_id, self._faults, self._secret = store, new_id, faults, secret
        self._webhook_url, self._base_url = webhook_url, base_url
        self._bell, self._turn = Bell(), asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def tell(self, tx: Transaction, charge: Charge) -> None:
        """Files a webhook about how the charge stands now, in the commit that made it so."""
        if charge.muted:
            return
        now = self._store.clock()
        notice = Notice(self._new_id(), f"charge.{charge.status}", charge.view(self._base_url), now)
        due = now + timedelta(seconds=self._faults.now.webhook_delay)
        await tx.execute(
            "insert into notice (id, charge_id, body, attempts, next_at, error, at) values (:id, :charge_id, :body, 0, :due, '', :now)",
            id=notice.id, charge_id=charge.id, body=encode(notice).decode(), due=stamp(due), now=stamp(now),
        )  # fmt: skip
        tx.sql.after_commit(self._bell.ring)

    async def run(self) -> None:
        """One turn of the job: waits for something to tell, and tells what is due."""
        await self._bell.wait(POLL)
        await self.deliver()

    async def deliver(self) -> None:
        """Sends what is due now; what the merchant doesn't take is sent again later."""
        async with self._turn:
            due = "select * from notice where next_at <= :now order by next_at, id limit 50"
            for row in await self._store.database.all(due, now=stamp(self._store.clock())):
                error = await self._send(row["body"].encode())
                await self._file(row, error)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _send(self, body: bytes) -> str:
        """An empty text when the merchant took it, else what went wrong."""
        if self._faults.strikes("lost_webhooks"):
            return ""
        error = ""
        for _ in range(2 if self._faults.now.webhooks_twice else 1):
            error = await self._post(body)
        return error

    async def _post(self, body: bytes) -> str:
        self._session = self._session or aiohttp.ClientSession(timeout=PATIENCE)
        secret = "wrong" if self._faults.strikes("wrong_signatures") else self._secret
        headers = {"content-type": "application/json", SIGNATURE: sign(secret, int(self._store.clock().timestamp()), body)}
        try:
            async with self._session.post(self._webhook_url, data=body, headers=headers, allow_redirects=False) as answer:
                return "" if answer.ok else f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"

    async def _file(self, row: Row, error: str) -> None:
        attempts, now = row["attempts"] + 1, self._store.clock()
        pause = min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE)
        again = stamp(now + pause) if error and attempts < TRIES else None
        if error:
            log.warning("a webhook was not taken", notice=row["id"], age=str(now - moment(row["at"])), attempts=attempts, error=error)
        async with self._store.transaction() as tx:
            statement = "update notice set attempts = :attempts, next_at = :again, error = :error where id = :id"
            await tx.execute(statement, id=row["id"], attempts=attempts, again=again, error=error)
