"""A charge and its rules: open → (confirming) → authorized → captured, or failed, or voided; refunds never exceed what was captured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from torg.acquirer.cards import Behaviour, Card
from torg.acquirer.messages import ChargeView, Status
from torg.kit.errors import DomainError
from torg.kit.values import Money

REFUSED = "the bank refused the card"
NOT_CONFIRMED = "the bank's customer did not confirm the payment"
GIVEN_UP = "the buyer went back without paying"


@dataclass(frozen=True)
class Charge:
    """`captured` and `refunded` are minor units; a `muted` one is never told about; at `settle_at` the bank is done with it."""

    id: str
    reference: str
    amount: Money
    return_url: str
    created_at: datetime
    status: Status = "open"
    captured: int = 0
    refunded: int = 0
    reason: str = ""
    card: str = ""
    muted: bool = False
    settle_at: datetime | None = None

    def view(self, base_url: str) -> ChargeView:
        currency = self.amount.currency
        return ChargeView(
            id=self.id, reference=self.reference, status=self.status, amount=self.amount, captured=Money(self.captured, currency),
            refunded=Money(self.refunded, currency), reason=self.reason, card=self.card, url=f"{base_url}/pay/{self.id}", created_at=self.created_at,
        )  # fmt: skip


def pay(charge: Charge, card: Card, now: datetime, late: timedelta) -> Charge:
    """What the bank says to a card; only an open charge can be paid."""
    _expect(charge, "open")
    with_card = replace(charge, card=card.last_four)
    match card.behaviour:
        case Behaviour.SUCCESS:
            return replace(with_card, status="authorized")
        case Behaviour.SILENT:
            return replace(with_card, status="authorized", muted=True)
        case Behaviour.CONFIRMATION:
            return replace(with_card, status="confirming")
        case Behaviour.LATE:
            return replace(with_card, status="processing", settle_at=now + late)
        case Behaviour.REFUSAL:
            return replace(with_card, status="failed", reason=REFUSED)


def confirm(charge: Charge, agreed: bool) -> Charge:
    """The bank's customer answers."""
    _expect(charge, "confirming")
    return replace(charge, status="authorized") if agreed else replace(charge, status="failed", reason=NOT_CONFIRMED)


def give_up(charge: Charge) -> Charge:
    """The buyer leaves without paying."""
    _expect(charge, "open")
    return replace(charge, status="failed", reason=GIVEN_UP)


def settle(charge: Charge) -> Charge:
    """The bank is done: the money is there at once."""
    _expect(charge, "processing")
    return replace(charge, status="captured", captured=charge.amount.amount, settle_at=None)


def capture(charge: Charge) -> Charge:
    if charge.status == "captured":
        return charge
    if charge.status != "authorized":
        raise DomainError("charge.not_authorized", f"charge {charge.id} is {charge.status}: only an authorized one can be captured")
    return replace(charge, status="captured", captured=charge.amount.amount)


def void(charge: Charge) -> Charge:
    if charge.status in ("failed", "voided"):
        return charge
    if charge.status in ("captured", "processing"):
        raise DomainError(f"charge.{charge.status}", f"charge {charge.id} is {charge.status}: it can't be called off")
    return replace(charge, status="voided", reason="the merchant called it off")


def refund(charge: Charge, amount: Money) -> Charge:
    refunded = Money(charge.refunded, charge.amount.currency)
    if amount.currency != charge.amount.currency or (refunded + amount).amount > charge.captured:
        left = f"{charge.captured - charge.refunded} {charge.amount.currency}"
        raise DomainError("charge.refund_too_large", f"{left} of charge {charge.id} can be refunded, not {amount.amount} {amount.currency}")
    return replace(charge, refunded=(refunded + amount).amount)


def _expect(charge: Charge, status: Status) -> None:
    if charge.status != status:
        raise DomainError(f"charge.{charge.status}", f"charge {charge.id} is {charge.status} already")
