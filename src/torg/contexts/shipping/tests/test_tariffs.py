"""What delivery costs, where to, and up to which weight."""

from __future__ import annotations

import pytest

from torg.contexts.shipping.contracts import DeliveryQuote
from torg.contexts.shipping.model.tariffs import FAR, POINTS, ZONES, points_in, quotes, zone_of


def by_method(city: str, grams: int = 1000) -> dict[str, DeliveryQuote]:
    return {quote.method: quote for quote in quotes(city, grams, "RUB")}


def test_a_light_parcel_within_the_city_has_all_three_ways() -> None:
    found = by_method("Moscow")
    assert {method: quote.price.amount for method, quote in found.items()} == {"courier": 299, "pickup": 99, "post": 199}
    assert found["pickup"].pickup_points
    assert all(quote.days_min <= quote.days_max for quote in found.values())


def test_farther_is_dearer_and_slower() -> None:
    near, far = by_method("Moscow"), by_method("Vladivostok")
    assert all(near[method].price < far[method].price and near[method].days_max < far[method].days_max for method in near)


def test_each_kilogram_begun_beyond_what_is_included_costs_more() -> None:
    prices = [by_method("Moscow", grams)["courier"].price.amount for grams in (5000, 5001, 6000, 6001)]
    assert prices == [299, 329, 329, 359]


def test_a_city_in_no_table_is_reached_at_the_far_tariff_but_has_no_counter() -> None:
    assert zone_of("Ouagadougou") == FAR
    assert set(by_method("Ouagadougou")) == {"courier", "post"}


@pytest.mark.parametrize(("grams", "methods"), [(30_000, {"courier", "pickup", "post"}), (30_001, {"courier"}), (200_001, set())])
def test_heavy_parcels_have_fewer_ways(grams: int, methods: set[str]) -> None:
    assert set(by_method("Moscow", grams)) == methods


@pytest.mark.parametrize("name", ["Санкт-Петербург", " saint  petersburg ", "St. Petersburg", "SAINT PETERSBURG"])
def test_a_city_is_known_by_its_names_in_both_languages(name: str) -> None:
    assert zone_of(name) == 1
    assert points_in(name)


def test_every_counter_stands_in_a_city_of_the_table_and_can_be_found_by_it() -> None:
    for point in POINTS.values():
        assert point in points_in(point.address.city)


def test_no_city_is_in_two_zones() -> None:
    names = [name for zone in ZONES.values() for name in zone]
    assert len(names) == len(set(names))
