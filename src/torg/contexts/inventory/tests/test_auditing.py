"""The audit finds what is wrong, and nothing where all is right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers import stock
from torg.contexts.inventory.handlers.auditing import Auditor
from torg.contexts.inventory.tests.house import House, open_house
from torg.kit.testing import Held, drop_checks


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        await house.receive(house.moscow, apple=5, pear=2)
        await house.do(house.ask(apple=2))
        yield house


async def faults(auditor: Auditor) -> set[str]:
    return {invariant.name for invariant in auditor.invariants() if await invariant.check()}


async def spoil(house: House, statement: str) -> None:
    async with house.deps.transaction() as tx:
        await drop_checks(tx, house.store.database)
        await tx.execute(statement)


async def test_a_shop_in_order_has_no_faults_at_any_time(house: House) -> None:
    auditor = Auditor(house.deps)
    for message in (house.confirm(), house.shipped(), c.RestockItems(order_id="o1", return_id="r", lines=(c.Units("apple", 1),)), house.ask("o2", pear=1)):
        await house.do(message)
        assert await faults(auditor) == set()
    house.clock.advance(minutes=21)
    assert await faults(auditor) == set()
    await house.do(c.MoveStock(product_id="apple", warehouse_id=house.moscow, quantity=-1, reason="broken"))
    await house.expire()
    assert await faults(auditor) == await faults(Auditor(house.deps)) == set()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("update stock set on_hand = on_hand + 1 where product_id = 'pear'", {"inventory.adds_up", "inventory.within_bounds"}),
        ("update stock set reserved = 3, on_hand = 6 where product_id = 'apple'", {"inventory.adds_up"}),
        ("update stock set reserved = -1, on_hand = 1 where product_id = 'pear'", {"inventory.adds_up", "inventory.within_bounds"}),
        ("update for_sale set available = 9 where product_id = 'apple'", {"inventory.within_bounds"}),
        ("update reservation set status = 'released', hold_until = null", {"inventory.adds_up"}),
        ("update reservation set hold_until = '2026-03-01T11:58:59.000000Z'", {"inventory.holds_end"}),
    ],
)
async def test_each_kind_of_damage_is_found(house: House, statement: str, found: set[str]) -> None:
    await spoil(house, statement)
    assert await faults(Auditor(house.deps)) == found


async def test_a_fault_is_told_until_it_is_mended(house: House) -> None:
    auditor = Auditor(house.deps)
    await spoil(house, "update stock set on_hand = on_hand + 1 where product_id = 'apple'")
    assert "inventory.adds_up" in await faults(auditor)
    assert "inventory.adds_up" in await faults(auditor)
    await spoil(house, "update stock set on_hand = on_hand - 1 where product_id = 'apple'")
    assert await faults(auditor) == set()


async def test_what_another_transaction_is_still_writing_is_counted_when_it_is_there(house: House) -> None:
    """On an engine with parallel writers rows may appear before others that were seen already."""
    auditor = Auditor(house.deps)
    assert await faults(auditor) == set()
    other = await Held(house.store, lambda tx: stock.receive(tx, house.kazan, (c.Units("plum", 7),), "late", house.deps)).done()
    await house.receive(house.moscow, apple=3)
    await house.do(house.ask("o2", pear=1))
    for _ in range(2):
        assert await faults(auditor) == set()
    await other.commit()
    await house.receive(house.kazan, plum=1)
    assert await faults(auditor) == await faults(Auditor(house.deps)) == set()
