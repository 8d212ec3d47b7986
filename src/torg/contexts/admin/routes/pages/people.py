"""Users, and what they may do."""

from __future__ import annotations

from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.contexts.user.contracts import EndSessionOf, EndSessionsOf, GetContact, GrantRoles, ListSessionsOf, ListUsers
from torg.kit.auth import Role
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.forms import read_form


async def listed(visit: Visit, refusal: DomainError | None = None) -> Response:
    asked = {"query": visit.query.get("q", ""), "cursor": visit.query.get("cursor", "")}
    page = await visit.ask(read_form(ListUsers, asked, visit.deps.clock(), viewer=visit.identity))
    return visit.page("users.html", refusal, users=page.items, more_cursor=page.next_cursor, all_roles=[role.value for role in Role])


async def grant(visit: Visit) -> Response:
    form = await visit.form()
    chosen = tuple(role for role in Role if form.get(role.value))
    visit.query = Given({"q": form.get("q", "")})
    try:
        roles, places = chosen or (Role.CUSTOMER,), {name: _listed(form.get(name, "")) for name in ("warehouses", "cities")}
        await visit.ask(read_form(GrantRoles, {}, visit.deps.clock(), user_id=visit.of_path("user_id"), roles=roles, **places))
    except DomainError as refusal:
        return await listed(visit.back_at("/admin/users"), refusal)
    return visit.go("/admin/users", "roles", q=form.get("q"))


async def sessions(visit: Visit) -> Response:
    user_id = visit.of_path("user_id")
    found, user = await visit.ask(ListSessionsOf(user_id)), await visit.ask(GetContact(user_id))
    return visit.page("user_sessions.html", user=user, sessions=found.items, may_end=visit.may("user-sessions:write"))


async def end_session(visit: Visit) -> Response:
    user_id = visit.of_path("user_id")
    await visit.ask(EndSessionOf(user_id, visit.of_path("session_id")))
    return visit.go(f"/admin/users/{user_id}/sessions", "session_ended")


async def end_sessions(visit: Visit) -> Response:
    user_id = visit.of_path("user_id")
    await visit.ask(EndSessionsOf(user_id))
    return visit.go(f"/admin/users/{user_id}/sessions", "sessions_ended")


def _listed(typed: str) -> tuple[str, ...] | None:
    """Places with commas between them; none at all is everywhere."""
    return tuple(place.strip() for place in typed.split(",") if place.strip()) or None
