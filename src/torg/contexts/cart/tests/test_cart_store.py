"""What every CartStore must do. A new adapter joins by its name in `STORES`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from torg.contexts.cart.adapters.store_redis import RedisCartStore
from torg.contexts.cart.adapters.store_sql import SqlCartStore
from torg.contexts.cart.contracts import OrderedLine
from torg.contexts.cart.model import Cart, Line, closed, put
from torg.contexts.cart.ports import CartStore, Owner
from torg.contexts.cart.tests.house import CONTRACTS, MIGRATIONS
from torg.kit.errors import DomainError
from torg.kit.messages import Registry
from torg.kit.store import Store
from torg.kit.testing import TestClock, open_store
from torg.kit.testing.redis import emptied
from torg.kit.values import Money, new_id

ANNA, GUEST = Owner("user", "00000000-0000-7000-8000-00000000a11a"), Owner("guest", "00000000-0000-7000-8000-0000000e0e57")
ORDER = "00000000-0000-7000-8000-0000000b0de5"
CUP = Line("cup", 1, "Cup", "Чашка", Money(100, "USD"))
TEA = Line("tea", 2, "Green tea", "Зелёный чай", Money(250, "USD"))


STORES = ("sql", "redis")


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def store(tmp_path: Path, clock: TestClock) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "cart", clock, Registry(CONTRACTS), MIGRATIONS) as opened:
        yield opened


@pytest.fixture
def sql_carts(store: Store) -> CartStore:
    return SqlCartStore(store)


@pytest.fixture
async def redis_carts(store: Store, redis_url: str) -> AsyncIterator[CartStore]:
    async with emptied(redis_url) as redis:
        yield RedisCartStore(redis, store, new_id)


@pytest.fixture(params=STORES)
def carts(request: pytest.FixtureRequest) -> CartStore:
    carts: CartStore = request.getfixturevalue(f"{request.param}_carts")
    return carts


def filled(cart: Cart) -> Cart:
    return Cart(cart.id, (TEA,), "SPRING")


async def test_an_unknown_cart_is_empty_and_named_after_its_owner(carts: CartStore) -> None:
    assert await carts.find(GUEST) == Cart(GUEST.id)


async def test_a_change_is_found_again_whole(carts: CartStore) -> None:
    assert await carts.change(ANNA, filled) == Cart(ANNA.id, (TEA,), "SPRING")
    assert await carts.find(ANNA) == Cart(ANNA.id, (TEA,), "SPRING")


async def test_the_same_id_of_another_kind_is_another_cart(carts: CartStore) -> None:
    await carts.change(ANNA, filled)
    assert await carts.find(Owner("guest", ANNA.id)) == Cart(ANNA.id)


async def test_giving_the_same_cart_back_writes_nothing(sql_carts: CartStore, clock: TestClock) -> None:
    await sql_carts.change(GUEST, filled)
    clock.advance(days=1)
    await sql_carts.change(GUEST, lambda cart: cart)
    assert await sql_carts.purge(clock(), 10) == 1, "its last change is a day ago"


async def test_a_decision_that_raises_changes_nothing(carts: CartStore) -> None:
    def refuse(_: Cart) -> Cart:
        raise DomainError("no", "no")

    await carts.change(ANNA, filled)
    with pytest.raises(DomainError):
        await carts.change(ANNA, refuse)
    assert await carts.find(ANNA) == Cart(ANNA.id, (TEA,), "SPRING")


@pytest.mark.race
async def test_changes_that_race_all_take_effect(carts: CartStore) -> None:
    async def add(number: int) -> None:
        await carts.change(ANNA, lambda cart: put(cart, Line(str(number), 1, "", "", Money(1, "USD"))))

    await asyncio.gather(*(add(number) for number in range(50)))
    assert {line.product_id for line in (await carts.find(ANNA)).lines} == {str(number) for number in range(50)}


@pytest.mark.race
async def test_a_cart_that_is_moved_by_many_arrives_once(carts: CartStore) -> None:
    await carts.change(GUEST, filled)
    await asyncio.gather(*(carts.move(GUEST, ANNA, lambda own, other: Cart(own.id, own.lines + other.lines)) for _ in range(20)))
    assert (await carts.find(ANNA)).lines == (TEA,)
    assert await carts.find(GUEST) == Cart(GUEST.id)


async def test_moving_what_is_not_there_leaves_the_target_alone(carts: CartStore) -> None:
    await carts.change(ANNA, filled)
    await carts.move(GUEST, ANNA, lambda own, _: Cart(own.id))
    assert (await carts.find(ANNA)).lines == (TEA,)


async def test_what_is_noted_as_ordered_is_not_in_the_cart_to_order(carts: CartStore, store: Store) -> None:
    await carts.change(ANNA, filled)
    await carts.change(ANNA, lambda cart: closed(cart, ANNA.id, (OrderedLine("tea", 2),), ORDER))
    async with store.transaction() as tx:
        await carts.note_ordered(tx, ANNA.id, ANNA.id, ORDER, (OrderedLine("tea", 2),))
    await carts.change(ANNA, lambda cart: put(cart, CUP))
    assert await carts.find_to_order(ANNA) == await carts.find(ANNA) == Cart(ORDER, (CUP,))


async def test_forgetting_twice_is_harmless(carts: CartStore) -> None:
    await carts.change(ANNA, filled)
    await carts.forget(ANNA)
    await carts.forget(ANNA)
    assert await carts.find(ANNA) == Cart(ANNA.id)


async def test_purging_takes_guests_carts_alone_the_oldest_first_and_no_more_than_asked(sql_carts: CartStore, clock: TestClock) -> None:
    for number in range(3):
        await sql_carts.change(Owner("guest", f"g-{number}"), filled)
        clock.advance(hours=1)
    await sql_carts.change(ANNA, filled)
    before = clock() - timedelta(hours=1)
    assert await sql_carts.purge(before, 1) == 1
    assert (await sql_carts.find(Owner("guest", "g-0"))).lines == ()
    assert await sql_carts.purge(before, 10) == 1
    assert (await sql_carts.find(Owner("guest", "g-2"))).lines == (TEA,)
    assert await sql_carts.purge(clock() + timedelta(days=1), 10) == 1
    assert (await sql_carts.find(ANNA)).lines == (TEA,)
