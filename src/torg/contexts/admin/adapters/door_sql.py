"""Rules about networks and countries over SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Generic, Literal, TypeVar

from torg.contexts.admin.contracts import CountryRule, NetworkRule
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp

HOLDING: Final = "ended_at is null and (expires_at is null or expires_at > :now)"
R = TypeVar("R", NetworkRule, CountryRule)


class SqlRules(Generic[R]):
    """Implements Rules, in a table of its own for each thing that they are about."""

    def __init__(self, database: Database, kind: type[R], about: Literal["network", "country"]) -> None:
        self._database, self._about = database, about
        self._kind: type[R] = kind

    async def holding(self, now: datetime) -> tuple[R, ...]:
        rows = await self._database.all(f"select * from {self._about}_rule where {HOLDING} order by added_at desc, id desc", now=stamp(now))
        return tuple(self._rule(row) for row in rows)

    async def add(self, tx: Transaction, rule: R) -> None:
        await tx.execute(
            f"""insert into {self._about}_rule (id, {self._about}, kind, reason, added_by, added_at, expires_at, ended_by)
            values (:id, :about, :kind, :reason, :added_by, :added_at, :expires_at, '')""",
            id=rule.id, about=getattr(rule, self._about), kind=rule.kind, reason=rule.reason, added_by=rule.added_by, added_at=stamp(rule.added_at),
            expires_at=stamp(rule.expires_at) if rule.expires_at else None,
        )  # fmt: skip

    async def end(self, tx: Transaction, id: str, by: str, now: datetime) -> bool:
        statement = f"update {self._about}_rule set ended_at = :now, ended_by = :by where id = :id and {HOLDING} returning id"
        return await tx.one(statement, id=id, by=by, now=stamp(now)) is not None

    def _rule(self, row: Row) -> R:
        said = {name: row[name] for name in ("id", self._about, "kind", "reason", "added_by")}
        rule: R = self._kind(**said, added_at=moment(row["added_at"]), expires_at=moment(row["expires_at"]) if row["expires_at"] else None)
        return rule
