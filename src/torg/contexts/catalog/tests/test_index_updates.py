"""The suite of the port ProductIndex: updates, reopening, rebuilding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from torg.contexts.catalog.ports import (
    ProductCard,
    ProductChange,
    ProductDocument,
    ProductIndex,
    SearchRequest,
)
from torg.contexts.catalog.tests.conftest import Open
from torg.contexts.catalog.tests.index_products import NEW_YEAR, PRODUCTS, ids, product, put
from torg.kit.testing.waiting import until

# updates


async def test_product_put_again_replaces_itself(index: ProductIndex) -> None:
    await put(index, product("1", "Pizza", price=5))
    await put(index, product("1", "Boots", "", "boots", price=7))
    page = await index.search(SearchRequest())
    assert [(card.name, card.price) for card in page.items] == [("Boots", 7)]
    assert await ids(index, "pizza") == []


async def test_card_in_a_list_is_complete(index: ProductIndex) -> None:
    whole = product("1", "Pizza", "Пицца", brand="Acme", old_price=9, picture="k", rating_average=4.25, rating_count=3, updated_at=None)
    await put(index, replace(whole, description="long"))
    card = (await index.search(SearchRequest())).items[0]
    assert {name: getattr(card, name) for name in card.__struct_fields__} == {name: getattr(whole, name) for name in card.__struct_fields__}
    assert not hasattr(card, "description")


async def test_changed_figures_show_before_and_count_after_the_flush(index: ProductIndex) -> None:
    await put(index, product("1", "Pizza", price=5, quantity=3), product("2", "Pizza", price=6))
    await index.change([ProductChange(id="1", price=8), ProductChange(id="1", quantity=0), ProductChange(id="unknown", price=1)])
    before = {card.id: card for card in (await index.search(SearchRequest())).items}
    assert (before["1"].price, before["1"].quantity, before["1"].name) == (8, 0, "Pizza")
    await index.flush()
    assert await ids(index, sort="price") == ["2", "1"]
    assert await ids(index, in_stock=True) == ["2"]
    assert await ids(index, "pizza", price_min=8) == ["1"]


async def test_updates_of_one_product_apply_in_order(index: ProductIndex) -> None:
    await index.put([product("1", "Pizza", price=5)])
    await index.change([ProductChange(id="1", price=6)])
    await index.remove(["2"])
    await index.put([product("2", "Boots", "", "boots")])
    await index.change([ProductChange(id="2", rating_average=4.5, rating_count=2)])
    await index.put([product("3", "Gone")])
    await index.remove(["3"])
    await index.flush()
    cards = (await index.search(SearchRequest(sort="price"))).items
    assert [(card.id, card.price, card.rating_average) for card in cards] == [("2", 1, 4.5), ("1", 6, 0.0)]


async def test_running_index_writes_by_itself(index: ProductIndex) -> None:
    task = asyncio.create_task(index.run())
    await index.put([product("1", "Pizza")], position=3)
    await until(lambda: index.position == 3)
    assert await ids(index, "pizza") == ["1"]
    await index.change([ProductChange(id="1", quantity=77)], position=4)
    await asyncio.sleep(0.5)
    assert index.position == 3  # the sale alone isn't worth a commit …
    assert (await index.search(SearchRequest())).items[0].quantity == 77  # … but shows
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await index.flush()
    assert index.position == 4


async def test_index_reopens_where_it_stood(open_index: Open, tmp_path: Path) -> None:
    index = await open_index(tmp_path)
    assert index.position is None
    await index.put(PRODUCTS[:50], position=41)
    await index.change([ProductChange(id=PRODUCTS[0].id, quantity=1234)], position=42)
    first = await index.search(SearchRequest(sort="price", limit=10))
    await index.flush()
    first = await index.search(SearchRequest(sort="price", limit=10))
    await index.close()
    again = await open_index(tmp_path)
    assert again.position == 42
    assert await again.search(SearchRequest(sort="price", limit=10)) == first
    await put(again, product("new", "Pizza", price=0))
    rest = await again.search(SearchRequest(sort="price", limit=100, cursor=first.next_cursor))
    assert len({card.id for card in (*first.items, *rest.items)} - {"new"}) == 50
    await again.close()


async def test_what_was_not_flushed_is_not_claimed_by_the_position(open_index: Open, tmp_path: Path) -> None:
    index = await open_index(tmp_path)
    await index.put([product("1", "Pizza")], position=1)
    await index.flush()
    await index.put([product("2", "Pizza")], position=2)
    assert index.position == 1
    await index.close()
    assert index.position == 2


# rebuilding


async def test_rebuild_loses_no_update_that_arrives_meanwhile(index: ProductIndex) -> None:
    await put(index, product("stale", "Stale"), product("kept", "Pizza", price=5), product("sold", "Pizza", price=5))
    during: list[int] = []

    async def products() -> AsyncIterator[ProductDocument]:
        yield product("kept", "Pizza rebuilt", price=5)
        yield product("sold", "Pizza rebuilt", price=5)
        await index.change([ProductChange(id="kept", price=9)])
        await index.put([product("new", "Boots", "", "boots", price=2)])
        await index.remove(["sold"], position=8)
        await index.flush()
        during.append((await index.search(SearchRequest())).total)
        await index.put([product("late", "Boots", "", "boots", price=3)], position=9)
        yield product("from the stream", "Pizza", price=4)

    await index.rebuild(products(), position=5)
    await index.flush()
    page = await index.search(SearchRequest(sort="price"))
    assert during == [3]  # stale, kept, new: the old generation served
    assert [(card.id, card.price) for card in page.items] == [("new", 2), ("late", 3), ("from the stream", 4), ("kept", 9)]
    assert await ids(index, "rebuilt") == ["kept"]
    assert index.position == 9


async def test_rebuilt_index_reopens_and_keeps_cursors(open_index: Open, tmp_path: Path) -> None:
    index = await open_index(tmp_path)
    await index.put(PRODUCTS[:60])
    await index.flush()
    first = await index.search(SearchRequest(text="red", limit=5))
    await index.rebuild(reversed(PRODUCTS[:60]), position=6)
    await index.close()
    again = await open_index(tmp_path)
    rest = await again.search(SearchRequest(text="red", limit=100, cursor=first.next_cursor))
    assert again.position == 6
    assert [card.id for card in (*first.items, *rest.items)] == await ids(again, "red", limit=100)
    await again.close()


async def test_failed_rebuild_leaves_the_present_index_alone(index: ProductIndex) -> None:
    await put(index, product("1", "Pizza"))

    def broken() -> Iterator[ProductDocument]:
        yield product("2", "Boots")
        raise OSError("the store is away")

    with pytest.raises(OSError, match="away"):
        await index.rebuild(broken())
    assert await ids(index) == ["1"]
    await index.rebuild([product("3", "Boots")])
    assert await ids(index) == ["3"]


async def test_searches_go_on_while_updates_and_a_rebuild_run(index: ProductIndex) -> None:
    await put(index, *PRODUCTS)
    rebuilding = asyncio.create_task(index.rebuild(PRODUCTS * 3))
    totals = set()
    while not rebuilding.done():
        await index.change([ProductChange(id=one.id, popularity=one.popularity + 1) for one in PRODUCTS[:5]])
        totals.add((await index.search(SearchRequest())).total)
        await asyncio.sleep(0.002)
    await rebuilding
    assert totals == {len(PRODUCTS)}


# what is refused


@pytest.mark.parametrize("wrong", [{"price": -1}, {"quantity": -1}, {"rating_average": 5.5}, {"popularity": 1 << 63}])
def test_impossible_figure_is_refused_before_it_reaches_the_index(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="it must be"):
        ProductChange(id="1", **wrong)
    with pytest.raises(ValueError, match="it must be"):
        product("1", "Pizza", **wrong)


def test_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        ProductCard(id="1", name="Pizza", price=1, created_at=NEW_YEAR.replace(tzinfo=None))
