"""The suite of the port ProductIndex: filters, facets, orders, cursors."""

from __future__ import annotations

import base64
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from torg.contexts.catalog.ports import (
    BadCursor,
    CategoryName,
    ProductIndex,
    SearchRequest,
    Sort,
)
from torg.contexts.catalog.tests.conftest import Shop
from torg.contexts.catalog.tests.index_products import PRODUCTS, facet_counts, found, ids, in_order, product, put
from torg.kit.values import Language

SORTS: tuple[Sort, ...] = get_args(Sort)

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


@settings(max_examples=60, deadline=None)
@given(asked=requests)
def test_total_and_facets_equal_a_count_by_hand(shop: Shop, asked: SearchRequest) -> None:
    asked = replace(asked, text=asked.text.lower())
    page = shop.search(asked)
    assert page.total == len(found(PRODUCTS, asked))
    counts = {name: {one.value: one.count for one in getattr(page.facets, name)} for name in ("category", "brand", "rating")}
    assert counts == facet_counts(PRODUCTS, asked)


@settings(max_examples=12, deadline=None)
@given(asked=requests)
def test_value_of_a_facet_is_a_filter_that_finds_its_count(shop: Shop, asked: SearchRequest) -> None:
    facets = shop.search(asked).facets
    counted = [(replace(asked, category=value.value), value.count) for value in facets.category]
    counted += [(replace(asked, brand=value.value), value.count) for value in facets.brand]
    counted += [(replace(asked, rating_min=float(value.value)), value.count) for value in facets.rating]
    for value in facets.price:
        low, high = value.value.split("-")
        counted.append((replace(asked, price_min=int(low), price_max=int(high) if high else None), value.count))
    assert shop.totals([request for request, _ in counted]) == [count for _, count in counted]


async def test_price_bounds_are_inclusive(index: ProductIndex) -> None:
    await put(index, *(product(str(price), "Pizza", price=price) for price in (99, 100, 200, 201)))
    assert await ids(index, price_min=100, price_max=200, sort="price") == ["100", "200"]
    assert await ids(index, price_min=200, price_max=100) == []


async def test_a_search_that_is_not_to_be_counted_finds_the_same(index: ProductIndex) -> None:
    await put(index, *(product(str(number), "Pizza") for number in range(5)))
    counted, only_found = [await index.search(SearchRequest(sort="price", limit=3, counted=counted)) for counted in (True, False)]
    assert (only_found.items, only_found.next_cursor) == (counted.items, counted.next_cursor)


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


@settings(max_examples=25, deadline=None)
@given(asked=requests, limit=st.sampled_from([3, 7, 24, 100]))
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
def test_garbage_for_a_cursor_is_refused(shop: Shop, cursor: str) -> None:
    with pytest.raises(BadCursor):
        shop.search(SearchRequest(cursor=cursor))


async def test_cursor_of_another_search_is_refused(index: ProductIndex) -> None:
    await put(index, *PRODUCTS[:10])
    page = await index.search(SearchRequest(limit=1, sort="price"))
    with pytest.raises(BadCursor, match="another search"):
        await index.search(SearchRequest(limit=1, sort="-price", cursor=page.next_cursor))


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_page_of_an_impossible_size_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        SearchRequest(limit=limit)
