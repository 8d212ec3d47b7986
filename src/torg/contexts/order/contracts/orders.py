"""What an order consists of."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from torg.contexts.payment.contracts import Method
from torg.contexts.shipping.contracts import DeliveryMethod
from torg.contexts.user.contracts import Address
from torg.kit.values import Money, ProductId, Quantity

Status = Literal["pending", "reserved", "paid", "confirmed", "shipped", "delivered", "rejected", "cancelling", "cancelled", "return_requested", "returned"]


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it was ordered: its name and price stay what they were."""

    product_id: str
    name: str
    quantity: int
    unit_price: Money
    line_total: Money
    category_path: tuple[str, ...] = ()
    weight_grams: int = 0


class DeliveryPlan(msgspec.Struct, frozen=True, kw_only=True):
    method: DeliveryMethod
    address: Address
    pickup_point_id: str = ""

    def erased(self) -> DeliveryPlan:
        """What may be kept of it when the buyer is erased."""
        return msgspec.structs.replace(self, address=self.address.erased(), pickup_point_id="")


class PaymentState(msgspec.Struct, frozen=True, kw_only=True):
    method: Method
    status: Literal["pending", "authorized", "captured", "failed", "refunded", "partially_refunded"]
    redirect_url: str | None = None


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its buyer sees it. `total = items_total + delivery_price - discount`."""

    id: str
    created_date: datetime
    status: Status
    bucket_id: str
    user_id: str
    lines: tuple[OrderLine, ...]
    delivery: DeliveryPlan
    payment: PaymentState
    items_total: Money
    delivery_price: Money
    discount: Money
    total: Money
    cancellable: bool
    updated_at: datetime


class ReturnLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    product_id: ProductId
    quantity: Quantity
