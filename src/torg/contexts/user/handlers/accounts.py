"""Accounts: opening, changing and erasing them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec

from torg.contexts.payment.contracts import GetBalance
from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.addresses import claim_addresses
from torg.contexts.user.handlers.passwords import claim_password, refuse_for_staff, replace_password, verified
from torg.contexts.user.handlers.proofs import fresh
from torg.contexts.user.handlers.recovery import ask_for_change, send_link, spare_the_mailbox
from torg.contexts.user.model import accounts, attempts
from torg.contexts.user.model.accounts import Account
from torg.contexts.user.ports import UserDeps
from torg.kit.auth import Role
from torg.kit.errors import DomainError, FieldError, Invalid, NotFound, PreconditionFailed, Unavailable
from torg.kit.values import Language, Money


async def register_user(cmd: c.RegisterUser, deps: UserDeps) -> c.User:
    accounts.refuse_weak(cmd.password, cmd.email)
    if await deps.users.find_by_email(cmd.email):
        raise accounts.email_taken()
    account = _account(cmd, frozenset({Role.CUSTOMER}), await deps.passwords.hash(cmd.password), deps)
    async with deps.transaction() as tx:
        await deps.users.add(tx, account)
        await tx.append(account.id, [account.registered()])
        await send_link(tx, account, "confirm", account.email, deps)
        return await tx.answer(account.view())


async def ensure_user(cmd: c.EnsureUser, deps: UserDeps) -> c.User:
    found = await deps.users.find_by_email(cmd.email)
    hashed = await _ensured_hash(cmd.password, found, deps)
    account = replace(found, password_hash=hashed, roles=frozenset(cmd.roles)) if found else _account(cmd, frozenset(cmd.roles), hashed, deps)
    if account == found:
        return account.view()
    async with deps.transaction() as tx:
        if found is None:
            await deps.users.add(tx, account)
            await tx.append(account.id, [account.registered(self_made=False), account.roles_changed()])
        else:
            await claim_password(tx, account.id)
            await deps.users.save(tx, account)
            await deps.sessions.end_all(tx, account.id)
            await tx.append(account.id, [account.roles_changed()] if account.roles != found.roles else [])
    return account.view()


async def get_profile(query: c.GetProfile, deps: UserDeps) -> c.Profile:
    account = await deps.users.find(query.holder.user_id)
    if account is None:
        raise unknown(query.holder.user_id)
    return await profile_of(account, deps)


async def change_profile(cmd: c.ChangeProfile, deps: UserDeps) -> c.Profile:
    found = await deps.users.find(cmd.holder.user_id)
    if found and accounts.is_another(found.with_changes(cmd).email, found.email):
        await fresh(cmd.holder, deps)
        await spare_the_mailbox(found.id, deps)
        taken = await deps.users.find_by_email(found.with_changes(cmd).email)
        if taken and taken.id != found.id:
            raise accounts.email_taken()
    async with deps.transaction() as tx:
        account = await deps.users.load(tx, cmd.holder.user_id)
        if cmd.if_match not in ("", "*", accounts.profile_tag(account.view())):
            raise PreconditionFailed("user.changed", "your profile has changed since you read it: read it again")
        changed = account.with_changes(cmd)
        if accounts.is_another(changed.email, account.email):
            await ask_for_change(tx, account, changed.email, deps)
            changed = replace(changed, email=account.email)
        if changed != account:
            await deps.users.save(tx, changed)
            await tx.append(account.id, [changed.changed()])
    return await profile_of(changed, deps)


async def change_password(cmd: c.ChangePassword, deps: UserDeps) -> None:
    account = await deps.users.find(cmd.holder.user_id)
    if account is None:
        raise unknown(cmd.holder.user_id)
    accounts.refuse_weak(cmd.new_password, account.email, "new_password")
    keys = {f"password/{account.id}": attempts.FREE_FAILURES}
    fits = partial(deps.passwords.verify, account.password_hash, cmd.current_password, known=True)
    if not await verified(fits, keys, deps):
        raise _wrong_password()
    await refuse_for_staff(account, cmd.new_password, "new_password", deps)
    hashed = await deps.passwords.hash(cmd.new_password)
    async with deps.transaction() as tx:
        await claim_password(tx, account.id)
        now = await deps.users.load(tx, account.id)
        if now.password_hash != account.password_hash:  # it was changed while this one was being checked
            raise _wrong_password()
        await replace_password(tx, now, hashed, deps)
        await deps.sessions.end_all(tx, account.id, but=cmd.holder.session_id)
        await tx.append(account.id, [c.PasswordChanged(account.id)])


async def erase_me(cmd: c.EraseMe, deps: UserDeps) -> None:
    user_id = cmd.holder.user_id
    await fresh(cmd.holder, deps)
    async with deps.transaction() as tx:
        await claim_password(tx, user_id)
        await claim_addresses(tx, user_id)
        await deps.users.load(tx, user_id)
        await deps.sessions.end_all(tx, user_id)
        await deps.api_keys.end_all(tx, user_id)
        await deps.clients.withdraw(tx, user_id)
        await deps.users.erase(tx, user_id)
        await tx.append(user_id, [c.UserErased(user_id)])


async def get_contact(query: c.GetContact, deps: UserDeps) -> c.Contact:
    account = await deps.users.find(query.user_id)
    if account is None:
        raise unknown(query.user_id)
    return c.Contact(account.id, account.full_name, account.email, account.city, account.language)


def _account(cmd: c.RegisterUser | c.EnsureUser, roles: frozenset[Role], hashed: str, deps: UserDeps) -> Account:
    return Account(
        id=deps.new_id(), email=cmd.email, password_hash=hashed, full_name=cmd.full_name.strip(), city=cmd.city, birth_date=cmd.birth_date,
        language=Language(cmd.language), roles=roles, created_at=deps.clock(),
        confirmed=isinstance(cmd, c.EnsureUser),
    )  # fmt: skip


async def _ensured_hash(password: str, found: Account | None, deps: UserDeps) -> str:
    if not password:
        return accounts.UNUSABLE
    if found and await deps.passwords.verify(found.password_hash, password):
        return found.password_hash
    return await deps.passwords.hash(password)


async def profile_of(account: Account, deps: UserDeps) -> c.Profile:
    wanted = await deps.links.sent_to(account.id, "confirm", deps.clock())
    new_email = wanted if wanted and accounts.is_another(wanted, account.email) else ""
    return c.Profile(**msgspec.structs.asdict(account.view()), balance=await _balance(account.id, deps), new_email=new_email)


async def _balance(user_id: str, deps: UserDeps) -> Money | None:
    try:
        return await deps.call(GetBalance(user_id))
    except (Unavailable, DomainError):
        return None  # shown as null: who somebody is does not depend on their wallet


def _wrong_password() -> Invalid:
    return Invalid.fields(FieldError("current_password", "wrong", "this is not your current password"))


def unknown(user_id: str) -> NotFound:
    return NotFound("user.not_found", f"there is no user {user_id}")
