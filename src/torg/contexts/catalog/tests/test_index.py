"""The suite of the port ProductIndex, for every adapter."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.ports import (
    BadCursor,
    CategoryName,
    PastQuery,
    ProductChange,
    ProductDocument,
    ProductIndex,
    SearchPage,
    SearchRequest,
    Sort,
)
from torg.contexts.catalog.tests.index_products import assorted, facet_counts, found, in_order, product
from torg.kit.values import Language

Open = Callable[[Path], Awaitable[ProductIndex]]
ADAPTERS: dict[str, Open] = {"tantivy": TantivyProductIndex.open}
SORTS: tuple[Sort, ...] = get_args(Sort)
PRODUCTS = assorted(300)


@pytest.fixture(params=ADAPTERS, scope="module")
def open_index(request: pytest.FixtureRequest) -> Open:
    return ADAPTERS[request.param]


@pytest.fixture
async def index(open_index: Open, tmp_path: Path) -> AsyncIterator[ProductIndex]:
    index = await open_index(tmp_path)
    yield index
    await index.close()


@dataclass
class Shop:
    """An index that holds PRODUCTS, and the loop that it lives on: Hypothesis calls a test many times from outside a loop."""

    runner: asyncio.Runner
    index: ProductIndex

    def search(self, request: SearchRequest) -> SearchPage:
        return self.runner.run(self.index.search(request))


@pytest.fixture(scope="module")
def shop(open_index: Open, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with asyncio.Runner() as runner:
        index = runner.run(filled(open_index, tmp_path_factory.mktemp("shop")))
        yield Shop(runner, index)
        runner.run(index.close())


async def filled(open_index: Open, folder: Path) -> ProductIndex:
    index = await open_index(folder)
    await index.put(PRODUCTS[:200])
    await index.flush()
    await index.put(PRODUCTS[200:])
    await index.flush()
    return index


async def put(index: ProductIndex, *documents: ProductDocument) -> None:
    await index.put(documents)
    await index.flush()


async def within_seconds(true: Callable[[], bool]) -> bool:
    for _ in range(500):
        if true():
            return True
        await asyncio.sleep(0.01)
    return False


async def ids(index: ProductIndex, text: str = "", **rest: object) -> list[str]:
    page = await index.search(SearchRequest(text=text, **rest))  # type: ignore[arg-type]
    return [card.id for card in page.items]


requests = st.builds(
    SearchRequest,
    text=st.sampled_from(["", "", "pizza", "lemonade", "red", "family", "red boots", "кола", "Acme"]),
    category=st.sampled_from([None, None, "grocery", "soda", "shoes", "boots", "nowhere"]),
    brand=st.sampled_from([None, None, "Acme", "Cascade"]),
    price_min=st.sampled_from([None, None, 0, 50, 100, 151]),
    price_max=st.sampled_from([None, None, 100, 199, 1000]),
    in_stock=st.sampled_from([None, None, True, False]),
    rating_min=st.sampled_from([None, None, 1.0, 3.999, 4.3, 5.0]),
    sort=st.sampled_from(SORTS),
)


# filters and facets


@settings(max_examples=150, deadline=None)
@given(asked=requests)
def test_total_and_facets_equal_a_count_by_hand(shop: Shop, asked: SearchRequest) -> None:
    asked = replace(asked, text=asked.text.lower())
    page = shop.search(asked)
    assert page.total == len(found(PRODUCTS, asked))
    counts = {name: {one.value: one.count for one in getattr(page.facets, name)} for name in ("category", "brand", "rating")}
    assert counts == facet_counts(PRODUCTS, asked)


@settings(max_examples=40, deadline=None)
@given(asked=requests)
def test_value_of_a_facet_is_a_filter_that_finds_its_count(shop: Shop, asked: SearchRequest) -> None:
    facets = shop.search(asked).facets
    for value in facets.category:
        assert shop.search(replace(asked, category=value.value)).total == value.count
    for value in facets.brand:
        assert shop.search(replace(asked, brand=value.value)).total == value.count
    for value in facets.rating:
        assert shop.search(replace(asked, rating_min=float(value.value))).total == value.count
    for value in facets.price:
        low, high = value.value.split("-")
        assert shop.search(replace(asked, price_min=int(low), price_max=int(high) if high else None)).total == value.count


async def test_price_bounds_are_inclusive(index: ProductIndex) -> None:
    await put(index, *(product(str(price), "Pizza", price=price) for price in (99, 100, 200, 201)))
    assert await ids(index, price_min=100, price_max=200, sort="price") == ["100", "200"]
    assert await ids(index, price_min=200, price_max=100) == []


async def test_facets_name_categories_in_the_asked_language(index: ProductIndex) -> None:
    await put(index, product("1", "Pizza"))
    page = await index.search(SearchRequest(language=Language.RU))
    assert {value.value: value.name for value in page.facets.category} == {"grocery": "Бакалея", "frozen-pizza": "Замороженная пицца"}


async def test_chosen_category_is_never_cut_off_the_facet(index: ProductIndex) -> None:
    many = [product(f"{n}-{copy}", "Thing", category_path=(CategoryName(f"c{n}", "Thing"),)) for n in range(120) for copy in "ab"]
    await put(index, *many, product("rare", "Thing", category_path=(CategoryName("zz", "Rare"),)))
    page = await index.search(SearchRequest(category="zz"))
    assert len(page.facets.category) == 101
    assert page.facets.category[-1].value == "zz"


# orders and cursors


@settings(max_examples=60, deadline=None)
@given(asked=requests, limit=st.sampled_from([1, 7, 24, 100]))
def test_walk_by_cursor_gives_every_product_once_in_order(shop: Shop, asked: SearchRequest, limit: int) -> None:
    expected = found(PRODUCTS, asked := replace(asked, text=asked.text.lower()))
    walked = walk(shop, replace(asked, limit=limit))
    assert len(walked) == len(set(walked))
    assert set(walked) == {one.id for one in expected}
    if asked.sort != "relevance" or not asked.text:
        arrived = [one for one in PRODUCTS if one in expected]
        assert walked == in_order(arrived, asked.sort)


def walk(shop: Shop, asked: SearchRequest) -> list[str]:
    walked: list[str] = []
    while True:
        page = shop.search(asked)
        walked += [card.id for card in page.items]
        if page.next_cursor is None:
            return walked
        assert len(page.items) == asked.limit
        asked = replace(asked, cursor=page.next_cursor)


@pytest.mark.parametrize("sort", SORTS)
async def test_changes_between_pages_neither_break_a_cursor_nor_repeat_what_stays(index: ProductIndex, sort: Sort) -> None:
    await put(index, *PRODUCTS[:60])
    first = await index.search(SearchRequest(sort=sort, limit=30))
    gone, seen = first.items[-1].id, {card.id for card in first.items}
    await index.remove([gone])
    await index.put([product("new", "Pizza")])
    await index.flush()
    second = await index.search(SearchRequest(sort=sort, limit=100, cursor=first.next_cursor))
    rest = {one.id for one in PRODUCTS[:60]} - seen
    assert {card.id for card in second.items} - {"new"} == rest


@pytest.mark.parametrize(
    "cursor",
    ["", "garbage", "жук", "AAAA", "k8BAwA", "=" * 50, "x" * 5000, base64.urlsafe_b64encode(b"\x93\x01\x02\x03").decode(), "\x00", "a b"],
)
async def test_garbage_for_a_cursor_is_refused(index: ProductIndex, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await index.search(SearchRequest(cursor=cursor))


async def test_cursor_of_another_search_is_refused(index: ProductIndex) -> None:
    await put(index, *PRODUCTS[:10])
    page = await index.search(SearchRequest(limit=1, sort="price"))
    with pytest.raises(BadCursor, match="another search"):
        await index.search(SearchRequest(limit=1, sort="-price", cursor=page.next_cursor))


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_page_of_an_impossible_size_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        SearchRequest(limit=limit)


# words


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("Running shoes", "shoe"),
        ("Fresh berry jam", "berries"),
        ("Кроссовки беговые", "кроссовок"),
        ("Кроссовки беговые", "беговых кроссовках"),
        ("Чашка чайная", "чашек"),
        ("Огурцы солёные", "огурец соленый"),
        ("Яйцо куриное", "яиц"),
        ("Замороженная пицца", "замороженные пиццы"),
        ("Мёд липовый", "мед"),
        ("Crème brûlée", "creme brulee"),
        ("Kellogg's flakes", "kellogg flakes"),
        ("Вода 500г", "вода 500 г"),
        ("Корм для кошек", "корм кошка"),
    ],
)
async def test_other_form_of_a_word_finds(index: ProductIndex, name: str, query: str) -> None:
    await put(index, product("other", "Something else", "", "elsewhere"), product("meant", name, "", "nowhere"))
    page = await index.search(SearchRequest(text=query))
    assert [card.id for card in page.items] == ["meant"]
    assert page.corrected_query is None


async def test_either_language_finds_a_product_with_both_names(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza", "Замороженная пицца"))
    assert await ids(index, "pizza") == await ids(index, "пицца") == await ids(index, "пицца frozen") == ["1"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("frozne piza", "frozen pizza"),
        ("Frozen Piza", "frozen pizza"),
        ("piza for family", "pizza for family"),
        ("замороженая пица", "замороженая пицца"),
        ("gbwwf", "пицца"),
        ("зшяяф", "pizza"),
        ("ghjlfдт", None),
    ],
)
async def test_typing_mistake_is_forgiven_and_told(index: ProductIndex, typed: str, meant: str | None) -> None:
    await put(
        index,
        product("1", "Frozen pizza", "Замороженная пицца", description="for the whole family"),
        product("2", "Pita bread", "Пита", "boots", popularity=9),
        product("3", "Frozen yoghurt", "Замороженный йогурт", "boots", popularity=9),
    )
    page = await index.search(SearchRequest(text=typed))
    assert page.corrected_query == meant
    assert [card.id for card in page.items] == (["1"] if meant else [])


async def test_word_that_is_still_being_typed_is_completed(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza"), product("2", "Boots", "", "boots"))
    page = await index.search(SearchRequest(text="frozen piz"))
    assert ([card.id for card in page.items], page.corrected_query) == (["1"], None)


async def test_word_that_nobody_knows_does_not_spoil_the_others(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza"), product("2", "Boots", "", "boots"))
    assert await ids(index, "pizza qwrtzxcv") == ["1"]
    assert await ids(index, "qwrtzxcv") == []
    assert await ids(index, "?!") == []


async def test_synonyms_work_at_once_and_both_ways(index: ProductIndex) -> None:
    await put(index, product("1", "Fizzy drink", "", "nowhere"), product("2", "Ice cream", "", "elsewhere"))
    assert await ids(index, "лимонад") == []
    await index.set_synonyms([["fizzy drink", "soda pop", "лимонад"], ["мороженое", "ice cream"]])
    assert await ids(index, "лимонада") == await ids(index, "soda pop") == await ids(index, "fizzy drinks") == ["1"]
    assert await ids(index, "мороженое") == ["2"]
    await index.set_synonyms([])
    assert await ids(index, "лимонад") == []


# relevance


async def test_name_comes_before_category_and_category_before_description(index: ProductIndex) -> None:
    await put(
        index,
        product("description", "Cutter", "", "nowhere", description="cuts frozen pizza", popularity=900),
        product("not at all", "Frozen peas", "", "nowhere"),
        product("half", "Frozen chips", "", "frozen-pizza", popularity=500),
        product("mixed", "Pizza", "", "frozen-pizza", popularity=1),
        product("words", "Pizza, the best, frozen", "", "nowhere"),
        product("phrase", "Frozen pizza", "", "nowhere"),
        product("phrase in its category", "Large frozen pizza"),
    )
    assert await ids(index, "frozen pizza") == ["phrase in its category", "phrase", "words", "mixed", "half", "description"]


async def test_popularity_breaks_ties_of_relevance(index: ProductIndex) -> None:
    await put(index, *(product(str(popularity), "Pizza", popularity=popularity) for popularity in (3, 90, 7)))
    assert await ids(index, "pizza") == ["90", "7", "3"]


# suggestions


async def test_suggestions_are_queries_categories_and_products(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza Margherita", "Пицца Маргарита"))
    index.note_query("frozen pizza", 1)
    found = await index.suggest("froz")
    assert [(one.kind, one.text, one.id) for one in found] == [
        ("query", "frozen pizza", None),
        ("category", "Frozen pizza", "frozen-pizza"),
        ("product", "Frozen pizza Margherita", "1"),
    ]


@pytest.mark.parametrize("typed", ["пиц", "gbw", "замороженная пи", "Пицца мар", "пиццца"])
async def test_suggestions_come_in_the_language_typed(index: ProductIndex, typed: str) -> None:
    await put(index, product("1", "Frozen pizza Margherita", "Замороженная пицца Маргарита"))
    assert "Замороженная пицца Маргарита" in [one.text for one in await index.suggest(typed)]


async def test_suggestions_are_at_most_as_many_as_asked(index: ProductIndex) -> None:
    await put(index, *(product(f"{n}", f"Pizza {n}") for n in range(30)))
    assert len(await index.suggest("pizza")) == 10
    assert len(await index.suggest("pizza", limit=2)) == 2
    assert await index.suggest("") == ()


async def test_query_is_not_suggested_when_it_found_nothing_or_is_not_about_goods(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza"))
    index.note_query("pizza frozen", 0)
    index.note_query("pizza for jane.doe@example.com", 1)
    assert index.past_queries() == ()


async def test_past_queries_are_bounded_and_keep_the_frequent(index: ProductIndex) -> None:
    index.remember_queries(PastQuery(f"pizza {n}", 1) for n in range(3000))
    index.remember_queries([PastQuery("pizza hot", 50)])
    index.remember_queries(PastQuery(f"cola {n}", 1) for n in range(3000))
    kept = index.past_queries()
    assert len(kept) <= 5000
    assert "pizza hot" in {query.text for query in kept}
    assert (await index.suggest("pizza"))[0].text == "pizza hot"


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
    assert await within_seconds(lambda: index.position == 3)
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
    assert len(list(tmp_path.glob("generation-*"))) == 1  # noqa: ASYNC240 a test may block
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
