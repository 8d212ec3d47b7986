"""Making the tables of money what the log says, while people pay; and giving back what the acquirer took twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from torg.contexts.payment import contracts as c
from torg.contexts.payment import model
from torg.contexts.payment.model import WALLET, Charge, Payment
from torg.contexts.payment.ports import Named, PaymentDeps, Refused
from torg.kit.errors import ConcurrentChange, DomainError, NotFound
from torg.kit.messages import Envelope
from torg.kit.policy import Thing
from torg.kit.portions import portions
from torg.kit.rebuilding import Findings, Rebuilt
from torg.kit.store import Transaction
from torg.kit.values import stamp

AT_ONCE: Final = 100  # ledger transactions, wallets, payments in a transaction: whoever pays waits for no more
READ: Final = 1000  # log rows, entries
REASON: Final = "made what the log says"
TWICE: Final = "twice"  # names the refund of a charge besides the one that counts


@dataclass(frozen=True)
class Unmended:
    """What is wrong with entries where they are only looked at: what they lack by account and currency, and which transactions they are of."""

    lacking: Counter[tuple[str, str]] = field(default_factory=Counter)
    named: set[Named] = field(default_factory=set)

    def add(self, named: Named, currency: str, said: Mapping[str, int], is_now: Mapping[str, int]) -> None:
        self.named.add(named)
        self.lacking.update({(account, currency): said.get(account, 0) - is_now.get(account, 0) for account in said.keys() | is_now.keys()})


async def rebuild_balances(cmd: c.RebuildBalances, deps: PaymentDeps) -> Rebuilt:
    """Entries first, from the log: balances are their sums, and payments are compared with the log as well. Whoever pays meanwhile changes an entry and a
    balance in one commit, so each is right whenever its turn comes."""
    began, found, unmended = time.perf_counter(), Findings(), Unmended()
    async for rows in _posted(deps):
        found.add(await deps.store.undisturbed(partial(_enter, rows, unmended, cmd, deps), cmd.NAME))
    async for named in _entered(deps):
        found.add(await deps.store.undisturbed(partial(_strike, named, unmended, cmd, deps), cmd.NAME))
    wallet = ("", "")
    while wallets := await deps.books.wallets(wallet, AT_ONCE):
        found.add(await deps.store.undisturbed(partial(_mend_wallets, wallets, unmended, cmd, deps), cmd.NAME))
        wallet = wallets[-1]
    last = ""
    while ids := await deps.books.payments(last, AT_ONCE):
        found.add(await deps.store.undisturbed(partial(_mend_payments, ids, cmd, deps), cmd.NAME))
        last = ids[-1]
    return found.rebuilt(time.perf_counter() - began)


# ---------------------------------------------------------------- entries


async def _posted(deps: PaymentDeps) -> AsyncIterator[Sequence[Envelope]]:
    log = deps.store.log
    position, end = 0, await log.head()
    while position < end:
        until = await log.step(position, READ, end)
        for some in portions(await log.named((c.LedgerPosted,), position, until), AT_ONCE):
            yield some
        position = until
        await asyncio.sleep(0)


async def _enter(rows: Sequence[Envelope], unmended: Unmended, cmd: c.RebuildBalances, deps: PaymentDeps) -> Findings:
    """What the log has posted is entered."""
    found = Findings(len(rows))
    async with deps.transaction() as tx:
        for row in rows:
            assert isinstance(row.message, c.LedgerPosted), "no others were asked for"
            posted, is_now = row.message, await deps.books.entries(tx, (row.message.kind, row.message.reference))
            said = {leg.account: leg.amount for leg in posted.postings}
            if sum(said.values()):
                found.left.append(f"the postings of {posted.kind} {posted.reference} do not sum to zero in the log itself: that is a developer's")
            elif is_now != said:
                found.changes.append(f"the entries of {posted.kind} {posted.reference} are {is_now}; by the log {said}")
                if cmd.dry_run:
                    unmended.add((posted.kind, posted.reference), posted.currency, said, is_now)
                else:
                    await deps.books.enter(tx, posted, stamp(row.at))
                    await _note(tx, row.stream, "entries", f"{posted.kind} {posted.reference}", str(is_now), str(said), cmd)
    return found


async def _entered(deps: PaymentDeps) -> AsyncIterator[Sequence[Named]]:
    named, last = await deps.books.entered(0, READ)
    while last:
        for some in portions(named, AT_ONCE):
            yield some
        named, last = await deps.books.entered(last, READ)


async def _strike(named: Sequence[Named], unmended: Unmended, cmd: c.RebuildBalances, deps: PaymentDeps) -> Findings:
    """What the log has not posted is no entry."""
    found, read = Findings(), dict[str, set[Named]]()
    async with deps.transaction() as tx:
        for one in named:
            is_now = await deps.books.entries(tx, one)
            streams = _streams(one, is_now)
            for stream in streams:
                if stream not in read:
                    read[stream] = {(m.kind, m.reference) for m in await _ledger(tx, stream)}
            if is_now and one not in unmended.named and not any(one in read[stream] for stream in streams):
                found.changes.append(f"the entries of {one[0]} {one[1]} are {is_now}; the log has no such transaction")
                if cmd.dry_run:
                    unmended.add(one, deps.currency, {}, is_now)
                else:
                    await deps.books.strike(tx, one)
                    await _note(tx, streams[0] if streams else one[1], "entries", " ".join(one), str(is_now), "none", cmd)
    return found


def _streams(named: Named, accounts: Iterable[str]) -> list[str]:
    """Where a ledger transaction may be logged: with its payment, or with its wallet."""
    kind, reference = named
    if kind in ("payment", "refund"):
        return [reference.partition("/")[0]]
    return [account for account in accounts if account.startswith(WALLET)]


# ---------------------------------------------------------------- wallets, payments


async def _mend_wallets(wallets: Sequence[tuple[str, str]], unmended: Unmended, cmd: c.RebuildBalances, deps: PaymentDeps) -> Findings:
    found = Findings(len(wallets))
    async with deps.transaction() as tx:
        for account, currency in wallets:
            is_now = await deps.ledger.balance(account, currency, tx)
            said = await deps.books.sum(tx, account, currency) + unmended.lacking[account, currency]
            if said < 0:
                found.left.append(f"{account} holds {is_now} {currency}; the log itself says {said}: credit what is missing, or ask a developer")
            elif is_now != said:
                found.changes.append(f"{account} holds {is_now} {currency}; by the log {said}")
                if not cmd.dry_run:
                    await deps.books.set_balance(tx, account, currency, said)
                    await _note(tx, account, "balance", f"{account} {currency}", str(is_now), str(said), cmd)
    return found


async def _mend_payments(ids: Sequence[str], cmd: c.RebuildBalances, deps: PaymentDeps) -> Findings:
    found = Findings(len(ids))
    async with deps.transaction() as tx:
        for id in ids:
            payment = await deps.payments.load(tx, id)
            assert payment is not None, "a payment is never deleted"
            said = model.as_logged(payment, await _ledger(tx, id), await deps.books.refunds(tx, id))
            if said == payment:
                continue
            if not model.possible(said):
                found.left.append(f"payment {id}: {_figures(payment)}; the log itself says {_figures(said)}, which cannot be: that is a developer's")
                continue
            found.changes.append(f"payment {id}: {_figures(payment)}; by the log {_figures(said)}")
            if not cmd.dry_run:
                if not await deps.books.set_payment(tx, said):
                    raise ConcurrentChange("payment.changed", f"payment {id} changed meanwhile; try again")
                await _note(tx, id, "payment", id, _figures(payment), _figures(said), cmd)
    return found


def _figures(payment: Payment) -> str:
    back = f"{payment.refunded} refunded" + (f" (+{payment.refunding})" if payment.refunding else "")
    return f"{payment.status}, {payment.captured} captured, {back}"


async def _ledger(tx: Transaction, stream: str) -> list[c.LedgerPosted]:
    return [row.message for row in await tx.stream(stream) if isinstance(row.message, c.LedgerPosted)]


async def _note(tx: Transaction, stream: str, about: str, id: str, was: str, now: str, cmd: c.RebuildBalances) -> None:
    await tx.append(stream, [c.BooksMended(about=about, id=id, was=was, now=now, reason=cmd.reason or REASON, by=cmd.operator.user_id)])


# ---------------------------------------------------------------- charged twice


async def get_charge(query: c.GetCharge, deps: PaymentDeps) -> c.ChargeView:
    charge, payment, own = await _charges(query.charge_id, deps)
    return _view(charge, payment, own)


async def refund_charge(cmd: c.RefundCharge, deps: PaymentDeps) -> c.ChargeView:
    """The acquirer first, under a name that makes it once: what was told and not done could be forgotten, what was done and not told is told when it is asked
    for again."""
    charge, payment, own = await _charges(cmd.charge_id, deps)
    deps.access.require(cmd.operator, "charges:write", Thing(amount=charge.captured - charge.refunded), deps.clock())
    if why := model.only_charge(payment, charge, own):
        raise DomainError("charge.counts", why)
    if charge.captured > charge.refunded:
        try:
            charge = await deps.acquirer.refund(charge.id, f"{TWICE}/{charge.id}", payment.money(charge.captured - charge.refunded))
        except Refused as refusal:
            raise DomainError("charge.refused", f"the acquirer does not give it back: {refusal.detail}") from refusal
    await deps.store.undisturbed(partial(_tell_refunded, charge, payment, cmd, deps), cmd.NAME)
    return _view(charge, payment, own)


async def _tell_refunded(charge: Charge, payment: Payment, cmd: c.RefundCharge, deps: PaymentDeps) -> None:
    async with deps.transaction() as tx:
        told = [row.message.charge_id for row in await tx.stream(payment.id) if isinstance(row.message, c.ChargeRefunded)]
        if charge.id not in told:
            refunded = c.ChargeRefunded(
                order_id=payment.order_id, payment_id=payment.id, charge_id=charge.id, amount=payment.money(charge.refunded), reason=cmd.reason,
                by=cmd.operator.user_id,
            )  # fmt: skip
            await tx.append(payment.id, [refunded])


async def _charges(charge_id: str, deps: PaymentDeps) -> tuple[Charge, Payment, Charge | None]:
    """A charge, the payment that it was for, and the charge that counts for it. Raises NotFound `charge.not_found`."""
    try:
        charge = await deps.acquirer.get(charge_id)
        payment = await deps.payments.find(charge.reference)
        own = await deps.acquirer.get(payment.acquirer_id) if payment and payment.acquirer_id not in ("", charge.id) else None
    except Refused as refusal:
        raise NotFound("charge.not_found", f"the acquirer's books have no such charge: {refusal.detail}") from refusal
    if payment is None:
        raise NotFound("charge.unknown", f"charge {charge_id} is for a payment {charge.reference} that is unknown here: settle it with the acquirer")
    return charge, payment, own


def _view(charge: Charge, payment: Payment, own: Charge | None) -> c.ChargeView:
    return c.ChargeView(
        id=charge.id, order_id=payment.order_id, payment_id=payment.id, captured=payment.money(charge.captured), refunded=payment.money(charge.refunded),
        counts=own.id if own else payment.acquirer_id, only_one=model.only_charge(payment, charge, own),
    )  # fmt: skip
