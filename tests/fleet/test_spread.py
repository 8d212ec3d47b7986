"""Orders over two databases, in processes of their own: everybody else follows both logs, and staff see both desks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shop.afar import FarShop, open_far_shop
from tests.shop.holding import everything_holds
from tests.shop.people import Buyer
from torg.contexts.order.contracts import OrderConfirmed
from torg.kit.shards import shard_of_id
from torg.kit.testing.postgres import own_base, postgres_url

__all__ = ["postgres_url"]
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def bought(shop: FarShop) -> dict[int, tuple[Buyer, str]]:
    """An order in each database."""
    found: dict[int, tuple[Buyer, str]] = {}
    for _ in range(20):
        buyer = await shop.buyer(1_000_000)
        order_id = await buyer.bought(shop.product())
        found[shard_of_id(order_id, 2)] = buyer, order_id
        if len(found) == 2:
            break
    return found


async def test_orders_of_both_databases_go_all_the_way_and_are_looked_after(postgres_url: str, tmp_path: Path):
    async with (
        own_base(postgres_url) as first,
        own_base(postgres_url) as second,
        open_far_shop(tmp_path, "order/payment", databases={"order": f"{first} {second}"}) as shop,
    ):
        orders = await bought(shop)
        assert set(orders) == {0, 1}
        operator = await shop.staff("admin")
        for buyer, order_id in orders.values():
            assert (await buyer.cancel(order_id)).status == 202
            await buyer.sees(order_id, "cancelled")
            rows = (await operator.get("/admin/events", context="order", stream=order_id)).json["items"]
            assert OrderConfirmed.NAME in {row["name"] for row in rows}
        await everything_holds(shop)
        consumers = (await operator.get("/admin/consumers")).json["items"]
        assert {"order", "order~1"} <= {consumer["context"] for consumer in consumers}
