"""What carts in Redis do when Redis loses some of them, takes changes back, or is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from torg.contexts.cart import contracts as c
from torg.contexts.cart.adapters.store_redis import RedisCartStore
from torg.contexts.cart.adapters.store_sql import SqlCartStore
from torg.contexts.cart.model import Line, put
from torg.contexts.cart.ports import Owner
from torg.contexts.cart.tests.house import ANNA, GUEST, House, open_house, quantities
from torg.contexts.cart.tests.test_carts import close, placed, quote
from torg.kit.errors import Unavailable
from torg.kit.ports import free_port
from torg.kit.redis import Redis, key
from torg.kit.testing.redis import emptied
from torg.kit.values import Money, new_id

ORDER = "00000000-0000-7000-8000-0000000b0de5"
LATER = "00000000-0000-7000-8000-0000000b0de6"
HERS = key("cart", "user", ANNA.user_id)


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Client]:
    async with Client.from_url(redis_url) as client:
        yield client


async def order(house: House, order_id: str) -> c.Quote:
    """As the buyer's request and the bus do."""
    quoted = await quote(house)
    await house.ask(close(quoted, order_id))
    await house.tell(placed(quoted, order_id))
    return quoted


async def test_a_lost_cart_is_an_empty_one_and_can_be_ordered_from_again(redis_house: House, raw: Client) -> None:
    house = redis_house
    house.market.sell("1", 250)
    ordered: list[str] = []
    for number in (ORDER, LATER):
        await house.put("1", 2)
        ordered.append((await order(house, number)).cart_id)
        await house.put("1", 1)
        await raw.flushall()
        assert (await house.cart()).items == ()
        assert (await house.cart()).id == number
    await house.put("1", 3)
    again = await quote(house)
    assert [line.quantity for line in again.lines] == [3]
    assert again.cart_id not in ordered, "a cart is ordered once"


async def test_an_order_whose_cart_is_lost_is_told_all_the_same(redis_house: House, raw: Client) -> None:
    house = redis_house
    house.market.sell("1", 250)
    await house.put("1", 2)
    quoted = await quote(house)
    await raw.flushall()
    await house.tell(placed(quoted, ORDER))
    assert (await house.cart()).id == ORDER


async def test_what_was_ordered_is_not_ordered_again_when_its_closing_was_lost(redis_house: House, raw: Client) -> None:
    house = redis_house
    house.market.sell("1", 250)
    house.market.sell("2", 100)
    await house.put("1", 2)
    before = await raw.dump(HERS) or b""
    first = await order(house, ORDER)
    await raw.restore(HERS, 60_000, before, replace=True)
    assert (await quote(house)).lines == ()
    await raw.restore(HERS, 60_000, before, replace=True)
    await house.put("1", 5)
    await house.put("2", 1)
    second = await quote(house)
    assert second.cart_id == ORDER != first.cart_id
    assert {line.product_id: line.quantity for line in second.lines} == {"1": 3, "2": 1}
    assert quantities(await house.cart()) == {"1": 3, "2": 1}


async def test_a_cart_from_before_several_orders_is_not_ordered_again(redis_house: House, raw: Client) -> None:
    house = redis_house
    house.market.sell("1", 250)
    await house.put("1", 2)
    before = await raw.dump(HERS) or b""
    await order(house, ORDER)
    await house.put("1", 1)
    await order(house, LATER)
    await raw.restore(HERS, 60_000, before, replace=True)
    quoted = await quote(house)
    assert (quoted.cart_id, quoted.lines) == (LATER, ())


async def test_a_cart_that_follows_an_order_the_bus_has_yet_to_tell_is_left_alone(redis_house: House) -> None:
    house = redis_house
    house.market.sell("1", 250)
    await house.put("1", 2)
    await order(house, ORDER)
    await house.put("1", 1)
    await house.ask(close(await quote(house), LATER))
    await house.put("1", 4)
    quoted = await quote(house)
    assert (quoted.cart_id, [line.quantity for line in quoted.lines]) == (LATER, [4])


@pytest.mark.race
async def test_processes_that_change_one_cart_lose_nothing(redis_house: House, redis_url: str) -> None:
    owner, others = Owner("user", ANNA.user_id), [Redis(redis_url) for _ in range(3)]
    stores = [RedisCartStore(redis, redis_house.deps.store, new_id) for redis in others]

    async def add(number: int) -> None:
        await stores[number % 3].change(owner, lambda cart: put(cart, Line(str(number), 1, "", "", Money(1, "USD"))))

    await asyncio.gather(*(add(number) for number in range(60)))
    assert {line.product_id for line in (await stores[0].find(owner)).lines} == {str(number) for number in range(60)}
    for redis in others:
        await redis.close()


async def test_carts_go_when_nobody_has_changed_them_for_long(redis_house: House, raw: Client) -> None:
    house, day = redis_house, 86_400
    house.market.sell("1", 250)
    await house.put("1")
    await house.put("1", by=None, guest=GUEST)
    assert await raw.ttl(HERS) == pytest.approx(180 * day, abs=60)
    assert await raw.ttl(key("cart", "guest", GUEST)) == pytest.approx(30 * day, abs=60)
    await house.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=ANNA.user_id))
    assert await raw.ttl(HERS) == pytest.approx(180 * day, abs=60)


async def test_carts_that_sql_kept_before_are_taken_over(sql_house: House, redis_url: str) -> None:
    house = sql_house
    house.market.sell("1", 250)
    await house.put("1", 2)
    await house.ask(close(await quote(house), ORDER))
    await house.put("1", 3)
    await house.put("1", 4, by=None, guest=GUEST)
    async with emptied(redis_url) as redis:
        carts = RedisCartStore(redis, house.deps.store, new_id)
        for _ in range(2):
            await carts.adopt()
        assert [line.quantity for line in (await carts.find(Owner("user", ANNA.user_id))).lines] == [3]
        assert [line.quantity for line in (await carts.find(Owner("guest", GUEST))).lines] == [4]
        await carts.forget(Owner("guest", GUEST))
        await redis.drop(HERS)
        assert (await carts.find(Owner("user", ANNA.user_id))).id == ORDER, "never the id of a cart that was ordered"
    assert (await SqlCartStore(house.deps.store).find(Owner("user", ANNA.user_id))).lines == ()


async def test_a_cart_is_unavailable_while_redis_is(tmp_path: Path) -> None:
    redis = Redis(f"redis://127.0.0.1:{free_port()}/0")
    async with open_house(tmp_path, redis) as house:
        house.market.sell("1", 250)
        for ask in (house.cart, lambda: house.put("1"), lambda: quote(house)):
            with pytest.raises(Unavailable):
                await ask()
    await redis.close()
