"""Deliveries as clients see them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from torg.contexts.shipping.handlers import HANDLERS
from torg.contexts.shipping.routes import routes
from torg.contexts.shipping.tests.house import BUYER, COURIER, STRANGER, House, booking
from torg.kit.testing.http import Client, edge

PEOPLE = {"buyer": BUYER, "stranger": STRANGER, "courier": COURIER}


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    client = Client(edge(house.deps, HANDLERS, routes(), PEOPLE))
    yield client
    await client.app.close()


async def test_anybody_asks_what_delivery_costs(client: Client) -> None:
    answer = await client("", "GET", "/delivery/quotes?city=Moscow&weight_grams=800")
    assert answer.status == 200
    assert {quote["method"]: quote["price"] for quote in answer.json}["courier"] == {"amount": 299, "currency": "RUB"}
    assert {"id", "name", "address"} <= next(quote for quote in answer.json if quote["method"] == "pickup")["pickup_points"][0].keys()


@pytest.mark.parametrize("query", ["", "?city=", "?city=Moscow&weight_grams=-1", "?city=Moscow&weight_grams=heavy", f"?city=Moscow&weight_grams={10**30}"])
async def test_a_quote_without_a_city_or_with_no_real_weight_is_refused(client: Client, query: str) -> None:
    assert (await client("", "GET", f"/delivery/quotes{query}")).status == 422


async def test_a_buyer_follows_the_parcel_that_a_courier_brings(client: Client, house: House) -> None:
    await house.do(booking())
    await house.confirm()
    (delivery,) = (await client("buyer", "GET", "/deliveries?order_id=o1")).json["items"]
    assert (delivery["status"], delivery["source"], delivery["destination"]["city"]) == ("scheduled", "Moscow", "Kazan")
    where = f"/deliveries/{delivery['id']}"
    for step in ("shipped", "in_transit", "delivered"):
        assert (await client("courier", "POST", f"{where}/status", {"status": step}, idempotency_key=step)).json["status"] == step
    assert (await client("courier", "POST", f"{where}/status", {"status": "shipped"}, idempotency_key="shipped")).headers["idempotent-replayed"] == "true"
    assert (await client("buyer", "GET", where)).json["status"] == "delivered"
    assert [entry["status"] for entry in (await client("buyer", "GET", f"{where}/events")).json["items"]] == ["scheduled", "shipped", "in_transit", "delivered"]


async def test_strangers_see_nothing_and_buyers_move_nothing(client: Client, house: House) -> None:
    await house.do(booking())
    where = f"/deliveries/{(await house.delivery()).id}"
    assert (await client("stranger", "GET", "/deliveries?order_id=o1")).json == {"items": [], "next_cursor": None}
    assert (await client("stranger", "GET", where)).status == (await client("stranger", "GET", f"{where}/events")).status == 404
    assert (await client("buyer", "POST", f"{where}/status", {"status": "shipped"})).status == 403
    assert (await client("", "GET", where)).status == 401


async def test_a_status_out_of_turn_is_a_conflict_and_an_unknown_one_is_invalid(client: Client, house: House) -> None:
    await house.do(booking())
    await house.confirm()
    where = f"/deliveries/{(await house.delivery()).id}/status"
    refused = await client("courier", "POST", where, {"status": "delivered"})
    assert (refused.status, refused.json["code"]) == (409, "delivery.transition")
    assert (await client("courier", "POST", where, {"status": "lost"})).status == 422
    assert (await client("courier", "POST", where, {"status": "cancelled"})).status == 422
    assert (await client("courier", "POST", "/deliveries/none/status", {"status": "shipped"})).status == 404
