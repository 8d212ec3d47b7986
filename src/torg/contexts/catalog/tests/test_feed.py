"""The index follows the store, whatever happens between them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.analytics.contracts import GetRecommendations
from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.adapters.index_opening import open_tantivy
from torg.contexts.catalog.handlers.indexing import BULK
from torg.contexts.catalog.handlers.searching import keep_queries
from torg.contexts.catalog.tests.conftest import Open
from torg.contexts.catalog.tests.house import ADMIN, House, new_product, open_house, usd
from torg.contexts.inventory.contracts import StockChanged
from torg.contexts.review.contracts import RatingChanged
from torg.kit.errors import Invalid, NotFound
from torg.kit.values import Language


@pytest.fixture
async def house(open_index: Open, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, open_index=open_index) as house:
        yield house


async def test_what_is_committed_is_found(house: House) -> None:
    house.follow()
    await house.stock(new_product("p1", "Pizza Hawaii"), new_product("m1", "Milk", category="dairy.milk"))
    await house.caught_up()
    assert await house.found(query="hawaii") == ["p1"]
    await house(c.ChangeProduct(product_id="p1", staff=ADMIN, name="Pizza Margherita", price=usd(90)))
    await house(c.WithdrawProduct(product_id="m1", staff=ADMIN))
    await house.caught_up()
    assert await house.found() == ["p1"]
    assert await house.found(query="margherita", price_max=100) == ["p1"]
    assert await house.found(query="hawaii", price_min=100) == []


async def test_stock_and_ratings_reach_the_lists(house: House) -> None:
    house.follow()
    await house.stock(new_product("p1"), new_product("p2"))
    await house.react(StockChanged("p1", 7), StockChanged("nothing", 3), RatingChanged(product_id="p2", average_hundredths=450, count=2))
    await house.caught_up()
    assert await house.found(in_stock=True) == ["p1"]
    (rated,) = (await house(c.ListProducts(rating_min=4))).items
    assert (rated.id, rated.rating, rated.quantity) == ("p2", c.RatingSummary(4.5, 2), 0)


async def test_a_list_item_says_the_same_as_the_page(house: House) -> None:
    house.follow()
    await house.stock(new_product("p1", "Pizza", name_ru="Пицца", old_price=usd(700), pictures=("/static/p1.jpg", "/static/p2.jpg")))
    await house.react(StockChanged("p1", 7), RatingChanged(product_id="p1", average_hundredths=433, count=3))
    await house.caught_up()
    page = await house(c.GetProduct(product_id="p1", language=Language.RU))
    (item,) = (await house(c.ListProducts(language=Language.RU))).items
    (by_id,) = await house(c.ListProductsById(product_ids=("p1",), language=Language.RU))
    same = set(c.ListedProduct.__struct_fields__) - {"pictures"}
    assert {name: getattr(item, name) for name in same} == {name: getattr(page, name) for name in same}
    assert by_id.pictures == page.pictures
    assert item.pictures == ("/static/p1.jpg",)


async def test_a_renamed_category_is_found_by_its_new_name(house: House) -> None:
    house.follow()
    await house.stock(new_product("p1", "Hawaii"), new_product("m1", "Milk", category="dairy.milk"))
    await house.caught_up()
    await house(c.DefineCategories((c.Category(id="frozen", name="Ice cold"), c.Category(id="dairy", name="Dairy", name_ru="Молочное"))))
    await house.caught_up()
    assert await house.found(query="cold") == ["p1"]
    names = {facet.value: facet.name for facet in (await house(c.ListProducts())).facets.category}
    assert (names["frozen"], names["frozen.pizza"]) == ("Ice cold", "Frozen pizza")


async def test_a_restart_goes_on_where_the_index_stood(open_index: Open, tmp_path: Path) -> None:
    async with open_house(tmp_path, open_index=open_index) as house:
        house.follow()
        await house.stock(*(new_product(f"p{n}") for n in range(30)))
        await house.caught_up()
    async with open_house(tmp_path, open_index=open_index) as house:  # nothing follows: as if it had crashed before the index heard of this
        await house.react(StockChanged("p3", 4))
        await house.stock(new_product("p30"))
    async with open_house(tmp_path, open_index=open_index) as house:
        assert len(await house.found(limit=100)) == 30
        house.follow()
        await house.caught_up()
        assert len(await house.found(limit=100)) == 31
        assert await house.found(in_stock=True) == ["p3"]


async def test_a_lost_index_is_built_anew(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.follow()
        await house.stock(new_product("p1"), new_product("p2"))
        await house.caught_up()
    shutil.rmtree(tmp_path / "index")
    async with open_house(tmp_path) as house:
        before = await house.feed.check()
        house.follow()
        await house.caught_up()
        assert (before, await house.feed.check()) == ("the search index is being built", "")
        assert len(await house.found()) == 2


async def test_an_index_ahead_of_its_store_is_built_anew(open_index: Open, tmp_path: Path) -> None:
    async with open_house(tmp_path, documents_url="") as house:
        house.follow()
        await house.stock(new_product("p1"), new_product("p2"))
        await house.caught_up()
    for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    async with open_house(tmp_path, documents_url="") as house:
        await house.stock(new_product("p3"))
        house.follow()
        await house.caught_up()
        assert await house.found() == ["p3"]


async def test_an_unreadable_index_is_begun_anew(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.stock(new_product("p1"))
        await house.feed.rebuild()
    for file in (tmp_path / "index").rglob("*.json"):
        file.write_bytes(b"\x00garbage")
    index = open_tantivy(tmp_path / "index")
    assert index.position is None
    await index.close()


async def test_a_big_load_is_built_once_it_has_settled(house: House) -> None:
    house.follow()
    await house.stock(*(new_product(f"p{n}") for n in range(2 * BULK)))
    await house.react(*(StockChanged(f"p{n}", 1) for n in range(2 * BULK)))
    await house.caught_up()
    assert (await house(c.ListProducts(in_stock=True))).total == 2 * BULK


async def test_rebuilding_counts_what_is_on_sale(house: House) -> None:
    await house.stock(new_product("p1"), new_product("p2"))
    await house(c.WithdrawProduct(product_id="p2", staff=ADMIN))
    assert (await house(c.RebuildIndex())).products == 1
    assert await house.found() == ["p1"]


async def test_a_cursor_of_another_make_is_refused(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        await house(c.ListProducts(cursor="garbage"))
    assert refused.value.errors[0].field == "cursor"


async def test_a_typo_is_corrected_and_facets_speak_the_readers_language(house: House) -> None:
    await house.stock(new_product("p1", "Frozen pizza", name_ru="Пицца замороженная"), new_product("m1", "Milk", category="dairy.milk"))
    await house(c.RebuildIndex())
    page = await house(c.ListProducts(query="frozne piza", language=Language.RU))
    assert (page.corrected_query, [item.name for item in page.items]) == ("frozen pizza", ["Пицца замороженная"])
    assert {facet.value: facet.name for facet in page.facets.category} == {"frozen": "Заморозка", "frozen.pizza": "Пицца"}


async def test_what_others_searched_for_is_suggested(house: House) -> None:
    await house.stock(new_product("p1", "Frozen pizza"))
    await house(c.RebuildIndex())
    await house(c.ListProducts(query="frozen pizza"))
    suggested = (await house(c.Suggest(query="froz"))).items
    assert {one.kind for one in suggested} >= {"category", "query"}


async def test_synonyms_hold_from_now_on_and_after_a_restart(open_index: Open, tmp_path: Path) -> None:
    async with open_house(tmp_path, open_index=open_index) as house:
        await house.stock(new_product("p1", "Sneakers"))
        await house(c.RebuildIndex())
        assert await house.found(query="trainers") == []
        said = await house(c.SetSynonyms(staff=ADMIN, groups=(("sneakers", " trainers "),)))
        assert said == await house(c.GetSynonyms()) == c.SynonymGroups((("sneakers", "trainers"),))
        assert await house.found(query="trainers") == ["p1"]
    async with open_house(tmp_path, open_index=open_index) as house:
        assert await house.deps.memory.synonyms() == [("sneakers", "trainers")]


async def test_past_queries_are_kept(house: House) -> None:
    await house.stock(new_product("p1", "Frozen pizza"))
    await house(c.RebuildIndex())
    await house(c.ListProducts(query="pizza"))
    await keep_queries(house.deps)
    await house(c.ListProducts(query="pizza"))
    await keep_queries(house.deps)
    await keep_queries(house.deps)
    assert [(past.text, past.times) for past in await house.deps.memory.past_queries()] == [("pizza", 2)]


async def test_recommendations_are_what_goes_with_it_and_what_is_like_it(house: House) -> None:
    await house.stock(*(new_product(f"p{n}", popularity=n) for n in range(4)), new_product("m1", category="dairy.milk"))
    await house(c.RebuildIndex())
    house.recommends("m1", "gone", "p3")
    both = await house(c.Recommend(product_id="p2", limit=3))
    assert [item.id for item in both.bought_together] == ["m1", "p3"]
    assert [item.id for item in both.similar] == ["p3", "p1", "p0"]


async def test_a_product_page_does_without_analytics(house: House) -> None:
    await house.stock(new_product("p1"), new_product("p2"))
    await house(c.RebuildIndex())
    house.loses_analytics()
    alone = await house(c.Recommend(product_id="p1"))
    assert (alone.bought_together, alone.missing) == ((), ("bought_together",))
    del house.answers[GetRecommendations]
    assert [item.id for item in (await house(c.Recommend(product_id="p1"))).similar] == ["p2"]
    with pytest.raises(NotFound):
        await house(c.Recommend(product_id="p9"))
