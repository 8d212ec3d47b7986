"""Users, and what they may do."""

from __future__ import annotations

from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.contexts.user.contracts import GrantRoles, ListUsers
from torg.kit.auth import Role
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.forms import read_form


async def listed(visit: Visit, refusal: DomainError | None = None) -> Response:
    asked = {"query": visit.query.get("q", ""), "cursor": visit.query.get("cursor", "")}
    page = await visit.ask(read_form(ListUsers, asked, visit.deps.clock()))
    return visit.page("users.html", refusal, users=page.items, more_cursor=page.next_cursor, all_roles=[role.value for role in Role])


async def grant(visit: Visit) -> Response:
    form = await visit.form()
    chosen = tuple(role for role in Role if form.get(role.value))
    visit.query = Given({"q": form.get("q", "")})
    try:
        await visit.ask(read_form(GrantRoles, {}, visit.deps.clock(), user_id=visit.of_path("user_id"), roles=chosen or (Role.CUSTOMER,)))
    except DomainError as refusal:
        return await listed(visit.back_at("/admin/users"), refusal)
    return visit.go("/admin/users", "roles", q=form.get("q"))
