"""Every route that is served, asked by a program with each scope: what is lent is the policy's, and no route is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from torg import compose
from torg.kit.access import Access
from torg.kit.auth import Identity, Role
from torg.kit.calls import Handle
from torg.kit.errors import Forbidden
from torg.kit.http import App, Request, Response, Route
from torg.kit.http.routes import API
from torg.kit.messages import Message
from torg.kit.settings import Settings
from torg.kit.testing import TestClock, test_ids
from torg.kit.testing.http import ask

ACCESS = Access.of_the_shop()
PROGRAMS = ACCESS.policy.programs
OWN_KEYS_AND_TRACES = ("/sessions", *(f"/users/me/{what}" for what in ("api-keys", "confirmation", "consents", "export", "factors", "passkeys", "password")))


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    return asyncio.run(_gather(tmp_path_factory.mktemp("scopes")))


async def _gather(folder: Path) -> list[Route]:
    app = await compose.compose(Settings(data=str(folder), sync="OFF", password_memory_kib=8))
    try:
        return list(app.http.routes)
    finally:
        await app.close()


async def who_asked(request: Request) -> Response:
    return Response(200, request.identity.user_id.encode() if request.identity else b"")


async def program(token: str) -> Identity | None:
    """An administrator's, so that scopes alone are in question."""
    return Identity("anna", frozenset({Role.ADMIN}), scopes=frozenset(token.split("+")))


def edge(routes: list[Route]) -> App:
    app = App(TestClock(), test_ids(), program)
    bare = [replace(route, message=None, endpoint=who_asked, idempotency="no", idempotency_field="", cached=0, etag=False, about=None) for route in routes]
    app.add(bare, dict[type[Message], Handle]().__getitem__)
    return app


@pytest.mark.parametrize("scope", list(PROGRAMS.scopes))
async def test_a_program_gets_through_just_the_doors_of_its_scope_and_as_a_guest_through_everybodys(routes: list[Route], scope: str) -> None:
    app, wrong = edge(routes), []
    for route in routes:
        lent = route.public and route.right in PROGRAMS.scopes[scope].rights
        anybodys = bool(ACCESS.grants(None, route.right)) if not route.public else route.right in PROGRAMS.as_guests
        answer = await ask(app, route.method, route.path, authorization=f"Bearer {scope}")
        expected = (200, b"anna") if lent else (200, b"") if anybodys else (403, None)
        if (answer.status, answer.body if answer.status == 200 else None) != expected:
            wrong.append((route.method, route.path, route.right, answer.status))
    assert not wrong
    assert len(routes) > 150


async def test_a_program_with_all_scopes_does_nothing_that_is_for_people(routes: list[Route]) -> None:
    app, everything = edge(routes), "+".join(PROGRAMS.scopes)
    refused = set[tuple[str, str]]()
    for route in routes:
        answer = await ask(app, route.method, route.path, authorization=f"Bearer {everything}")
        if answer.status == 403:
            assert answer.json["code"] == "scope.never", route.path
            refused.add((route.method, route.path.removeprefix(API)))
    own = {
        (route.method, path) for route in routes
        if (path := route.path.removeprefix(API)).startswith(OWN_KEYS_AND_TRACES) and not ACCESS.grants(None, route.right)
    }  # fmt: skip
    assert len(own) >= 20
    assert own | {("DELETE", "/users/me"), ("PUT", "/admin/users/{user_id}/roles"), ("POST", "/admin/keys/rotate"), ("POST", "/admin/clients")} <= refused


def test_reading_and_writing_are_lent_apart(routes: list[Route]) -> None:
    for name, scope in PROGRAMS.scopes.items():
        if name.endswith(":read"):
            assert all(right.endswith(":read") for right in scope.rights), name
        if name.endswith(":write"):
            assert all(right.endswith(":write") for right in scope.rights), name


def test_no_scope_is_for_nothing(routes: list[Route]) -> None:
    served = {route.right for route in routes}
    assert [name for name, scope in PROGRAMS.scopes.items() if scope.rights and not served & set(scope.rights)] == []
    assert not set(ACCESS.policy.rights) - served, "no right is for nothing"


async def test_a_refusal_names_the_scope_that_would_do(routes: list[Route]) -> None:
    answer = await ask(edge(routes), "GET", f"{API}/wallet", authorization="Bearer orders:read+cart:read")
    assert (answer.status, answer.json["code"]) == (403, "scope.required")
    assert "payments:read" in answer.json["detail"] and "cart:read orders:read" in answer.json["detail"]


def test_a_program_has_no_more_than_its_person_wherever_it_is_asked_for() -> None:
    reader = Identity("anna", frozenset({Role.ADMIN}), scopes=frozenset({"orders:read"}))
    assert ACCESS.sees_all(reader, "orders:read")
    for right in ("orders:write", "moderation:read", "stock:read", "self:read"):
        assert not ACCESS.allows(reader, right), right
        with pytest.raises(Forbidden):
            ACCESS.require(reader, right)
    buyer = Identity("anna", frozenset({Role.CUSTOMER}), scopes=frozenset(PROGRAMS.scopes))
    with pytest.raises(Forbidden, match="it needs the right sagas:read"):
        ACCESS.enter(buyer, "sagas:read")
    assert ACCESS.allows(Identity("anna", frozenset(), scopes=frozenset()), "catalog:read"), "as a guest"
