"""Orders over two databases: a buyer cannot tell, staff see all of them, and a user who is moved loses nothing and buys nothing twice."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio

from tests.shop import Shop, fresh, open_shop
from tests.shop.holding import everything_holds
from tests.shop.people import Buyer, deliver
from tests.shop.streams import listening
from torg import compose
from torg.contexts.cart.contracts import GetQuote, Quote
from torg.kit.calls import Handle
from torg.kit.settings import BadSettings, Settings
from torg.kit.shards import FRESH_SECONDS, SLOTS, Placement, ShardMap, shard_of_id, slot_of
from torg.kit.testing.postgres import own_base, postgres_url

__all__ = ["postgres_url"]
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with own_base(postgres_url) as first, own_base(postgres_url) as second:
        folder = tmp_path_factory.mktemp("shards")
        async with open_shop(folder, db="", databases={"order": f"{first} {second}"}, response_cache=False) as opened:
            yield opened
            await everything_holds(opened)


def shards(shop: Shop) -> ShardMap:
    return shop.app.shards["order"].map


async def buyers(shop: Shop) -> tuple[Buyer, Buyer]:
    """One whose orders go to the first database, and one whose go to the second."""
    found: dict[int, Buyer] = {}
    while len(found) < 2:
        buyer = await shop.buyer(1_000_000)
        found[(await shards(shop).of(buyer.user_id)).shard] = buyer
    return found[0], found[1]


async def kept(shop: Shop, shard: int) -> set[str]:
    """Orders that lie in a database."""
    store = shop.app.stores["order" if shard == 0 else f"order~{shard}"]
    return {row["id"] for row in await store.database.all("select id from orders")}


async def test_orders_lie_in_the_database_of_their_buyer_and_go_all_the_way(shop: Shop):
    for shard, buyer in enumerate(await buyers(shop)):
        order_id = await buyer.bought(shop.product(), 2)
        assert shard_of_id(order_id, 2) == shard
        assert order_id in await kept(shop, shard)
        assert order_id not in await kept(shop, 1 - shard)
        assert [order["id"] for order in (await buyer.get("/orders")).json["items"]] == [order_id]
        assert (await buyer.get(f"/orders/{order_id}/saga")).json["status"] == "completed"
        assert len((await buyer.get(f"/orders/{order_id}/events")).json["items"]) >= 4


async def test_they_are_delivered_sent_back_and_cancelled(shop: Shop):
    courier = await shop.staff("courier")
    for buyer in await buyers(shop):
        product = shop.product()
        order_id = await buyer.bought(product, 2)
        await deliver(courier, buyer, order_id)
        cancelled = await buyer.bought(shop.product())
        assert (await buyer.cancel(cancelled)).status == 202
        await buyer.sees(cancelled, "cancelled")


async def test_an_open_stream_follows_an_order_of_either(shop: Shop):
    for buyer in await buyers(shop):
        order_id = await buyer.bought(shop.product())
        async with listening(shop, buyer, f"/orders/{order_id}/stream") as stream:
            assert [(await stream.next())[2]["status"] for _ in range(4)] == ["pending", "reserved", "paid", "confirmed"]


async def test_nobody_sees_anothers_order_wherever_it_lies(shop: Shop):
    first, second = await buyers(shop)
    for owner, other in ((first, second), (second, first)):
        order_id = await owner.bought(shop.product())
        assert (await other.get(f"/orders/{order_id}")).status == 404


async def test_a_repeated_request_is_answered_as_the_first_was(shop: Shop):
    for buyer in await buyers(shop):
        await buyer.put_in_cart(shop.product())
        key = fresh()
        first = await buyer.check_out(key=key)
        again = await buyer.check_out(key=key)
        assert (first.status, again.status, again.json) == (202, 202, first.json)
        assert again.headers["idempotent-replayed"] == "true"
        await buyer.sees(first.json["id"], "confirmed")


async def test_staff_see_the_orders_of_both_page_by_page(shop: Shop):
    for buyer in await buyers(shop):
        for _ in range(2):
            await buyer.bought(shop.product())
    support, seen, cursor = await shop.staff("support"), list[Any](), ""
    while True:
        page = (await support.get("/admin/orders", limit=3, cursor=cursor)).json
        seen += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
        assert len(page["items"]) == 3
    ids = [order["id"] for order in seen]
    assert set(ids) == await kept(shop, 0) | await kept(shop, 1)
    assert len(ids) == len(set(ids))
    assert [order["created_date"] for order in seen] == sorted((order["created_date"] for order in seen), reverse=True)
    sagas = (await support.get("/admin/sagas", limit=100)).json["items"]
    assert {saga["order_id"] for saga in sagas} >= set(ids)


# ---------------------------------------------------------------- moving


async def moved(shop: Shop, buyer: Buyer, to: int) -> None:
    """As `torg shards move` does it; the map is not waited for as long as beside other processes."""

    async def wait(_: float) -> None:
        await asyncio.sleep(FRESH_SECONDS + 0.1)

    await shards(shop).move(buyer.user_id, to, wait)
    await asyncio.sleep(FRESH_SECONDS + 0.1)


async def test_a_user_who_is_moved_keeps_old_orders_and_places_new_ones_elsewhere(shop: Shop):
    buyer, _ = await buyers(shop)
    old = await buyer.bought(shop.product())
    await moved(shop, buyer, 1)
    new = await buyer.bought(shop.product())
    assert (shard_of_id(old, 2), shard_of_id(new, 2)) == (0, 1)
    assert [order["id"] for order in (await buyer.get("/orders")).json["items"]] == [new, old]
    first = (await buyer.get("/orders", limit=1)).json
    assert [order["id"] for order in first["items"]] == [new]
    assert [order["id"] for order in (await buyer.get("/orders", limit=1, cursor=first["next_cursor"])).json["items"]] == [old]
    assert (await buyer.cancel(old)).status == 202
    await buyer.sees(old, "cancelled")
    await moved(shop, buyer, 0)
    assert shard_of_id(await buyer.bought(shop.product()), 2) == 0


async def test_who_is_being_moved_is_asked_to_wait_and_may_look_meanwhile(shop: Shop):
    buyer, _ = await buyers(shop)
    old = await buyer.bought(shop.product())
    await buyer.put_in_cart(shop.product())
    halfway, go = asyncio.Event(), asyncio.Event()

    async def wait(_: float) -> None:
        halfway.set()
        await go.wait()

    moving = asyncio.create_task(shards(shop).move(buyer.user_id, 1, wait))
    await halfway.wait()
    await asyncio.sleep(FRESH_SECONDS + 0.1)
    refused = await buyer.check_out()
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert [order["id"] for order in (await buyer.get("/orders")).json["items"]] == [old]
    go.set()
    await moving
    await asyncio.sleep(FRESH_SECONDS + 0.1)
    reply = await buyer.check_out()
    assert reply.status == 202
    await buyer.sees(reply.json["id"], "confirmed")


@contextmanager
def cart_again(shop: Shop, cart_id: str) -> Iterator[None]:
    """Quotes are of this cart, whichever it is now."""
    handlers = cast("dict[Any, Handle]", shop.app.call._handlers)
    quote = handlers[GetQuote]

    async def of_that_cart(query: GetQuote) -> Quote:
        found: Quote = await quote(query)
        return msgspec.structs.replace(found, cart_id=cart_id)

    handlers[GetQuote] = of_that_cart
    try:
        yield
    finally:
        handlers[GetQuote] = quote


async def test_a_cart_that_was_ordered_before_a_move_is_not_ordered_again_after_it(shop: Shop):
    """As when it could not be closed yet."""
    buyer, _ = await buyers(shop)
    product = shop.product()
    cart = await buyer.put_in_cart(product)
    placed = await buyer.check_out()
    await buyer.sees(placed.json["id"], "confirmed")
    await moved(shop, buyer, 1)
    await buyer.put_in_cart(product)
    with cart_again(shop, cart["id"]):
        again = await buyer.check_out()
    assert (again.status, again.json["code"]) == (409, "cart.already_ordered")


async def test_a_user_who_is_moved_while_they_buy_has_every_cart_ordered_once(shop: Shop):
    buyer, _ = await buyers(shop)
    product, carts, placed, refused = shop.product(), list[str](), list[str](), 0
    await shop.set_stock(product, 500)

    async def buy() -> None:
        nonlocal refused
        carts.append((await buyer.put_in_cart(product))["id"])
        replies = await asyncio.gather(*(buyer.check_out() for _ in range(3)))
        placed.extend(reply.json["id"] for reply in replies if reply.status == 202)
        refused += sum(reply.status == 503 for reply in replies)

    await buy()
    moving = asyncio.create_task(moved(shop, buyer, 1))
    async with asyncio.timeout(120):
        while not moving.done() or {shard_of_id(order_id, 2) for order_id in placed} != {0, 1}:
            await buy()
    await moving
    for order_id in placed:
        await buyer.sees(order_id, "confirmed")
    ordered = [row["bucket_id"] for name in ("order", "order~1") for row in await shop.app.stores[name].database.all("select bucket_id from orders")]
    assert refused > 0, "they were never in between"
    assert all(ordered.count(cart) <= 1 for cart in carts)
    assert len(placed) == len(set(placed)) == sum(ordered.count(cart) for cart in set(carts))


# ---------------------------------------------------------------- the map


async def test_the_command_shows_and_changes_the_map(shop: Shop, tmp_path: Path):
    databases = shop.app.settings.databases["order"]

    async def told(*words: str, **more: str) -> tuple[int | None, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
        environment |= {"TORG_ORDER_DB": databases, "TORG_DATA": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), **more}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "torg", "shards", *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    user = fresh()
    assert await told("move", "--user", user, "--to", "1") == (0, f"new orders of user {user} go to shard 1 now\n")
    status, said = await told("show")
    assert status == 0
    assert "slots 0-" in said
    assert f"user {user}: shard 1" in said
    assert await told("move", "--to", "1") == (1, "torg: say whom to move: --user ID, or --slots FIRST-LAST\n")
    assert await told("move", "--user", user, "--to", "2") == (1, "torg: there is no shard 2: there are 2, from 0\n")
    status, said = await told("show", TORG_ORDER_DB=databases.split()[0])
    assert (status, said) == (1, "torg: TORG_ORDER_DB names one database at most: there is nothing to tell apart\n")


async def test_slots_are_moved_as_ranges(shop: Shop):
    slots, _ = await shards(shop).read()
    assert [placed.shard for placed in slots].count(0) == SLOTS // 2

    async def wait(_: float) -> None: ...

    await shards(shop).move(range(100, 200), 1, wait)
    slots, _ = await shards(shop).read()
    assert slots[99] == Placement(0)
    assert slots[100] == slots[199] == Placement(1, (0,))
    await shards(shop).move(range(100, 200), 0, wait)
    slots, _ = await shards(shop).read()
    assert slots[150].all == (0, 1)
    with pytest.raises(ValueError, match="there is no shard 2: there are 2"):
        await shards(shop).move(range(1), 2, wait)


async def test_users_fall_evenly_into_slots():
    slots = [slot_of(f"user {number}") for number in range(10_000)]
    assert 0.45 < sum(slot < SLOTS // 2 for slot in slots) / len(slots) < 0.55
    assert slot_of("user 1") == slot_of("user 1")


@pytest.mark.parametrize("context", ["payment", "inventory"])
async def test_what_cannot_be_spread_is_refused(postgres_url: str, tmp_path: Path, context: str):
    async with own_base(postgres_url) as first, own_base(postgres_url) as second:
        with pytest.raises(BadSettings, match=f"TORG_{context.upper()}_DB names 2 databases, but what {context} keeps can't be spread"):
            await compose.compose(Settings(data=str(tmp_path), databases={context: f"{first} {second}"}), [context])
