"""Wallets and payments over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torg.contexts.payment import contracts as c
from torg.contexts.payment.handlers.acquiring import take_notice
from torg.contexts.payment.ports import PaymentDeps
from torg.kit.auth import SIGNED_IN
from torg.kit.errors import NotFound
from torg.kit.failpoints import reached
from torg.kit.http import Request, Response, Route, Urgency, get, post

SIGNATURE = "acquirer-signature"


def routes(deps: PaymentDeps) -> Sequence[Route]:
    async def webhook(request: Request) -> Response:
        name = request.path_values["acquirer"]
        if name != deps.acquirer.name:
            raise NotFound("acquirer.not_found", f"{name} is not an acquirer of this shop; {deps.acquirer.name} is")
        notice = deps.acquirer.read_notice(request.header(SIGNATURE), await request.body(), deps.clock())
        await take_notice(name, notice, deps)
        reached("before webhook answer")
        return Response(204)

    return (
        get("/wallet", c.GetWallet, who=SIGNED_IN, summary="Your wallet and its latest movements"),
        post(
            "/wallet/top-ups", c.TopUpWallet, who=SIGNED_IN, status=201, idempotency="required", fill={"reference": lambda _: ""},
            summary="Put money into your wallet",
        ),
        get("/payments", c.ListPayments, who=SIGNED_IN, summary="Your payments, newest first; of one order with order_id"),
        get("/payments/{payment_id}", c.GetPayment, who=SIGNED_IN, urgency=Urgency.CHECKOUT, summary="One payment"),
        post("/payments/{payment_id}/check", c.CheckPayment, who=SIGNED_IN, status=202, summary="Have the acquirer asked how a card payment stands"),
        post(
            "/payments/webhooks/{acquirer}", endpoint=webhook, status=204, body=dict[str, Any], refuses=(400, 401, 404), urgency=Urgency.CHECKOUT,
            summary="Where an acquirer tells how payments stand, signed in the header Acquirer-Signature",
        ),
    )  # fmt: skip
