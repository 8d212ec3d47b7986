"""Going to the acquirer, outside transactions, and listening to it. Whatever it says, by reply, webhook or when asked, is observed in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TypeVar

from torg.contexts.payment import contracts as c
from torg.contexts.payment import model
from torg.contexts.payment.handlers.payments import get_payment
from torg.contexts.payment.model import Action, Charge, Errand, Outcome, Payment
from torg.contexts.payment.ports import Notice, PaymentDeps, Refused, TriedErrand
from torg.kit.errors import DomainError, Unavailable
from torg.kit.failpoints import reached
from torg.kit.store import Transaction
from torg.kit.telemetry import log

T = TypeVar("T")
AT_ONCE = 32  # errands and checks taken up together
POLL = 0.2  # seconds between looks for work, unless the bell rings
WEBHOOKS_REMEMBERED = timedelta(days=2)  # their signatures are good for minutes


async def go_to_acquirer(deps: PaymentDeps) -> None:
    """One turn of the job: waits for work, and does what is due."""
    await deps.bell.wait(POLL)
    now = deps.clock()
    errands, checks = await deps.payments.errands_due(now, AT_ONCE), await deps.payments.checks_due(now, AT_ONCE)
    if len(errands) == AT_ONCE:
        deps.bell.ring()  # there may be more
    await asyncio.gather(*(run_errand(tried, deps) for tried in errands), *(ask_acquirer(payment, deps) for payment in checks))


async def run_errand(tried: TriedErrand, deps: PaymentDeps) -> None:
    """Does one errand and files its outcome; or has it tried again later."""
    payment = await deps.payments.find(tried.errand.payment_id)
    assert payment is not None, "an errand is filed with its payment"
    reached("before acquirer")
    try:
        charge = await ERRANDS[tried.errand.action](payment, tried.errand, deps)
        reached("after acquirer")
        await _anew(partial(_finish, tried.errand, charge, deps), deps)
    except (Unavailable, DomainError) as obstacle:
        await _anew(partial(_postpone, tried, obstacle.detail, deps), deps)
    except Refused as refusal:
        await _anew(partial(_refused, tried, refusal, deps), deps)


async def ask_acquirer(payment: Payment, deps: PaymentDeps) -> None:
    """Asks how a payment stands that too little was heard of: its webhook may have been lost."""
    learned = False
    try:
        charge = await deps.acquirer.get(payment.acquirer_id)
        learned = await _anew(partial(_learn, charge, deps), deps)
    except (Unavailable, Refused, DomainError) as obstacle:
        log.warning("a payment could not be looked up", payment=payment.id, error=str(obstacle))
    if not learned:
        await _anew(partial(_check_again, payment, deps), deps)


async def take_notice(acquirer: str, notice: Notice, deps: PaymentDeps) -> None:
    """What a verified webhook brings about; the same one again brings nothing. Raises DomainError `payment.mismatch`."""
    await _anew(partial(_take_notice, acquirer, notice, deps), deps)


async def _take_notice(acquirer: str, notice: Notice, deps: PaymentDeps) -> None:
    async with deps.transaction() as tx:
        if await deps.payments.note_webhook(tx, acquirer, notice.id):
            await _observe(tx, notice.charge, deps)


async def check_payment(cmd: c.CheckPayment, deps: PaymentDeps) -> c.PaymentView:
    view = await get_payment(c.GetPayment(cmd.payment_id, cmd.viewer), deps)
    async with deps.transaction() as tx:
        payment = await deps.payments.load(tx, view.id)
        if payment and payment.status in ("pending", "authorized"):
            await deps.payments.check_again(tx, payment, soon=True)
    return view


async def forget_webhooks(deps: PaymentDeps) -> None:
    """One turn of a job."""
    async with deps.transaction() as tx:
        await deps.payments.forget_webhooks(tx, deps.clock() - WEBHOOKS_REMEMBERED)


async def _anew(file: Callable[[], Awaitable[T]], deps: PaymentDeps) -> T:
    """Files what the acquirer said; where somebody else changes the same payment just now, the filing is done anew, and the acquirer not asked again."""
    return await deps.store.undisturbed(file, "payment.acquirer")


async def _learn(charge: Charge, deps: PaymentDeps) -> bool:
    async with deps.transaction() as tx:
        return await _observe(tx, charge, deps)


async def _check_again(payment: Payment, deps: PaymentDeps) -> None:
    async with deps.transaction() as tx:
        await deps.payments.check_again(tx, payment)


async def _observe(tx: Transaction, charge: Charge, deps: PaymentDeps) -> bool:
    """Files what follows from how a charge stands; whether anything did."""
    payment = await deps.payments.load(tx, charge.reference)
    if payment is None:
        log.error("the acquirer speaks of a payment that is unknown here", charge=charge.id, reference=charge.reference)
        return False
    outcome = model.observe(payment, charge)
    if outcome == Outcome(payment):
        return False
    await deps.payments.file(tx, outcome)
    return True


async def _finish(errand: Errand, charge: Charge, deps: PaymentDeps) -> None:
    async with deps.transaction() as tx:
        if not await deps.payments.finish(tx, errand):
            return  # somebody else was faster with the same errand
        payment = await deps.payments.load(tx, errand.payment_id)
        assert payment is not None, "an errand is filed with its payment"
        if errand.action == "create":
            await deps.payments.file(tx, model.open_page(payment, charge))
        elif errand.action == "refund":
            await _settle_refund(tx, payment, errand, deps)
        else:
            await _observe(tx, charge, deps)


async def _settle_refund(tx: Transaction, payment: Payment, errand: Errand, deps: PaymentDeps) -> None:
    refund = await deps.payments.refund(tx, payment.id, errand.refund_id)
    assert refund is not None, "an errand for a refund is filed with the refund"
    await deps.payments.file(tx, model.settle_refund(payment, refund))


async def _refused(tried: TriedErrand, refusal: Refused, deps: PaymentDeps) -> None:
    """Without a page there is no payment. Anything else that is refused is a defect: it stays on the list, and is told in the log each time."""
    if tried.errand.action != "create":
        log.error("the acquirer refuses", errand=tried.errand.id, attempts=tried.attempts, error=str(refusal))
        await _postpone(tried, str(refusal), deps)
        return
    async with deps.transaction() as tx:
        payment = await deps.payments.load(tx, tried.errand.payment_id)
        if await deps.payments.finish(tx, tried.errand) and payment and not payment.closed:
            await deps.payments.file(tx, model.fail(payment, f"the acquirer does not take this payment: {refusal.detail}"))


async def _postpone(tried: TriedErrand, error: str, deps: PaymentDeps) -> None:
    async with deps.transaction() as tx:
        await deps.payments.postpone(tx, tried, error)


async def _create(payment: Payment, errand: Errand, deps: PaymentDeps) -> Charge:
    return await deps.acquirer.create_session(payment.id, payment.amount, errand.return_url or deps.return_url(payment.order_id))


async def _capture(payment: Payment, _: Errand, deps: PaymentDeps) -> Charge:
    return await deps.acquirer.capture(payment.acquirer_id)


async def _void(payment: Payment, _: Errand, deps: PaymentDeps) -> Charge:
    return await deps.acquirer.void(payment.acquirer_id)


async def _refund(payment: Payment, errand: Errand, deps: PaymentDeps) -> Charge:
    return await deps.acquirer.refund(payment.acquirer_id, errand.refund_id, payment.money(errand.amount))


ERRANDS: Mapping[Action, Callable[[Payment, Errand, PaymentDeps], Awaitable[Charge]]] = {
    "create": _create,
    "capture": _capture,
    "void": _void,
    "refund": _refund,
}
