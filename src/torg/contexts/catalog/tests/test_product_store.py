"""What every ProductStore does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from torg.contexts.catalog import model
from torg.contexts.catalog.ports import ProductStore
from torg.contexts.catalog.tests.house import House, new_product, open_house, usd
from torg.kit.calls import undisturbed
from torg.kit.errors import ConcurrentChange, DomainError
from torg.kit.testing.mongo import mongo_url, throw_away

__all__ = ["mongo_url"]

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["sql", pytest.param("mongo", marks=pytest.mark.slow)])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """Wherever documents are kept."""
    if request.param == "sql":
        async with open_house(tmp_path, documents_url="") as house:
            yield house
    else:
        async with throw_away(request.getfixturevalue("mongo_url")) as url, open_house(tmp_path, documents_url=url) as house:
            yield house


def product(number: int) -> model.Product:
    return model.added(new_product(f"p{number:04}"), NOW)


async def saved(house: House, *products: model.Product) -> None:
    async def save() -> None:
        async with house.store.transaction() as tx:
            await house.deps.products.save(tx, products)

    await undisturbed(save, "save", house.store.database.lane)


async def counted(house: House, **quantities: int) -> None:
    async def count() -> None:
        async with house.store.transaction() as tx:
            await house.deps.products.set_quantities(tx, quantities)

    await undisturbed(count, "count", house.store.database.lane)


async def walk(store: ProductStore, limit: int) -> list[tuple[list[str], dict[str, int], int]]:
    """All steps of a reader that starts with nothing."""
    steps, after = [], 0
    while after < await store.revision():
        changes = await store.changes(after, limit)
        assert changes.revision > after
        after = changes.revision
        steps.append(([one.product.id for one in changes.products], {id_: figures.quantity for id_, figures in changes.figures}, after))
    return steps


async def test_documents_come_back_as_they_were(house: House) -> None:
    said = model.added(new_product("p1", "Пицца «Гавайи»", pictures=("/a.jpg",), old_price=usd(700), popularity=3), NOW)
    await saved(house, said)
    assert await house.deps.products.find("p1") == model.Stocked(said, model.Figures())
    assert await house.deps.products.find("p2") is None


async def test_many_are_found_in_the_order_asked_for(house: House) -> None:
    await saved(house, *(product(number) for number in range(1200)))
    wanted = [f"p{number:04}" for number in range(1199, -1, -1)]
    assert [one.product.id for one in await house.deps.products.find_all([*wanted, "nothing"])] == wanted
    assert [offer.product_id for offer in await house.deps.products.offers(wanted)] == wanted


async def test_a_reader_sees_every_change_once_in_steps_of_any_size(house: House) -> None:
    await saved(house, product(1), product(2))
    await counted(house, p0002=5, p0003=6)
    await saved(house, replace(product(1), name="New", version=2))
    await counted(house, p0002=4)
    for limit in (1, 2, 3, 100):
        steps = await walk(house.deps.products, limit)
        assert sorted(id_ for products, _, _ in steps for id_ in products) == ["p0001", "p0002"]
        assert {id_: quantity for _, figures, _ in steps for id_, quantity in figures.items()} == {"p0003": 6, "p0002": 4}
        assert [reached for _, _, reached in steps] == sorted({reached for _, _, reached in steps})


async def test_products_of_renewed_categories_come_again(house: House) -> None:
    milk = model.added(new_product("m1", category="dairy.milk"), NOW)
    await saved(house, product(1), milk, product(2))
    before = await house.deps.products.revision()
    async with house.store.transaction() as tx:
        await house.deps.products.renew(tx, {"frozen.pizza", "frozen"})
    changes = await house.deps.products.changes(before, 10)
    assert [one.product for one in changes.products] == [product(1), product(2)]
    assert await house.deps.products.revision() == before + 2


async def test_a_reader_that_is_up_to_date_is_told_nothing(house: House) -> None:
    await saved(house, product(1))
    revision = await house.deps.products.revision()
    changes = await house.deps.products.changes(revision, 10)
    assert (list(changes.products), list(changes.figures), changes.revision) == ([], [], revision)


async def test_writers_at_the_same_time_never_share_a_revision(house: House) -> None:
    await asyncio.gather(*(saved(house, product(number)) for number in range(50)), *(counted(house, **{f"p{number:04}": 1}) for number in range(50)))
    assert await house.deps.products.revision() == 100
    steps = await walk(house.deps.products, 1)
    assert len(steps) == 100


async def test_version_that_somebody_else_made_first_is_refused(house: House) -> None:
    await saved(house, product(1), product(2))
    await saved(house, replace(product(1), price=usd(1), version=2))
    for _ in range(2):
        with pytest.raises(ConcurrentChange):
            await saved(house, replace(product(1), price=usd(2), version=2))
        await house.deps.products.count_by_category()  # by now documents are wherever they come to lie
    with pytest.raises(ConcurrentChange):
        await saved(house, replace(product(2), price=usd(2), version=2), replace(product(1), price=usd(2), version=2))
    assert [offer.price for offer in await house.deps.products.offers(["p0001", "p0002"])] == [usd(1), usd(500)]


@pytest.mark.race
async def test_no_edit_is_lost_when_many_change_one_product_at_the_same_time(house: House) -> None:
    await saved(house, replace(product(1), popularity=0))

    async def sell_one() -> None:
        async with house.store.transaction() as tx:
            known = (await house.deps.products.load(tx, ["p0001"]))["p0001"]
            await house.deps.products.save(tx, [replace(known, popularity=known.popularity + 1, version=known.version + 1)])

    await asyncio.gather(*(undisturbed(sell_one, "sell", house.store.database.lane) for _ in range(20)))
    found = await house.deps.products.find("p0001")
    assert found is not None
    assert (found.product.popularity, found.product.version) == (20, 21)


async def test_what_is_undone_leaves_no_trace(house: House) -> None:
    await saved(house, product(1))
    before = await house.deps.products.revision()
    with pytest.raises(DomainError):
        async with house.store.transaction() as tx:
            await house.deps.products.save(tx, [replace(product(1), price=usd(1), version=2)])
            raise DomainError("test", "a rule said no")
    assert await house.deps.products.revision() == before
    (offer,) = await house.deps.products.offers(["p0001"])
    assert offer.price == usd(500)


async def test_an_offer_is_never_older_than_the_last_commit(house: House) -> None:
    await saved(house, product(1))
    for price in range(1, 20):
        await house.deps.products.offers(["p0001"])
        await saved(house, replace(product(1), price=usd(price), version=price + 1))
        assert [offer.price.amount for offer in await house.deps.products.offers(["p0001"])] == [price]


async def test_products_on_sale_are_read_to_the_end_while_others_write(house: House) -> None:
    await saved(house, *(product(number) for number in range(1100)))
    seen: list[str] = []
    async for one in house.deps.products.on_sale():
        seen.append(one.product.id)
        if len(seen) == 3:
            await saved(house, replace(product(700), status="withdrawn", version=2))
    assert len(seen) == len(set(seen)) == 1099
    assert sum((await house.deps.products.count_by_category()).values()) == 1099


async def test_a_shelf_has_some_of_what_is_on_sale_in_its_categories(house: House) -> None:
    milk = model.added(new_product("m1", category="dairy.milk"), NOW)
    await saved(house, milk, *(product(number) for number in range(5)))
    await saved(house, replace(product(1), status="withdrawn", version=2))
    await counted(house, p0002=7)
    await house.deps.products.count_by_category()  # by now documents are wherever they come to lie
    shelf = await house.deps.products.shelf({"frozen.pizza", "frozen"}, 3)
    assert [(one.product.id, one.figures.quantity) for one in shelf] == [("p0000", 0), ("p0002", 7), ("p0003", 0)]
    assert await house.deps.products.shelf({"nothing"}, 3) == []


async def test_an_offer_is_quick_to_tell(house: House) -> None:
    """A checkout asks for a handful; remembered ones take microseconds, so this bound is generous."""
    await saved(house, *(product(number) for number in range(10)))
    ids = [f"p{number:04}" for number in range(10)]
    await house.deps.products.offers(ids)
    now, took = asyncio.get_running_loop().time, list[float]()
    for _ in range(200):
        began = now()
        await house.deps.products.offers(ids)
        took.append(now() - began)
    assert min(took) < 0.001  # not the mean: others have the machine too
