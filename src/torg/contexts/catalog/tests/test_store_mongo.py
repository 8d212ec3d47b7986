"""What only documents beside the log have to stand: crashes between the two, MongoDB being away, and moving there."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import WriteError

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.adapters.store_mongo.bringing import Bringing
from torg.contexts.catalog.adapters.store_mongo.collections import PRODUCTS
from torg.contexts.catalog.adapters.store_mongo.connection import Connection
from torg.contexts.catalog.adapters.store_mongo.waiting import Kind, Waiter, Waiting
from torg.contexts.catalog.adapters.store_opening import open_documents
from torg.contexts.catalog.handlers.auditing import PriceAudit
from torg.contexts.catalog.tests.house import ADMIN, House, new_product, open_house, usd
from torg.contexts.inventory.contracts import StockChanged
from torg.engines import processes, run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.errors import DomainError, Unavailable
from torg.kit.settings import BadSettings
from torg.kit.testing import test_ids
from torg.kit.testing.engines import served
from torg.kit.testing.mongo import connected, mongo_url, swept, throw_away
from torg.kit.testing.waiting import until

__all__ = ["mongo_url"]

pytestmark = pytest.mark.slow

Base = AsyncDatabase[dict[str, Any]]


@pytest.fixture
async def url(mongo_url: str) -> AsyncIterator[str]:
    async with throw_away(mongo_url) as url:
        yield url


@pytest.fixture
async def base(url: str) -> AsyncIterator[Base]:
    """The same database, seen without the adapter."""
    async with connected(url) as client:
        yield client.get_default_database()


async def waiting(house: House) -> int:
    count: int = await house.store.database.value("select count(*) from document_waiting where kind = 'product'")
    return count


@pytest.fixture(autouse=True)
def dropped_connections() -> Iterator[None]:
    yield
    swept()


async def until_none_waits(house: House) -> None:
    async def none_waits() -> bool:
        return not await waiting(house)

    await until(none_waits, "no document waits")


async def brought(house: House) -> None:
    """As the job does."""
    await house.deps.products.count_by_category()


async def reprice(house: House, id_: str, cents: int) -> None:
    await house(c.ChangeProduct(product_id=id_, staff=ADMIN, price=usd(cents)))


async def price(house: House, id_: str) -> int:
    found = await house.deps.products.find(id_)
    assert found is not None
    return found.product.price.amount


# ---------------------------------------------------------------- crashes


async def test_what_is_committed_is_read_before_it_has_reached_mongodb(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        await house.stock(new_product("p1"))
        await brought(house)
        await reprice(house, "p1", 90)
        await house.stock(new_product("p2"))
        assert [one["price"]["amount"] async for one in base.products.find()] == [500]
        assert (await price(house, "p1"), await price(house, "p2")) == (90, 500)
        assert [offer.price for offer in await house.deps.products.offers(["p1", "p2"])] == [usd(90), usd(500)]


async def test_crash_after_the_commit_is_made_good_by_the_next_process(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:  # no job runs here: as if it had crashed at once
        await house.stock(new_product("p1"), new_product("p2"))
        await reprice(house, "p1", 90)
    async with open_house(tmp_path, documents_url=url) as house:
        house.follow()
        await until_none_waits(house)
        assert {one["_id"]: (one["price"]["amount"], one["version"]) async for one in base.products.find()} == {"p1": (90, 2), "p2": (500, 1)}


class Crash(Exception):
    """The process ends here."""


class Forgetful(Waiting):
    """Crashes when MongoDB has acknowledged, before that is filed."""

    async def forget(self, kind: Kind, waiters: Sequence[Waiter]) -> None:
        raise Crash


async def test_crash_between_mongodbs_word_and_ours_repeats_it_without_harm(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        await house.stock(new_product("p1"), new_product("p2"))
        await reprice(house, "p2", 80)
        connection = Connection(url)
        with suppress(Crash):
            await Bringing(Forgetful(house.store.database), connection).bring()
        with suppress(Crash):
            await Bringing(Forgetful(house.store.database), connection).bring()
        await connection.close()
        assert await base.products.count_documents({}) == 0 or await waiting(house) == 2
        await reprice(house, "p1", 90)
        await brought(house)
        assert await waiting(house) == 0
        assert {one["_id"]: (one["price"]["amount"], one["version"]) async for one in base.products.find()} == {"p1": (90, 2), "p2": (80, 2)}


class Late(Waiting):
    """Read the table long ago."""

    def __init__(self, read: Sequence[Waiter]) -> None:
        self._read = [read]

    async def newest(self, kind: Kind) -> int:
        return 1 if kind == "product" else 0

    async def oldest(self, kind: Kind, until: int, limit: int) -> Sequence[Waiter]:
        return self._read.pop() if self._read else []

    async def forget(self, kind: Kind, waiters: Sequence[Waiter]) -> None: ...


async def test_process_that_was_held_up_does_not_put_old_documents_over_new_ones(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        await house.stock(new_product("p1"), new_product("p2"))
        await reprice(house, "p2", 80)
        old = await Waiting(house.store.database).oldest("product", 1 << 40, 10)
        await reprice(house, "p1", 90)
        await reprice(house, "p2", 91)
        await house(c.DefineCategories((c.Category(id="frozen", name="Ice cold"),)))
        await brought(house)
        before = [one async for one in base.products.find().sort("_id")]
        connection = Connection(url)
        await Bringing(Late(old), connection).bring()
        await connection.close()
        assert [one async for one in base.products.find().sort("_id")] == before
        assert [one["price"]["amount"] for one in before] == [90, 91]


async def test_what_is_undone_reaches_mongodb_never(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        with pytest.raises(DomainError):
            async with house.store.transaction() as tx:
                await house.deps.products.save(tx, [model.added(new_product("p1"), house.clock())])
                raise DomainError("test", "a rule said no")
        await brought(house)
        assert await base.products.count_documents({}) == 0


CHILD = """
import asyncio, sys
from pathlib import Path
from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.tests.house import new_product, open_house, usd

async def main(folder, url, turn):
    async with open_house(Path(folder), documents_url=url) as house:
        house.tasks += [asyncio.create_task(run()) for run in house.documents.jobs.values()]
        for number in range(1_000_000):
            for first in (0, 10):
                products = tuple(new_product(f"p{n}", price=usd(1 + turn * 1_000_000 + number)) for n in range(first, first + 20))
                await house(c.ImportProducts(products=products))
            if number == 0:
                print("ready", flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_no_killed_process_leaves_documents_that_the_log_does_not_know(tmp_path: Path, url: str, base: Base) -> None:
    for turn, seconds in enumerate((0.05, 0.31, 0.17, 0.52)):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(tmp_path), url, str(turn), stdout=asyncio.subprocess.PIPE)
        assert child.stdout
        assert await child.stdout.readline() == b"ready\n"
        await asyncio.sleep(seconds)
        child.kill()
        await child.wait()
    async with open_house(tmp_path, documents_url=url) as house:
        audit = PriceAudit(house.deps)
        assert await audit.look() == []
        await brought(house)
        said: dict[str, int] = {}
        for row in await house.store.log.tail(0, 1_000_000):
            if isinstance(row.message, c.ProductAdded | c.PriceChanged):
                said[row.message.product_id] = row.message.price.amount
        assert len(said) == 30
        assert {one["_id"]: one["price"]["amount"] async for one in base.products.find()} == said
        assert await waiting(house) == 0


# ---------------------------------------------------------------- while MongoDB is away


@pytest.fixture(scope="module")
def killable() -> Iterator[tuple[Place, str]]:
    """A server of our own, with little patience for it."""
    with served("mongo") as (place, settings):
        if place is None:
            pytest.skip("somebody else's server is not ours to kill")
        yield place, settings["TORG_DOCUMENTS"] + "?timeoutMS=2000"


def pid_of(place: Place) -> int:
    started = run.running(place)
    assert started
    return started.pid


def stop_all_of_it(place: Place) -> None:
    """Until none of its threads runs any more: the signal takes a moment, in which one could still answer."""
    threads = Path(f"/proc/{pid_of(place)}/task")
    os.kill(pid_of(place), signal.SIGSTOP)
    while any(thread.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "T" for thread in threads.iterdir()):
        time.sleep(0.001)


async def test_while_mongodb_is_away_edits_are_refused_and_stock_is_still_heard_of(tmp_path: Path, killable: tuple[Place, str]) -> None:
    place, url = killable
    async with throw_away(url) as url, open_house(tmp_path, documents_url=url) as house:
        await house.stock(new_product("p1"))
        await brought(house)

        async def answers() -> bool:
            return await house.documents.checks["documents"]() == ""

        started = run.running(place)
        assert started
        os.kill(started.pid, signal.SIGKILL)
        assert processes.gone(started.pid, started.mark, 60)
        before = await house.deps.products.revision()
        with pytest.raises(Unavailable, match=r"MongoDB at 127\.0\.0\.1:[0-9]+ does not answer"):
            await reprice(house, "p1", 90)
        with pytest.raises(Unavailable):
            await house.deps.products.find("p1")
        assert "does not answer" in await house.documents.checks["documents"]()
        await house.react(StockChanged("p1", 7))
        assert await house.deps.products.revision() == before + 1
        assert len(await house.logged("p1")) == 1
        await asyncio.to_thread(run.start, named("mongo"), place, lambda _: None)
        await until(answers, "MongoDB is back")  # it may start more slowly than this one is patient
        await reprice(house, "p1", 90)
        found = await house.deps.products.find("p1")
        assert found is not None
        assert (found.product.price, found.figures.quantity) == (usd(90), 7)


async def test_server_that_has_stopped_answering_is_given_up_in_time(tmp_path: Path, killable: tuple[Place, str]) -> None:
    place, url = killable
    async with throw_away(url) as url, open_house(tmp_path, documents_url=url) as house:
        await house.stock(new_product("p1"))
        await brought(house)
        stop_all_of_it(place)
        try:
            async with asyncio.timeout(60):
                with pytest.raises(Unavailable):
                    await house.deps.products.find("p1")
        finally:
            os.kill(pid_of(place), signal.SIGCONT)

        async def answers() -> bool:
            return await house.documents.checks["documents"]() == ""

        await until(answers, "MongoDB is back")
        assert await price(house, "p1") == 500


async def test_what_was_committed_while_mongodb_was_away_reaches_it_later(tmp_path: Path, killable: tuple[Place, str]) -> None:
    place, url = killable
    async with throw_away(url) as url, open_house(tmp_path, documents_url=url) as house, connected(url) as client:
        await house.stock(new_product("p1"))
        house.follow()
        stop_all_of_it(place)
        await asyncio.sleep(0.7)
        assert await waiting(house) == 1
        assert [offer.price for offer in await house.deps.products.offers(["p1"])] == [usd(500)]
        os.kill(pid_of(place), signal.SIGCONT)
        await until_none_waits(house)
        assert await client.get_default_database().products.count_documents({}) == 1


# ---------------------------------------------------------------- shapes, indexes, moving


async def test_document_of_another_shape_is_refused_by_the_server(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        await house.stock(new_product("p1", attributes=(c.Attribute(name="Size", value="XL"),), variants=(c.Variant(product_id="p2", name="L"),)))
        await brought(house)
        good = await base.products.find_one({"_id": "p1"})
        assert good is not None
        wrong: list[dict[str, Any]] = [
            {"price": {"amount": "5", "currency": "USD"}}, {"price": {"amount": 5, "currency": "dollars"}}, {"version": 0}, {"name": ""},
            {"status": "lost"}, {"attributes": [{"name": "Size"}]}, {"variants": ["p2"]}, {"pictures": [3]},
        ]  # fmt: skip
        for number, fault in enumerate(wrong):
            with pytest.raises(WriteError, match="validation"):
                await base.products.insert_one({**good, **fault, "_id": f"w{number}"})


async def test_each_question_is_answered_by_an_index(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        await house.stock(*(new_product(f"p{n}") for n in range(50)))
        await brought(house)
        questions = [
            base.products.find({"_id": {"$in": ["p1", "p2"]}}),
            base.products.find({"revision": {"$gt": 5, "$lte": 40}}).sort("revision", 1).limit(10),
            base.products.find({"status": "on_sale", "category": {"$in": ["frozen.pizza"]}}),
            base.products.find({"status": "on_sale", "category": {"$in": ["frozen.pizza"]}}).sort("_id", 1).limit(10),
        ]
        for question in questions:
            assert "COLLSCAN" not in str((await question.explain())["queryPlanner"]["winningPlan"])


async def test_documents_kept_in_sql_move_once_and_with_all_they_have(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url="") as house:
        await house.stock(*(new_product(f"p{n}", name_ru="Пицца", old_price=usd(700)) for n in range(700)))
        await house(c.WithdrawProduct(product_id="p5", staff=ADMIN))
        await house.react(StockChanged("p1", 7))
        before = [await house.deps.products.find(f"p{n}") for n in range(700)]
        revision, tree = await house.deps.products.revision(), await house.deps.categories.tree()
    async with open_house(tmp_path, documents_url=url) as house:
        assert [await house.deps.products.find(f"p{n}") for n in range(0, 700, 70)] == before[::70]
        await brought(house)
        assert list(await house.deps.products.find_all([f"p{n}" for n in range(700)])) == before
        assert await house.deps.products.revision() == revision
        assert (await house.deps.categories.tree()).categories == tree.categories
        assert list((await house.deps.categories.tree()).categories) == list(tree.categories)
        assert await base.products.count_documents({}) == 700
        await reprice(house, "p1", 90)
    async with open_house(tmp_path, documents_url=url) as house:
        assert await price(house, "p1") == 90
    with pytest.raises(BadSettings, match="have moved to MongoDB"):
        async with open_house(tmp_path, documents_url=""):
            pass


async def test_database_with_another_shops_documents_is_refused(tmp_path: Path, url: str, base: Base) -> None:
    await base.owners.insert_one({"_id": "catalog", "owner": "another"})
    with pytest.raises(BadSettings, match="documents of another shop"):
        async with open_house(tmp_path, documents_url=url):
            pass
    async with open_house(tmp_path, documents_url="") as house:  # nothing has moved
        assert (await house.deps.categories.tree()).categories


async def test_processes_that_start_at_the_same_time_make_all_ready_together(url: str, base: Base) -> None:
    connections = [Connection(url) for _ in range(6)]
    await asyncio.gather(*(connection.prepare("shop") for connection in connections))
    assert sorted(await base.list_collection_names()) == ["categories", "owners", "products"]
    assert set(await base.products.index_information()) == {"_id_", "by_revision", "by_status_and_category"}
    assert "$jsonSchema" in (await base.products.options())["validator"]
    for connection in connections:
        await connection.close()


async def test_edits_after_an_older_backup_of_the_records_was_put_back_are_not_lost(tmp_path: Path, url: str, base: Base) -> None:
    folder, backup = tmp_path / "shop", tmp_path / "backup"
    folder.mkdir()
    async with open_house(folder, documents_url=url) as house:
        await house.stock(new_product("p1"))
        await brought(house)
    shutil.copytree(folder, backup)
    async with open_house(folder, documents_url=url) as house:
        for cents in range(1, 20):
            await reprice(house, "p1", cents)
        await brought(house)
    shutil.rmtree(folder)
    backup.rename(folder)
    async with open_house(folder, documents_url=url) as house:
        await reprice(house, "p1", 1000)
        await brought(house)
        assert await price(house, "p1") == 1000
        assert [one["price"]["amount"] async for one in base.products.find()] == [1000]


async def test_tree_of_categories_keeps_its_order_and_its_names(tmp_path: Path, url: str, base: Base) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        await house(c.DefineCategories((c.Category(id="frozen", name="Ice cold"), c.Category(id="pets", name="Pets"))))
        order = list((await house.deps.categories.tree()).categories)
        await brought(house)
        assert order == ["frozen", "frozen.pizza", "dairy", "dairy.milk", "pets"]
        assert [one["_id"] async for one in base.categories.find().sort("place")] == order
    async with open_house(tmp_path, documents_url=url) as house:
        tree = await house.deps.categories.tree()
        assert (list(tree.categories), tree.categories["frozen"].name) == (order, "Ice cold")
        assert tree.categories["frozen"].slug == "ice-cold"


async def test_tree_larger_than_what_is_brought_at_once_arrives_whole(tmp_path: Path, url: str, base: Base) -> None:
    many = tuple(c.Category(id=f"c{number:04}", name=f"Category {number}") for number in range(1250))
    async with open_house(tmp_path, many, documents_url=url) as house:
        await house(c.DefineCategories(many[::-2]))
        await brought(house)
    assert await base.categories.count_documents({}) == 1250
    async with open_house(tmp_path, (), documents_url=url) as house:
        assert list((await house.deps.categories.tree()).categories) == [category.id for category in many]


async def test_large_tree_kept_in_sql_moves_whole(tmp_path: Path, url: str) -> None:
    many = tuple(c.Category(id=f"c{number:04}", name=f"Category {number}") for number in range(700))
    async with open_house(tmp_path, many, documents_url=""):
        pass
    async with open_house(tmp_path, (), documents_url=url) as house:
        await brought(house)
        assert list((await house.deps.categories.tree(fresh=True)).categories) == [category.id for category in many]
    async with open_house(tmp_path, (), documents_url=url) as house:
        assert list((await house.deps.categories.tree()).categories) == [category.id for category in many]


def test_rules_cover_every_field_of_a_product() -> None:
    assert set(PRODUCTS.properties) == {"_id", "revision", *model.Product.__struct_fields__} - {"id"}


async def test_unknown_kind_of_document_store_is_refused_with_the_known_ones(house: House) -> None:
    with pytest.raises(BadSettings, match=r"TORG_DOCUMENTS begins with couch:, known are mongodb://, mongodb\+srv:// and nothing at all"):
        open_documents("couch://127.0.0.1/torg", house.store.database, test_ids())
    with pytest.raises(BadSettings, match="TORG_DOCUMENTS is no address"):
        open_documents("mongodb://a:b:c", house.store.database, test_ids())


async def test_offers_are_as_new_as_the_last_commit_though_the_documents_come_later(tmp_path: Path, url: str) -> None:
    async with open_house(tmp_path, documents_url=url) as house:
        house.follow()
        await house.stock(new_product("p1"))
        for cents in range(1, 30):
            async with house.store.transaction() as tx:
                known = (await house.deps.products.load(tx, ["p1"]))["p1"]
                await house.deps.products.save(tx, [replace(known, price=usd(cents), version=known.version + 1)])
            (offer,) = await house.deps.products.offers(["p1"])
            assert offer.price == usd(cents)
