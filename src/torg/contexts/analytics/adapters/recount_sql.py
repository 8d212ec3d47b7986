"""Sales counted anew, in tables beside those that serve.

Whatever is told meanwhile goes into a journal as well, so that the tables beside know all that those that serve know, and perhaps more: the log may be read
further than consumers have come. Then they are compared, some rows at a time. In the end, in one transaction, the rows that differed are taken over as they
are by then: readers see the old count until then, and the new one from then on. What a consumer tells of later and was taken over already changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeVar

import msgspec

from torg.contexts.analytics.model import Fact, Sale
from torg.kit.calls import undisturbed
from torg.kit.errors import ConcurrentChange
from torg.kit.messages import encode
from torg.kit.sql import Database, SqlTransaction
from torg.kit.values import Clock, NewId, moment, stamp

T = TypeVar("T")
BESIDE: Final = "recount_"
NAME: Final = "analytics.recount"
PATIENCE: Final = timedelta(minutes=10)
"""A recount that has done nothing for so long died; no journal is kept for it any longer."""

_fact = msgspec.json.Decoder(Fact).decode


@dataclass(frozen=True)
class Portions:
    """Rows that are compared together, and those that are taken over together: where more are wrong, they change over one such part after the other."""

    compared: int = 1_000
    taken_over: int = 20_000


PORTIONS: Final = Portions()


@dataclass(frozen=True)
class Table:
    """One that is counted anew: the columns of its key, and the others."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...] = ()

    @property
    def end_of_part(self) -> str:
        """The key of the last of so many rows of both, behind a key."""
        key, behind = ", ".join(self.key), self._beyond(">", "after")
        part = "select * from (select {key} from {table} where {behind} order by {key} limit :rows) as {table}"
        both = " union ".join(part.format(key=key, table=table, behind=behind) for table in (self.name, BESIDE + self.name))
        return f"select {key} from ({both}) as part order by {key} limit 1 offset :rows - 1"

    def different(self, until: bool) -> str:
        """The keys of a part whose rows differ, or are in one of both; of all that is behind a key, unless there is one that the part ends with."""
        within = " and ".join((self._beyond(">", "after"), *([self._beyond("<=", "until")] if until else [])))
        same = " and ".join(f"o.{column} = n.{column}" for column in self.key)
        differ = " or ".join((f"o.{self.key[0]} is null", f"n.{self.key[0]} is null", *(f"o.{column} <> n.{column}" for column in self.values)))
        return f"""select {", ".join(f"coalesce(o.{column}, n.{column}) as {column}" for column in self.key)}
            from (select * from {self.name} where {within}) as o full join (select * from {BESIDE}{self.name} where {within}) as n on {same}
            where {differ}"""

    async def take_over(self, tx: SqlTransaction, keys: Sequence[Mapping[str, str]]) -> None:
        columns, chosen = ", ".join((*self.key, *self.values)), " and ".join(f"{column} = :{column}" for column in self.key)
        await tx.execute_many(f"delete from {self.name} where {chosen}", keys)
        await tx.execute_many(f"insert into {self.name} ({columns}) select {columns} from {BESIDE}{self.name} where {chosen}", keys)

    def _beyond(self, sign: str, what: str) -> str:
        return f"({', '.join(self.key)}) {sign} ({', '.join(f':{what}_{column}' for column in self.key)})"


SALES: Final = (Table("taken_back", ("id",)), Table("sale", ("order_id",), ("user_id", "day", "city", "revenue", "lines")))
ROLLUPS: Final = (
    Table("rollup_day", ("dimension", "day", "key"), ("orders", "units", "revenue")),
    Table("rollup_month", ("dimension", "month", "key"), ("orders", "units", "revenue")),
    Table("buyer_month", ("user_id", "month"), ("orders",)),
    Table("bought_together", ("product_id", "other_id"), ("times",)),
)
Wrong = list[tuple[Table, dict[str, str]]]


class SqlRecount:
    """A context's recount, one at a time. `count` adds a fact to the tables beside; `rollups` are those of them that are counted, beside the sales."""

    def __init__(
        self, database: Database, clock: Clock, new_id: NewId, count: Callable[[SqlTransaction, Fact], Awaitable[object]],
        rollups: Sequence[Table] = (), portions: Portions = PORTIONS,
    ) -> None:  # fmt: skip
        self._database, self._clock, self._new_id, self._count, self._rollups, self._portions = database, clock, new_id, count, rollups, portions
        self._turn = asyncio.Lock()

    async def note(self, tx: SqlTransaction, fact: Fact) -> None:
        """Keeps what is told for a recount that is under way, if one is."""
        row = await tx.one("select id, at from recount")
        if row is None:
            return
        if abs(self._clock() - moment(row["at"])) < PATIENCE:
            await tx.execute("insert into recount_journal (fact) values (:fact)", fact=encode(fact).decode())
        else:
            await tx.execute("delete from recount where id = :id", id=row["id"])

    async def run(self, history: AsyncIterator[Sequence[Fact]], between: Callable[[], Awaitable[object]] | None = None) -> tuple[int, int]:
        """How many sales there were, and how many rows of the rollups had been wrong. `between` is done after each part of the history. Raises
        ConcurrentChange."""
        async with self._turn:
            own, sales = self._new_id(), 0
            await self._in_one(partial(self._begin, own))
            async for facts in history:
                await self._in_one(partial(self._add, own, facts))
                sales += sum(isinstance(fact, Sale) for fact in facts)
                if between is not None:
                    await between()
            mended = await self._compare(own)
            await self._in_one(self._clear)
            return sales, mended

    async def _begin(self, own: str, tx: SqlTransaction) -> None:
        await self._clear(tx)
        await tx.execute("insert into recount (id, at) values (:id, :at)", id=own, at=stamp(self._clock()))

    async def _clear(self, tx: SqlTransaction) -> None:
        for name in ("recount", "recount_journal", *(BESIDE + table.name for table in (*SALES, *ROLLUPS))):
            await tx.execute(f"delete from {name}")

    async def _add(self, own: str, facts: Iterable[Fact], tx: SqlTransaction) -> None:
        if not await tx.execute("update recount set at = :at where id = :id", id=own, at=stamp(self._clock())):
            raise ConcurrentChange("reports.rebuilt_elsewhere", "another rebuild has begun meanwhile, or this one stood still for too long: ask again")
        for fact in facts:
            await self._count(tx, fact)

    async def _catch_up(self, own: str, tx: SqlTransaction) -> None:
        """Adds what was told meanwhile: not before the whole history, since a return says nothing where its sale is not known."""
        told = await tx.all("select id, fact from recount_journal order by id")
        await self._add(own, (_fact(row["fact"]) for row in told), tx)
        if told:
            await tx.execute_many("delete from recount_journal where id = :id", [{"id": row["id"]} for row in told])

    async def _compare(self, own: str) -> int:
        """Sales first: what consumers will find counted already must be known before it shows."""
        wrong: Wrong = []
        mended = 0
        for table in (*SALES, *self._rollups):
            after: dict[str, str] | None = dict.fromkeys(table.key, "")
            while after is not None:
                found, after = await self._in_one(partial(self._compare_part, own, table, after))
                wrong += [(table, key) for key in found]
                mended += len(found) if table in self._rollups else 0
                if len(wrong) >= self._portions.taken_over:
                    await self._in_one(partial(self._take_over, own, wrong))
                    wrong = []
                await asyncio.sleep(0)
        await self._in_one(partial(self._take_over, own, wrong))
        return mended

    async def _compare_part(self, own: str, table: Table, after: Mapping[str, str], tx: SqlTransaction) -> tuple[list[dict[str, str]], dict[str, str] | None]:
        """The keys that differ, and the key to go on behind, unless that was the last part."""
        await self._catch_up(own, tx)
        given: dict[str, Any] = {f"after_{column}": value for column, value in after.items()}
        end = await tx.one(table.end_of_part, **given, rows=self._portions.compared)
        until = {column: end[column] for column in table.key} if end else None
        given |= {f"until_{column}": value for column, value in (until or {}).items()}
        rows = await tx.all(table.different(until is not None), **given)
        return [{column: row[column] for column in table.key} for row in rows], until

    async def _take_over(self, own: str, wrong: Wrong, tx: SqlTransaction) -> None:
        await self._catch_up(own, tx)
        for table, rows in groupby(wrong, key=lambda one: one[0]):
            await table.take_over(tx, [key for _, key in rows])

    async def _in_one(self, work: Callable[[SqlTransaction], Awaitable[T]]) -> T:
        """In a transaction of its own."""

        async def done() -> T:
            async with self._database.begin() as tx:
                return await work(tx)

        return await undisturbed(done, NAME, self._database.lane)
