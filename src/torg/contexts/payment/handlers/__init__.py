"""What payments do. The tables at the bottom are the index."""

from __future__ import annotations

from torg.contexts.payment import contracts as c
from torg.contexts.payment.handlers.acquiring import check_payment
from torg.contexts.payment.handlers.mending import get_charge, rebuild_balances, refund_charge
from torg.contexts.payment.handlers.payments import get_payment, list_payments, on_delivery_delivered, process_payment, refund_payment
from torg.contexts.payment.handlers.wallet import credit_wallet, get_balance, get_wallet, top_up_wallet
from torg.contexts.shipping.contracts import DeliveryDelivered
from torg.kit.calls import Handlers

HANDLERS: Handlers = {
    c.GetBalance: get_balance,
    c.GetWallet: get_wallet,
    c.TopUpWallet: top_up_wallet,
    c.CreditWallet: credit_wallet,
    c.ListPayments: list_payments,
    c.GetPayment: get_payment,
    c.CheckPayment: check_payment,
    c.RebuildBalances: rebuild_balances,
    c.GetCharge: get_charge,
    c.RefundCharge: refund_charge,
}

REACTIONS: Handlers = {
    c.ProcessPayment: process_payment,
    c.RefundPayment: refund_payment,
    DeliveryDelivered: on_delivery_delivered,
}
