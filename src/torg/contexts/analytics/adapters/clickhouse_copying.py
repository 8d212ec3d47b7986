"""Facts in backups. Sales are in the records as well, from where a start sends them to an empty ClickHouse; what visitors did is nowhere else, and is copied.
After a restore it waits in the queue of facts, ahead of all others: what is to be forgotten comes after what it is about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from torg.contexts.analytics.adapters.clickhouse import Address, quoted
from torg.contexts.analytics.adapters.clickhouse_sender import BEHAVIOUR, VISIT
from torg.kit.beside import ENDING, BesideRefused
from torg.kit.portions import portions

SEEN: Final[Mapping[str, str]] = {
    VISIT: "select toString(day), step, visitor from funnel_visit final",
    BEHAVIOUR: "select id, formatDateTime(at, '%Y-%m-%dT%H:%i:%S.%fZ'), kind, visitor, product_id, query from behaviour final",
}
"""The columns of each table, in the order in which the queue has them."""
TOGETHER: Final = 100  # facts in a row of the queue
PATIENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)


class CopiedFacts:
    """Implements Beside."""

    name = "facts"

    async def copy(self, url: str, records: Any, work: Path) -> dict[str, int] | None:
        if not url:
            return {}
        counts = dict[str, int]()
        for name, statement in SEEN.items():
            counts[name] = 0
            with (work / f"{name}{ENDING}").open("wb") as copy:
                async for line in _asked(url, f"{statement} format JSONCompactEachRow"):
                    copy.write(line)
                    counts[name] += 1
        return counts

    async def refuse_filled(self, url: str) -> None:
        """A database that is not there yet is made at the start."""
        statement = f"select count() from system.tables where database = {quoted(Address.of(url).database)} and name = 'sale_line' format TSV"
        if [line async for line in _asked(url, statement, "system")] != [b"0\n"]:
            raise BesideRefused("TORG_FACTS has facts already: name an empty database, nothing is written over")

    async def put(self, url: str, records: Any, folder: Path, counts: Mapping[str, int]) -> None:
        await records.execute("delete from fact_queue where fact in ('sale_line', 'basket')")
        await records.execute("delete from fact_version where name = 'moved in'")
        number = 0
        for name in counts:
            for lines in portions(_lines(folder / f"{name}{ENDING}"), TOGETHER):
                number += 1
                row = (f"00000000-{number:012d}", name, b"\n".join(lines).decode())
                await records.execute("insert into fact_queue (id, fact, lines) values ($1, $2, $3)", *row)

    async def drop(self, url: str) -> None:
        """It is in the records, and goes with them."""


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as copied:
        yield from (line.rstrip(b"\n") for line in copied)


async def _asked(url: str, statement: str, database: str = "") -> AsyncIterator[bytes]:
    """The lines of an answer."""
    try:
        address = Address.of(url)
        headers = {"X-ClickHouse-User": address.user, "X-ClickHouse-Key": address.password}
        async with (
            aiohttp.ClientSession(timeout=PATIENCE, read_bufsize=1 << 20) as session,
            session.post(address.base, params={"database": database or address.database}, headers=headers, data=statement.encode()) as answer,
        ):
            if answer.status >= 300:
                raise BesideRefused(f"ClickHouse: {(await answer.text())[:300]}")
            async for line in answer.content:
                yield line
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise BesideRefused(f"ClickHouse: {error or type(error).__name__}") from error
