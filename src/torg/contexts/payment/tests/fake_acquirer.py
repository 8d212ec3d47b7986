"""An acquirer in memory, that passes the port's suite; a test plays the buyer and the bank, and decides when it doesn't answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from torg.contexts.payment.model import Charge
from torg.contexts.payment.ports import Notice, Refused
from torg.kit.errors import Malformed, Unauthenticated, Unavailable
from torg.kit.values import Money


class FakeAcquirer:
    """Implements Acquirer. `away` refuses every question; `lost` answers of the next so many are lost after they took effect."""

    name = "sandbox"

    def __init__(self) -> None:
        self.charges: dict[str, Charge] = {}
        self.refunds: set[tuple[str, str]] = set()
        self.asked: list[str] = []
        self.pages: dict[str, tuple[Money, str]] = {}
        self.away = False
        self.lost = 0

    async def create_session(self, payment_id: str, amount: Money, return_url: str) -> Charge:
        self._ask(f"create {payment_id}")
        if self.pages.setdefault(payment_id, (amount, return_url)) != (amount, return_url):
            raise Refused("idempotency.other_request", "this key came with another request")
        id = f"charge-of-{payment_id}"
        known = self.charges.setdefault(id, Charge(id, payment_id, amount, "open", 0, 0, "", f"https://acquirer.example/pay/{id}"))
        if known.amount != amount:
            raise Refused("charge.other_amount", "it was opened for another amount")
        return self._answer(known)

    async def get(self, charge_id: str) -> Charge:
        self._ask(f"get {charge_id}")
        return self._answer(self._known(charge_id))

    async def capture(self, charge_id: str) -> Charge:
        self._ask(f"capture {charge_id}")
        return self._answer(self._change(charge_id, lambda charge: _captured(charge) if charge.status == "authorized" else charge))

    async def void(self, charge_id: str) -> Charge:
        self._ask(f"void {charge_id}")
        return self._answer(self._change(charge_id, lambda charge: charge if charge.captured else replace(charge, status="failed", reason="called off")))

    async def refund(self, charge_id: str, refund_id: str, amount: Money) -> Charge:
        self._ask(f"refund {charge_id} {refund_id} {amount.amount}")
        if (charge_id, refund_id) not in self.refunds:
            self._change(charge_id, lambda charge: _refunded(charge, amount))
            self.refunds.add((charge_id, refund_id))
        return self._answer(self.charges[charge_id])

    async def books(self, cursor: str) -> tuple[Sequence[Charge], str]:
        self._ask("books")
        return list(self.charges.values()), ""

    def read_notice(self, signature: str, body: bytes, now: datetime) -> Notice:
        if signature != "signed":
            raise Unauthenticated("webhook.signature", "this signature is not the acquirer's")
        try:
            return msgspec.json.decode(body, type=Notice)
        except msgspec.DecodeError as error:
            raise Malformed("webhook.malformed", str(error)) from error

    # ---------------------------------------------------------------- the buyer and the bank

    def authorize(self, charge_id: str) -> Charge:
        return self._change(charge_id, lambda charge: replace(charge, status="authorized") if charge.status == "open" else charge)

    def refuse(self, charge_id: str) -> Charge:
        return self._change(charge_id, lambda charge: replace(charge, status="failed", reason="the bank refused the card"))

    def settle(self, charge_id: str) -> Charge:
        """The money is there without a capture, whatever was agreed."""
        return self._change(charge_id, _captured)

    def _change(self, charge_id: str, decide: Callable[[Charge], Charge]) -> Charge:
        self.charges[charge_id] = decide(self._known(charge_id))
        return self.charges[charge_id]

    def _known(self, charge_id: str) -> Charge:
        if charge_id not in self.charges:
            raise Refused("charge.not_found", f"there is no charge {charge_id}")
        return self.charges[charge_id]

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            raise Unavailable("the acquirer is away")

    def _answer(self, charge: Charge) -> Charge:
        if self.lost:
            self.lost -= 1
            raise Unavailable("the reply was lost")
        return charge


def _captured(charge: Charge) -> Charge:
    return replace(charge, status="captured", captured=charge.amount.amount)


def _refunded(charge: Charge, amount: Money) -> Charge:
    if charge.refunded + amount.amount > charge.captured:
        raise Refused("charge.refund_too_large", "that much was not captured")
    return replace(charge, refunded=charge.refunded + amount.amount)
