"""Passkeys: added, used, removed."""

from __future__ import annotations

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.factors import drop_passkey_step
from torg.contexts.user.handlers.proofs import confirmed, fresh
from torg.contexts.user.handlers.sessions import merge_carts, open_for
from torg.contexts.user.handlers.steps import answered, ask, ask_for_one_of, asked_of, claim_factor, held
from torg.contexts.user.model import passkeys as rules
from torg.contexts.user.model import proofs
from torg.contexts.user.model.passkeys import Passkey
from torg.contexts.user.model.sessions import token_hash
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import NotFound


async def list_passkeys(query: c.ListPasskeys, deps: UserDeps) -> c.Passkeys:
    return c.Passkeys(tuple(one.view() for one in await deps.passkeys.of(query.holder.user_id)))


async def begin_passkey(cmd: c.BeginPasskey, deps: UserDeps) -> c.Challenge:
    await confirmed(cmd.holder, cmd.password, deps)
    account = await deps.users.find(cmd.holder.user_id)
    if account is None:
        raise NotFound("user.not_found", f"there is no user {cmd.holder.user_id}")
    known, challenge = [one.id for one in await deps.passkeys.of(account.id)], deps.randomness(32)
    if len(known) >= rules.MOST:
        raise rules.too_many()
    return ask(account.id, deps.devices.ask_for_new(account.id, account.email, account.full_name, challenge, known), challenge, deps)


async def add_passkey(cmd: c.AddPasskey, deps: UserDeps) -> c.PasskeyView:
    user_id, asked = cmd.holder.user_id, asked_of(cmd.ticket, deps)
    shown = deps.devices.new(cmd.credential, bytes.fromhex(asked.challenge)) if asked and asked.user_id == user_id else None
    if asked is None or shown is None:
        raise rules.refused()
    name = cmd.name.strip() or rules.NAMELESS
    made = Passkey(id=shown.id, user_id=user_id, name=name, public_key=shown.public_key, sign_count=shown.sign_count, made_at=deps.clock())
    async with deps.transaction() as tx:
        await claim_factor(tx, user_id)
        if len(await deps.passkeys.of(user_id, tx)) >= rules.MOST:
            raise rules.too_many()
        if not await deps.passkeys.spend(tx, token_hash(asked.challenge), asked.until) or not await deps.passkeys.add(tx, made):
            raise rules.refused()
        await tx.append(user_id, [c.PasskeyChanged(user_id, made.id, added=True)])
    return made.view()


async def remove_passkey(cmd: c.RemovePasskey, deps: UserDeps) -> None:
    user_id = cmd.holder.user_id
    await fresh(cmd.holder, deps)
    async with deps.transaction() as tx:
        await claim_factor(tx, user_id)
        if not await deps.passkeys.remove(tx, user_id, cmd.passkey_id):
            raise rules.not_found(cmd.passkey_id)
        if not await deps.passkeys.of(user_id, tx):
            await drop_passkey_step(tx, user_id, deps)
        await tx.append(user_id, [c.PasskeyChanged(user_id, cmd.passkey_id, added=False)])


# ---------------------------------------------------------------- signing in


async def begin_sign_in(_: c.BeginPasskeySignIn, deps: UserDeps) -> c.Challenge:
    challenge = deps.randomness(32)
    return ask("", deps.devices.ask_for_any(challenge), challenge, deps)


async def sign_in_with_passkey(cmd: c.SignInWithPasskey, deps: UserDeps) -> c.Tokens:
    account = await answered(cmd.ticket, cmd.credential, "", deps)
    tokens = await open_for(account, cmd.address, cmd.device, proofs.joined(proofs.KEY, proofs.SEVERAL), deps)
    await merge_carts(cmd.guest_cart_id, account.id, deps)
    return tokens


async def begin_passkey_step(cmd: c.BeginPasskeyStep, deps: UserDeps) -> c.Challenge:
    account, _ = await held(cmd.ticket, deps)
    return await ask_for_one_of(account.id, deps)


async def give_passkey(cmd: c.GivePasskey, deps: UserDeps) -> c.Tokens:
    account, ticket = await held(cmd.ticket, deps)
    await answered(cmd.challenge, cmd.credential, account.id, deps)
    tokens = await open_for(account, cmd.address, ticket.device, proofs.joined(ticket.amr, proofs.KEY, proofs.SEVERAL), deps, link=ticket.link)
    await merge_carts(ticket.guest_cart_id, account.id, deps)
    return tokens


async def drop_spent_challenges(deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.passkeys.drop_spent(tx, deps.clock())
