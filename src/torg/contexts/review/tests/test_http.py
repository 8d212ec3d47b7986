"""Reviews as clients see them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from torg.contexts.review.handlers import HANDLERS
from torg.contexts.review.routes import routes
from torg.contexts.review.tests.house import ANNA, BORIS, MODERATOR, House, person
from torg.kit.auth import Role
from torg.kit.testing.http import Client, edge

PEOPLE = {"anna": ANNA, "boris": BORIS, "moderator": MODERATOR, "seller": person("seller", Role.PARTNER)}
REVIEW = {"rating": 5, "title": "Good", "text": "Fresh and tasty, <b>would</b> buy again."}


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    client = Client(edge(house.deps, HANDLERS, routes(), PEOPLE))
    yield client
    await client.app.close()


async def test_a_review_goes_from_its_writer_to_its_readers(house: House, client: Client) -> None:
    early = await client("anna", "POST", "/products/1/reviews", REVIEW)
    assert (early.status, early.json["code"]) == (403, "review.not_purchased")
    await house.deliver("1")
    written = await client("anna", "POST", "/products/1/reviews", REVIEW)
    assert (written.status, written.json["status"]) == (201, "pending")
    assert (await client("anna", "GET", written.headers["location"].removeprefix("/api/v1"))).json == written.json
    assert (await client("anna", "POST", "/products/1/reviews", REVIEW)).json["code"] == "review.already_written"
    assert (await client("", "GET", "/products/1/reviews")).json["items"] == []
    waiting = await client("moderator", "GET", "/reviews?status=pending")
    assert [review["id"] for review in waiting.json["items"]] == [written.json["id"]]
    decided = await client("moderator", "POST", f"/reviews/{written.json['id']}/moderation", {"decision": "approve", "reason": "fine"})
    assert (decided.status, decided.json["status"]) == (200, "published")
    shown = (await client("", "GET", "/products/1/reviews")).json
    assert shown["items"][0]["text"] == REVIEW["text"]
    assert shown["distribution"] == {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}


async def test_the_same_key_has_one_review_written_and_answered_twice(house: House, client: Client) -> None:
    await house.deliver("1")
    first = await client("anna", "POST", "/products/1/reviews", REVIEW, idempotency_key="k-1")
    again = await client("anna", "POST", "/products/1/reviews", REVIEW, idempotency_key="k-1")
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (201, first.body, "true")


async def test_each_is_let_in_where_their_role_belongs(house: House, client: Client) -> None:
    id = (await house.publish()).id
    decision, reply = {"decision": "reject", "reason": "spam"}, {"text": "Thanks"}
    for who, status in (("", 401), ("anna", 403), ("seller", 403)):
        assert (await client(who, "GET", "/reviews?status=pending")).status == status
        assert (await client(who, "POST", f"/reviews/{id}/moderation", decision)).status == status
    for who, status in (("", 401), ("anna", 403), ("moderator", 403), ("seller", 200)):
        assert (await client(who, "POST", f"/reviews/{id}/reply", reply)).status == status
    for who, status in (("", 401), ("anna", 403), ("boris", 200)):
        assert (await client(who, "POST", f"/reviews/{id}/votes", {"helpful": True})).status == status
    assert (await client("anna", "GET", "/reviews/mine")).json["items"][0]["helpful"] == 1


async def test_every_bad_field_of_a_review_is_named_at_once(house: House, client: Client) -> None:
    await house.deliver("1")
    refused = await client("anna", "POST", "/products/1/reviews", {"rating": 6, "title": "", "text": " ", "stars": 5})
    assert refused.status == 422
    assert {fault["field"] for fault in refused.json["errors"]} == {"rating", "title", "text", "stars"}
