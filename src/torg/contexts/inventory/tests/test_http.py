"""Stock as clients see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.inventory.handlers import HANDLERS
from torg.contexts.inventory.routes import routes
from torg.contexts.inventory.tests.house import House, open_house
from torg.kit.auth import Identity, Role
from torg.kit.testing.http import Client, edge

PEOPLE = {"keeper": Identity("k", frozenset({Role.WAREHOUSE})), "buyer": Identity("b", frozenset({Role.CUSTOMER}))}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, offers=("apple", "pear")) as house:
        await house.receive(house.moscow, apple=5)
        yield house


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    client = Client(edge(house.deps, HANDLERS, routes(), PEOPLE))
    yield client
    await client.app.close()


async def test_a_guest_sees_a_number_and_a_keeper_the_shelves(client: Client, house: House) -> None:
    assert (await client("", "GET", "/inventory/apple")).json == {"product_id": "apple", "available": 5}
    assert (await client("buyer", "GET", "/inventory/nothing")).json == {"product_id": "nothing", "available": 0}
    seen = (await client("keeper", "GET", "/inventory/pear")).json
    assert seen["on_hand"] == seen["reserved"] == 0
    assert seen["by_warehouse"][0] == {"warehouse_id": house.moscow, "on_hand": 0, "reserved": 0, "available": 0}


async def test_a_movement_with_the_same_key_counts_once(client: Client, house: House) -> None:
    body = {"warehouse_id": house.moscow, "quantity": -2, "reason": "correction"}
    first = await client("keeper", "POST", "/inventory/apple/movements", body, idempotency_key="k1")
    second = await client("keeper", "POST", "/inventory/apple/movements", body, idempotency_key="k1")
    assert (first.status, second.status, first.body) == (201, 201, second.body)
    assert (await client("", "GET", "/inventory/apple")).json["available"] == 3


@pytest.mark.parametrize(
    ("who", "product", "change", "status"),
    [
        ("", "apple", {}, 401),
        ("buyer", "apple", {"warehouse_id": "x"}, 403),
        ("keeper", "apple", {"warehouse_id": "x"}, 404),
        ("keeper", "nothing", {}, 404),
        ("keeper", "apple", {"quantity": -6}, 422),
        ("keeper", "apple", {"quantity": 0}, 422),
        ("keeper", "apple", {"quantity": 10**30}, 422),
        ("keeper", "apple", {"quantity": "two"}, 422),
        ("keeper", "apple", {"reason": ""}, 422),
        ("keeper", "apple", {"color": "red"}, 422),
    ],
)
async def test_a_movement_that_may_not_be_is_refused_by_its_kind(
    client: Client, house: House, who: str, product: str, change: dict[str, Any], status: int
) -> None:
    body = {"warehouse_id": house.moscow, "quantity": 1, "reason": "counted", **change}
    assert (await client(who, "POST", f"/inventory/{product}/movements", body)).status == status
    assert await house.available("apple") == 5


async def test_goods_are_bought_from_supplier_to_shelf(client: Client, house: House) -> None:
    supplier = (await client("keeper", "POST", "/suppliers", {"name": "Orchard", "email": "a@b.example"})).json
    body = {"supplier_id": supplier["id"], "warehouse_id": house.kazan, "lines": [{"product_id": "pear", "quantity": 3}]}
    drafted = await client("keeper", "POST", "/purchase-orders", body)
    where = drafted.headers["location"].removeprefix("/api/v1")
    assert (drafted.status, drafted.json["status"]) == (201, "draft")
    assert (await client("keeper", "POST", f"{where}/receipts", {"lines": body["lines"]})).status == 409
    assert (await client("keeper", "POST", f"{where}/order")).json["status"] == "ordered"
    assert (await client("keeper", "POST", f"{where}/receipts", {"lines": [{"product_id": "pear", "quantity": 4}]})).status == 422
    assert (await client("keeper", "POST", f"{where}/receipts", {"lines": body["lines"]})).json["status"] == "received"
    assert (await client("", "GET", "/inventory/pear")).json["available"] == 3
    assert (await client("keeper", "GET", where)).json["lines"] == [{"product_id": "pear", "quantity": 3, "received": 3}]
    assert len((await client("keeper", "GET", "/purchase-orders?status=received")).json["items"]) == 1
    assert (await client("keeper", "POST", "/suppliers", {"name": "", "email": "nowhere"})).status == 422


async def test_low_stock_is_listed_beside_the_products(client: Client) -> None:
    assert (await client("keeper", "PUT", "/inventory/apple/alert", {"alert_below": 9})).json == {"product_id": "apple", "available": 5, "alert_below": 9}
    assert (await client("keeper", "GET", "/inventory/low-stock")).json["items"] == [{"product_id": "apple", "available": 5, "alert_below": 9}]
    assert (await client("buyer", "GET", "/inventory/low-stock")).status == 403


async def test_a_warehouse_is_opened_and_listed(client: Client) -> None:
    opened = await client("keeper", "POST", "/warehouses", {"name": "North", "city": "Мурманск"})
    assert opened.status == 201
    assert (await client("keeper", "GET", "/warehouses")).json["items"][-1] == opened.json
    assert (await client("keeper", "POST", "/warehouses", {"name": "Lost", "city": "Atlantis"})).status == 422
