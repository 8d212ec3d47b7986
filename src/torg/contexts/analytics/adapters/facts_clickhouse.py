"""Facts in ClickHouse. What is told goes into a queue of the context's own store, in the commit that files the message, and from there to ClickHouse in
batches (clickhouse_sender.py); reports ask ClickHouse. So whether something counts is decided by one commit, and no consumer waits for ClickHouse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial

import msgspec
from msgspec.structs import replace

from torg.contexts.analytics import model
from torg.contexts.analytics.adapters.clickhouse import ClickHouse, quoted
from torg.contexts.analytics.adapters.clickhouse_sender import BASKET, BEHAVIOUR, FORGET, SALE, VISIT, Sender
from torg.contexts.analytics.adapters.recount_sql import BESIDE, SqlRecount
from torg.contexts.analytics.adapters.reports import Reports
from torg.contexts.analytics.adapters.sales_sql import SqlSales
from torg.contexts.analytics.contracts import Behaviour
from torg.contexts.analytics.model import Fact, Return, Sale, Undone
from torg.contexts.analytics.ports import Recounted, ReportRow
from torg.contexts.order.contracts import OrderLine
from torg.kit.calls import undisturbed
from torg.kit.sql import Database, SqlTransaction
from torg.kit.sql.parts import AT_ONCE
from torg.kit.store import Transaction
from torg.kit.values import Clock, NewId, stamp

MOVED = 10  # sales in a row of the queue, when they move in
PATIENCE = 3.0  # seconds that a report waits for facts on their way
LOOKS = 3  # at what does not agree, before it is told: facts are on their way all the time

Lines = list[list[object]]


class ClickHouseFacts(Reports):
    """Implements Facts."""

    def __init__(self, database: Database, server: ClickHouse, sender: Sender, clock: Clock, new_id: NewId) -> None:
        super().__init__(server)
        self._database, self.server, self.sender, self._new_id = database, server, sender, new_id
        self._sales = SqlSales(database)
        self._recount = SqlRecount(database, clock, new_id, partial(self._count, SqlSales(database, BESIDE)))

    async def start(self) -> None:
        """Before anything else is told. A shop that kept its facts in SQL until now takes them along: the sales that stand, and what visitors did."""
        await undisturbed(self._move_in, "analytics.facts")
        await self.sender.start()

    async def count(self, tx: Transaction, fact: Fact) -> None:
        await self._recount.note(tx.sql, fact)
        await self._count(self._sales, tx.sql, fact)

    async def recount(self, history: AsyncIterator[Sequence[Fact]]) -> Recounted:
        """All facts are sent again (copies of a fact are equal), what no log tells of is dropped, and the rollups are computed anew, month by month."""
        sales, _ = await self._recount.run(history, self.sender.send)
        while await self.sender.send():
            pass
        for month in await self._months():
            await self._drop_unknown(month)
            await self.sender.roll_up_anew(month)
        return Recounted(sales, None)

    async def record(self, tx: Transaction, events: Sequence[Behaviour], at: datetime) -> int:
        """Repeats within a day are told as such; later ones are found out when they are sent, and count once all the same."""
        new = [event for event in events if await self._is_new(tx, event.id, at)]
        if new:
            await self._queue(tx.sql, (BEHAVIOUR, [[e.id, stamp(at), e.kind, e.visitor, e.product_id, e.query] for e in new]))
        return len(new)

    async def step(self, tx: Transaction, step: str, visitor: str, at: datetime) -> None:
        await self._queue(tx.sql, (VISIT, [[stamp(at)[:10], step, visitor]]))

    async def forget(self, tx: Transaction, visitor: str) -> None:
        await self._queue(tx.sql, (FORGET, [[visitor]]))

    async def report(self, dimension: str, since: date, until: date, by: str, limit: int) -> Sequence[ReportRow]:
        """With what was sold before it was asked for, unless ClickHouse takes long."""
        await self.sender.caught_up(PATIENCE)
        return await super().report(dimension, since, until, by, limit)

    async def days(self, after: str, limit: int) -> Sequence[str]:
        reported = [day for day in await self._reported() if day > after]
        return sorted({*reported[:limit], *await self._sales.days(after, limit)})[:limit]

    async def newest_days(self) -> Sequence[str]:
        return await self._sales.newest_days()

    async def miscounted(self, days: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Compares the sales that stand here with the report there."""
        wrong = await self._disagreeing(days)
        for _ in range(LOOKS - 1):
            wrong = {day: numbers for day, numbers in (await self._disagreeing(days)).items() if wrong and numbers == wrong.get(day)}
        return wrong

    async def first_sale(self, day: str) -> str:
        return await self._sales.first(day)

    async def _disagreeing(self, days: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Days with the sales that stand and those that the report tells of, where they differ and none of them is on its way."""
        nothing = (0, 0)
        before, queued = await self._sales.by_day(days), await self.sender.queued_days()
        report, after = await self._reported(), await self._sales.by_day(days)
        settled = [day for day in sorted(days) if before.get(day) == after.get(day) and day not in queued]
        wrong = [day for day in settled if before.get(day, nothing) != report.get(day, nothing)]
        return {day: (before.get(day, nothing)[0], report.get(day, nothing)[0]) for day in wrong}

    async def _reported(self) -> dict[str, tuple[int, int]]:
        """By day, in order; the whole of it has a row for each day."""
        rows = await self.server.all("select key, orders, revenue from rollup_day where dimension = 'day' and (orders <> 0 or revenue <> 0) order by key")
        return {row["key"]: (row["orders"], row["revenue"]) for row in rows}

    async def _count(self, sales: SqlSales, tx: SqlTransaction, fact: Fact) -> None:
        change = await sales.take(tx, fact)
        if change is None:
            return
        before, _ = change
        match fact:
            case Sale():
                await self._queue(tx, *sold(fact))
            case Return() if before:
                part = replace(before, revenue=fact.refund, lines=fact.goods)
                await self._queue(tx, (SALE, sale_lines("returned", fact.return_id, part, -1, orders=0)))
            case Undone() if before:
                await self._queue(tx, (SALE, sale_lines("undone", fact.order_id, before, -1)))

    async def _months(self) -> list[str]:
        rows = await self.server.all(
            """select distinct formatDateTime(day, '%Y-%m') as month from sale_line
               union distinct select distinct month from rollup_month_version
               union distinct select distinct formatDateTime(day, '%Y-%m') as month from rollup_day_version where dimension <> 'funnel'"""
        )
        return sorted(row["month"] for row in rows)

    async def _drop_unknown(self, month: str) -> None:
        """An order that is known to ClickHouse was filed here before: one that is not, never was (the store was put back to an earlier state)."""
        rows = await self.server.all("select distinct order_id from sale_line where formatDateTime(day, '%Y-%m') = :month", month=month)
        order_ids = [row["order_id"] for row in rows]
        for start in range(0, len(order_ids), AT_ONCE):
            if unknown := await self._sales.unknown(order_ids[start : start + AT_ONCE]):
                among = ", ".join(map(quoted, unknown))
                for table in (SALE, BASKET, "product_basket"):
                    await self.server.execute(f"alter table {table} delete where order_id in ({among})", mutations_sync="1")

    async def _move_in(self) -> None:
        async with self._database.begin() as tx:
            if not await tx.execute("insert into fact_version (name, value) values ('moved in', 1) on conflict do nothing"):
                return
            async for sales in self._sales.standing_together(tx, MOVED):
                facts = [fact for sale in sales for fact in sold(sale)]
                for table in (SALE, BASKET):
                    await self._queue(tx, (table, [line for fact, lines in facts if fact == table for line in lines]))
            visits = await tx.all("select day, step, visitor from funnel_visit")
            for rows in _portions([[row["day"], row["step"], row["visitor"]] for row in visits]):
                await self._queue(tx, (VISIT, rows))
            seen = await tx.all("select id, at, kind, visitor, product_id, query from behaviour")
            for rows in _portions([[row[n] for n in range(6)] for row in seen]):
                await self._queue(tx, (BEHAVIOUR, rows))

    async def _is_new(self, tx: Transaction, id: str, at: datetime) -> bool:
        return bool(await tx.execute("insert into recent_behaviour (id, at) values (:id, :at) on conflict do nothing", id=id, at=stamp(at)))

    async def _queue(self, tx: SqlTransaction, *facts: tuple[str, Lines]) -> None:
        """The text is what ClickHouse will be sent."""
        rows = [{"id": self._new_id(), "fact": fact, "lines": b"\n".join(map(msgspec.json.encode, lines)).decode()} for fact, lines in facts]
        await tx.execute_many("insert into fact_queue (id, fact, lines) values (:id, :fact, :lines)", rows)
        tx.after_commit(self.sender.bell.ring)


def _portions(rows: Lines) -> Iterator[Lines]:
    return (rows[start : start + 100] for start in range(0, len(rows), 100))


def sold(sale: Sale) -> list[tuple[str, Lines]]:
    """What a sale is in ClickHouse."""
    facts = [(SALE, sale_lines("sold", sale.order_id, sale, 1))]
    return [*facts, (BASKET, [[sale.order_id, model.basket(sale.lines)]])] if sale.lines else facts


def sale_lines(kind: str, id: str, sale: Sale, sign: int, orders: int = 1) -> Lines:
    """A row for the whole of it and one for each line, as much more (`sign` 1) or less (-1). `orders` is 0 when the rest stays an order."""
    where: list[object] = [sale.day, sale.order_id, sale.user_id, sale.city]
    units = sum(line.quantity for line in sale.lines)
    rows: Lines = [[kind, id, 0, *where, "", [], sign * orders, sign * units, sign * sale.revenue]]
    for n, line in enumerate(sale.lines, start=1):
        rows.append([kind, id, n, *where, *_goods(line), sign * orders, sign * line.quantity, sign * line.line_total.amount])
    return rows


def _goods(line: OrderLine) -> tuple[str, tuple[str, ...]]:
    return line.product_id, line.category_path
