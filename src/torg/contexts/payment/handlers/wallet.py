"""What wallets do."""

from __future__ import annotations

from torg.contexts.payment import contracts as c
from torg.contexts.payment import model
from torg.contexts.payment.ports import PaymentDeps
from torg.kit.errors import FieldError, Invalid
from torg.kit.values import Money


async def get_balance(query: c.GetBalance, deps: PaymentDeps) -> Money:
    return Money(await deps.ledger.balance(model.wallet(query.user_id), deps.currency), deps.currency)


async def get_wallet(query: c.GetWallet, deps: PaymentDeps) -> c.Wallet:
    account = model.wallet(query.owner.user_id)
    entries, cursor = await deps.ledger.entries(account, deps.currency, query.cursor, query.limit)
    balance = Money(await deps.ledger.balance(account, deps.currency), deps.currency)
    return c.Wallet(balance=balance, currency=deps.currency, entries=tuple(entries), next_cursor=cursor)


async def top_up_wallet(cmd: c.TopUpWallet, deps: PaymentDeps) -> c.TopUp:
    user_id = cmd.owner.user_id
    top_up_id = f"{user_id}/{cmd.reference}/{cmd.amount.amount}" if cmd.reference else deps.new_id()
    _check_currency(cmd.amount, deps)
    account = model.wallet(user_id)
    async with deps.transaction() as tx:
        if not await deps.ledger.posted(tx, "top_up", top_up_id):
            posted = model.transfer("top_up", top_up_id, model.TOP_UPS, account, cmd.amount)
            await deps.ledger.post(tx, posted)
            await tx.append(account, [posted])
        balance = Money(await deps.ledger.balance(account, deps.currency, tx), deps.currency)
        return await tx.answer(c.TopUp(id=top_up_id, amount=cmd.amount, balance=balance, created_date=deps.clock()))


async def credit_wallet(cmd: c.CreditWallet, deps: PaymentDeps) -> None:
    _check_currency(cmd.amount, deps)
    account = model.wallet(cmd.user_id)
    async with deps.transaction() as tx:
        if await deps.ledger.posted(tx, "credit", cmd.reference):
            return
        posted = model.transfer("credit", cmd.reference, model.GOODWILL, account, cmd.amount)
        await deps.ledger.post(tx, posted)
        await tx.append(account, [posted])


def _check_currency(amount: Money, deps: PaymentDeps) -> None:
    if amount.currency != deps.currency:
        raise Invalid.fields(FieldError("amount", "currency", f"the shop's currency is {deps.currency}, not {amount.currency}"))
