"""Tables of stock that something has changed are made what the log says, while people order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers.auditing import Auditor
from torg.contexts.inventory.tests.house import House, open_house
from torg.contexts.inventory.tests.test_auditing import faults, spoil
from torg.kit.auth import Identity, Role
from torg.kit.rebuilding import Rebuilt

OPERATOR = Identity("olga", frozenset({Role.SUPPORT}))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        await house.receive(house.moscow, apple=5, pear=2)
        await house.do(house.ask(apple=2))
        yield house


async def rebuild(house: House, *, dry_run: bool = False, reason: str = "") -> Rebuilt:
    found: Rebuilt = await house.do(c.RebuildStock(operator=OPERATOR, reason=reason, dry_run=dry_run))
    return found


async def test_nothing_is_changed_or_told_of_a_house_in_order(house: House) -> None:
    rebuilt = await rebuild(house)
    assert (rebuilt.looked, rebuilt.wrong) == (3, 0)
    assert await house.logged(c.StockMended) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update stock set on_hand = on_hand + 1 where product_id = 'pear'",
        "update stock set reserved = 3, on_hand = 6 where product_id = 'apple'",
        "update stock set reserved = -1, on_hand = 1 where product_id = 'pear'",
        "update stock set on_hand = 0 where product_id = 'apple'",
        "delete from stock where product_id = 'pear'",
        "update for_sale set available = 9 where product_id = 'apple'",
        "delete from for_sale where product_id = 'apple'",
        "update reservation set status = 'released', hold_until = null",
        "delete from reservation",
    ],
)
async def test_each_kind_of_damage_is_mended_and_told(house: House, statement: str) -> None:
    auditor = Auditor(house.deps)
    assert await faults(auditor) == set()
    before = {product: await house.stock(product) for product in ("apple", "pear")}
    await spoil(house, statement)
    planned = await rebuild(house, dry_run=True)
    assert planned.wrong > 0
    assert await house.logged(c.StockMended) == [], "it was only asked what would be changed"
    rebuilt = await rebuild(house, reason="somebody had been at the tables")
    assert rebuilt.changes == planned.changes
    assert {product: await house.stock(product) for product in ("apple", "pear")} == before
    assert (await house.available("apple"), await house.available("pear")) == (3, 2)
    assert await faults(auditor) == await faults(Auditor(house.deps)) == set()
    told = await house.logged(c.StockMended)
    assert len(told) == len(rebuilt.changes)
    assert {(event.reason, event.by) for event in told} == {("somebody had been at the tables", "olga")}
    assert (await rebuild(house)).wrong == 0


async def test_whoever_shows_stock_is_told_of_what_was_mended(house: House) -> None:
    await spoil(house, "update for_sale set available = 9 where product_id = 'apple'")
    await rebuild(house)
    assert (await house.logged(c.StockChanged))[-1] == c.StockChanged("apple", 3)


async def test_a_mended_reservation_goes_the_way_of_every_other(house: House) -> None:
    await house.do(house.confirm())
    await spoil(house, "update reservation set status = 'released'")
    await rebuild(house)
    await house.do(house.shipped())
    assert await house.stock("apple") == {house.moscow: (3, 0)}
    assert await faults(Auditor(house.deps)) == set()


async def test_what_the_log_itself_makes_impossible_is_left_to_people(house: House) -> None:
    async with house.deps.transaction() as tx:
        await tx.append("apple", [c.StockCorrected(warehouse_id=house.moscow, product_id="apple", quantity=-4, reason="a defect")])
    rebuilt = await rebuild(house)
    assert rebuilt.changes == ()
    assert rebuilt.left == (f"apple in {house.moscow}: the log itself says 2 reserved of 1: count what lies there and correct it",)


async def test_nothing_is_lost_that_is_ordered_meanwhile(house: House) -> None:
    await house.receive(house.kazan, **{f"p{number}": 50 for number in range(150)})
    await spoil(house, "update stock set on_hand = on_hand + 3 where product_id like 'p1%'")
    orders = [house.ask(f"many{number}", p1=1, p149=1) for number in range(30)]
    rebuilt, *_ = await asyncio.gather(rebuild(house), *map(house.do, orders))
    assert rebuilt.wrong > 0
    assert (await rebuild(house)).wrong == 0
    assert await faults(Auditor(house.deps)) == set()
    assert await house.stock("p149") == {house.kazan: (50, 30)}
