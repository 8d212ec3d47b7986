"""Programs of others, and everybody's API keys."""

from __future__ import annotations

from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.contexts.user.contracts import (
    AddClient,
    DisableClient,
    FindApiKeys,
    Grant,
    ListClients,
    NewClient,
    RenewClientSecret,
    SetApiKeyTier,
    WithdrawApiKey,
)  # fmt: skip
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.forms import read_form

TIERS = ("free", "premium", "enterprise")


async def clients(visit: Visit, refusal: DomainError | None = None, made: NewClient | None = None) -> Response:
    typed = await visit.form() if refusal else Given()
    found = await visit.ask(ListClients())
    return visit.page("clients.html", refusal, clients=found.items, typed=typed, made=made, scopes=_scopes(visit), tiers=TIERS)


async def add(visit: Visit) -> Response:
    """Answers with the page itself: the secret is shown this once."""
    form = await visit.form()
    grants: list[Grant] = ["authorization_code", "refresh_token"] if form.get("redirect_uris") else []
    given = {
        "confidential": not form.get("public"), "scopes": tuple(scope for scope in _scopes(visit) if form.get(scope)),
        "grants": tuple(grants if not form.get("acts_for") else [*grants, "client_credentials"]) or ("authorization_code",),
        "redirect_uris": tuple(form["redirect_uris"].split()), "logout_uris": tuple(form["logout_uris"].split()),
    }  # fmt: skip
    try:
        made = await visit.ask(read_form(AddClient, form, visit.deps.clock(), **given))
    except DomainError as refusal:
        return await clients(visit.back_at("/admin/clients"), refusal)
    return await clients(visit.back_at("/admin/clients"), made=made)


def _scopes(visit: Visit) -> dict[str, str]:
    """What a program may be let to do, by scope."""
    access = visit.deps.access
    return {name: access.scope_words(name, visit.language) for name in access.policy.programs.scopes}


async def renew_secret(visit: Visit) -> Response:
    made = await visit.ask(RenewClientSecret(visit.of_path("client_id")))
    return await clients(visit.back_at("/admin/clients"), made=made)


async def disable(visit: Visit) -> Response:
    await visit.ask(DisableClient(visit.of_path("client_id")))
    return visit.go("/admin/clients", "client_disabled")


async def api_keys(visit: Visit) -> Response:
    asked = {"prefix": visit.query["q"], "cursor": visit.query["cursor"]}
    page = await visit.ask(read_form(FindApiKeys, asked, visit.deps.clock()))
    names = await visit.names(key.user_id for key in page.items)
    return visit.page("api_keys.html", keys=page.items, names=names, more_cursor=page.next_cursor, tiers=TIERS, may_change=visit.may("api-keys:write"))


async def set_tier(visit: Visit) -> Response:
    await visit.ask(read_form(SetApiKeyTier, await visit.form(), visit.deps.clock(), key_id=visit.of_path("key_id")))
    return visit.go("/admin/api-keys", "tier")


async def withdraw(visit: Visit) -> Response:
    await visit.ask(WithdrawApiKey(visit.of_path("key_id")))
    return visit.go("/admin/api-keys", "key_ended")
