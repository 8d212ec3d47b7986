"""The acquirer over HTTP: its API for merchants, and its pages for buyers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from torg.acquirer import handlers
from torg.acquirer import messages as m
from torg.acquirer.cards import read_card
from torg.acquirer.charges import Charge
from torg.acquirer.faults import Faults
from torg.acquirer.handlers import AcquirerDeps
from torg.acquirer.pages import Pages, example_of
from torg.kit.access import PUBLIC, Access
from torg.kit.auth import Role
from torg.kit.errors import DomainError, NotFound
from torg.kit.http import Request, Response, Route, page
from torg.kit.messages import Message
from torg.kit.policy import GUEST, Grant, Policy

CHARGES = "charges:write"
ACCESS = Access(
    Policy(
        rights={CHARGES: "charges and books of the merchant", PUBLIC: "the page to pay on"},
        grants=(Grant(to=Role.PARTNER, rights=(CHARGES,)), Grant(to=GUEST, rights=(PUBLIC,))),
    )
)
"""The merchant alone may charge; whoever has a charge's address may pay it."""


def routes(deps: AcquirerDeps) -> Sequence[Route]:
    prefix = urlsplit(deps.base_url).path
    pages = _BuyerPages(deps)
    return (
        _merchant("POST", f"{prefix}/sessions", m.OpenSession, status=201, idempotency="accepted"),
        _merchant("GET", f"{prefix}/payments/{{charge_id}}", m.GetCharge),
        _merchant("POST", f"{prefix}/payments/{{charge_id}}/capture", m.CaptureCharge, idempotency="accepted"),
        _merchant("POST", f"{prefix}/payments/{{charge_id}}/void", m.VoidCharge, idempotency="accepted"),
        _merchant("POST", f"{prefix}/payments/{{charge_id}}/refunds", m.RefundCharge, status=201, idempotency="accepted"),
        _merchant("GET", f"{prefix}/books", m.GetBooks),
        _merchant("PUT", f"{prefix}/faults", Faults, status=204),
        page(f"{prefix}/pay/{{charge_id}}", pages.show, right=PUBLIC),
        page(f"{prefix}/pay/{{charge_id}}", pages.act, right=PUBLIC, method="POST"),
    )


def _merchant(method: str, path: str, message: type[Message], **more: Any) -> Route:
    return Route(method=method, path=path, message=message, right=CHARGES, public=False, **more)


class _BuyerPages:
    """The pages' endpoints."""

    def __init__(self, deps: AcquirerDeps) -> None:
        self._deps, self._pages = deps, Pages(deps.base_url)

    async def show(self, request: Request) -> Response:
        try:
            charge = await self._deps.books.load(request.path_values["charge_id"])
        except NotFound:
            return self._pages.missing(request.language())
        return self._as_it_stands(charge, request)

    async def act(self, request: Request) -> Response:
        """What a buyer decided. A decision that comes too late (twice, or after the shop called it off) changes nothing."""
        charge_id, form = request.path_values["charge_id"], await request.form()
        decisions: dict[str, Callable[[], Awaitable[Response]]] = {
            "pay": lambda: self._pay(charge_id, form, request),
            "give_up": lambda: self._decided(handlers.give_up(charge_id, self._deps), request),
            "confirm": lambda: self._decided(handlers.confirm(charge_id, True, self._deps), request),
            "deny": lambda: self._decided(handlers.confirm(charge_id, False, self._deps), request),
        }
        try:
            return await decisions.get(form.get("decision", "pay"), decisions["pay"])()
        except NotFound:
            return self._pages.missing(request.language())
        except DomainError:
            return await self.show(request)

    async def _pay(self, charge_id: str, form: dict[str, str], request: Request) -> Response:
        card, faults = read_card(form.get("number", ""), form.get("expiry", ""), form.get("code", ""), self._deps.clock().date())
        if card is None:
            charge = await self._deps.books.load(charge_id)
            return self._pages.form(charge, request.language(), form, faults) if charge.status == "open" else self._as_it_stands(charge, request)
        return await self._decided(handlers.pay(charge_id, card, self._deps), request)

    async def _decided(self, work: Awaitable[Charge], request: Request) -> Response:
        """On to the bank's question, or back to the shop."""
        charge = await work
        return self._pages.question(charge, request.language()) if charge.status == "confirming" else Response.see_other(charge.return_url)

    def _as_it_stands(self, charge: Charge, request: Request) -> Response:
        if charge.status == "open":
            chosen = example_of(request.query().get("card", ""), self._deps.clock().date())
            return self._pages.form(charge, request.language(), chosen, {})
        if charge.status == "confirming":
            return self._pages.question(charge, request.language())
        return self._pages.state(charge, request.language())
