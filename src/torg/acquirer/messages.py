"""What a merchant may ask the acquirer, and what it is told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from torg.kit.messages import Command, Query, Rule, message
from torg.kit.values import Limit, Money

Status = Literal["open", "confirming", "processing", "authorized", "captured", "failed", "voided"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class ChargeView(msgspec.Struct, frozen=True, kw_only=True):
    """One payment in the acquirer's books. `reference` is the merchant's own name for it, `url` the page where its buyer pays, `card` the last
    four digits."""

    id: str
    reference: str
    status: Status
    amount: Money
    captured: Money
    refunded: Money
    reason: str
    card: str
    url: str
    created_at: datetime


class Notice(msgspec.Struct, frozen=True):
    """A webhook's body. `id` stays the same when it is sent again."""

    id: str
    type: str
    charge: ChargeView
    at: datetime


class Books(msgspec.Struct, frozen=True):
    """All charges, oldest first."""

    items: tuple[ChargeView, ...]
    next_cursor: str | None


def _positive(amount: Any, _: datetime) -> str | None:
    return None if amount.amount > 0 else "an amount is positive"


def _address(url: Any, _: datetime) -> str | None:
    parts = urlsplit(url)
    return None if parts.scheme in ("http", "https") and parts.netloc else "an address begins with http:// or https://"


@message("acquirer.open_session")
class OpenSession(Command[ChargeView], frozen=True, kw_only=True):
    """Makes a page on which a buyer pays; afterwards the browser goes to `return_url`. The same `reference` gives the same session again. Raises
    DomainError `charge.other_amount` when it was opened for another amount."""

    RULES: ClassVar[dict[str, Rule]] = {"amount": _positive, "return_url": _address}

    reference: Name
    amount: Money
    return_url: Annotated[str, msgspec.Meta(max_length=1000)]


@message("acquirer.get_charge")
class GetCharge(Query[ChargeView], frozen=True):
    """Raises NotFound `charge.not_found`."""

    charge_id: str


@message("acquirer.capture_charge")
class CaptureCharge(Command[ChargeView], frozen=True):
    """Takes the whole authorized amount. Again: answers the same. Raises DomainError `charge.not_authorized`."""

    charge_id: str


@message("acquirer.void_charge")
class VoidCharge(Command[ChargeView], frozen=True):
    """Calls a charge off that was not captured. Again, or when it failed anyhow: answers how it stands. Raises DomainError `charge.captured`, or
    `charge.processing` while the bank works on it."""

    charge_id: str


@message("acquirer.refund_charge")
class RefundCharge(Command[ChargeView], frozen=True, kw_only=True):
    """Gives captured money back; one `refund_id` takes effect once. Raises DomainError `charge.refund_too_large`."""

    RULES: ClassVar[dict[str, Rule]] = {"amount": _positive}

    charge_id: str
    refund_id: Name
    amount: Money


@message("acquirer.get_books")
class GetBooks(Query[Books], frozen=True, kw_only=True):
    """All charges, page by page."""

    cursor: str = ""
    limit: Limit = 100
