"""Signing in and out, registering, and the language."""

from __future__ import annotations

import msgspec

from torg.contexts.user.contracts import RegisterUser, SignIn, SignOut, SignOutEverywhere
from torg.contexts.web.model import read_form, safe_path
from torg.contexts.web.routes.entering import sign_in_page
from torg.contexts.web.routes.factors import ask_for_code, asked_more
from torg.contexts.web.routes.visit import DAY, LANGUAGE_COOKIE, Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.values import Language


async def show_sign_in(visit: Visit) -> Response:
    back = safe_path(visit.request.query().get("next", "/"))
    if visit.identity and not visit.request.query().get("again"):
        return visit.go(back)
    return await sign_in_page(visit, {"next": back}, again=visit.identity is not None)


async def sign_in(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await _enter(visit, form)
    except DomainError as refusal:
        if told := asked_more(refusal):
            return await ask_for_code(visit, {**told, "next": form.get("next", "/")})
        return await sign_in_page(visit, form, refusal)
    return visit.go(safe_path(form.get("next", "/")), "welcome_back")


async def show_register(visit: Visit) -> Response:
    back = safe_path(visit.request.query().get("next", "/"))
    if visit.identity:
        return visit.go(back)
    visit.leads_in()
    return await visit.page("register.html", form={"next": back}, faults={})


async def register(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.ask(read_form(RegisterUser, form, visit.deps.clock(), language=visit.language))
        await _enter(visit, form)
    except DomainError as refusal:
        faults = visit.faults(refusal)
        if refusal.code == "user.email_taken":
            faults = {"email": faults[""]}
        return await visit.page("register.html", refusal.status, form=form, faults=faults)
    return visit.go(safe_path(form.get("next", "/")), "welcome")


async def sign_out(visit: Visit) -> Response:
    if visit.identity:
        await visit.ask(SignOut(visit.identity))
    visit.forget_session()
    visit.request.identity = None
    return visit.go("/", "signed_out")


async def sign_out_everywhere(visit: Visit) -> Response:
    await visit.ask(SignOutEverywhere(visit.member))
    visit.forget_session()
    visit.request.identity = None
    return visit.go("/", "signed_out_everywhere")


async def renew(visit: Visit) -> Response:
    """For pages that stay open: the visit itself has renewed the session."""
    return Response(204 if visit.identity else 401)


async def choose_language(visit: Visit) -> Response:
    form = await visit.form()
    chosen = msgspec.convert(form.get("language", ""), Language) if form.get("language") in set(Language) else visit.language
    visit.set_cookie(LANGUAGE_COOKIE, chosen.value, 365 * DAY)
    return visit.go(safe_path(form.get("back", "/")))


async def _enter(visit: Visit, form: dict[str, str]) -> None:
    """Signs in; the guest's cart joins the member's."""
    who = {"address": visit.request.client, "device": visit.request.header("user-agent"), "guest_cart_id": visit.guest_cart_id}
    tokens = await visit.ask(read_form(SignIn, {name: form.get(name, "") for name in ("email", "password")}, visit.deps.clock(), **who))
    await visit.enter(tokens)
