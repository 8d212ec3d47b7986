"""What must stay true of money, checked against the log, the tables and the acquirer's books: what is new, and a slice of what is old, at each look."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from torg.contexts.payment.contracts import LedgerPosted
from torg.contexts.payment.model import REFUNDS, REVENUE, WALLET, Charge, Payment
from torg.contexts.payment.ports import PaymentDeps, Refused
from torg.kit.auditing import KEPT_WRONG, Beginning, Fault, Invariant, LogRounds, Rounds, not_before, since, untold
from torg.kit.errors import Unavailable
from torg.kit.messages import Envelope
from torg.kit.portions import portions
from torg.kit.sql import Row
from torg.kit.sql.parts import AT_ONCE, listed

NEWEST: Final = 200  # rows of the log, wallets
WALLETS, PAYMENTS, CHARGES = 100, 200, 200  # looked at together
PAGES: Final = 5  # of the acquirer's books
ENTRIES: Final = 5000  # of one wallet
TRIES: Final = 8  # what disagrees is looked at again: it may be in the middle of changing

LAST: Final = "\U0010ffff"  # behind everything that a reference may go on with
_PAYMENTS = """select p.id, p.order_id, p.amount, p.captured, p.refunding, p.refunded,
        (select coalesce(sum(e.amount), 0) from entry e where e.account = :revenue and e.kind = 'payment' and e.reference = p.id) as taken,
        (select -coalesce(sum(e.amount), 0) from entry e
            where e.account = :refunds and e.kind = 'refund' and e.reference between p.id || '/' and p.id || '/' || :last) as back
    from payment p where p.id in ({names})"""
Leg = tuple[str, str, str]
"""Of a ledger transaction: account, kind, reference."""
_posted = msgspec.json.Decoder(LedgerPosted).decode


class SqlPaymentAudit:
    """The money's invariants. `pause` is how many seconds lie between two looks at what disagrees."""

    def __init__(self, deps: PaymentDeps, pause: float) -> None:
        self._deps, self._pause = deps, pause
        self._log, self._misposted = LogRounds(deps.store.log), dict[str, Fault]()
        self._moved = dict[str, None]()  # wallets that the log has spoken of lately
        self._wallets = Rounds(self._wallet_keys, self._wallet_faults, WALLETS, self._newest_wallets, TRIES, pause)
        self._payments = Rounds(self._payment_ids, self._payment_faults, PAYMENTS, self._newest_payments, TRIES, pause)
        self._books = Rounds(self._charge_ids, self._charge_faults, CHARGES, self._newest_charges, TRIES, pause)
        self._charges, self._tail, self._at_end, self._cursor = dict[str, Charge](), "", False, ""

    def invariants(self) -> Sequence[Invariant]:
        wallets, payments, books = self._wallets, self._payments, self._books
        return (
            Invariant(
                "payment.ledger", "Every ledger transaction sums to zero; wallets equal the fold of the log, and none is below zero", self.ledger,
                "rebuild_balances", self._since_when, wallets.come,
            ),
            Invariant(
                "payment.limits", "Per payment captured ≤ amount and refunded ≤ captured, and the ledger says the same", self.limits,
                "rebuild_balances", self._since_when_payment, payments.come,
            ),
            Invariant(
                "payment.acquirer", "One captured charge per order in the acquirer's books at most, and both books agree once settled", self.books,
                trace=self._last_of_payment, come=books.come,
            ),
        )  # fmt: skip

    async def ledger(self) -> list[Fault]:
        return await self._transactions() + await self._wallets.check()

    async def limits(self) -> list[Fault]:
        return await self._payments.check()

    async def books(self) -> list[Fault]:
        """Says nothing while the acquirer is away."""
        try:
            return await self._books.check()
        except Unavailable:
            return []

    # ---------------------------------------------------------------- ledger transactions

    async def _transactions(self) -> list[Fault]:
        """Those that do not sum to zero, or have other entries than the log says."""
        known, self._misposted = self._misposted, {}
        for stream in {fault.key for fault in known.values()}:
            self._misposted |= await self._faulty(await self._deps.store.log.stream(stream))
        async for rows in self._log.portions():
            found = await self._faulty(rows)
            if any(id not in known for id in found):  # entries are filed in the commit of their row, and may be seen a moment after it
                await asyncio.sleep(self._pause)
                found = await self._faulty([row for row in rows if row.id in found])
            if len(self._misposted) < KEPT_WRONG:
                self._misposted |= found
        return list(self._misposted.values())

    async def _faulty(self, rows: Iterable[Envelope]) -> dict[str, Fault]:
        """By the ids of their rows."""
        found: dict[str, Fault] = {}
        all_posted = [(row, row.message) for row in rows if isinstance(row.message, LedgerPosted)]
        entries = await self._entries_of([posted for _, posted in all_posted])
        for row, posted in all_posted:
            self._moved |= {f"{leg.account} {posted.currency}": None for leg in posted.postings if leg.account.startswith(WALLET)}
            if said := _posting_fault(posted, entries):
                found[row.id] = Fault(sentence=said, about="order" if posted.order_id else "stream", id=posted.order_id or f"payment/{row.stream}",
                                      key=row.stream, began=since(row), remedy="ask" if sum(leg.amount for leg in posted.postings) else None)  # fmt: skip
        return found

    async def _entries_of(self, all_posted: Iterable[LedgerPosted]) -> dict[Leg, int]:
        """What is entered for their legs."""
        found: dict[Leg, int] = {}
        legs = dict.fromkeys((leg.account, posted.kind, posted.reference) for posted in all_posted for leg in posted.postings)
        for some in portions(legs, AT_ONCE // 3):
            wanted = {f"v{number}": value for number, value in enumerate(value for leg in some for value in leg)}
            keys = ", ".join(f"(:v{number}, :v{number + 1}, :v{number + 2})" for number in range(0, len(wanted), 3))
            rows = await self._deps.store.database.all(
                f"select account, kind, reference, amount from entry where (account, kind, reference) in (values {keys})", **wanted
            )
            found |= {(row["account"], row["kind"], row["reference"]): row["amount"] for row in rows}
        return found

    # ---------------------------------------------------------------- wallets

    async def _wallet_keys(self, after: str, limit: int) -> list[str]:
        account, _, currency = after.partition(" ")
        rows = await self._deps.store.database.all(
            "select account, currency from balance where (account, currency) > (:account, :currency) order by account, currency limit :limit",
            account=account, currency=currency, limit=limit,
        )  # fmt: skip
        return [f"{row['account']} {row['currency']}" for row in rows]

    async def _newest_wallets(self) -> list[str]:
        newest, self._moved = list(self._moved)[-NEWEST:], {}
        return newest

    async def _wallet_faults(self, keys: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        return {key: [fault] for key in keys if (fault := await self._wallet_fault(key))}

    async def _wallet_fault(self, key: str) -> Fault | None:
        account, _, currency = key.partition(" ")
        holds, entries = await self._deps.ledger.balance(account, currency), await self._entries(account, currency)
        if len(entries) > ENTRIES:
            return None  # nobody has so many: its transactions are looked at one by one all the same
        says, log_says = sum(entry["amount"] for entry in entries), await self._logged(account, currency, _streams(account, entries))
        if holds >= 0 and holds == says == log_says:
            return None
        figures = f"{account} holds {holds} {currency}"
        said = figures if holds < 0 else f"{figures}; its entries say {says}, the log {log_says}"
        return Fault(sentence=said, about="wallet", id=account.removeprefix(WALLET), key=key)

    async def _entries(self, account: str, currency: str) -> Sequence[Row]:
        return await self._deps.store.database.all(
            "select amount, kind, reference from entry where account = :account and currency = :currency order by id limit :limit",
            account=account, currency=currency, limit=ENTRIES + 1,
        )  # fmt: skip

    async def _logged(self, account: str, currency: str, streams: Iterable[str]) -> int:
        total = 0
        for some in portions(streams, AT_ONCE):
            names, wanted = listed(some)
            rows = await self._deps.store.database.all(f"select data from log where stream in ({names}) and name = :name", name=LedgerPosted.NAME, **wanted)
            total += sum(_part_of(_posted(row["data"]), account, currency) for row in rows)
        return total

    async def _since_when(self, fault: Fault) -> Beginning:
        account, _, currency = fault.key.partition(" ")
        entries = await self._entries(account, currency)
        if len(entries) > ENTRIES:
            return untold(f"the wallet has more than {ENTRIES} entries")
        rows = [row for stream in _streams(account, entries) for row in await self._deps.store.log.stream(stream)]
        rows = sorted((row for row in rows if isinstance(row.message, LedgerPosted) and _part_of(row.message, account, currency)), key=lambda row: row.position)
        left, holds = Counter((e["kind"], e["reference"]) for e in entries), 0
        for row in rows:
            assert isinstance(row.message, LedgerPosted)
            holds += _part_of(row.message, account, currency)
            if holds < 0:
                return since(row)
            if not left[row.message.kind, row.message.reference]:
                return not_before(row, "the entry of this row is gone: something that is not in the log has taken it")
        return not_before(rows[-1] if rows else None, "the log itself adds up: something that is not in it has changed the balance or the entries")

    # ---------------------------------------------------------------- payments

    async def _payment_ids(self, after: str, limit: int) -> list[str]:
        rows = await self._deps.store.database.all("select id from payment where id > :after order by id limit :limit", after=after, limit=limit)
        return [row["id"] for row in rows]

    async def _newest_payments(self) -> list[str]:
        return [stream for stream in await self._deps.store.log.lately(NEWEST) if not stream.startswith(WALLET)]

    async def _payment_faults(self, ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        names, wanted = listed(ids)
        rows = await self._deps.store.database.all(_PAYMENTS.format(names=names), revenue=REVENUE, refunds=REFUNDS, last=LAST, **wanted)
        return {row["id"]: [Fault(sentence=said, about="order", id=row["order_id"], key=row["id"])] for row in rows if (said := _payment_fault(row))}

    async def _since_when_payment(self, fault: Fault) -> Beginning:
        payment, rows = await self._deps.payments.find(fault.key), await self._deps.store.log.stream(fault.key)
        if payment is None or not rows:
            return untold("the log has no row of this payment")
        taken = back = 0
        fitting = -1
        for number, row in enumerate(rows):
            if isinstance(row.message, LedgerPosted):
                taken += _part_of(row.message, REVENUE, payment.amount.currency)
                back -= _part_of(row.message, REFUNDS, payment.amount.currency)
            fitting = number if (taken, back) == (payment.captured, payment.refunded) else fitting
        if 0 <= fitting < len(rows) - 1:
            return since(rows[fitting + 1], "the payment is as it was before this row")
        return not_before(rows[-1], "something that is not in the log has changed the payment or its entries")

    # ---------------------------------------------------------------- both books

    async def _newest_charges(self) -> list[str]:
        """The newest page of the acquirer's books, and what came before it since the last look; at first a few pages at each look."""
        self._charges = {}
        for _ in range(PAGES):
            charges, cursor = await self._deps.acquirer.books(self._tail)
            self._charges |= {charge.id: charge for charge in charges}
            if not cursor:
                self._at_end = True
                break
            self._tail = cursor
        return list(self._charges)

    async def _charge_ids(self, after: str, limit: int) -> list[str]:
        """The next pages of what lies before the newest."""
        if not self._at_end or not self._tail or (after and not self._cursor):
            return []
        found, cursor = dict[str, Charge](), self._cursor if after else ""
        while len(found) < limit:
            charges, cursor = await self._deps.acquirer.books(cursor)
            found |= {charge.id: charge for charge in charges}
            if not cursor:
                break
        self._cursor = cursor
        return list(found)

    async def _charge_faults(self, ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        return {id: [fault] for id in ids if (fault := await self._charge_fault(id))}

    async def _charge_fault(self, id: str) -> Fault | None:
        try:
            charge = self._charges.pop(id, None) or await self._deps.acquirer.get(id)
        except Refused:
            return None  # it was wrong before, and is in the books no more
        payment = await self._deps.payments.find(charge.reference)
        if payment is None:
            said = f"charge {charge.id} is in the acquirer's books for a payment {charge.reference} that is unknown here"
            return Fault(sentence=said, about="charge", id=charge.id, key=charge.reference)
        if charge.captured and payment.acquirer_id not in ("", charge.id):
            if charge.captured == charge.refunded:
                return None  # it was given back
            said = f"order {payment.order_id} has two captured charges: {charge.id} is in the acquirer's books besides {payment.acquirer_id}"
            return Fault(sentence=said, about="charge", id=charge.id, key=payment.id, remedy="refund_charge")
        if _agree(payment, charge) or await self._unsettled(payment):
            return None
        ours, theirs = f"{payment.status}, {payment.captured}, {payment.refunded}", f"{charge.status}, {charge.captured}, {charge.refunded}"
        said = f"payment {payment.id} (status, captured, refunded): {ours} here, {theirs} in the acquirer's books"
        return Fault(sentence=said, about="order", id=payment.order_id, key=payment.id)

    async def _unsettled(self, payment: Payment) -> bool:
        return payment.status in ("pending", "authorized") or await self._deps.payments.has_errands(payment.id)

    async def _last_of_payment(self, fault: Fault) -> Beginning:
        rows = await self._deps.store.log.stream(fault.key)
        return not_before(rows[-1] if rows else None, "what happens at the acquirer is not in our log: this is what we know last of the payment")


def _posting_fault(posted: LedgerPosted, entered: Mapping[Leg, int]) -> str:
    if sum(leg.amount for leg in posted.postings):
        return f"the postings of {posted.kind} {posted.reference} do not sum to zero"
    postings = {leg.account: leg.amount for leg in posted.postings}
    entries = {account: entered[leg] for account in postings if (leg := (account, posted.kind, posted.reference)) in entered}
    return "" if entries == postings else f"the postings of {posted.kind} {posted.reference} are {postings}, its entries {entries}"


def _payment_fault(row: Row) -> str:
    id, amount, captured, refunding, refunded, taken, back = (row[name] for name in ("id", "amount", "captured", "refunding", "refunded", "taken", "back"))
    if not 0 <= captured <= amount or not 0 <= refunded + refunding <= captured:
        return f"payment {id}: of {amount} captured {captured}, refunded {refunded} (+{refunding})"
    if (captured, refunded) != (taken, back):
        return f"payment {id}: captured {captured}, refunded {refunded}; the ledger says {taken} and {back}"
    return ""


def _streams(account: str, entries: Iterable[Row]) -> list[str]:
    """Where the ledger transactions of a wallet are logged: with their payments, or with the wallet itself."""
    return [account, *dict.fromkeys(entry["reference"].partition("/")[0] for entry in entries if entry["kind"] in ("payment", "refund"))]


def _part_of(posted: LedgerPosted, account: str, currency: str) -> int:
    return sum(leg.amount for leg in posted.postings if (leg.account, posted.currency) == (account, currency))


def _agree(payment: Payment, charge: Charge) -> bool:
    """Of a payment that is over no charge waits for a capture, and nothing is kept."""
    left_over = payment.closed and (charge.status == "authorized" or charge.captured > charge.refunded)
    return not left_over and (payment.captured, payment.refunded) == (charge.captured, charge.refunded)
