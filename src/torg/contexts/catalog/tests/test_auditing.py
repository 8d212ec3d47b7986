"""The audit notices what it is for."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.handlers.auditing import invariants
from torg.contexts.catalog.ports import ProductChange
from torg.contexts.catalog.tests.house import ADMIN, House, new_product, open_house, usd
from torg.contexts.inventory.contracts import StockChanged
from torg.kit.testing import faults_of


async def broken(house: House) -> dict[str, list[str]]:
    found = {one.name: await faults_of([one]) for one in invariants(house.deps, pause=0)}
    return {name: sentences for name, sentences in found.items() if sentences}


async def test_after_all_kinds_of_changes_everything_holds(house: House) -> None:
    house.follow()
    await house.stock(*(new_product(f"p{n}") for n in range(5)))
    await house.stock(new_product("p1", price=usd(1)))
    await house(c.ChangeProduct(product_id="p2", staff=ADMIN, price=usd(2)))
    await house(c.WithdrawProduct(product_id="p3", staff=ADMIN))
    await house.react(StockChanged("p4", 8))
    await house.caught_up()
    assert await broken(house) == {}


async def test_a_price_that_the_log_does_not_know_is_noticed(tmp_path: Path) -> None:
    async with open_house(tmp_path, documents_url="") as house:
        await house.stock(new_product("p1"), new_product("p2"))
        await house.feed.rebuild()
        (kept, _) = await house.deps.products.find_all(["p1", "p2"])
        async with house.store.transaction() as tx:
            await house.deps.products.save(tx, [replace(kept.product, price=usd(1), version=kept.product.version + 1)])
            await tx.execute("delete from product where id = 'p2'")
        found = await broken(house)
    assert found["catalog.prices"] == ["p1 is sold at 1, but the log says 500", "p2 was added, but is not in the store"]
    other = ["the search shows p1 other than it is: price 500, not 1", "the search shows p2, which is not on sale"]
    assert found["catalog.index"] == ["the search finds 2 products of 1 on sale", *other]


async def test_an_index_that_tells_another_stock_is_noticed(house: House) -> None:
    await house.stock(new_product("p1"))
    await house.feed.rebuild()
    await house.index.change([ProductChange(id="p1", quantity=9)])
    assert await broken(house) == {"catalog.index": ["the search shows p1 other than it is: in stock True, not False"]}
