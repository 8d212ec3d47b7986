"""The edge: what becomes a message, what becomes a problem, and keys that make a request happen once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from torg.kit.auth import Identity, Role
from torg.kit.calls import Handle
from torg.kit.errors import ConcurrentChange, DomainError, TooLarge, Unavailable
from torg.kit.http import App, Request, Response, ServerEvent, delete, event_stream, get, page, post
from torg.kit.http.cache import ResponseCache
from torg.kit.http.openapi import openapi
from torg.kit.http.operations import operations_routes
from torg.kit.messages import Command, Message, Query, Rule, message
from torg.kit.store import Store
from torg.kit.tasks import Supervisor
from torg.kit.testing import TestClock, open_store, test_ids
from torg.kit.testing.http import ask
from torg.kit.tests.messages import REGISTRY, WasPut
from torg.kit.values import Language, Limit, ProductId, Quantity, Text, utc_now


class Thing(msgspec.Struct, frozen=True):
    id: str
    name: str


def not_blue(value: Any, _: datetime) -> str | None:
    return "any colour but blue" if value == "blue" else None


@message("shelf.add")
class Add(Command[Thing], frozen=True, kw_only=True):
    """Adds a thing."""

    RULES: ClassVar[dict[str, Rule]] = {"colour": not_blue}

    shelf: ProductId
    who: Identity
    name: Text
    quantity: Quantity
    colour: str = ""


@message("shelf.look")
class Look(Query[Thing], frozen=True):
    shelf: ProductId
    language: Language
    limit: Limit = 24


@message("shelf.clear")
class Clear(Command[None], frozen=True):
    shelf: ProductId


class House:
    """An app over one store, with handlers that count."""

    def __init__(self, store: Store) -> None:
        self.store, self.added, self.looked, self.contended = store, 0, 0, False
        self.slow = asyncio.Event()
        self.slow.set()
        self.app = App(TestClock(), test_ids(), self.authenticate, ResponseCache())
        routes = [
            post("/shelves/{shelf}", Add, right="orders:write", status=201, idempotency="required", location=lambda thing: f"/things/{thing.id}"),
            get("/shelves/{shelf}", Look, right="catalog:read", etag=True, cached=60, tags=lambda path: (f"shelf:{path['shelf']}",)),
            delete("/shelves/{shelf}", Clear, right="stock:write"),
        ]
        handlers: dict[type[Message], Handle] = {Add: self.add, Look: self.look, Clear: self.clear}
        self.app.add(routes, handlers.__getitem__, store)

    async def authenticate(self, token: str) -> Identity | None:
        roles = {"clerk": Role.WAREHOUSE, "buyer": Role.CUSTOMER, "other": Role.CUSTOMER, "boss": Role.ADMIN}
        return Identity(token, frozenset({roles[token]})) if token in roles else None

    async def add(self, cmd: Add) -> Thing:
        await self.slow.wait()
        if cmd.name == "forbidden":
            raise DomainError("shelf.full", "the shelf is full")
        if cmd.name == "contended" and not self.contended:
            self.contended = True
            raise ConcurrentChange("shelf.changed", "somebody else was faster: try again")
        async with self.store.transaction() as tx:
            self.added += 1
            await tx.append(cmd.shelf, [WasPut(cmd.shelf, cmd.quantity)])
            return await tx.answer(Thing(str(self.added), cmd.name))

    async def look(self, query: Look) -> Thing:
        self.looked += 1
        if query.shelf == "broken":
            raise ValueError("a defect")
        if query.shelf == "away":
            raise Unavailable("the shelf is being painted", retry_after=7)
        return Thing(query.shelf, f"{query.language} {query.limit}")

    async def clear(self, cmd: Clear) -> None:
        return None


def no_messages(kind: type[Message]) -> Handle:
    raise KeyError(kind)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as store:
        yield House(store)


BUYER: dict[str, Any] = {"authorization": "Bearer buyer"}
GOOD = {"name": "cup", "quantity": 2}


async def test_path_query_language_and_defaults_make_a_message(house: House):
    assert (await ask(house.app, "GET", "/api/v1/shelves/a")).json == {"id": "a", "name": "en 24"}
    assert (await ask(house.app, "GET", "/api/v1/shelves/b?limit=3", accept_language="ru-RU,en")).json == {"id": "b", "name": "ru 3"}


async def test_every_bad_field_is_named_at_once(house: House):
    bad = {"name": "", "quantity": "two", "colour": "blue", "roles": ["admin"]}
    answer = await ask(house.app, "POST", "/api/v1/shelves/a", bad, idempotency_key="k", **BUYER)
    assert answer.status == 422 and answer.headers["content-type"] == "application/problem+json"
    assert {error["field"] for error in answer.json["errors"]} == {"name", "quantity", "colour", "roles"}
    missing = await ask(house.app, "POST", "/api/v1/shelves/a", {}, idempotency_key="k", **BUYER)
    assert {(error["field"], error["code"]) for error in missing.json["errors"]} == {("name", "missing"), ("quantity", "missing")}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"raw": b"{not json"}, 400),
        ({"raw": b"[" * 100_000}, 400),
        ({"raw": b"[]"}, 422),
        ({"raw": b"\xff\xfe"}, 400),
        ({"raw": b'{"name": "' + b"a" * 2_000_000 + b'"}'}, 413),
        ({"body": GOOD, "content_type": "text/plain"}, 415),
        ({"body": {"name": "a", "quantity": 10**30}}, 422),
    ],
)
async def test_unreadable_bodies_get_their_own_answers(house: House, sent: dict[str, Any], status: int):
    body = sent.pop("body", None)
    assert (await ask(house.app, "POST", "/api/v1/shelves/a", body, idempotency_key="k", **sent, **BUYER)).status == status


async def test_bad_queries_are_refused(house: House):
    assert (await ask(house.app, "GET", "/api/v1/shelves/a?limit=1000")).status == 422
    assert (await ask(house.app, "GET", "/api/v1/shelves/a?limit=x&nonsense=1")).json["errors"][0]["field"] == "nonsense"


async def test_who_may(house: House):
    assert (await ask(house.app, "DELETE", "/api/v1/shelves/a")).status == 401
    assert (await ask(house.app, "DELETE", "/api/v1/shelves/a", **BUYER)).status == 403
    assert (await ask(house.app, "DELETE", "/api/v1/shelves/a", authorization="Bearer clerk")).status == 204
    assert (await ask(house.app, "DELETE", "/api/v1/shelves/a", authorization="Bearer boss")).status == 204
    assert (await ask(house.app, "GET", "/api/v1/shelves/a", authorization="Bearer nobody")).status == 401


async def test_unknown_paths_and_methods(house: House):
    assert (await ask(house.app, "GET", "/nowhere")).json["code"] == "route.not_found"
    assert (await ask(house.app, "PUT", "/api/v1/shelves/a")).status == 405


async def test_a_defect_is_a_500_that_names_its_request(house: House):
    answer = await ask(house.app, "GET", "/api/v1/shelves/broken")
    assert answer.status == 500 and answer.json["instance"] == answer.headers["x-request-id"]


async def test_what_is_away_says_when_to_come_back(house: House):
    answer = await ask(house.app, "GET", "/api/v1/shelves/away")
    assert answer.status == 503 and answer.headers["retry-after"] == "7"


async def test_a_kept_answer_is_served_until_it_is_purged(house: House):
    for _ in range(3):
        first = await ask(house.app, "GET", "/api/v1/shelves/a")
    assert house.looked == 1
    same = await ask(house.app, "GET", "/api/v1/shelves/a", if_none_match=first.headers["etag"])
    assert (same.status, same.body, house.looked) == (304, b"", 1)
    assert same.headers["cache-control"] == "public, no-cache"
    assert house.app.cache is not None
    house.app.cache.purge("shelf:a")
    await ask(house.app, "GET", "/api/v1/shelves/a")
    assert house.looked == 2


async def test_who_may_keep_an_answer_is_said_with_it(house: House):
    async def said(method: str, path: str, body: object = None, **headers: Any) -> tuple[int, str]:
        reply = await ask(house.app, method, path, body, **headers)
        return reply.status, reply.headers["cache-control"]

    assert await said("GET", "/api/v1/shelves/a") == (200, "public, no-cache")
    assert await said("GET", "/api/v1/shelves/a") == (200, "public, no-cache"), "the one that was kept says the same"
    assert await said("GET", "/api/v1/shelves/a", **BUYER) == (200, "private, no-cache")
    assert await said("GET", "/api/v1/shelves/away") == (503, "no-store")
    assert await said("GET", "/api/v1/nothing") == (404, "no-store")
    assert await said("POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", **BUYER) == (201, "no-store")


async def test_the_same_key_gets_the_same_bytes_and_happens_once(house: House):
    first = await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", **BUYER)
    again = await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", **BUYER)
    assert (first.status, again.status, house.added) == (201, 201, 1)
    assert again.body == first.body and again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true" and "idempotent-replayed" not in first.headers


async def test_a_key_with_another_body_is_refused(house: House):
    await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", **BUYER)
    assert (await ask(house.app, "POST", "/api/v1/shelves/a", {**GOOD, "quantity": 3}, idempotency_key="k", **BUYER)).status == 422


async def test_two_people_may_use_the_same_key(house: House):
    await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", **BUYER)
    other = await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", authorization="Bearer other")
    assert (other.json["id"], house.added) == ("2", 2)


async def test_a_key_under_way_is_a_conflict(house: House):
    house.slow.clear()
    first = asyncio.create_task(ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", **BUYER))
    await asyncio.sleep(0.01)
    second = await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", **BUYER)
    house.slow.set()
    assert (second.status, second.json["code"], (await first).status) == (409, "idempotency.in_progress", 201)


async def test_a_refusal_is_repeated_too(house: House):
    for _ in range(2):
        answer = await ask(house.app, "POST", "/api/v1/shelves/a", {**GOOD, "name": "forbidden"}, idempotency_key="k", **BUYER)
        assert (answer.status, answer.json["code"]) == (409, "shelf.full")
    assert answer.headers["idempotent-replayed"] == "true"


async def test_a_refusal_that_says_to_try_again_is_not_repeated(house: House):
    asked = {**GOOD, "name": "contended"}
    first, again = [await ask(house.app, "POST", "/api/v1/shelves/a", asked, idempotency_key="k", **BUYER) for _ in range(2)]
    assert (first.status, again.status, house.added) == (409, 201, 1)


async def test_without_a_required_key_nothing_happens(house: House):
    assert (await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, **BUYER)).status == 400
    assert (await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="has space", **BUYER)).status == 400
    assert house.added == 0


async def test_another_sites_page_cannot_use_the_cookie(house: House):
    cookie: dict[str, Any] = {"cookie": "session=boss"}
    assert (await ask(house.app, "DELETE", "/api/v1/shelves/a", **cookie, sec_fetch_site="cross-site")).status == 403
    assert (await ask(house.app, "DELETE", "/api/v1/shelves/a", **cookie, origin="https://evil.example")).status == 403
    assert (await ask(house.app, "DELETE", "/api/v1/shelves/a", **cookie, sec_fetch_site="same-origin")).status == 204


async def test_the_description_has_every_route_and_answer(house: House):
    document = openapi(house.app.routes, "1", "http://torg.test")
    add = document["paths"]["/api/v1/shelves/{shelf}"]["post"]
    assert set(add["responses"]) >= {"201", "400", "401", "409", "413", "415", "422"}
    assert {parameter["name"] for parameter in add["parameters"]} == {"shelf", "Idempotency-Key"}
    body = add["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(document["components"]["schemas"][body]["properties"]) == {"name", "quantity", "colour"}


async def test_an_answer_to_somebody_who_showed_a_token_is_kept_for_nobody(house: House):
    await ask(house.app, "GET", "/api/v1/shelves/a", **BUYER)
    await ask(house.app, "GET", "/api/v1/shelves/a")
    await ask(house.app, "GET", "/api/v1/shelves/a")
    assert house.looked == 2
    assert (await ask(house.app, "GET", "/api/v1/shelves/a", authorization="Bearer nobody")).status == 401


async def test_cookies_of_other_makes_do_not_hide_ours(house: House):
    for cookies in ('theme={"dark": true}; session=boss', "a[b]=1;;=; broken; session=boss", 'session="boss"; q="a b'):
        assert (await ask(house.app, "DELETE", "/api/v1/shelves/a", cookie=cookies)).status == 204


@pytest.mark.parametrize(
    "trace",
    [
        "x" * 100_000, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "my card is 4242 4242 4242 4242".ljust(55),
        "00-4bf92f3577b34da6a3ce929d0e0e4736-4242424242424242-01",
    ],
)  # fmt: skip
async def test_a_trace_that_is_none_is_not_written_into_the_log(house: House, trace: str):
    await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", traceparent=trace, **BUYER)
    (row,) = await house.store.log.stream("a")
    assert row.meta.trace == ""


async def test_a_trace_is_carried_on_into_the_log(house: House):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await ask(house.app, "POST", "/api/v1/shelves/a", GOOD, idempotency_key="k", traceparent=trace, **BUYER)
    (row,) = await house.store.log.stream("a")
    assert row.meta.trace == trace


async def test_a_stream_that_comes_while_the_house_closes_ends_at_once(house: House):
    async def forever(_: Request) -> Response:
        async def events() -> AsyncIterator[ServerEvent]:
            await asyncio.sleep(60)
            yield ServerEvent("never", b"{}")

        return event_stream(events())

    house.app.add([get("/events", endpoint=forever, right="shop:read")], no_messages)
    await house.app.close()
    assert (await asyncio.wait_for(ask(house.app, "GET", "/api/v1/events"), 30)).status == 503


async def test_cookies_are_not_filed_with_an_answer(house: House):
    done = 0

    async def form(request: Request) -> Response:
        nonlocal done
        done += 1
        return Response.see_other("/done").with_cookie("session", "secret", 60, secure=False)

    house.app.add([page("/form", form, right="shop:read", method="POST", idempotency_field="key")], no_messages, house.store)
    sent: dict[str, Any] = {"raw": b"key=k-1&name=cup", "content_type": "application/x-www-form-urlencoded"}
    first, again = await ask(house.app, "POST", "/form", **sent), await ask(house.app, "POST", "/form", **sent)
    assert "secret" in first.headers["set-cookie"]
    assert (again.headers["idempotent-replayed"], again.headers["location"], done) == ("true", "/done", 1)
    assert "set-cookie" not in again.headers
    assert await house.store.database.value("select count(*) from answer where headers like '%secret%'") == 0


async def test_refusal_is_a_page_for_people_and_a_document_for_programs() -> None:
    app = App(TestClock(), test_ids(), _nobody)
    app.problem_page = lambda _, problem: Response.html(f"<h1>{problem.code}</h1>", problem.status)
    person = await ask(app, "GET", "/nowhere", accept="text/html")
    assert (person.status, person.body) == (404, b"<h1>route.not_found</h1>")
    assert (await ask(app, "GET", "/nowhere")).json["code"] == "route.not_found"
    assert (await ask(app, "GET", "/api/v1/nowhere", accept="text/html")).json["code"] == "route.not_found"


async def _nobody(_: str) -> Identity | None:
    return None


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_read_on_so_that_its_sender_hears_the_answer(announced: bool):
    pieces = [b"x" * 60, b"y" * 60, b"z" * 60]
    sent = iter([{"type": "http.request", "body": piece, "more_body": piece != pieces[-1]} for piece in pieces])
    request = Request("POST", "/", b"", {b"content-length": b"180"} if announced else {}, lambda: asyncio.sleep(0, next(sent)), "r1")
    with pytest.raises(TooLarge, match="100 bytes at most"):
        await request.body(100)
    assert list(sent) == []


async def test_who_sends_without_end_is_not_listened_to_without_end():
    heard = 0

    async def receive() -> Any:
        nonlocal heard
        heard += 1
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    with pytest.raises(TooLarge):
        await Request("POST", "/", b"", {}, receive, "r1").body()
    assert heard < 10


async def test_what_is_amiss_is_said_without_secrets():
    async def amiss() -> str:
        return "redis://:hushhush1234@127.0.0.1:6379/0 cannot be reached"

    supervisor, app = Supervisor(), App(TestClock(), test_ids(), _nobody)
    supervisor.failing["relay"] = "OSError: postgresql://torg:hushhush1234@127.0.0.1/torg refuses"
    app.add(operations_routes(app, {}, supervisor, {"redis": amiss}, {}), dict[type[Message], Handle]().__getitem__)
    answer = await ask(app, "GET", "/ready")
    assert (answer.status, answer.json["checks"]["redis"]) == (503, "redis://[secret]@127.0.0.1:6379/0 cannot be reached")
    assert b"hushhush" not in answer.body
