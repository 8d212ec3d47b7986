"""Wallets and payments over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.payment import contracts as c
from torg.kit.auth import SIGNED_IN
from torg.kit.http import Route, get, post


def routes() -> Sequence[Route]:
    return (
        get("/wallet", c.GetWallet, who=SIGNED_IN, summary="The own wallet and its latest movements"),
        post(
            "/wallet/top-ups", c.TopUpWallet, who=SIGNED_IN, status=201, idempotency="required",
            summary="Put money into the own wallet (there is no bank behind the sandbox: it is credited at once)",
        ),
        get("/payments", c.ListPayments, who=SIGNED_IN, summary="Own payments, newest first; of one order with order_id"),
        get("/payments/{payment_id}", c.GetPayment, who=SIGNED_IN, summary="One payment"),
    )  # fmt: skip
