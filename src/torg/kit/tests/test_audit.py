"""Who of the staff asked for a change is told to the audit, once it was handled; nobody else is."""

from __future__ import annotations

from torg.kit.auth import Identity, Role
from torg.kit.calls import Handle
from torg.kit.errors import DomainError
from torg.kit.http import App, Request, Response
from torg.kit.http.app import Audit
from torg.kit.http.changes import Change, between
from torg.kit.http.routes import Route
from torg.kit.messages import Message
from torg.kit.testing import TestClock, test_ids
from torg.kit.testing.http import ask

Told = list[tuple[str, str, str, int]]


async def _authenticate(token: str) -> Identity | None:
    return Identity(token, frozenset({Role(token)}))


async def _fine(_: Request) -> Response:
    return Response(200)


async def _refused(_: Request) -> Response:
    raise DomainError("shelf.full", "there is no room on this shelf")


def _house(audit: Audit) -> App:
    app = App(TestClock(), test_ids(), _authenticate, audit=audit)
    routes = [
        Route(method="GET", path="/shelves/{shelf}", endpoint=_fine, right="shop:read"),
        Route(method="PUT", path="/shelves/{shelf}", endpoint=_fine, right="orders:write"),
        Route(method="POST", path="/shelves", endpoint=_refused, right="orders:write"),
        Route(method="POST", path="/renew", endpoint=_fine, right="shop:read", audited=False),
    ]
    handlers: dict[type[Message], Handle] = {}
    app.add(routes, handlers.__getitem__)
    return app


async def _tell(told: Told, method: str, path: str, role: str) -> int:
    async def audit(request: Request, route: Route, response: Response, _: Change) -> None:
        assert request.identity is not None
        told.append((request.identity.user_id, route.method, route.path, response.status))

    return (await ask(_house(audit), method, path, authorization=f"Bearer {role}")).status


async def test_changes_by_staff_and_partners_are_told_with_what_came_of_them() -> None:
    told: Told = []
    await _tell(told, "PUT", "/shelves/a", "warehouse")
    await _tell(told, "POST", "/shelves", "admin")
    await _tell(told, "PUT", "/shelves/a", "partner")
    assert told == [("warehouse", "PUT", "/shelves/{shelf}", 200), ("admin", "POST", "/shelves", 409), ("partner", "PUT", "/shelves/{shelf}", 200)]


async def test_reading_and_buyers_and_what_is_not_worth_a_line_are_not_told() -> None:
    told: Told = []
    await _tell(told, "GET", "/shelves/a", "warehouse")
    await _tell(told, "PUT", "/shelves/a", "customer")
    await _tell(told, "POST", "/renew", "admin")
    assert told == []


async def test_an_audit_that_fails_does_not_change_the_answer() -> None:
    async def audit(*_: object) -> None:
        raise OSError("disk full")

    assert (await ask(_house(audit), "PUT", "/shelves/a", authorization="Bearer admin")).status == 200


def test_of_two_objects_the_fields_that_differ_are_told() -> None:
    change = between(b'{"price": 5, "name": "cup", "old": 1}', b'{"price": 6, "name": "cup", "new": 2}')
    assert (bytes(change.before), bytes(change.after)) == (b'{"price":5,"old":1}', b'{"price":6,"new":2}')


def test_what_was_not_there_before_is_told_whole_and_what_is_not_json_not_at_all() -> None:
    assert bytes(between(b"", b'{"price": 5}').after) == b'{"price":5}'
    assert between(b"<html>", b"<html>") == Change()
    assert between(b'{"price": 5}', b'{"price": 5}') == Change()


def test_what_is_too_long_is_told_by_its_length() -> None:
    assert b"too_long" in bytes(between(b"", b'{"text": "' + b"a" * 9000 + b'"}').after)
