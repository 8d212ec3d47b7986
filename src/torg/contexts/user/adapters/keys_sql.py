"""The key ring over SQL. Every process holds it for a moment, and learns of a new key long before that signs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from torg.contexts.user.model import keys as rules
from torg.contexts.user.model.keys import Key
from torg.kit.sealing import Sealer
from torg.kit.sql import Row
from torg.kit.store import Store, Transaction
from torg.kit.telemetry import log
from torg.kit.tokens import Checker, Jwk, Signer, jwk_of, private_key
from torg.kit.values import Randomness, moment, stamp

HELD: Final = timedelta(seconds=3)
SEED: Final = 32  # bytes (RFC 8032)

_jwk = msgspec.json.Decoder(Jwk).decode


class SqlKeys:
    """Implements Keys."""

    def __init__(self, store: Store, issuer: str, sealer: Sealer, randomness: Randomness) -> None:
        self._store, self._issuer, self._sealer, self._randomness = store, issuer, sealer, randomness
        self._ring: list[Key] = []
        self._read_at: datetime | None = None
        self._signers: dict[str, Signer] = {}
        self._checkers: dict[tuple[str, ...], Checker] = {}

    async def signer(self, now: datetime) -> Signer:
        key = self._signing(await self._held(now), now)
        if key is None:
            key = await self._store.undisturbed(partial(self._first, now), "user.keys")
        return self._signers[key.kid]

    async def checker(self, now: datetime) -> Checker:
        keys = rules.believed(await self._held(now), now)
        names = tuple(key.kid for key in keys)
        if names not in self._checkers:
            self._checkers = {names: Checker.of(self._issuer, [key.jwk for key in keys])}
        return self._checkers[names]

    async def all(self) -> Sequence[Key]:
        rows = await self._store.database.all("select * from signing_key order by signs_from, kid")
        return [_key(row) for row in rows]

    async def rotate(self, tx: Transaction, kid: str, now: datetime, compromised: bool = False) -> Sequence[Key]:
        await tx.claim("keys")
        before = [_key(row) for row in await tx.all("select * from signing_key order by signs_from, kid")]
        new = self._made(kid, now, now if compromised or not before else now + rules.PUBLISHED_FOR)
        for key in rules.rotated(before, new, compromised):
            await tx.execute("update signing_key set verifies_until = :until where kid = :kid", until=stamp(key.verifies_until or now), kid=key.kid)
        await self._add(tx, new)
        return [_key(row) for row in await tx.all("select * from signing_key order by signs_from, kid")]

    async def drop_old(self, tx: Transaction, now: datetime) -> None:
        await tx.execute("delete from signing_key where verifies_until < :before", before=stamp(now - rules.KEPT_FOR))

    async def _held(self, now: datetime) -> list[Key]:
        if self._read_at is None or not timedelta() <= now - self._read_at < HELD:
            self._ring, self._read_at = list(await self.all()), now
        return self._ring

    def _signing(self, keys: Sequence[Key], now: datetime) -> Key | None:
        """Of the keys that the secret opens."""
        return rules.signing([key for key in keys if self._opens(key)], now)

    async def _first(self, now: datetime) -> Key:
        """The one that somebody else made meanwhile, or a new one."""
        async with self._store.transaction() as tx:
            await tx.claim("keys")
            keys = [_key(row) for row in await tx.all("select * from signing_key order by signs_from, kid")]
            if (found := self._signing(keys, now)) is not None:
                return found
            if keys:
                log.warning("the keys that sign tokens can't be opened with this secret: there is a new one", keys=len(keys))
            made = self._made(self._randomness(8).hex(), now, now)
            await self._add(tx, made)
        self._opens(made)
        return made

    def _made(self, kid: str, now: datetime, signs_from: datetime) -> Key:
        seed = self._randomness(SEED)
        return Key(kid=kid, jwk=jwk_of(kid, seed), sealed=self._sealer.seal(seed, kid), made_at=now, signs_from=signs_from)

    async def _add(self, tx: Transaction, key: Key) -> None:
        await tx.execute(
            "insert into signing_key (kid, public, private, made_at, signs_from) values (:kid, :public, :private, :made_at, :signs_from)",
            kid=key.kid, public=msgspec.json.encode(key.jwk).decode(), private=key.sealed, made_at=stamp(key.made_at), signs_from=stamp(key.signs_from),
        )  # fmt: skip
        tx.sql.after_commit(self._forget)

    def _forget(self) -> None:
        self._read_at = None

    def _opens(self, key: Key) -> bool:
        if key.kid not in self._signers and (seed := self._sealer.open(key.sealed, key.kid)) is not None:
            self._signers[key.kid] = Signer(key.kid, private_key(key.kid, seed))
        return key.kid in self._signers


def _key(row: Row) -> Key:
    return Key(
        kid=row["kid"], jwk=_jwk(row["public"]), sealed=row["private"], made_at=moment(row["made_at"]), signs_from=moment(row["signs_from"]),
        verifies_until=moment(row["verifies_until"]) if row["verifies_until"] else None,
    )  # fmt: skip
