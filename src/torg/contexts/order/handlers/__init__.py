"""What orders do. The tables at the bottom are the index."""

from __future__ import annotations

from torg.contexts.order import contracts as c
from torg.contexts.order.handlers.asked import (
    cancel_my_order,
    count_orders,
    get_history,
    get_order,
    list_all_orders,
    list_orders,
    rebuild_order,
    request_return,
)
from torg.contexts.order.handlers.erasing import on_user_erased
from torg.contexts.order.handlers.placing import place_order
from torg.contexts.order.handlers.reactions import (
    on_delivery_delivered,
    on_delivery_shipped,
    on_payment_captured,
    on_payment_failed,
    on_payment_redirected,
    on_payment_refunded,
)
from torg.contexts.order.handlers.sagas import compensate_saga, find_saga, get_saga, list_sagas, retry_saga
from torg.contexts.order.handlers.steps import (
    cancel_order,
    confirm_order,
    create_order,
    drop_return,
    finish_cancellation,
    finish_return,
    mark_paid,
    mark_reserved,
    resume_order,
    take_back,
    withdraw_order,
)
from torg.contexts.payment.contracts import PaymentCaptured, PaymentFailed, PaymentRedirected, PaymentRefunded
from torg.contexts.shipping.contracts import DeliveryDelivered, DeliveryShipped
from torg.contexts.user.contracts import UserErased
from torg.kit.calls import Handlers

HANDLERS: Handlers = {
    c.PlaceOrder: place_order,
    c.CancelMyOrder: cancel_my_order,
    c.RequestReturn: request_return,
    c.ListOrders: list_orders,
    c.ListAllOrders: list_all_orders,
    c.CountOrders: count_orders,
    c.GetOrder: get_order,
    c.GetHistory: get_history,
    c.GetSaga: get_saga,
    c.ListSagas: list_sagas,
    c.FindSaga: find_saga,
    c.RetrySaga: retry_saga,
    c.CompensateSaga: compensate_saga,
    c.RebuildOrder: rebuild_order,
    c.CreateOrder: create_order,
    c.MarkReserved: mark_reserved,
    c.MarkPaid: mark_paid,
    c.ConfirmOrder: confirm_order,
    c.CancelOrder: cancel_order,
    c.WithdrawOrder: withdraw_order,
    c.FinishCancellation: finish_cancellation,
    c.ResumeOrder: resume_order,
    c.FinishReturn: finish_return,
    c.DropReturn: drop_return,
    c.TakeBack: take_back,
}

REACTIONS: Handlers = {
    PaymentRedirected: on_payment_redirected,
    PaymentFailed: on_payment_failed,
    PaymentCaptured: on_payment_captured,
    PaymentRefunded: on_payment_refunded,
    DeliveryShipped: on_delivery_shipped,
    DeliveryDelivered: on_delivery_delivered,
    UserErased: on_user_erased,
}
