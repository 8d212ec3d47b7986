"""The operators' API in a composed process: who may ask, what is filed of what they did, and dead letters that come alive again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from torg import background, compose
from torg.contexts.admin import contracts as c
from torg.contexts.admin.tests.house import placed
from torg.contexts.user.contracts import EnsureUser, SignIn
from torg.kit.auth import Role
from torg.kit.bus import Failures
from torg.kit.messages import Envelope, Meta
from torg.kit.settings import Settings
from torg.kit.testing.http import Answer, ask

PASSWORD = "Long-1234-and-better"
CONTEXTS = ("user", "order", "payment", "admin")


class Shop:
    """A composed process, and somebody signed in for each role."""

    def __init__(self, app: compose.Running) -> None:
        self.app = app
        self.tokens: dict[Role, str] = {}
        self.ids: dict[Role, str] = {}

    async def sign_in(self, role: Role) -> None:
        email = f"{role}@torg.example"
        self.ids[role] = (await self.app.call(EnsureUser(email=email, password=PASSWORD, full_name=role.title(), roles=(role,)))).id
        self.tokens[role] = (await self.app.call(SignIn(email=email, password=PASSWORD))).access_token

    async def ask(self, role: Role | None, method: str, target: str, body: object = None, **headers: Any) -> Answer:
        if role:
            headers["authorization"] = f"Bearer {self.tokens[role]}"
        return await ask(self.app.http, method, f"/api/v1{target}", body, **headers)

    async def trail(self, **about: Any) -> list[c.AuditEntry]:
        return list((await self.app.call(c.ListAudit(**about))).items)

    async def bury(self, context: str, consumer: str, order_id: str) -> None:
        """Files a dead letter: an order that a consumer could not take."""
        store = self.app.stores[context]
        async with store.transaction() as tx:
            row = Envelope(1, f"order/{order_id}/1", "order", order_id, 1, placed(order_id), Meta(), store.clock())
            await Failures(store, self.app.registry).keep(tx, consumer, row, "ValueError: no", 8)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    app = await compose.compose(Settings(data=str(tmp_path), sync="OFF", password_memory_kib=8), CONTEXTS)
    opened = Shop(app)
    try:
        await background.start(app)
        for role in (Role.CUSTOMER, Role.SUPPORT, Role.COURIER, Role.ADMIN):
            await opened.sign_in(role)
        yield opened
    finally:
        await app.close()


READS = ("orders", "users", "sagas", "dead-letters", "consumers", "events", "audit", "invariants")
WRITES = ("sagas/x/retry", "sagas/x/compensate", "dead-letters/x/redrive")


async def test_operators_views_are_for_support_and_administrators(shop: Shop) -> None:
    for path in READS:
        seen = {role: (await shop.ask(role, "GET", f"/admin/{path}")).status for role in (None, *shop.tokens)}
        assert seen == {None: 401, Role.CUSTOMER: 403, Role.SUPPORT: 200, Role.COURIER: 403, Role.ADMIN: 200}, path
    for path in WRITES:
        seen = {role: (await shop.ask(role, "POST", f"/admin/{path}")).status for role in (None, *shop.tokens)}
        assert seen == {None: 401, Role.CUSTOMER: 403, Role.SUPPORT: 404, Role.COURIER: 403, Role.ADMIN: 404}, path


async def test_what_staff_change_is_filed_and_what_others_do_is_not(shop: Shop) -> None:
    await shop.ask(Role.CUSTOMER, "PATCH", "/users/me", {"city": "Tver"})
    await shop.ask(Role.ADMIN, "GET", "/admin/users")
    await shop.ask(None, "POST", "/sessions", {"email": "admin@torg.example", "password": PASSWORD})
    assert await shop.trail() == []
    buyer = shop.ids[Role.CUSTOMER]
    reply = await shop.ask(Role.ADMIN, "PUT", f"/admin/users/{buyer}/roles", {"roles": ["customer", "courier"]})
    assert reply.status == 200
    (entry,) = await shop.trail()
    assert (entry.actor, entry.roles, entry.status) == (shop.ids[Role.ADMIN], ("admin",), 200)
    assert (entry.method, entry.route, entry.path) == ("PUT", "/api/v1/admin/users/{user_id}/roles", f"/api/v1/admin/users/{buyer}/roles")
    assert (entry.object, entry.request_id) == (buyer, reply.headers["x-request-id"])


async def test_what_staff_were_refused_is_filed_too(shop: Shop) -> None:
    await shop.ask(Role.COURIER, "POST", "/admin/sagas/s1/retry")
    await shop.ask(Role.SUPPORT, "POST", "/admin/sagas/s2/retry")
    assert [(entry.object, entry.status) for entry in await shop.trail()] == [("s2", 404), ("s1", 403)]


async def test_what_staff_do_for_themselves_is_filed_too(shop: Shop) -> None:
    await shop.ask(Role.SUPPORT, "POST", "/users/me/addresses", {"city": "Tver", "street": "Sadovaya 1", "postcode": "170000"})
    (entry,) = await shop.trail()
    assert (entry.route, entry.status, entry.object) == ("/api/v1/users/me/addresses", 201, "")


async def test_the_trail_is_read_in_pages_and_by_actor(shop: Shop) -> None:
    for number in range(3):
        await shop.ask(Role.SUPPORT, "POST", f"/admin/sagas/s{number}/retry")
    await shop.ask(Role.ADMIN, "POST", "/admin/sagas/s0/retry")
    first = (await shop.ask(Role.ADMIN, "GET", f"/admin/audit?limit=2&actor={shop.ids[Role.SUPPORT]}")).json
    assert [item["object"] for item in first["items"]] == ["s2", "s1"]
    rest = (await shop.ask(Role.ADMIN, "GET", f"/admin/audit?limit=2&actor={shop.ids[Role.SUPPORT]}&cursor={first['next_cursor']}")).json
    assert [item["object"] for item in rest["items"]] == ["s0"]
    assert rest["next_cursor"] is None
    assert len(await shop.trail(object="s0")) == 2
    assert (await shop.ask(Role.ADMIN, "GET", "/admin/audit?cursor=other")).status == 422


async def test_a_dead_letter_is_shown_and_redriven_once(shop: Shop) -> None:
    await shop.bury("payment", "payment", "o1")
    await shop.bury("payment", "payment", "o2")
    page = (await shop.ask(Role.SUPPORT, "GET", "/admin/dead-letters?limit=1")).json
    (letter,) = page["items"]
    assert (letter["context"], letter["consumer"], letter["name"], letter["attempts"]) == ("payment", "payment", "order.placed", 8)
    other = (await shop.ask(Role.SUPPORT, "GET", f"/admin/dead-letters?limit=1&cursor={page['next_cursor']}")).json
    assert {letter["message_id"], other["items"][0]["message_id"]} == {"order/o1/1", "order/o2/1"}
    assert other["next_cursor"] is None
    reply = await shop.ask(Role.SUPPORT, "POST", f"/admin/dead-letters/{letter['id']}/redrive", idempotency_key="once")
    assert (reply.status, reply.json["message_id"]) == (200, letter["message_id"])
    again = await shop.ask(Role.SUPPORT, "POST", f"/admin/dead-letters/{letter['id']}/redrive", idempotency_key="once")
    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert (await shop.ask(Role.SUPPORT, "POST", f"/admin/dead-letters/{letter['id']}/redrive")).status == 404
    assert len((await shop.ask(Role.SUPPORT, "GET", "/admin/dead-letters")).json["items"]) == 1


async def test_all_dead_letters_of_a_consumer_or_of_a_name_are_redriven(shop: Shop) -> None:
    async def redriven(**which: str) -> tuple[int, int | None]:
        reply = await shop.ask(Role.SUPPORT, "POST", "/admin/dead-letters/redrive", which)
        return reply.status, reply.json.get("redriven")

    for stream in ("o1", "o2"):
        for context, consumer in (("payment", "payment"), ("order", "order")):
            await shop.bury(context, consumer, stream)
    assert await redriven() == (422, None)
    assert await redriven(consumer="payment", name="order.confirmed") == (200, 0)
    assert await redriven(consumer="payment") == (200, 2)
    assert await redriven(consumer="payment") == (200, 0)
    assert {item["consumer"] for item in (await shop.ask(Role.SUPPORT, "GET", "/admin/dead-letters")).json["items"]} == {"order"}
    assert await redriven(name="order.placed") == (200, 2)
    assert (await shop.ask(Role.SUPPORT, "GET", "/admin/dead-letters")).json["items"] == []
    assert (await shop.ask(Role.COURIER, "POST", "/admin/dead-letters/redrive", {"consumer": "payment"})).status == 403


async def test_a_log_is_browsed_by_stream_and_by_name(shop: Shop) -> None:
    store = shop.app.stores["order"]
    async with store.transaction() as tx:
        for number in range(5):
            await tx.append(f"o{number % 2}", [placed(f"o{number}")])
    first = (await shop.ask(Role.SUPPORT, "GET", "/admin/events?context=order&stream=o0&limit=2")).json
    assert [(item["stream"], item["version"], item["data"]["order_id"]) for item in first["items"]] == [("o0", 3, "o4"), ("o0", 2, "o2")]
    rest = (await shop.ask(Role.SUPPORT, "GET", f"/admin/events?stream=o0&limit=2&cursor={first['next_cursor']}")).json
    assert [item["id"] for item in rest["items"]] == ["order/o0/1"]
    assert rest["next_cursor"] is None
    assert len((await shop.ask(Role.SUPPORT, "GET", "/admin/events?context=user&name=user.registered")).json["items"]) == 4
    assert (await shop.ask(Role.SUPPORT, "GET", "/admin/events?context=kitchen")).status == 404


async def test_consumers_tell_how_far_behind_they_are(shop: Shop) -> None:
    await shop.bury("payment", "payment", "o1")
    found = {item["name"]: item for item in (await shop.ask(Role.SUPPORT, "GET", "/admin/consumers")).json["items"]}
    assert found["order"] == {"context": "order", "name": "order", "lags": {"payment": 0, "user": 0}, "failed": 0, "dead": 0}
    assert found["payment"]["dead"] == 1


async def test_unreadable_ids_are_just_not_found(shop: Shop) -> None:
    for id in ("x", "%ff", "YQ", "a" * 500):
        assert (await shop.ask(Role.SUPPORT, "POST", f"/admin/dead-letters/{id}/redrive")).status in (404, 422), id
