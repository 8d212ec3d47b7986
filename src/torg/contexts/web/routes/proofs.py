"""Asked anew before what matters: a small form, which then goes on with what was begun."""

from __future__ import annotations

from torg.contexts.user.contracts import GetFactors, ProveAgain
from torg.contexts.web.model import safe_path
from torg.contexts.web.routes.visit import PROOF, Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.changes import SAFE
from torg.kit.http.form_tokens import FIELD as FORM_TOKEN

GO_ON = "/profile/proof"


async def go_on(visit: Visit) -> Response:
    """To a page that was asked for; the proof was in the form."""
    return visit.go(safe_path((await visit.form()).get("next", "/profile")))


async def ask(visit: Visit, refusal: DomainError | None = None) -> Response:
    """The form. What was sent before goes with it, to where it was sent."""
    before = {} if visit.request.method in SAFE else await visit.form()
    told = {name: value for name, value in before.items() if not name.startswith(PROOF) and name != FORM_TOKEN}
    action, told = (GO_ON, {"next": visit.here}) if visit.request.method in SAFE else (visit.request.path, told)
    factors = await visit.ask(GetFactors(visit.member))
    faults = visit.faults(refusal) if refusal else {}
    return await visit.page(
        "prove.html", refusal.status if refusal else 403, action=action, told=told, factors=factors, faults=faults, outside=visit.deps.outside,
        back=told.get("next", "/profile") if visit.request.method in SAFE else "/profile",
    )  # fmt: skip


async def shown(visit: Visit) -> DomainError | None:
    """Takes the proof that a form carries, if it does, and none is needed that is there: looking at a password costs more than a page. Gives why it won't
    do."""
    if visit.request.method in SAFE:
        return None
    form = await visit.form()
    given = {name.removeprefix(PROOF): value for name, value in form.items() if name.startswith(PROOF) and value}
    if not given or (await visit.ask(GetFactors(visit.member))).proven:
        return None
    try:
        await visit.ask(ProveAgain(holder=visit.member, address=visit.request.client, **{name: given.get(name, "") for name in KINDS}))
    except DomainError as refusal:
        return refusal
    return None


KINDS = ("password", "code", "ticket", "credential")
