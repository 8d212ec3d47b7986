"""A shop on PostgreSQL is backed up while people order, and opens elsewhere: nothing is missing that was acknowledged before, and it goes on selling."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.shop import Shop, open_shop
from tests.shop.goods import goods
from tests.shop.holding import everything_holds
from tests.test_recovery import BEFORE, BUYERS, MEANWHILE, Ordering, finds, torg
from torg.contexts.analytics.tests.conftest import clickhouse_url
from torg.kit.settings import Settings
from torg.kit.sql.postgres import Address
from torg.kit.testing.mongo import mongo_url, throw_away
from torg.kit.testing.postgres import own_base, postgres_url

pytestmark = [pytest.mark.slow, pytest.mark.engine]
__all__ = ["clickhouse_url", "mongo_url", "postgres_url"]


@pytest.fixture
async def bases(postgres_url: str) -> AsyncIterator[list[str]]:
    """Six new databases."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(own_base(postgres_url)) for _ in range(6)]


async def test_a_backup_of_several_databases_opens_as_a_shop_that_goes_on(tmp_path: Path, bases: list[str]):
    old, new = (Settings(db=some[0], databases={"order": some[1], "payment": some[2]}) for some in (bases[:3], bases[3:]))
    settings, elsewhere = ({"TORG_DB": some[0], "TORG_ORDER_DB": some[1], "TORG_PAYMENT_DB": some[2]} for some in (bases[:3], bases[3:]))
    async with open_shop(tmp_path / "old", db=old.db, databases=old.databases) as shop:
        ordering = Ordering([await shop.buyer() for _ in range(BUYERS)], cards=False)  # the acquirer's books are a file beside, copied after the cut
        async with ordering.going_on():
            await ordering.more(BEFORE)
            before = list(ordering.acknowledged)
            status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path / "old"), **settings)
            assert (status, len(ordering.acknowledged) > len(before)) == (0, True), said
            await ordering.more(MEANWHILE)
    status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"))
    assert (status, "name where they are to go" in said, (tmp_path / "new").exists()) == (1, True, False), said
    status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"), **settings)
    assert (status, "nothing is written over" in said) == (1, True), said
    status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"), **elsewhere)
    assert status == 0, said
    assert not list((tmp_path / "new").rglob("*.copy"))
    async with open_shop(tmp_path / "new", filled=True, db=new.db, databases=new.databases) as again:
        await finds(again, before)
        await everything_holds(again)
        await (await again.buyer()).bought(goods()[0].id)
        await everything_holds(again)


async def test_a_database_with_records_is_left_as_it_is(tmp_path: Path, bases: list[str]):
    async with open_shop(tmp_path / "old", db=bases[0]):
        status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path / "old"), TORG_DB=bases[0])
        assert status == 0, said
    async with connected(bases[1]) as connection:
        await connection.execute("create schema web; create table web.mine (id integer)")
        status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"), TORG_DB=bases[1])
        assert (status, "has records of web already" in said, (tmp_path / "new").exists()) == (1, True, False), said
        assert await connection.fetchval("select count(*) from pg_tables where schemaname in ('order', 'user', 'web')") == 1


async def test_where_a_broker_carries_messages_a_new_one_is_told_the_last_days_again(tmp_path: Path, bases: list[str]):
    async with open_shop(tmp_path / "old", db=bases[0]), connected(bases[0]) as connection:
        oldest, *_ = (row["position"] for row in await connection.fetch("select position from inventory.log order by position"))
        await connection.execute("update inventory.log set at = '2020-01-01T00:00:00.000000Z' where position = $1", oldest)
        await connection.execute("insert into inventory.consumer_position select 'relay', 'inventory', max(position) from inventory.log")
        status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path / "old"), TORG_DB=bases[0], TORG_BUS="kafka://127.0.0.1:1")
        assert status == 0, said
    status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"), TORG_DB=bases[1])
    assert status == 0, said
    async with connected(bases[1]) as connection:
        rows = await connection.fetch("select consumer, position from inventory.consumer_position")
        assert [(row["consumer"], row["position"]) for row in rows] == [("relay", oldest)]


async def test_documents_and_facts_come_with_it(tmp_path: Path, bases: list[str], mongo_url: str, clickhouse_url: str):
    """A shop with its products in MongoDB and its reports in ClickHouse: the restored one sells and reports without anybody's help."""
    async with AsyncExitStack() as stack:
        documents = [await stack.enter_async_context(throw_away(mongo_url)) for _ in range(2)]
        facts = [f"{clickhouse_url.rpartition('/')[0]}/{name}" for name in ("recovered_from", "recovered_to")]
        old, new = (dict[str, Any](db=bases[n], documents=documents[n], facts=facts[n]) for n in range(2))
        settings, elsewhere = ({f"TORG_{name.upper()}": value for name, value in chosen.items()} for chosen in (old, new))
        async with open_shop(tmp_path / "old", **old) as shop:
            ordering = Ordering([await shop.buyer() for _ in range(BUYERS)], cards=False)
            async with ordering.going_on():
                await ordering.more(BEFORE)
            admin, product = await shop.staff("admin"), goods()[1].id
            assert (await admin.patch(f"/products/{product}", {"name": "A name of its own"})).status == 200
            await seen(shop, product)
            await shop.settle()
            reported = await report(shop)
            assert sum(row["orders"] for row in reported["sales"]["items"]) >= BEFORE
            status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path / "old"), **settings)
            assert status == 0, said
            assert (await admin.patch(f"/products/{product}", {"name": "Thought of later"})).status == 200
        status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"), TORG_DB=bases[1])
        assert (status, "TORG_DOCUMENTS" in said) == (1, True), said
        status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"), **{**elsewhere, "TORG_DOCUMENTS": documents[0]})
        assert (status, "has owners, products already" in said or "already" in said) == (1, True), said
        status, said = await torg("restore", str(tmp_path / "shop.torg"), str(tmp_path / "new"), **elsewhere)
        assert status == 0, said
        assert sorted(entry.name for entry in (tmp_path / "new").iterdir() if entry.name in ("documents", "facts")) == []
        async with open_shop(tmp_path / "new", filled=True, **new) as again:
            await again.settle()
            assert (await again.guest().get(f"/products/{product}")).json["name"] == "A name of its own"
            assert await report(again) == reported
            await everything_holds(again)
            await (await again.buyer()).bought(goods()[0].id)
            await everything_holds(again)


async def seen(shop: Shop, product: str) -> None:
    told = {"events": [{"id": f"seen-by-somebody-{number}", "kind": "view", "visitor": "somebody", "product_id": product} for number in range(3)]}
    reply = await shop.guest().post("/analytics/events", told)
    assert reply.status < 300, reply


async def report(shop: Shop) -> dict[str, Any]:
    analyst = await shop.staff("admin")
    return {name: (await analyst.get(f"/analytics/{path}")).json for name, path in (("sales", "sales"), ("top", "top-products"), ("funnel", "funnel"))}


@asynccontextmanager
async def connected(base: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(Address(base, "public").plain)
    try:
        yield connection
    finally:
        await connection.close()
