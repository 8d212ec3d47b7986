"""The saga's way: reserving, releasing, confirming, shipping, returning; asked once, twice, and in the wrong order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.tests.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        await house.receive(house.moscow, apple=5, pear=2)
        await house.receive(house.kazan, apple=3, pear=9)
        yield house


async def test_reserving_holds_units_of_the_nearest_warehouse_and_tells_the_shop(house: House) -> None:
    (answer,) = await house.told(house.ask(apple=2))
    assert answer == c.ItemsReserved(order_id="o1", allocations=(c.Allocation(house.moscow, "apple", 2),), source="Moscow")
    assert await house.stock("apple") == {house.moscow: (5, 2), house.kazan: (3, 0)}
    assert await house.available("apple") == 6
    assert (await house.logged(c.StockChanged))[-1] == c.StockChanged("apple", 6)


async def test_reserving_twice_holds_once_and_answers_twice(house: House) -> None:
    (first,) = await house.told(house.ask(apple=2))
    (second,) = await house.told(house.ask(apple=2))
    assert isinstance(first, c.ItemsReserved)
    assert isinstance(second, c.ItemsReserved)
    assert (second.allocations, second.again, first.again) == (first.allocations, True, False)
    assert await house.available("apple") == 6


async def test_too_little_stock_is_told_by_product_and_holds_nothing(house: House) -> None:
    (answer,) = await house.told(house.ask(apple=9, pear=1, plum=1))
    assert isinstance(answer, c.ReservationFailed)
    assert answer.short == ("apple", "plum")
    assert (await house.available("apple"), await house.available("pear")) == (8, 11)


async def test_a_refused_reservation_stays_refused_when_stock_has_come(house: House) -> None:
    await house.do(house.ask(apple=9))
    await house.receive(house.moscow, apple=10)
    (answer,) = await house.told(house.ask(apple=9))
    assert isinstance(answer, c.ReservationFailed)
    assert await house.available("apple") == 18


async def test_what_one_warehouse_lacks_is_split_over_the_nearest(house: House) -> None:
    (answer,) = await house.told(house.ask(apple=6))
    assert isinstance(answer, c.ItemsReserved)
    assert set(answer.allocations) == {c.Allocation(house.moscow, "apple", 5), c.Allocation(house.kazan, "apple", 1)}
    assert answer.source == "Moscow"


async def test_one_warehouse_that_has_everything_goes_before_a_nearer_one_that_has_not(house: House) -> None:
    (answer,) = await house.told(house.ask(apple=1, pear=3))
    assert isinstance(answer, c.ItemsReserved)
    assert answer.source == "Kazan"


async def test_releasing_gives_back_and_a_second_release_gives_nothing_more(house: House) -> None:
    await house.do(house.ask(apple=6))
    assert await house.told(c.ReleaseItems("o1")) == [c.ItemsReleased("o1")]
    assert await house.told(c.ReleaseItems("o1")) == [c.ItemsReleased("o1")]
    assert await house.stock("apple") == {house.moscow: (5, 0), house.kazan: (3, 0)}
    assert await house.available("apple") == 8


async def test_a_reservation_that_comes_after_its_release_is_refused(house: House) -> None:
    assert await house.told(c.ReleaseItems("o1")) == [c.ItemsReleased("o1")]
    (answer,) = await house.told(house.ask(apple=1))
    assert isinstance(answer, c.ReservationFailed)
    assert await house.available("apple") == 8


async def test_an_unpaid_hold_runs_out_and_frees_its_units(house: House) -> None:
    await house.do(house.ask(apple=2))
    house.clock.advance(minutes=19)
    await house.expire()
    assert await house.available("apple") == 6
    house.clock.advance(minutes=1)
    await house.expire()
    await house.expire()
    assert await house.available("apple") == 8
    assert await house.logged(c.ReservationExpired) == [c.ReservationExpired("o1")]


async def test_a_flood_of_unpaid_holds_runs_out_at_once(house: House) -> None:
    await house.receive(house.moscow, plum=300)
    for number in range(250):
        await house.do(house.ask(f"o{number}", plum=1))
    house.clock.advance(minutes=21)
    await house.expire()
    assert await house.available("plum") == 300
    assert len(await house.logged(c.ReservationExpired)) == 250


async def test_a_confirmed_order_keeps_its_units_for_good(house: House) -> None:
    await house.do(house.ask(apple=2))
    assert await house.told(house.confirm()) == [c.ReservationSecured("o1")]
    assert await house.told(house.confirm()) == []
    house.clock.advance(days=9)
    await house.expire()
    assert await house.available("apple") == 6


async def test_confirming_after_expiry_holds_the_same_items_anew(house: House) -> None:
    await house.do(house.ask(apple=2))
    house.clock.advance(minutes=21)
    await house.expire()
    held, secured = await house.told(house.confirm())
    assert isinstance(held, c.ItemsReserved)
    assert secured == c.ReservationSecured("o1")
    assert await house.available("apple") == 6


async def test_confirming_after_expiry_says_so_when_the_items_are_gone(house: House) -> None:
    await house.do(house.ask(apple=2))
    house.clock.advance(minutes=21)
    await house.expire()
    await house.do(house.ask("o2", apple=7))
    assert await house.told(house.confirm()) == [c.ReservationExpired("o1", gone=True)]
    assert await house.available("apple") == 1


async def test_shipping_takes_the_units_out_of_the_house_once(house: House) -> None:
    await house.do(house.ask(apple=6))
    await house.do(house.confirm())
    assert [type(event) for event in await house.told(house.shipped())] == [c.ItemsShipped]
    assert await house.told(house.shipped()) == []
    assert await house.stock("apple") == {house.moscow: (0, 0), house.kazan: (2, 0)}
    assert await house.available("apple") == 2


async def test_shipping_heard_of_before_the_confirmation_counts_once(house: House) -> None:
    await house.do(house.ask(apple=2))
    await house.do(house.shipped())
    assert await house.told(house.confirm()) == []
    assert await house.stock("apple") == {house.moscow: (3, 0), house.kazan: (3, 0)}


async def test_what_was_shipped_is_not_given_back_by_a_release(house: House) -> None:
    await house.do(house.ask(apple=2))
    await house.do(house.shipped())
    assert await house.told(c.ReleaseItems("o1")) == [c.ItemsReleased("o1")]
    assert await house.available("apple") == 6


async def test_returned_goods_go_back_to_where_they_came_from_once(house: House) -> None:
    await house.do(house.ask(apple=6))
    await house.do(house.shipped())
    restock = c.RestockItems(order_id="o1", return_id="r1", lines=(c.Units("apple", 6),))
    (answer,) = await house.told(restock)
    assert isinstance(answer, c.ItemsRestocked)
    assert set(answer.allocations) == {c.Allocation(house.moscow, "apple", 5), c.Allocation(house.kazan, "apple", 1)}
    assert await house.told(restock) == [c.ItemsRestocked("o1", "r1")]
    assert await house.available("apple") == 8
