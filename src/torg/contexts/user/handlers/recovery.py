"""Links that letters carry: to confirm an address, and to a new password."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.passwords import claim_password, refuse_for_staff, replace_password
from torg.contexts.user.handlers.steps import claim_factor
from torg.contexts.user.model import accounts, links
from torg.contexts.user.model.accounts import Account
from torg.contexts.user.model.sessions import token_hash
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import DomainError, TooManyRequests
from torg.kit.messages import encode
from torg.kit.store import Transaction

AT_ONCE = 100


async def send_link(tx: Transaction, account: Account, purpose: c.Purpose, email: str, deps: UserDeps) -> str:
    """The letter's id, too."""
    now, link_id = deps.clock(), deps.new_id()
    link, path = links.make_link(account.id, purpose, email, deps.randomness, now)
    await deps.links.put(tx, link)
    elsewhere = email if accounts.is_another(email, account.email) else ""
    sealed = deps.letters.seal(encode(c.Link(path, elsewhere)), link_id)
    await tx.append(account.id, [c.LinkMade(user_id=account.id, link_id=link_id, purpose=purpose, sealed=sealed, at=now)])
    return link_id


async def ask_for_change(tx: Transaction, account: Account, email: str, deps: UserDeps) -> None:
    """The new address is to say yes, and the one of before hears of it."""
    link_id = await send_link(tx, account, "confirm", email, deps)
    await tx.append(account.id, [c.EmailChangeAsked(user_id=account.id, link_id=link_id)])


async def send_confirmation(cmd: c.SendConfirmation, deps: UserDeps) -> None:
    user_id = cmd.holder.user_id
    wanted = await deps.links.sent_to(user_id, "confirm", deps.clock())
    await spare_the_mailbox(user_id, deps)
    async with deps.transaction() as tx:
        account = await deps.users.load(tx, user_id)
        email = wanted or account.email
        if account.confirmed and not accounts.is_another(email, account.email):
            raise DomainError("user.confirmed", "your e-mail address is confirmed already")
        await send_link(tx, account, "confirm", email, deps)


async def confirm_email(cmd: c.ConfirmEmail, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        link = await deps.links.take(tx, token_hash(cmd.token), "confirm", deps.clock())
        if link is None:
            raise links.bad_link()
        account = await deps.users.load(tx, link.user_id)
        changed = replace(account, email=link.email, confirmed=True)
        await deps.users.save(tx, changed)
        if changed.email != account.email:
            await tx.append(account.id, [changed.changed()])
        if accounts.is_another(changed.email, account.email):
            link_id = deps.new_id()
            sealed = deps.letters.seal(encode(c.Link("/profile", account.email)), link_id)
            await tx.append(account.id, [c.EmailChanged(user_id=account.id, link_id=link_id, sealed=sealed)])


async def request_reset(cmd: c.RequestReset, deps: UserDeps) -> None:
    """Filed alike whoever it is for; the letter is written later on (`send_resets`), so that nobody learns from the time it takes."""
    email = accounts.email_key(cmd.email)[: accounts.LONGEST_EMAIL]
    account = await deps.users.find_by_email(cmd.email)
    keys = {f"reset {cmd.address} {email}": links.FREE_LETTERS}
    if not await deps.sessions.known_address(account.id if account else "", cmd.address):
        keys[f"reset anywhere {email}"] = links.FREE_LETTERS_FROM_ANYWHERE
    await _spare(keys, deps)
    async with deps.transaction() as tx:
        await deps.links.ask(tx, deps.new_id(), email, deps.clock())


async def send_resets(deps: UserDeps) -> None:
    for id, email in await deps.links.asked(AT_ONCE):
        account = await deps.users.find_by_email(email)
        await deps.store.undisturbed(partial(_answer, id, account, deps), "user.resets")


async def _answer(id: str, account: Account | None, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        if await deps.links.answered(tx, id) and account:
            await send_link(tx, account, "reset", account.email, deps)


async def reset_password(cmd: c.ResetPassword, deps: UserDeps) -> None:
    accounts.refuse_weak(cmd.new_password, "", "new_password")
    whose = await deps.links.whose(token_hash(cmd.token), "reset", deps.clock())
    found = await deps.users.find(whose)
    if found is None:  # hashing costs more than all else: made-up links get none of it
        raise links.bad_link()
    await refuse_for_staff(found, cmd.new_password, "new_password", deps)
    hashed = await deps.passwords.hash(cmd.new_password)
    async with deps.transaction() as tx:
        link = await deps.links.take(tx, token_hash(cmd.token), "reset", deps.clock())
        if link is None:
            raise links.bad_link()
        await claim_password(tx, link.user_id)
        account = await deps.users.load(tx, link.user_id)
        if accounts.is_another(link.email, account.email):  # whoever reads letters there is theirs no more
            raise links.bad_link()
        accounts.refuse_weak(cmd.new_password, account.email, "new_password")  # else nothing is committed, and the link is good for another try
        await replace_password(tx, replace(account, confirmed=True), hashed, deps)
        await deps.sessions.end_all(tx, account.id)
        await deps.users.unlink_outside(tx, account.id)
        if not account.confirmed:
            await _shut_out(tx, account.id, deps)
        await tx.append(account.id, [c.PasswordChanged(account.id)])


async def _shut_out(tx: Transaction, user_id: str, deps: UserDeps) -> None:
    """Whoever registered with an address, and never read a letter there, may be somebody else: nothing that they have set up opens the account."""
    await claim_factor(tx, user_id)
    for passkey in await deps.passkeys.of(user_id, tx):
        await deps.passkeys.remove(tx, user_id, passkey.id)
    await deps.factors.remove(tx, user_id)
    await deps.factors.ask_for_passkey(tx, user_id, None)
    await deps.factors.put_codes(tx, user_id, ())
    await deps.api_keys.end_all(tx, user_id)
    await deps.clients.withdraw(tx, user_id)


async def spare_the_mailbox(user_id: str, deps: UserDeps) -> None:
    """Before a letter that somebody asks for who has signed in. Raises TooManyRequests."""
    await _spare({f"confirmation {user_id}": links.FREE_LETTERS}, deps)


async def drop_expired_links(deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.links.drop_expired(tx, deps.clock())


async def _spare(keys: dict[str, int], deps: UserDeps) -> None:
    seconds = math.ceil(await deps.attempts.failed(keys, deps.clock()))
    if seconds > 0:
        raise TooManyRequests("user.too_many_letters", f"a letter is on its way already: wait {seconds} seconds before you ask for another one", seconds)
