"""Every branch of the order's sagas: given these replies, expect these commands."""

from __future__ import annotations

import msgspec

from torg.contexts.inventory.contracts import (
    Allocation,
    ItemsReleased,
    ItemsReserved,
    ItemsRestocked,
    ReleaseItems,
    ReservationExpired,
    ReservationFailed,
    ReserveItems,
    RestockItems,
    Units,
)
from torg.contexts.order.contracts import (
    CancelOrder,
    ConfirmOrder,
    DeliveryPlan,
    DropReturn,
    FinishCancellation,
    FinishReturn,
    MarkPaid,
    MarkReserved,
    ResumeOrder,
)
from torg.contexts.order.sagas import CANCEL, CHECKOUT, RETURN, CancelState, CheckoutState, ReturnState
from torg.contexts.payment.contracts import Method, PaymentFailed, PaymentProcessed, PaymentRefunded, ProcessPayment, RefundPayment
from torg.contexts.shipping.contracts import (
    CancellationRefused,
    CancelShipping,
    NoCarrier,
    ReturnReceived,
    ReturnRefused,
    ScheduleReturn,
    ScheduleShipping,
    ShippingCancelled,
    ShippingScheduled,
)
from torg.contexts.user.contracts import Address
from torg.kit.saga import UNDO_TRIES
from torg.kit.testing import START
from torg.kit.testing.sagas import Script
from torg.kit.values import Money

TOTAL = Money(1000, "USD")
LINES = (Units("p1", 2),)
RESERVED = ItemsReserved(order_id="o1", allocations=(Allocation("w1", "p1", 2),), source="Tver")
PAID = PaymentProcessed(order_id="o1", payment_id="pay1", amount=TOTAL, method="balance", captured=True)
PROMISED = PaymentProcessed(order_id="o1", payment_id="pay1", amount=TOTAL, method="cash", captured=False)
SCHEDULED = ShippingScheduled(order_id="o1", delivery_id="d1", tracking_number="T1", shipment_date=START, delivery_date=START)
REFUNDED = PaymentRefunded(order_id="o1", refund_id="r", payment_id="pay1", amount=TOTAL)


def checkout(method: Method = "balance") -> Script:
    state = CheckoutState(
        order_id="o1", user_id="u1", lines=LINES, weight_grams=100, method=method, total=TOTAL, pay_until=START, pay_seconds=900,
        delivery=DeliveryPlan(method="courier", address=Address(city="Moscow", street="Tverskaya 1", postcode="125009")),
    )  # fmt: skip
    return Script(CHECKOUT, state, "order", done=["create"])


def test_checkout_goes_through_all_steps():
    script = checkout().expect(ReserveItems)
    script.given(RESERVED).expect_at_home(MarkReserved).expect(ProcessPayment)
    script.given(PAID).expect_at_home(MarkPaid).expect(ScheduleShipping)
    script.given(SCHEDULED).expect_at_home(ConfirmOrder).expect().ends("completed")
    assert all(step.status == "completed" for step in script.instance.steps)


def test_shipping_starts_where_the_stock_is():
    script = checkout()
    script.given(RESERVED).given(PAID)
    booked = script.sent[-1]
    assert isinstance(booked, ScheduleShipping) and booked.source == "Tver"


def test_cash_on_delivery_is_not_marked_as_paid():
    script = checkout("cash")
    script.given(RESERVED).expect_at_home(MarkReserved)
    script.given(PROMISED).expect_at_home().given(SCHEDULED).expect_at_home(ConfirmOrder).ends("completed")


def test_without_stock_only_the_order_is_undone():
    script = checkout().expect(ReserveItems)
    script.given(ReservationFailed(order_id="o1", reason="one left")).expect().expect_at_home(CancelOrder).ends("compensated")
    assert script.instance.step("reserve").status == "failed"
    assert script.instance.step("create").status == "compensated"


def test_refused_payment_frees_the_stock_and_then_the_order():
    script = checkout()
    script.given(RESERVED).expect(ReserveItems, ProcessPayment).expect_at_home(MarkReserved)
    script.given(PaymentFailed(order_id="o1", payment_id="pay1", reason="no money")).expect(ReleaseItems).expect_at_home()
    script.given(ItemsReleased("o1")).expect_at_home(CancelOrder).ends("compensated")
    assert script.instance.step("pay").error == "no money"
    assert script.instance.step("reserve").status == "compensated"


def test_no_carrier_gives_back_money_and_stock():
    script = checkout()
    script.given(RESERVED).given(PAID).expect(ReserveItems, ProcessPayment, ScheduleShipping)
    script.given(NoCarrier(order_id="o1", reason="too heavy")).expect(RefundPayment)
    script.given(REFUNDED).expect(ReleaseItems)
    script.given(ItemsReleased("o1")).ends("compensated")


def test_an_unanswered_step_is_asked_again_and_at_last_undone_with_the_rest():
    script = checkout()
    script.given(RESERVED).expect(ReserveItems, ProcessPayment)
    for _ in range(4):
        script.overdue().expect(ProcessPayment)
    script.overdue().expect(RefundPayment)
    script.given(REFUNDED).expect(ReleaseItems)
    assert script.instance.step("pay").status == "failed"


def test_an_unpaid_card_order_is_given_up_at_the_first_deadline():
    script = checkout("card")
    script.given(RESERVED).expect(ReserveItems, ProcessPayment)
    script.overdue().expect(RefundPayment)


def test_money_that_comes_while_giving_up_does_not_revive_the_order():
    script = checkout("card")
    script.given(RESERVED).overdue().expect(ReserveItems, ProcessPayment, RefundPayment)
    script.given(PAID).expect()
    script.given(REFUNDED).expect(ReleaseItems)


def test_a_reservation_that_runs_out_while_paying_closes_the_payment():
    script = checkout("card")
    script.given(RESERVED).expect(ReserveItems, ProcessPayment)
    script.given(ReservationExpired("o1")).expect(RefundPayment)


def test_replies_that_come_twice_change_nothing():
    script = checkout()
    script.given(RESERVED).given(RESERVED).expect(ReserveItems, ProcessPayment)
    script.given(PAID).given(PAID).expect(ScheduleShipping)
    script.given(SCHEDULED).given(SCHEDULED).ends("completed")


def test_a_lost_undo_is_asked_again_until_an_operator_must_look():
    script = checkout()
    script.given(RESERVED).given(PaymentFailed(order_id="o1", payment_id="p", reason="no")).expect(ReserveItems, ProcessPayment, ReleaseItems)
    for _ in range(UNDO_TRIES):
        script.overdue().expect(ReleaseItems)
    assert script.instance.status == "stuck"
    script.given(ItemsReleased("o1"))
    script.ends("compensated")


def test_cancelling_stops_the_parcel_then_refunds_then_frees_the_stock():
    script = Script(CANCEL, CancelState("o1", "changed my mind"), "order").expect(CancelShipping)
    script.given(ShippingCancelled("o1")).expect(RefundPayment)
    script.given(REFUNDED).expect(ReleaseItems)
    script.given(ItemsReleased("o1")).expect_at_home(FinishCancellation).ends("completed")


def test_cancelling_a_parcel_that_left_resumes_the_order():
    script = Script(CANCEL, CancelState("o1", "changed my mind"), "order").expect(CancelShipping)
    script.given(CancellationRefused("o1", "handed over")).expect().expect_at_home(ResumeOrder).ends("compensated")


def test_an_accepted_cancellation_is_never_given_up():
    script = Script(CANCEL, CancelState("o1", "x"), "order").expect(CancelShipping)
    for _ in range(50):
        script.overdue().expect(CancelShipping)


def returning() -> Script:
    return Script(RETURN, ReturnState(order_id="o1", return_id="r1", lines=LINES, refund=TOTAL, reason="broken"), "order")


def test_returned_goods_go_back_on_the_shelf_before_the_money_goes_back():
    script = returning().expect(ScheduleReturn)
    script.given(ReturnReceived(order_id="o1", return_id="r1")).expect(RestockItems)
    script.given(ItemsRestocked("o1", "r1")).expect(RefundPayment)
    script.given(REFUNDED).expect_at_home()
    script.given(msgspec.structs.replace(REFUNDED, refund_id="r1")).expect_at_home(FinishReturn).ends("completed")


def test_a_refused_return_leaves_the_order_delivered():
    returning().given(ReturnRefused(order_id="o1", return_id="r1", reason="used")).expect_at_home(DropReturn).ends("compensated")


def test_goods_that_never_come_back_drop_the_return():
    returning().overdue().expect_at_home(DropReturn).ends("compensated")
