"""Checking passwords: wrong ones are counted, and whoever guesses waits."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from torg.contexts.user.model import accounts, attempts
from torg.contexts.user.model.accounts import Account
from torg.contexts.user.ports import UserDeps
from torg.kit import security
from torg.kit.errors import FieldError, Invalid, NotFound, TooManyRequests
from torg.kit.store import Transaction


async def claim_password(tx: Transaction, user_id: str) -> None:
    """Nobody comes in with a password while it is being changed."""
    await tx.claim(f"password of {user_id}")


async def verified(fits: Callable[[], Awaitable[bool]], keys: Mapping[str, int], deps: UserDeps) -> bool:
    """Whether it is the password (`fits`); wrong ones count under these keys, a right one is forgotten under the first. Raises TooManyRequests."""
    _refuse_guessing(await deps.attempts.paused_for(keys, deps.clock()))
    if not await fits():
        _refuse_guessing(await deps.attempts.failed(keys, deps.clock()))
        return False
    _refuse_guessing(await deps.attempts.paused_for(keys, deps.clock()))  # once more: of many sent at once, those behind the free ones learn nothing
    await deps.attempts.forget(next(iter(keys)))
    return True


async def with_password(user_id: str, password: str, deps: UserDeps) -> Account:
    """Before somebody changes what they sign in with. Raises Invalid for a wrong one."""
    account = await deps.users.find(user_id)
    if account is None:
        raise NotFound("user.not_found", f"there is no user {user_id}")
    fits = partial(deps.passwords.verify, account.password_hash, password, known=True)
    if not await verified(fits, {f"password/{account.id}": attempts.FREE_FAILURES}, deps):
        security.tell("wrong_password", user_id=account.id)
        raise Invalid.fields(FieldError("password", "wrong", "this is not your password"))
    return account


async def refuse_for_staff(account: Account, password: str, field: str, deps: UserDeps) -> None:
    """Where the shop's rules for its staff are stricter than those for everybody. Raises Invalid."""
    if not (deps.strict_with_staff and account.works_here):
        return
    accounts.refuse_weak_of_staff(password, field)
    for hashed in (account.password_hash, *await deps.users.former_passwords(account.id)):
        if await deps.passwords.verify(hashed, password, known=True):
            raise accounts.used_before(field)


async def replace_password(tx: Transaction, account: Account, hashed: str, deps: UserDeps) -> None:
    """`account` as it was loaded here; nobody comes in meanwhile (`claim_password`). The one of before is kept where it may not come back. Whoever had asked
    for another address asks again: it may have been whom the new password is to keep out."""
    if deps.strict_with_staff and account.works_here and account.password_hash != accounts.UNUSABLE:
        await deps.users.keep_former(tx, account.id, account.password_hash, accounts.FORMER - 1)
    await deps.users.save(tx, replace(account, password_hash=hashed))
    await deps.links.drop_elsewhere(tx, account.id, account.email)


def _refuse_guessing(wait: float) -> None:
    seconds = math.ceil(wait)
    if seconds > 0:
        raise TooManyRequests("session.too_many_attempts", f"too many wrong passwords: wait {seconds} seconds before the next try", seconds)
