"""Sends queued facts to ClickHouse and keeps its rollups right.

Facts leave the queue once ClickHouse has them on disk and the rollups of their days are written; a crash anywhere before that, or a second sender at
the same time, means that some are sent again. That changes nothing: copies of a fact are equal and collapse, and a rollup is computed from the facts as
they are, under a version that was drawn after they had arrived, so that of two computations the one that saw more holds (docs/decisions/0012)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from torg.contexts.analytics import model
from torg.contexts.analytics.adapters.clickhouse import ClickHouse, quoted
from torg.contexts.analytics.adapters.clickhouse_schema import bring_up_to_date
from torg.kit import telemetry
from torg.kit.calls import undisturbed
from torg.kit.errors import Unavailable
from torg.kit.sql import Database, Row
from torg.kit.tasks import Bell
from torg.kit.values import Clock, stamp

SALE, BASKET, VISIT, BEHAVIOUR, FORGET = "sale_line", "basket", "funnel_visit", "behaviour", "forget"
NAME: Final = "analytics.facts"
QUEUE: Final = "queue"
LOOK_SECONDS: Final = 1.0  # between looks at a queue that other instances fill
ASKED_EVERY: Final = 0.05  # seconds between looks of who waits for the queue
GATHER_SECONDS: Final = 1.0  # that facts wait for one another, at least: an insert is a part on disk
SHARE: Final = 5  # it rests so many times longer than it has worked,
LONGEST_REST: Final = 5.0  # but no longer than this: reports follow within seconds
SLOWEST_RETRY: Final = 15.0
TOGETHER: Final = 2_000  # rows of the queue in a batch
LOOKED_UP: Final = 1_000  # ids in one statement
REPEATS: Final = timedelta(days=1)  # that a repeated batch of behaviour is told as such

_INTO: Final = {BEHAVIOUR: "behaviour (id, at, kind, visitor, product_id, query)"}
_DAY_ROLLUP: Final = """insert into rollup_day_version
    select dimension, day, key, if(dimension in ('product', 'category'), countIf(units > 0), sum(touched)), sum(units), sum(revenue), {version}
    from (
        select d.1 as dimension, day, d.2 as key, order_id, sum(o) as touched, sum(u) as units, sum(r) as revenue
        from (
            select day, order_id, orders as o, units as u, revenue as r,
                arrayJoin(if(n = 0, [('day', toString(day)), ('city', toString(city)), ('buyer', user_id)],
                    arrayConcat([('product', product_id)], arrayMap(name -> ('category', toString(name)), arrayDistinct(categories))))) as d
            from sale_line final where {which}
        ) group by dimension, day, key, order_id
    ) group by dimension, day, key"""
_FUNNEL_ROLLUP: Final = """insert into rollup_day_version select 'funnel', day, step, count(), 0, 0, {version}
    from funnel_visit final where {which} group by day, step"""
_MONTH_ROLLUP: Final = """insert into rollup_month_version
    select dimension, formatDateTime(day, '%Y-%m') as month, key, sum(orders), sum(units), sum(revenue), {version}
    from rollup_day where toYYYYMM(day) in ({months}) and dimension not in ('day', 'funnel') {keys} group by dimension, month, key"""
_TOUCHED: Final = "and (dimension, key) in (select dimension, key from rollup_day_version where day in ({days}) and version >= {version})"
_STALE: Final = """insert into rollup_{grain}_version select dimension, {grain}, key, 0, 0, 0, {version} from rollup_{grain}_version final
    where {which} and dimension <> 'funnel' and version < {version} and (orders <> 0 or units <> 0 or revenue <> 0)"""
_FORGOTTEN: Final = """insert into behaviour (id, at, kind, visitor, product_id, query, erased)
    select id, at, kind, '', '', '', 1 from behaviour final where visitor = {visitor}"""


class Sender:
    """Empties the queue of one context's store into one ClickHouse. Operators see it as a follower of that queue.

    `gather`: seconds that facts wait for one another."""

    name = NAME

    def __init__(self, database: Database, server: ClickHouse, clock: Clock, gather: float = GATHER_SECONDS) -> None:
        self._database, self._server, self._clock, self._gather = database, server, clock, gather
        self.bell, self._hurry = Bell(), Bell()
        self._ready = False
        self._away = 0.0
        self._sent = 0

    async def start(self) -> None:
        """Brings ClickHouse up to date, if it answers; else that is done before the first batch."""
        try:
            await self._prepare()
        except Unavailable as away:
            telemetry.log.warning("facts wait in their queue", detail=away.detail)

    async def run(self) -> None:
        """Sends what there is; rests in proportion, or longer and longer while ClickHouse is away. For a job that begins again at once."""
        await self.bell.wait(LOOK_SECONDS)
        began = time.monotonic()
        try:
            sent = await self.send()
            self._away = 0.0
        except Unavailable as away:
            self._away = min(max(self._away * 2, self._gather), SLOWEST_RETRY)
            telemetry.log.warning("facts wait in their queue", detail=away.detail, seconds=self._away)
            await asyncio.sleep(self._away)
            return
        if sent >= TOGETHER:
            self.bell.ring()
        elif sent:
            await self._hurry.wait(min(max(self._gather, SHARE * (time.monotonic() - began)), LONGEST_REST))

    async def send(self) -> int:
        """Sends one batch; how many rows of the queue it was."""
        await self._prepare()
        rows = await self._database.all("select id, fact, lines from fact_queue order by id limit :limit", limit=TOGETHER)
        if rows:
            await self._deliver(_by_fact(rows))
            await self._forget_sent([row["id"] for row in rows])
            self._sent += len(rows)
        return len(rows)

    async def caught_up(self, seconds: float) -> None:
        """Waits until what is in the queue now has been sent, by whichever process sends, so long at most."""
        last = await self._database.value("select max(id) from fact_queue")
        until = time.monotonic() + seconds
        while last is not None and time.monotonic() < until:
            self.bell.ring()
            self._hurry.ring()
            await asyncio.sleep(ASKED_EVERY)
            last = await self._database.value("select max(id) from fact_queue where id <= :last", last=last)

    def look_again(self) -> None:
        """Has it look at its queue now."""
        self.bell.ring()

    async def positions(self) -> dict[str, int]:
        """Rows sent since the start."""
        return {QUEUE: self._sent}

    async def lag(self) -> dict[str, int]:
        """Rows of the queue that wait (among the next 10,000)."""
        return {QUEUE: await self._database.value("select count(*) from (select 1 from fact_queue limit 10000) as waiting")}

    async def queued_days(self) -> set[str]:
        """The days of the sales that wait."""
        rows = await self._database.all("select lines from fact_queue where fact = :fact", fact=SALE)
        return {_sale_day(line) for row in rows for line in row["lines"].split("\n")}

    async def forget_repeats(self) -> None:
        """Drops the ids by which repeated behaviour is recognised at once."""
        async with self._database.begin() as tx:
            await tx.execute("delete from recent_behaviour where at < :before", before=stamp(self._clock() - REPEATS))

    async def _prepare(self) -> None:
        if not self._ready:
            await bring_up_to_date(self._server, self._clock)
            await self._draw_highest()
            self._ready = True

    async def _deliver(self, facts: Mapping[str, list[str]]) -> None:
        """The visits go before the behaviour that they follow from: whose id is known there has been counted."""
        behaviour = await self._unknown(facts.get(BEHAVIOUR, []))
        visits = facts.get(VISIT, []) + _visits(behaviour)
        for table, lines in ((VISIT, visits), (BEHAVIOUR, behaviour), (BASKET, facts.get(BASKET, [])), (SALE, facts.get(SALE, []))):
            if lines:
                await self._server.insert(_INTO.get(table, table), "\n".join(lines).encode())
        for line in facts.get(FORGET, []):
            await self._forget(msgspec.json.decode(line, type=tuple[str])[0])
        await self._roll_up(_DAY_ROLLUP, _MONTH_ROLLUP, {_sale_day(line) for line in facts.get(SALE, [])})
        await self._roll_up(_FUNNEL_ROLLUP, "", {_visit_day(line) for line in visits})

    async def _roll_up(self, by_day: str, by_month: str, days: Collection[str]) -> None:
        """Computes the rollups of these days anew, and from those, of the same keys (somebody may have written them anew since), their months'. A version
        is drawn when all that it is to show has arrived."""
        if not days:
            return
        among, version = ", ".join(map(quoted, sorted(days))), await self._draw()
        await self._server.execute(by_day.format(version=version, which=f"day in ({among})"))
        if by_month:
            months = ", ".join(sorted({day[:7].replace("-", "") for day in days}))
            keys = _TOUCHED.format(days=among, version=version)
            await self._server.execute(by_month.format(version=await self._draw(), months=months, keys=keys))

    async def roll_up_anew(self, month: str) -> None:
        """Computes all rollups of a month's sales anew; what they had and no fact tells of becomes nothing. Old figures are read until the new ones are
        written, of days first and then of the month."""
        number, version = month.replace("-", ""), await self._draw_highest()
        which = f"toYYYYMM(day) = {number}"
        await self._server.execute(_DAY_ROLLUP.format(version=version, which=which))
        await self._server.execute(_STALE.format(version=version, which=which, grain="day"))
        version = await self._draw()
        await self._server.execute(_MONTH_ROLLUP.format(version=version, months=number, keys=""))
        await self._server.execute(_STALE.format(version=version, which=f"month = {quoted(month)}", grain="month"))

    async def _draw_highest(self) -> int:
        """A version above all that ClickHouse has, whoever drew them."""
        highest = "select max(v) as v from (select max(version) as v from rollup_day_version union all select max(version) as v from rollup_month_version)"
        return await self._draw((await self._server.all(highest))[0]["v"])

    async def _draw(self, above: int = 0) -> int:
        """The next version, greater than all that were drawn before by anybody, and than `above`."""

        async def draw() -> int:
            async with self._database.begin() as tx:
                drawn: int = await tx.value(
                    """insert into fact_version (name, value) values ('rollup', :above + 1) on conflict (name) do update set
                       value = case when fact_version.value < :above then :above else fact_version.value end + 1 returning value""",
                    above=above,
                )
            return drawn

        return await undisturbed(draw, NAME)

    async def _unknown(self, lines: Iterable[str]) -> list[str]:
        """Behaviour that ClickHouse does not have: what is sent again after more than a day keeps its first day."""
        by_id = {msgspec.json.decode(line)[0]: line for line in lines}
        ids = list(by_id)
        for start in range(0, len(ids), LOOKED_UP):
            among = ", ".join(map(quoted, ids[start : start + LOOKED_UP]))
            for row in await self._server.all(f"select id from behaviour where id in ({among})"):
                by_id.pop(row["id"], None)
        return list(by_id.values())

    async def _forget(self, visitor: str) -> None:
        """The blank copies win over the others at once; those go for good with the mutation."""
        await self._server.execute(_FORGOTTEN.format(visitor=quoted(visitor)))
        await self._server.execute(f"alter table behaviour delete where visitor = {quoted(visitor)}", mutations_sync="1")

    async def _forget_sent(self, ids: Sequence[str]) -> None:
        async def forget() -> None:
            async with self._database.begin() as tx:
                await tx.execute_many("delete from fact_queue where id = :id", [{"id": id} for id in ids])

        await undisturbed(forget, NAME)


def _by_fact(rows: Sequence[Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["fact"], []).extend(row["lines"].split("\n"))
    return found


def _visits(behaviour: Iterable[str]) -> list[str]:
    """The steps of the funnel that behaviour reaches."""
    found = []
    for line in behaviour:
        _, at, kind, visitor, *_ = msgspec.json.decode(line)
        if kind in model.FUNNEL_STEPS:
            found.append(msgspec.json.encode([at[:10], model.FUNNEL_STEPS[kind], visitor]).decode())
    return found


def _sale_day(line: str) -> str:
    day: str = msgspec.json.decode(line)[3]
    return day


def _visit_day(line: str) -> str:
    day: str = msgspec.json.decode(line)[0]
    return day
