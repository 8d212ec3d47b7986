"""A charge in the acquirer's books, and giving one back that an order was charged besides its own."""

from __future__ import annotations

from torg.contexts.admin.routes.pages.visit import Visit
from torg.contexts.payment.contracts import GetCharge, RefundCharge
from torg.kit.errors import DomainError, NotFound
from torg.kit.http import Response
from torg.kit.http.forms import read_form


async def one(visit: Visit, refusal: DomainError | None = None) -> Response:
    charge = await visit.ask(GetCharge(visit.of_path("charge_id")))
    return visit.page("charge.html", refusal, charge=charge)


async def refund(visit: Visit) -> Response:
    charge_id = visit.of_path("charge_id")
    try:
        await visit.ask(read_form(RefundCharge, await visit.form(), visit.deps.clock(), charge_id=charge_id, operator=visit.identity))
    except NotFound:
        raise
    except DomainError as refusal:
        return await one(visit.back_at(f"/admin/charges/{charge_id}"), refusal)
    return visit.go(f"/admin/charges/{charge_id}", "charge_refunded")
