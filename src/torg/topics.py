"""Kafka's topics as this shop states them, and `torg topics`, which sees to it that they are so."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from cyclopts import App
from rich.console import Console
from rich.table import Table

from torg import topology
from torg.kit import settings as settings_
from torg.kit.errors import Unavailable

if TYPE_CHECKING:
    from torg.kit.bus.kafka import Kafka
    from torg.kit.bus.topics import Found

PARTITIONS: Final = dict.fromkeys(topology.CONTEXTS, 6) | {"order": 12, "payment": 12, "inventory": 12}
"""How many instances of each consumer can share a context's topic. It can't be changed while the topic lives."""

app = App(name="topics", help="Make and look at the topics of the bus that TORG_BUS names.")


@app.command
def apply(*, replicas: int | None = None) -> None:
    """Make topics, and alter their settings, until they are as this version of the shop states them. Says what it changed; changes nothing the second time.

    Parameters
    ----------
    replicas
        On how many brokers each record is kept (TORG_BUS_REPLICAS, 1).
    """
    from torg.kit.bus import topics

    async def work(kafka: Kafka, settings: settings_.Settings) -> None:
        told = await topics.apply(kafka, topics.stated(PARTITIONS), replicas or settings.bus_replicas)
        sys.stdout.write("".join(f"{line}\n" for line in told or ["All topics are as stated."]))

    _with_kafka(work)


async def make_missing(kafka: Kafka, replicas: int) -> None:
    """What a shop does at its start: topics that exist are left as they are. Raises Unavailable."""
    from torg.kit.bus import topics

    async def missing() -> list[topics.Topic]:
        there = await topics.look(kafka, [topic.name for topic in stated])
        return [topic for topic in stated if topic.name not in there]

    stated = topics.stated(PARTITIONS)
    try:
        await topics.make(kafka, await missing(), replicas)
    except Unavailable:
        if await missing():  # else another process was first
            raise


@app.command
def show() -> None:
    """Show the topics as they are; ends with status 1 when one is missing or has another number of partitions than stated."""
    from torg.kit.bus import topics

    async def work(kafka: Kafka, _: settings_.Settings) -> None:
        there = await topics.look(kafka, [topic.name for topic in topics.stated(PARTITIONS)])
        ends = await kafka.ends([(found.name, number) for found in there.values() for number in range(found.partitions)])
        table, wrong = Table("topic", "partitions", "replicas", "days", "records ever", box=None), 0
        for topic in topics.stated(PARTITIONS):
            found = there.get(topic.name)
            wrong += not found or found.partitions != topic.partitions
            table.add_row(topic.name, *_cells(found, ends))
        Console(width=None if sys.stdout.isatty() else 100).print(table)
        sys.exit(1 if wrong else 0)

    _with_kafka(work)


def _cells(found: Found | None, ends: Mapping[tuple[str, int], int]) -> Sequence[str]:
    if found is None:
        return ["missing"]
    days = int(found.configuration["retention.ms"]) / 86_400_000
    return [str(found.partitions), str(found.replicas), f"{days:g}", str(sum(end for (name, _), end in ends.items() if name == found.name))]


def _with_kafka(work: Callable[[Kafka, settings_.Settings], Awaitable[None]]) -> None:
    from torg.kit.bus.kafka import Kafka
    from torg.kit.bus.topics import TopicsRefused

    try:
        settings = settings_.load(os.environ)
        if not settings.bus:
            raise settings_.BadSettings("TORG_BUS is empty: topics are Kafka's, so name its brokers as kafka://host:port,host:port")  # noqa: TRY301
        asyncio.run(_worked(Kafka(settings.bus), settings, work))
    except (settings_.BadSettings, ValueError, TopicsRefused, Unavailable) as error:
        sys.stderr.write(f"torg: {error}\n")
        sys.exit(2 if isinstance(error, settings_.BadSettings | ValueError) else 1)


async def _worked(kafka: Kafka, settings: settings_.Settings, work: Callable[[Kafka, settings_.Settings], Awaitable[None]]) -> None:
    try:
        await work(kafka, settings)
    finally:
        await kafka.close()
