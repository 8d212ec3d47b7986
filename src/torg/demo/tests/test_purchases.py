"""The year's purchases, households and promotions."""

from datetime import timedelta
from itertools import pairwise

import pytest

from torg.demo.purchases import CITIES, Purchase, households, promotions, purchases
from torg.demo.source import sold_lines


@pytest.fixture(scope="module")
def year() -> list[Purchase]:
    return list(purchases())


def test_baskets_come_in_time_order_and_once_each(year: list[Purchase]) -> None:
    assert all(earlier.at <= later.at for earlier, later in pairwise(year))
    assert len({purchase.basket_id for purchase in year}) == len(year)


def test_odd_lines_are_skipped_and_no_other(year: list[Purchase]) -> None:
    lines = [line for purchase in year for line in purchase.lines]
    assert len(lines) == sum(not line.odd for line in sold_lines()) < 75_000
    assert all(line.quantity >= 1 and line.price_cents >= 0 for line in lines)


def test_first_days_are_the_beginning_of_the_year(year: list[Purchase]) -> None:
    week = list(purchases(days=7))
    assert week == year[: len(week)]
    assert week[-1].at < year[0].at + timedelta(days=7) <= year[len(week)].at


def test_every_buyer_is_a_household_with_an_address_and_a_city(year: list[Purchase]) -> None:
    known = list(households())
    assert {purchase.household_id for purchase in year} == {household.id for household in known}
    assert len({household.email for household in known}) == len(known)
    assert {household.city for household in known} == {city.name for city in CITIES}
    assert sum(household.baskets for household in known) == len(year)
    assert list(households()) == known


def test_promotions_carry_a_campaigns_dates_and_products() -> None:
    known = promotions()
    assert len({promotion.code for promotion in known}) == len(known) >= 5
    assert {promotion.kind for promotion in known} == {"percent", "amount", "free_delivery"}
    assert all(promotion.starts < promotion.ends and promotion.products for promotion in known)
