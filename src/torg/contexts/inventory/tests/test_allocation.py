"""Which warehouses an order is served from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.inventory.contracts import Allocation, Units
from torg.contexts.inventory.model.allocation import Plan, Shelf, Shortage, allocate, back_home, merged
from torg.contexts.inventory.model.places import PLACES, distance_km, find_place


def shelf(warehouse: str, product: str, available: int) -> Shelf:
    place = find_place(warehouse)
    assert place is not None
    return Shelf(warehouse, product, available, warehouse, place)


def test_the_nearest_warehouse_that_has_everything_is_chosen() -> None:
    shelves = [shelf("Vladivostok", "a", 9), shelf("Kazan", "a", 9), shelf("Moscow", "a", 1)]
    assert allocate([Units("a", 2)], shelves, "Tula") == Plan((Allocation("Kazan", "a", 2),), "Kazan")


def test_an_order_is_split_over_the_nearest_when_no_warehouse_has_everything() -> None:
    shelves = [shelf("Vladivostok", "b", 9), shelf("Kazan", "b", 2), shelf("Moscow", "a", 1)]
    plan = allocate([Units("a", 1), Units("b", 3)], shelves, "Moscow")
    assert plan == Plan((Allocation("Moscow", "a", 1), Allocation("Kazan", "b", 2), Allocation("Vladivostok", "b", 1)), "Moscow")


def test_too_little_everywhere_names_each_product_that_is_short() -> None:
    assert allocate([Units("a", 3), Units("b", 1), Units("c", 1)], [shelf("Moscow", "a", 2), shelf("Kazan", "b", 1)], "Moscow") == Shortage(("a", "c"))


@pytest.mark.parametrize("order", [1, -1])
def test_an_unknown_city_is_served_the_same_way_whatever_the_order_of_rows(order: int) -> None:
    shelves = [shelf("Kazan", "a", 5), shelf("Moscow", "a", 5)][::order]
    assert allocate([Units("a", 1)], shelves, "Atlantis") == Plan((Allocation("Kazan", "a", 1),), "Kazan")


def test_two_lines_of_a_product_are_one_wish() -> None:
    assert merged([Units("b", 1), Units("a", 1), Units("b", 2)]) == (Units("a", 1), Units("b", 3))


def test_returned_goods_go_home_and_what_nobody_gave_goes_elsewhere() -> None:
    gave = (Allocation("m", "a", 2), Allocation("k", "a", 1))
    assert back_home([Units("a", 3)], gave, "") == gave
    assert back_home([Units("a", 4)], gave, "") == (*gave, Allocation("m", "a", 1))
    assert back_home([Units("x", 1)], (), "v") == (Allocation("v", "x", 1),)


def test_cities_are_found_by_both_names_and_lie_where_they_should() -> None:
    moscow, petersburg = find_place(" МОСКВА "), find_place("saint  petersburg")
    assert moscow is not None
    assert petersburg is not None
    assert 620 < distance_km(moscow, petersburg) < 650
    assert find_place("Atlantis") is None
    assert len({name for names in PLACES for name in names}) == sum(map(len, PLACES))


warehouses = st.sampled_from(["Moscow", "Kazan", "Vladivostok", "Sochi"])
products = st.sampled_from(["a", "b", "c"])
stocks = st.dictionaries(st.tuples(warehouses, products), st.integers(1, 5), max_size=12)
wishes = st.dictionaries(products, st.integers(1, 8), min_size=1)


@given(stocks, wishes, st.sampled_from(["Moscow", "Omsk", "Atlantis"]))
def test_a_plan_gives_exactly_what_was_wanted_and_never_more_than_there_is(stock: dict[tuple[str, str], int], wish: dict[str, int], city: str) -> None:
    found = allocate([Units(p, q) for p, q in wish.items()], [shelf(w, p, q) for (w, p), q in stock.items()], city)
    totals = {product: sum(q for (_, p), q in stock.items() if p == product) for product in wish}
    short = tuple(sorted(product for product, quantity in wish.items() if totals[product] < quantity))
    if short:
        assert found == Shortage(short)
        return
    assert isinstance(found, Plan)
    given_out = {product: sum(a.quantity for a in found.allocations if a.product_id == product) for product in wish}
    assert given_out == wish
    assert all(0 < a.quantity <= stock[a.warehouse_id, a.product_id] for a in found.allocations)
