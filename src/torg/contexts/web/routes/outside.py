"""Signing in with a provider outside."""

from __future__ import annotations

from torg.contexts.user.contracts import Arrival, ArriveFromProvider, LeaveForProvider, LinkOutside
from torg.contexts.web.model import read_form, safe_path
from torg.contexts.web.routes.entering import sign_in_page
from torg.contexts.web.routes.factors import ask_for_code
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response

KEPT_COOKIE, KEPT_FOR = "outside", 600  # seconds


async def leave(visit: Visit) -> Response:
    """On the way to the provider; the browser keeps what it is to bring back."""
    query = visit.request.query()
    departure = await visit.ask(LeaveForProvider(safe_path(query.get("next", "/")), anew=bool(query.get("anew"))))
    visit.set_cookie(KEPT_COOKIE, departure.kept, KEPT_FOR)
    return visit.go(departure.where)


async def arrive(visit: Visit) -> Response:
    """Back from the provider."""
    returned = {name: value[:2000] for name, value in visit.request.query().items() if name in ("state", "code", "iss", "error")}
    came = ArriveFromProvider(
        kept=visit.request.cookie(KEPT_COOKIE)[:5000],
        address=visit.request.client,
        guest_cart_id=visit.guest_cart_id,
        language=visit.language,
        device=visit.request.header("user-agent"),
        **returned,
    )
    try:
        arrival = await visit.ask(came)
    except DomainError as refusal:
        visit.set_cookie(KEPT_COOKIE, "", 0)
        return await sign_in_page(visit, {"next": "/"}, refusal)
    return await _entered(visit, arrival)


async def link(visit: Visit) -> Response:
    """The password of the account that is there already, once."""
    form = await visit.form()
    who = {
        "kept": visit.request.cookie(KEPT_COOKIE)[:5000],
        "address": visit.request.client,
        "device": visit.request.header("user-agent"),
        "guest_cart_id": visit.guest_cart_id,
    }
    try:
        arrival = await visit.ask(read_form(LinkOutside, form, visit.deps.clock(), **who))
    except DomainError as refusal:
        return await visit.page("outside.html", refusal.status, email=form.get("email", ""), faults=visit.faults(refusal))
    return await _entered(visit, arrival)


async def _entered(visit: Visit, arrival: Arrival) -> Response:
    if arrival.ticket:
        visit.set_cookie(KEPT_COOKIE, "", 0)
        visit.leads_in()
        return await ask_for_code(visit, {"ticket": arrival.ticket, "ways": " ".join(arrival.ways), "next": arrival.next})
    if arrival.tokens is None:
        visit.set_cookie(KEPT_COOKIE, arrival.kept, KEPT_FOR)
        visit.leads_in()
        return await visit.page("outside.html", email=arrival.email, faults={})
    visit.set_cookie(KEPT_COOKIE, "", 0)
    await visit.enter(arrival.tokens)
    return visit.go(safe_path(arrival.next), "welcome_back")
