"""What a process remembers of the catalogue ends with other processes' commits too."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import pytest
from msgspec.structs import replace

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.adapters.remembering import LONGEST_ERA, Eras, KeptOffers, KeptTree
from torg.contexts.catalog.adapters.store_opening import Documents, open_documents
from torg.contexts.catalog.tests.house import CATEGORIES, MIGRATIONS, REGISTRY, House, new_product, usd
from torg.kit.calls import undisturbed
from torg.kit.errors import Unavailable
from torg.kit.log import Log
from torg.kit.sql import Database
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.store import Store
from torg.kit.testing import TestClock, test_ids
from torg.kit.testing.engines import running
from torg.kit.testing.mongo import mongo_url, throw_away
from torg.kit.testing.waiting import until

__all__ = ["mongo_url"]

SOON = LONGEST_ERA - 1
"""Seconds in which one hears of it; who hears nothing reads anew after an era."""


@dataclass
class Process:
    store: Store
    documents: Documents

    async def save(self, product: model.Product) -> None:
        """As a handler does, log row included."""

        async def once() -> None:
            async with self.store.transaction() as tx:
                await self.documents.products.save(tx, [product])
                await tx.append(product.id, [c.ProductChanged(product_id=product.id)])

        await undisturbed(once, "save")

    async def define(self, *categories: c.Category) -> None:
        tree = (await self.documents.categories.tree(fresh=True)).with_(categories)

        async def once() -> None:
            async with self.store.transaction() as tx:
                await self.documents.categories.define(tx, tree, categories)
                await tx.append("categories", [c.CategoriesDefined(tuple(category.id for category in categories))])

        await undisturbed(once, "define")

    async def price(self) -> int:
        (offer,) = await self.documents.products.offers(["p1"])
        return offer.price.amount


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with running("postgres") as environment:
        yield environment["TORG_DB"]


@asynccontextmanager
async def process(url: str, schema: str, documents_url: str) -> AsyncIterator[Process]:
    from torg.kit.sql import postgres

    database = await postgres.connect(postgres.Address(url, schema, connections=3))
    await migrate(database, [KIT, MIGRATIONS], TestClock())
    documents = open_documents(documents_url, database, test_ids())
    await documents.open()
    try:
        yield Process(Store("catalog", database, Log("catalog", database, REGISTRY), TestClock()), documents)
    finally:
        await documents.close()
        await database.close()


@pytest.fixture(params=["sql", "mongo"])
async def two(request: pytest.FixtureRequest, postgres_url: str) -> AsyncIterator[tuple[Process, Process]]:
    """Processes that share their records."""
    from torg.kit.sql import postgres

    schema = f"catalog_{secrets.token_hex(6)}"
    await postgres.prepare(postgres_url, schema)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(throw_away(request.getfixturevalue("mongo_url"))) if request.param == "mongo" else ""
        one = await stack.enter_async_context(process(postgres_url, schema, url))
        other = await stack.enter_async_context(process(postgres_url, schema, url))
        await one.define(*CATEGORIES)
        yield one, other
        await one.store.database.execute_alone(f"drop schema {schema} cascade")  # type: ignore[attr-defined]


async def listening(*processes: Process) -> None:
    """Once each hears what the others tell."""
    database = processes[0].store.database
    asked = "select count(*) from pg_stat_activity where query ilike 'listen%' and query ilike :channel"

    async def all_listen() -> bool:
        return bool(await database.value(asked, channel=f"%torg_{database.context}%") >= len(processes))  # type: ignore[attr-defined]

    await until(all_listen)


async def offers_at(process: Process, cents: int) -> bool:
    return await process.price() == cents


@pytest.mark.slow
async def test_price_that_another_process_changed_is_offered_within_a_moment(two: tuple[Process, Process]) -> None:
    one, other = two
    product = model.added(new_product("p1"), TestClock()())
    await one.save(product)
    await listening(one, other)
    assert (await one.price(), await other.price()) == (500, 500)
    for cents in range(1, 6):
        await one.save(replace(product, price=usd(cents), version=cents + 1))
        assert await one.price() == cents
        await until(lambda cents=cents: offers_at(other, cents), seconds=SOON)  # type: ignore[misc]


@pytest.mark.slow
async def test_offers_are_not_read_again_while_nobody_changes_them(two: tuple[Process, Process]) -> None:
    one, _ = two
    await one.save(model.added(new_product("p1"), TestClock()()))

    async def remembered() -> bool:
        before = await one.documents.products.offers(["p1"])
        return (await one.documents.products.offers(["p1"]))[0] is before[0]

    await until(remembered)  # an era ends where it begins to listen


@pytest.mark.slow
async def test_category_that_another_process_renamed_is_known_within_a_moment(two: tuple[Process, Process]) -> None:
    one, other = two
    await listening(one, other)
    assert (await other.documents.categories.tree()).categories["frozen"].name == "Frozen food"
    await one.define(c.Category(id="frozen", name="Ice cold"))

    async def known() -> bool:
        return (await other.documents.categories.tree()).categories["frozen"].name == "Ice cold"

    await until(known, seconds=SOON)


@pytest.mark.slow
@pytest.mark.race
async def test_no_edit_is_lost_between_two_processes_and_both_bring_documents(two: tuple[Process, Process]) -> None:
    jobs = [asyncio.create_task(run()) for each in two for run in each.documents.jobs.values()]
    await two[0].save(model.added(new_product("p1"), TestClock()()))

    async def sell(each: Process) -> None:
        async def once() -> None:
            async with each.store.transaction() as tx:
                known = (await each.documents.products.load(tx, ["p1"]))["p1"]
                await each.documents.products.save(tx, [replace(known, popularity=known.popularity + 1, version=known.version + 1)])

        await undisturbed(once, "sell", each.store.database.lane)

    await asyncio.gather(*(sell(each) for each in two for _ in range(15)))
    assert sum((await two[1].documents.products.count_by_category()).values()) == 1
    for each in two:
        found = await each.documents.products.find("p1")
        assert found is not None
        assert (found.product.popularity, found.product.version) == (30, 31)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert not [job for job in jobs if not job.cancelled()]


async def test_offer_that_was_being_read_when_somebody_changed_it_is_not_remembered(house: House) -> None:
    eras = Eras(house.store.database)
    product = model.added(new_product("p1"), house.clock())
    prices = iter((500, 400))

    async def load(_: Sequence[str]) -> Mapping[str, model.Product]:
        read = {"p1": replace(product, price=usd(next(prices)))}
        if read["p1"].price == usd(500):
            eras.end()  # a commit gets in between
        return read

    offers = KeptOffers(eras, load, house.deps.categories)
    assert [offer.price for offer in await offers.of(["p1"])] == [usd(500)]
    assert [offer.price for offer in await offers.of(["p1"])] == [usd(400)]
    assert [offer.price for offer in await offers.of(["p1"])] == [usd(400)]


class Shared:
    """Records that other processes write to, which say nothing."""

    shared = True

    def watch(self, heard: Callable[[int], None]) -> None: ...


async def test_an_old_tree_does_while_it_cannot_be_read_and_nobody_has_changed_it() -> None:
    eras = Eras(cast("Database", Shared()), longest=0)
    answers: list[model.CategoryTree | Exception] = [model.CategoryTree(CATEGORIES), Unavailable("away"), Unavailable("away"), model.CategoryTree(())]

    async def read() -> model.CategoryTree:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    kept = KeptTree(eras, read)
    first = await kept.tree(fresh=False)
    assert await kept.tree(fresh=False) is first
    eras.end()
    with pytest.raises(Unavailable):
        await kept.tree(fresh=False)
    assert (await kept.tree(fresh=False)).categories == {}
