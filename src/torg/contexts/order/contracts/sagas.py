"""Sagas as people read them, what operators do about them, and the steps that stay at home."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Query, message
from torg.kit.values import Limit


class SagaStep(msgspec.Struct, frozen=True, kw_only=True):
    step_id: str
    action: str
    service: str
    compensation: str | None
    status: str
    attempts: int
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


class SagaView(msgspec.Struct, frozen=True, kw_only=True):
    """A saga as people read it; steps in their order."""

    saga_id: str
    saga_type: str
    order_id: str
    status: str
    current_step: str
    compensation_required: bool
    steps: tuple[SagaStep, ...]
    created_at: datetime
    updated_at: datetime


class SagaPage(msgspec.Struct, frozen=True):
    items: tuple[SagaView, ...]
    next_cursor: str | None


@message("order.get_saga")
class GetSaga(Query[SagaView], frozen=True):
    """The saga that placed the order."""

    order_id: str
    viewer: Identity


@message("order.find_saga")
class FindSaga(Query[SagaView], frozen=True):
    """One saga, for operators. Raises NotFound `saga.not_found`."""

    saga_id: str


@message("order.list_sagas")
class ListSagas(Query[SagaPage], frozen=True, kw_only=True):
    """Sagas newest first, for operators."""

    status: Literal["", "running", "completed", "compensating", "compensated", "stuck"] = ""
    cursor: str = ""
    limit: Limit = 24


@message("order.retry_saga")
class RetrySaga(Command[SagaView], frozen=True):
    """An operator has the current step asked again. Raises NotFound for a saga that has ended."""

    saga_id: str


@message("order.compensate_saga")
class CompensateSaga(Command[SagaView], frozen=True):
    """An operator gives a saga up: all is undone."""

    saga_id: str


@message("order.create_order")
class CreateOrder(Command[None], frozen=True):
    """Step one; PlaceOrder does it in the commit that starts the saga."""

    order_id: str


@message("order.undo_order")
class CancelOrder(Command[None], frozen=True):
    """The order came to nothing: it ends as rejected."""

    order_id: str
    reason: str


@message("order.mark_reserved")
class MarkReserved(Command[None], frozen=True):
    """All that the order lists is put aside."""

    order_id: str


@message("order.mark_paid")
class MarkPaid(Command[None], frozen=True):
    """The payment was captured."""

    order_id: str
    payment_id: str


@message("order.confirm_order")
class ConfirmOrder(Command[None], frozen=True):
    """Everything is arranged: the order becomes a sale."""

    order_id: str
    delivery_date: datetime | None = None


@message("order.finish_cancellation")
class FinishCancellation(Command[None], frozen=True):
    """All is undone: the order ends as cancelled."""

    order_id: str


@message("order.resume_order")
class ResumeOrder(Command[None], frozen=True):
    """Cancelling was refused: the order goes on where it was."""

    order_id: str
    reason: str


@message("order.withdraw_order")
class WithdrawOrder(Command[None], frozen=True):
    """What it had on hold is gone and cannot be had again: the shop cancels a confirmed order itself."""

    order_id: str
    reason: str


@message("order.finish_return")
class FinishReturn(Command[None], frozen=True):
    """The goods are back on the shelf, and paid back."""

    order_id: str
    return_id: str


@message("order.take_back")
class TakeBack(Command[None], frozen=True):
    """Goods of a return that was given up are there after all."""

    order_id: str
    return_id: str


@message("order.drop_return")
class DropReturn(Command[None], frozen=True):
    """The return came to nothing: the order stays delivered."""

    order_id: str
    return_id: str
    reason: str
