"""Second factors: set up, and removed."""

from __future__ import annotations

from dataclasses import replace

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.proofs import confirmed, fresh, is_fresh
from torg.contexts.user.handlers.steps import about, claim_factor, secret_of, steps_of
from torg.contexts.user.model import factors
from torg.contexts.user.model import passkeys as keys
from torg.contexts.user.model.accounts import UNUSABLE, Account
from torg.contexts.user.model.factors import Totp
from torg.contexts.user.model.proofs import PROOF_FOR
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import FieldError, Invalid, NotFound
from torg.kit.store import Transaction


async def get_factors(query: c.GetFactors, deps: UserDeps) -> c.Factors:
    account = await _account(query.holder.user_id, deps)
    steps = await steps_of(account.id, deps)
    return c.Factors(
        totp=steps.totp, passkey_step=steps.passkey, passkeys=len(await deps.passkeys.of(account.id)), recovery_codes=await deps.factors.codes_left(account.id),
        missing=query.holder.lacks_factor, password=account.password_hash != UNUSABLE, proven=await is_fresh(query.holder, deps),
    )  # fmt: skip


async def begin_totp(cmd: c.BeginTotp, deps: UserDeps) -> c.NewTotp:
    await confirmed(cmd.holder, cmd.password, deps)
    account, secret = await _account(cmd.holder.user_id, deps), deps.randomness(20)[:20].rjust(20, b"\0")
    async with deps.transaction() as tx:
        found = await deps.factors.find(account.id, tx)
        if found and found.confirmed_at:
            raise factors.exists()
        sealed = deps.sealer.seal(secret, about(account.id))
        await deps.factors.put(tx, Totp(user_id=account.id, sealed=sealed, last_step=0, made_at=deps.clock(), confirmed_at=None))
    return c.NewTotp(factors.shown(secret), factors.uri(secret, account.email))  # no answer is filed: it would keep the secret in clear


async def confirm_totp(cmd: c.ConfirmTotp, deps: UserDeps) -> c.RecoveryCodes:
    user_id, codes = cmd.holder.user_id, factors.make_codes(deps.randomness)
    async with deps.transaction() as tx:
        await claim_factor(tx, user_id)
        found = await deps.factors.find(user_id, tx)
        if found and found.confirmed_at:
            raise factors.exists()
        if found is None or deps.clock() - found.made_at > PROOF_FOR:  # else whoever has stolen a session guesses at what was left lying for ever
            raise factors.not_begun()
        step = factors.step_of(secret_of(found, deps), cmd.code.strip(), deps.clock(), found.last_step)
        if step is None:
            raise Invalid.fields(FieldError("code", "wrong", "this is not the code that the app shows now"))
        await deps.factors.put(tx, replace(found, last_step=step, confirmed_at=deps.clock()))
        await deps.factors.put_codes(tx, user_id, map(factors.code_hash, codes))
        await deps.sessions.forget_held(tx, user_id)
        await tx.append(user_id, [c.FactorChanged(user_id, totp=True)])
    return c.RecoveryCodes(codes)


async def renew_recovery_codes(cmd: c.RenewRecoveryCodes, deps: UserDeps) -> c.RecoveryCodes:
    await confirmed(cmd.holder, cmd.password, deps)
    user_id, codes = cmd.holder.user_id, factors.make_codes(deps.randomness)
    if not await steps_of(user_id, deps):
        raise factors.not_begun()
    async with deps.transaction() as tx:
        await deps.factors.put_codes(tx, user_id, map(factors.code_hash, codes))
    return c.RecoveryCodes(codes)


async def remove_totp(cmd: c.RemoveTotp, deps: UserDeps) -> None:
    await confirmed(cmd.holder, cmd.password, deps)
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await claim_factor(tx, user_id)
        await deps.factors.remove(tx, user_id)
        await changed(tx, user_id, deps)
        await tx.append(user_id, [c.FactorChanged(user_id, totp=False)])


async def add_passkey_step(cmd: c.AddPasskeyStep, deps: UserDeps) -> c.RecoveryCodes:
    user_id, codes = cmd.holder.user_id, factors.make_codes(deps.randomness)
    await fresh(cmd.holder, deps)
    async with deps.transaction() as tx:
        await claim_factor(tx, user_id)
        if not await deps.passkeys.of(user_id, tx):
            raise keys.none()
        kept = await deps.factors.codes_left(user_id, tx) > 0
        if not kept:
            await deps.factors.put_codes(tx, user_id, map(factors.code_hash, codes))
        await deps.factors.ask_for_passkey(tx, user_id, deps.clock())
        await changed(tx, user_id, deps)
        await tx.append(user_id, [c.PasskeyStepChanged(user_id, asked=True)])
    return c.RecoveryCodes(() if kept else codes)


async def remove_passkey_step(cmd: c.RemovePasskeyStep, deps: UserDeps) -> None:
    await fresh(cmd.holder, deps)
    async with deps.transaction() as tx:
        await claim_factor(tx, cmd.holder.user_id)
        await drop_passkey_step(tx, cmd.holder.user_id, deps)


async def drop_passkey_step(tx: Transaction, user_id: str, deps: UserDeps) -> None:
    if await deps.factors.asks_for_passkey(user_id, tx):
        await deps.factors.ask_for_passkey(tx, user_id, None)
        await changed(tx, user_id, deps)
        await tx.append(user_id, [c.PasskeyStepChanged(user_id, asked=False)])


async def changed(tx: Transaction, user_id: str, deps: UserDeps) -> None:
    """Recovery codes go with the last step that they stand in for; and who somebody is, is looked up anew."""
    if not await steps_of(user_id, deps, tx):
        await deps.factors.put_codes(tx, user_id, ())
    await deps.sessions.forget_held(tx, user_id)


async def _account(user_id: str, deps: UserDeps) -> Account:
    account = await deps.users.find(user_id)
    if account is None:
        raise NotFound("user.not_found", f"there is no user {user_id}")
    return account
