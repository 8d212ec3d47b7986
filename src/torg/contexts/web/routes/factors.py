"""Second factors: the code after the password, and the page that sets one up."""

from __future__ import annotations

from collections.abc import Mapping

import segno
from markupsafe import Markup

from torg.contexts.user.contracts import (
    AddPasskeyStep,
    BeginTotp,
    ConfirmTotp,
    GetFactors,
    GiveCode,
    GivePasskey,
    ListPasskeys,
    NewTotp,
    RecoveryCodes,
    RemovePasskey,
    RemovePasskeyStep,
    RemoveTotp,
    RenewRecoveryCodes,
    SignInWithPasskey,
)
from torg.contexts.web.model import read_form, safe_path
from torg.contexts.web.routes.entering import on_the_way_to, sign_in_page
from torg.contexts.web.routes.visit import NotProven, Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response

AT = "/profile/second-factor"


async def sign_in_with_code(visit: Visit) -> Response:
    return await _second_step(visit, GiveCode)


async def give_passkey(visit: Visit) -> Response:
    return await _second_step(visit, GivePasskey)


async def _second_step(visit: Visit, given: type[GiveCode | GivePasskey]) -> Response:
    form = await visit.form()
    try:
        tokens = await visit.ask(read_form(given, form, visit.deps.clock(), address=visit.request.client))
    except DomainError as refusal:
        return await ask_for_code(visit, form, refusal)
    await visit.enter(tokens)
    return visit.go(safe_path(form.get("next", "/")), "welcome_back")


async def ask_for_code(visit: Visit, form: Mapping[str, str], refusal: DomainError | None = None) -> Response:
    """Or for a passkey: the form says in what ways they may go on."""
    faults, ways = visit.faults(refusal) if refusal else {}, (form.get("ways") or "totp").split()
    visit.sends_to = on_the_way_to(safe_path(form.get("next", "/")))
    return await visit.page("second_factor.html", refusal.status if refusal else 401, form=form, ways=ways, faults=faults)


def asked_more(refusal: DomainError) -> dict[str, str]:
    """What the form goes on with, where the password was right and is not enough; empty for another refusal."""
    if refusal.code != "session.second_factor":
        return {}
    ticket = next((error.detail for error in refusal.errors if error.field == "ticket"), "")
    return {"ticket": ticket, "ways": " ".join(error.code for error in refusal.errors if error.field == "way")}


async def show(visit: Visit) -> Response:
    """All that is done here takes a proof: it is asked for before."""
    if not (await visit.ask(GetFactors(visit.member))).proven:
        raise NotProven
    return await _page(visit)


async def begin(visit: Visit) -> Response:
    try:
        begun = await visit.ask(read_form(BeginTotp, await visit.form(), visit.deps.clock(), holder=visit.member))
    except DomainError as refusal:
        return await _page(visit, refusal)
    return await _page(visit, begun=begun)


async def confirm(visit: Visit) -> Response:
    form = await visit.form()
    try:
        codes = await visit.ask(read_form(ConfirmTotp, form, visit.deps.clock(), holder=visit.member))
    except DomainError as refusal:
        begun = NewTotp(form["secret"], form["uri"]) if form.get("secret") and form.get("uri", "").startswith("otpauth://totp/Torg:") else None
        return await _page(visit, refusal, begun=begun)
    return await _page(visit, codes=codes)


async def renew_codes(visit: Visit) -> Response:
    try:
        codes = await visit.ask(read_form(RenewRecoveryCodes, await visit.form(), visit.deps.clock(), holder=visit.member))
    except DomainError as refusal:
        return await _page(visit, refusal)
    return await _page(visit, codes=codes)


async def remove(visit: Visit) -> Response:
    try:
        await visit.ask(read_form(RemoveTotp, await visit.form(), visit.deps.clock(), holder=visit.member))
    except DomainError as refusal:
        return await _page(visit, refusal)
    return visit.go(AT, "factor_removed")


async def add_passkey_step(visit: Visit) -> Response:
    try:
        codes = await visit.ask(AddPasskeyStep(visit.member))
    except DomainError as refusal:
        return await _page(visit, refusal)
    return await _page(visit, codes=codes) if codes.codes else visit.go(AT, "passkey_step_added")


async def remove_passkey_step(visit: Visit) -> Response:
    await visit.ask(RemovePasskeyStep(visit.member))
    return visit.go(AT, "passkey_step_removed")


async def sign_in_with_passkey(visit: Visit) -> Response:
    form = await visit.form()
    who = {"address": visit.request.client, "device": visit.request.header("user-agent"), "guest_cart_id": visit.guest_cart_id}
    try:
        tokens = await visit.ask(read_form(SignInWithPasskey, form, visit.deps.clock(), **who))
    except DomainError as refusal:
        return await sign_in_page(visit, {"next": form.get("next", "/")}, refusal)
    await visit.enter(tokens)
    return visit.go(safe_path(form.get("next", "/")), "welcome_back")


async def remove_passkey(visit: Visit) -> Response:
    await visit.ask(RemovePasskey(visit.member, visit.request.path_values["passkey_id"]))
    return visit.go(AT, "passkey_removed")


async def _page(visit: Visit, refusal: DomainError | None = None, begun: NewTotp | None = None, codes: RecoveryCodes | None = None) -> Response:
    factors, passkeys = await visit.ask(GetFactors(visit.member)), await visit.ask(ListPasskeys(visit.member))
    faults = visit.faults(refusal) if refusal else {}
    drawn = _drawn(begun.uri) if begun else ""
    status = refusal.status if refusal else 200
    return await visit.page(
        "factors.html", status, factors=factors, passkeys=passkeys.items, faults=faults, begun=begun, drawn=drawn, codes=codes.codes if codes else ()
    )


def _drawn(uri: str) -> Markup:
    """As a QR code, black on white also where the page is dark: apps read no others."""
    return Markup(segno.make(uri, error="m").svg_inline(scale=5, dark="#000", light="#fff", omitsize=False))  # noqa: S704 drawn here
