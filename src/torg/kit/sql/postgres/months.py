"""Tables parted by month. Their keys are UUIDv7, which begin with the time they were made, so that text order is time order: a month is a range of keys,
holds its streams (or orders) whole, and can be detached whole. What has another key lies in the default partition, `<table>_rest`.

Months are made ahead of time. One that is made late takes what the default partition holds of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.sql.dialect import POSTGRES
from torg.kit.sql.port import Database

AHEAD: Final = 3  # months that are made before they begin
LOCK_MILLISECONDS: Final = 500  # while this waits for others to leave the default partition, everybody waits for this
FIRST: Final = date(2020, 1, 1)  # no id of ours is older: what looks like one is none

_TABLES = """select c.relname as name, a.attname as key, d.relname as rest
    from pg_partitioned_table p join pg_class c on c.oid = p.partrelid join pg_class d on d.oid = p.partdefid
        join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0]
    where c.relnamespace = to_regnamespace(current_schema()) and p.partstrat = 'r' and p.partnatts = 1 and a.atttypid = 'text'::regtype order by 1"""
_UUID7 = "'^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-'"


@dataclass(frozen=True)
class Parted:
    """A table that is parted by month of its `key`; `rest` is its default partition."""

    name: str
    key: str
    rest: str

    def partition(self, month: date) -> str:
        return f"{self.name}_{month:%Y_%m}"


def first_id(month: date) -> str:
    """What all UUIDv7 made since the beginning of this month are not smaller than."""
    milliseconds = int(datetime(month.year, month.month, 1, tzinfo=UTC).timestamp() * 1000)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"


def month_of(id: str) -> date:
    """When a UUIDv7 was made."""
    made = datetime.fromtimestamp(int(id[:8] + id[9:13], 16) / 1000, UTC)
    return date(made.year, made.month, 1)


def following(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def months_from(month: date, count: int) -> Iterator[date]:
    for _ in range(count):
        yield month
        month = following(month)


async def keep_months(database: Database, now: datetime) -> list[str]:
    """Sees to it that this month and the next three have their partitions, and months that were missed get theirs. Returns the new ones."""
    made = []
    for table in await parted(database):
        wanted = list(months_from(date(now.year, now.month, 1), AHEAD + 1))
        while (late := await _left_over(database, table, wanted[0])) and late not in wanted:
            wanted.append(late)
            made += [table.partition(late)] * await _make(database, table, late)
        for month in wanted[: AHEAD + 1]:
            made += [table.partition(month)] * await _make(database, table, month)
    return made


async def parted(database: Database) -> Sequence[Parted]:
    """The schema's tables that are parted by month."""
    return [Parted(row["name"], row["key"], row["rest"]) for row in await database.all(_TABLES)]


async def detach_month(database: Database, month: date) -> list[str]:
    """Takes a month out of all its tables at once. Its partitions stay as tables of their own, to be kept elsewhere or dropped; their names."""
    detached = []
    async with database.begin() as tx:
        for table in await tx.all(_TABLES):
            found = Parted(table["name"], table["key"], table["rest"])
            attached = "select 1 from pg_inherits where inhparent = to_regclass(:parent) and inhrelid = to_regclass(:part)"
            if await tx.value(attached, parent=found.name, part=found.partition(month)):
                await tx.execute(f"alter table {found.name} detach partition {found.partition(month)}")
                detached.append(found.partition(month))
    return detached


async def _left_over(database: Database, table: Parted, before: date) -> date | None:
    """A past month of which the default partition holds something."""
    oldest = await database.value(
        f"select min({table.key}) from {table.rest} where {table.key} >= :first and {table.key} < :before and {table.key} ~ {_UUID7}",
        first=first_id(FIRST), before=first_id(before),
    )  # fmt: skip
    return month_of(oldest) if oldest else None


async def _make(database: Database, table: Parted, month: date) -> bool:
    """Whether it was made now. While another transaction keeps the default partition for longer than locks are waited for, it is left for the next time."""
    try:
        return await _make_in_turn(database, table, month)
    except Unavailable as obstacle:
        telemetry.log.warning("a month's partition was not made", partition=table.partition(month), detail=obstacle.detail)
        return False


async def _make_in_turn(database: Database, table: Parted, month: date) -> bool:
    name, begins, ends = table.partition(month), first_id(month), first_id(following(month))
    async with database.begin() as tx:
        for statement in POSTGRES.lock:
            await tx.execute(statement)
        if await tx.value("select to_regclass(:name)", name=name):
            return False
        await tx.execute(f"set local lock_timeout = '{LOCK_MILLISECONDS}ms'")
        await tx.execute(f"create table {name} (like {table.name} including all)")
        await tx.execute(f"lock table {table.rest} in access exclusive mode")
        await tx.execute(
            f"""with moved as (delete from {table.rest} where {table.key} >= '{begins}' and {table.key} < '{ends}' returning *)
                insert into {name} select * from moved"""
        )
        await tx.execute(f"alter table {table.name} attach partition {name} for values from ('{begins}') to ('{ends}')")
    return True
