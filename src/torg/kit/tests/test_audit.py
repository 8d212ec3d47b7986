"""Who of the staff asked for a change is told to the audit, once it was handled; nobody else is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from torg.kit.auth import SIGNED_IN, Identity, Role
from torg.kit.calls import Handle
from torg.kit.errors import DomainError
from torg.kit.http import App, Request, Response
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


def _house(audit: Callable[[Request, Route, Response], Awaitable[None]]) -> App:
    app = App(TestClock(), test_ids(), _authenticate, audit=audit)
    routes = [
        Route(method="GET", path="/shelves/{shelf}", endpoint=_fine),
        Route(method="PUT", path="/shelves/{shelf}", endpoint=_fine, who=SIGNED_IN),
        Route(method="POST", path="/shelves", endpoint=_refused, who=SIGNED_IN),
        Route(method="POST", path="/renew", endpoint=_fine, audited=False),
    ]
    handlers: dict[type[Message], Handle] = {}
    app.add(routes, handlers.__getitem__)
    return app


async def _tell(told: Told, method: str, path: str, role: str) -> int:
    async def audit(request: Request, route: Route, response: Response) -> None:
        assert request.identity is not None
        told.append((request.identity.user_id, route.method, route.path, response.status))

    return (await ask(_house(audit), method, path, authorization=f"Bearer {role}")).status


async def test_changes_by_staff_are_told_with_what_came_of_them() -> None:
    told: Told = []
    await _tell(told, "PUT", "/shelves/a", "warehouse")
    await _tell(told, "POST", "/shelves", "admin")
    assert told == [("warehouse", "PUT", "/shelves/{shelf}", 200), ("admin", "POST", "/shelves", 409)]


async def test_reading_and_buyers_and_what_is_not_worth_a_line_are_not_told() -> None:
    told: Told = []
    await _tell(told, "GET", "/shelves/a", "warehouse")
    await _tell(told, "PUT", "/shelves/a", "customer")
    await _tell(told, "PUT", "/shelves/a", "partner")
    await _tell(told, "POST", "/renew", "admin")
    assert told == []


async def test_an_audit_that_fails_does_not_change_the_answer() -> None:
    async def audit(*_: object) -> None:
        raise OSError("disk full")

    assert (await ask(_house(audit), "PUT", "/shelves/a", authorization="Bearer admin")).status == 200
