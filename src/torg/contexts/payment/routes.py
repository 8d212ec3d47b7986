"""Wallets and payments over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torg.contexts.payment import contracts as c
from torg.contexts.payment.handlers.acquiring import take_notice
from torg.contexts.payment.ports import PaymentDeps
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
        get("/wallet", c.GetWallet, right="wallet:read", summary="Your wallet and its latest movements"),
        post(
            "/wallet/top-ups", c.TopUpWallet, about=c.GetWallet, right="wallet:write", status=201, idempotency="required", fill={"reference": lambda _: ""},
            summary="Put money into your wallet",
        ),
        get("/payments", c.ListPayments, right="payments:read", summary="Your payments, newest first; of one order with order_id"),
        get("/payments/{payment_id}", c.GetPayment, right="payments:read", urgency=Urgency.CHECKOUT, summary="One payment"),
        post(
            "/payments/{payment_id}/check", c.CheckPayment, about=c.GetPayment, right="payments:write", status=202,
            summary="Have the acquirer asked how a card payment stands",
        ),
        post("/payments/rebuild", c.RebuildBalances, right="tables:write", summary="Make balances and payments what the log says, while people pay"),
        get("/payments/charges/{charge_id}", c.GetCharge, right="charges:read", summary="A charge in the acquirer's books"),
        post(
            "/payments/charges/{charge_id}/refund", c.RefundCharge, about=c.GetCharge, right="charges:write",
            summary="Give back a charge that an order was charged besides its own",
        ),
        post(
            "/payments/webhooks/{acquirer}", endpoint=webhook, right="webhooks:write", status=204,
            body=dict[str, Any], refuses=(400, 401, 404), urgency=Urgency.CHECKOUT,
            summary="Where an acquirer tells how payments stand, signed in the header Acquirer-Signature",
        ),
    )  # fmt: skip
