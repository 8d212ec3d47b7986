"""The auditor's books over SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from torg.contexts.admin.model import Account
from torg.contexts.admin.ports import SalesDay
from torg.kit.messages import encode
from torg.kit.sql import Database
from torg.kit.sql.parts import listed
from torg.kit.sql.port import Reads
from torg.kit.store import Transaction

_account = msgspec.json.Decoder(Account).decode
_KEEP = """insert into account (order_id, bucket_id, unproven, facts) values (:order_id, :bucket_id, 1, :facts)
    on conflict (order_id) do update set bucket_id = excluded.bucket_id, unproven = 1, facts = excluded.facts"""
_ADD_SALES = """insert into sales_day (day, orders, revenue, unproven) values (:day, :orders, :revenue, 1)
    on conflict (day) do update set orders = sales_day.orders + excluded.orders, revenue = sales_day.revenue + excluded.revenue, unproven = 1"""


class SqlBooks:
    """Implements Books."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_until(self, what: str, source: str) -> int:
        return await self._database.value("select position from read_until where what = :what and source = :source", what=what, source=source) or 0

    async def set_read_until(self, tx: Transaction, what: str, source: str, position: int) -> None:
        await tx.execute(
            """insert into read_until (what, source, position) values (:what, :source, :position)
               on conflict (what, source) do update set position = excluded.position""",
            what=what,
            source=source,
            position=position,
        )

    async def accounts(self, tx: Transaction, order_ids: Collection[str]) -> dict[str, Account]:
        return await self._accounts(tx, order_ids)

    async def some(self, order_ids: Collection[str]) -> dict[str, Account]:
        return await self._accounts(self._database, order_ids)

    async def _accounts(self, reads: Reads | Transaction, order_ids: Collection[str]) -> dict[str, Account]:
        names, wanted = listed(order_ids)
        rows = await reads.all(f"select order_id, facts from account where order_id in ({names})", **wanted)
        return {row["order_id"]: _account(row["facts"]) for row in rows}

    async def keep(self, tx: Transaction, accounts: Iterable[Account]) -> None:
        await tx.execute_many(_KEEP, [{"order_id": a.order_id, "bucket_id": a.bucket_id, "facts": encode(a).decode()} for a in accounts])

    async def unproven(self, after: str, limit: int) -> Sequence[Account]:
        rows = await self._database.all(
            "select facts from account where unproven = 1 and order_id > :after order by order_id limit :limit", after=after, limit=limit
        )
        return [_account(row["facts"]) for row in rows]

    async def prove(self, tx: Transaction, order_ids: Iterable[str]) -> None:
        await tx.execute_many("update account set unproven = 0 where order_id = :order_id", [{"order_id": order_id} for order_id in order_ids])

    async def rivals(self, account: Account) -> Sequence[str]:
        rows = await self._database.all(
            "select facts from account where bucket_id = :bucket_id and bucket_id <> '' and order_id <> :order_id order by order_id",
            bucket_id=account.bucket_id,
            order_id=account.order_id,
        )
        return [other.order_id for other in (_account(row["facts"]) for row in rows) if other.stage != "ended"]

    async def add_sales(self, tx: Transaction, changes: Mapping[str, tuple[int, int]]) -> None:
        await tx.execute_many(_ADD_SALES, [{"day": day, "orders": orders, "revenue": revenue} for day, (orders, revenue) in changes.items()])

    async def unproven_days(self) -> Sequence[SalesDay]:
        rows = await self._database.all("select day, orders, revenue from sales_day where unproven = 1 order by day limit 100")
        return [SalesDay(row["day"], row["orders"], row["revenue"]) for row in rows]

    async def prove_day(self, tx: Transaction, day: SalesDay) -> None:
        await tx.execute(
            "update sales_day set unproven = 0 where day = :day and orders = :orders and revenue = :revenue",
            day=day.day,
            orders=day.orders,
            revenue=day.revenue,
        )

    async def torn(self) -> Sequence[tuple[str, str]]:
        return [(row["source"], row["stream"]) for row in await self._database.all("select source, stream from torn_stream order by source, stream limit 200")]

    async def set_torn(self, tx: Transaction, source: str, stream: str, torn: bool) -> None:
        statement = "insert into torn_stream (source, stream) values (:source, :stream) on conflict do nothing"
        await tx.execute(statement if torn else "delete from torn_stream where source = :source and stream = :stream", source=source, stream=stream)
