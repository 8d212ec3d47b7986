"""Reviews as clients see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from torg.contexts.review.routes import routes
from torg.contexts.review.tests.desk import ANNA, BORIS, MODERATOR, Desk, person
from torg.kit.auth import Identity, Role
from torg.kit.http import App
from torg.kit.testing.http import Answer, ask
from torg.kit.values import new_id

PEOPLE = {"anna": ANNA, "boris": BORIS, "moderator": MODERATOR, "seller": person("seller", Role.PARTNER)}
REVIEW = {"rating": 5, "title": "Good", "text": "Fresh and tasty, <b>would</b> buy again."}
Request = Callable[..., Awaitable[Answer]]


@pytest.fixture
async def request_as(desk: Desk) -> AsyncIterator[Request]:
    async def authenticate(token: str) -> Identity | None:
        return PEOPLE.get(token)

    app = App(desk.clock, new_id, authenticate)
    app.add(routes(), lambda kind: desk.handlers[kind], desk.deps.store)

    async def asked(who: str, method: str, path: str, body: object = None, **headers: Any) -> Answer:
        known: dict[str, Any] = {"authorization": f"Bearer {who}"} if who else {}
        return await ask(app, method, f"/api/v1{path}", body, **known, **headers)

    yield asked
    await app.close()


async def test_a_review_goes_from_its_writer_to_its_readers(desk: Desk, request_as: Request) -> None:
    early = await request_as("anna", "POST", "/products/1/reviews", REVIEW)
    assert (early.status, early.json["code"]) == (403, "review.not_purchased")
    await desk.deliver("1")
    written = await request_as("anna", "POST", "/products/1/reviews", REVIEW)
    assert (written.status, written.json["status"]) == (201, "pending")
    assert (await request_as("anna", "GET", written.headers["location"].removeprefix("/api/v1"))).json == written.json
    assert (await request_as("anna", "POST", "/products/1/reviews", REVIEW)).json["code"] == "review.already_written"
    assert (await request_as("", "GET", "/products/1/reviews")).json["items"] == []
    waiting = await request_as("moderator", "GET", "/reviews?status=pending")
    assert [review["id"] for review in waiting.json["items"]] == [written.json["id"]]
    decided = await request_as("moderator", "POST", f"/reviews/{written.json['id']}/moderation", {"decision": "approve", "reason": "fine"})
    assert (decided.status, decided.json["status"]) == (200, "published")
    shown = (await request_as("", "GET", "/products/1/reviews")).json
    assert shown["items"][0]["text"] == REVIEW["text"]
    assert shown["distribution"] == {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}


async def test_the_same_key_has_one_review_written_and_answered_twice(desk: Desk, request_as: Request) -> None:
    await desk.deliver("1")
    first = await request_as("anna", "POST", "/products/1/reviews", REVIEW, idempotency_key="k-1")
    again = await request_as("anna", "POST", "/products/1/reviews", REVIEW, idempotency_key="k-1")
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (201, first.body, "true")


async def test_each_is_let_in_where_their_role_belongs(desk: Desk, request_as: Request) -> None:
    id = (await desk.publish()).id
    decision, reply = {"decision": "reject", "reason": "spam"}, {"text": "Thanks"}
    for who, status in (("", 401), ("anna", 403), ("seller", 403)):
        assert (await request_as(who, "GET", "/reviews?status=pending")).status == status
        assert (await request_as(who, "POST", f"/reviews/{id}/moderation", decision)).status == status
    for who, status in (("", 401), ("anna", 403), ("moderator", 403), ("seller", 200)):
        assert (await request_as(who, "POST", f"/reviews/{id}/reply", reply)).status == status
    for who, status in (("", 401), ("anna", 403), ("boris", 200)):
        assert (await request_as(who, "POST", f"/reviews/{id}/votes", {"helpful": True})).status == status
    assert (await request_as("anna", "GET", "/reviews/mine")).json["items"][0]["helpful"] == 1


async def test_every_bad_field_of_a_review_is_named_at_once(desk: Desk, request_as: Request) -> None:
    await desk.deliver("1")
    refused = await request_as("anna", "POST", "/products/1/reviews", {"rating": 6, "title": "", "text": " ", "stars": 5})
    assert refused.status == 422
    assert {fault["field"] for fault in refused.json["errors"]} == {"rating", "title", "text", "stars"}
