"""What people have signed in with before, over SQL."""

from __future__ import annotations

from datetime import datetime, timedelta

from torg.kit.store import Transaction
from torg.kit.values import moment, stamp

RENEWED_AFTER = timedelta(days=1)


class SqlFamiliarStore:
    """Implements FamiliarStore."""

    async def is_new(self, tx: Transaction, user_id: str, hashed: str, now: datetime) -> bool:
        seen = await tx.value("select seen_at from familiar where user_id = :user_id and hash = :hash", user_id=user_id, hash=hashed)
        if seen is not None:
            if now - moment(seen) > RENEWED_AFTER:
                await tx.execute("update familiar set seen_at = :now where user_id = :user_id and hash = :hash", user_id=user_id, hash=hashed, now=stamp(now))
            return False
        others = await tx.value("select 1 from familiar where user_id = :user_id limit 1", user_id=user_id)
        await tx.execute(
            "insert into familiar (user_id, hash, seen_at) values (:user_id, :hash, :now) on conflict do nothing", user_id=user_id, hash=hashed, now=stamp(now)
        )
        return others is not None

    async def drop_old(self, tx: Transaction, before: datetime) -> None:
        await tx.execute("delete from familiar where seen_at < :before", before=stamp(before))
