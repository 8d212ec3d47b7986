"""What users do. The table at the bottom is the index."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from torg.contexts.cart.contracts import CartView, GetKeptCart, MergeCarts
from torg.contexts.notification.contracts import Feed, ListNotifications
from torg.contexts.order.contracts import ListOrders, OrderPage
from torg.contexts.payment.contracts import GetBalance, GetWallet, ListPayments, PaymentPage, Wallet
from torg.contexts.review.contracts import ListMyReviews, ReviewPage
from torg.contexts.shipping.contracts import DeliveryPage, ListDeliveries
from torg.contexts.user import contracts as c
from torg.contexts.user import model
from torg.contexts.user.model import Account
from torg.contexts.user.ports import UserDeps
from torg.kit import telemetry
from torg.kit.auth import Identity, Role
from torg.kit.calls import Handlers
from torg.kit.errors import DomainError, FieldError, Invalid, NotFound, PreconditionFailed, TooManyRequests, Unauthenticated, Unavailable
from torg.kit.messages import Query, encode
from torg.kit.store import Transaction
from torg.kit.values import Language, Money

# ---------------------------------------------------------------- users


async def register_user(cmd: c.RegisterUser, deps: UserDeps) -> c.User:
    model.refuse_weak(cmd.password, cmd.email)
    if await deps.users.find_by_email(cmd.email):
        raise model.email_taken()
    account = _account(cmd, frozenset({Role.CUSTOMER}), await deps.passwords.hash(cmd.password), deps)
    async with deps.transaction() as tx:
        await deps.users.add(tx, account)
        await tx.append(account.id, [account.registered()])
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
            await _claim_password(tx, account.id)
            await deps.users.save(tx, account)
            await deps.sessions.end_all(tx, account.id)
            await tx.append(account.id, [account.roles_changed()] if account.roles != found.roles else [])
    return account.view()


async def get_profile(query: c.GetProfile, deps: UserDeps) -> c.Profile:
    account = await deps.users.find(query.holder.user_id)
    if account is None:
        raise _unknown(query.holder.user_id)
    return await _profile(account, deps)


async def change_profile(cmd: c.ChangeProfile, deps: UserDeps) -> c.Profile:
    async with deps.transaction() as tx:
        account = await deps.users.load(tx, cmd.holder.user_id)
        if cmd.if_match not in ("", "*", model.profile_tag(account.view())):
            raise PreconditionFailed("user.changed", "your profile has changed since you read it: read it again")
        changed = account.with_changes(cmd)
        if changed != account:
            await deps.users.save(tx, changed)
            await tx.append(account.id, [changed.changed()])
    return await _profile(changed, deps)


async def change_password(cmd: c.ChangePassword, deps: UserDeps) -> None:
    account = await deps.users.find(cmd.holder.user_id)
    if account is None:
        raise _unknown(cmd.holder.user_id)
    model.refuse_weak(cmd.new_password, account.email, "new_password")
    keys = {f"password/{account.id}": model.FREE_FAILURES}
    fits = partial(deps.passwords.verify, account.password_hash, cmd.current_password, known=True)
    if not await _verified(fits, keys, deps):
        raise Invalid.fields(FieldError("current_password", "wrong", "this is not your current password"))
    hashed = await deps.passwords.hash(cmd.new_password)
    async with deps.transaction() as tx:
        await _claim_password(tx, account.id)
        await deps.users.save(tx, replace(await deps.users.load(tx, account.id), password_hash=hashed))
        await deps.sessions.end_all(tx, account.id, but=cmd.holder.session_id)
        await tx.append(account.id, [c.PasswordChanged(account.id)])


async def erase_me(cmd: c.EraseMe, deps: UserDeps) -> None:
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await _claim_password(tx, user_id)
        await _claim_addresses(tx, user_id)
        await deps.users.load(tx, user_id)
        await deps.sessions.end_all(tx, user_id)
        await deps.users.erase(tx, user_id)
        await tx.append(user_id, [c.UserErased(user_id)])


async def export_my_data(query: c.ExportMyData, deps: UserDeps) -> c.PersonalData:
    user_id = query.holder.user_id
    account = await deps.users.find(user_id)
    if account is None:
        raise _unknown(user_id)
    profile, elsewhere = await _profile(account, deps), await _kept_elsewhere(account, deps)
    sessions = tuple(session.view() for session in await deps.sessions.of(user_id))
    missing = [name for name, found in elsewhere.items() if found is None] + ["balance"] * (profile.balance is None)
    return c.PersonalData(
        profile=profile, language=account.language, addresses=tuple(await deps.addresses.of(user_id)), sessions=sessions,
        **{name: found for name, found in elsewhere.items() if found}, missing=tuple(missing), exported_at=deps.clock(),
    )  # fmt: skip


async def get_contact(query: c.GetContact, deps: UserDeps) -> c.Contact:
    account = await deps.users.find(query.user_id)
    if account is None:
        raise _unknown(query.user_id)
    return c.Contact(account.id, account.full_name, account.email, account.city, account.language)


# ---------------------------------------------------------------- sessions


async def authenticate(query: c.Authenticate, deps: UserDeps) -> Identity | None:
    live = await deps.sessions.holder(query.token, deps.clock())
    return live.identity if live else None


async def sign_in(cmd: c.SignIn, deps: UserDeps) -> c.Tokens:
    account = await _proven(cmd, deps)
    renewed = await deps.passwords.hash(cmd.password) if deps.passwords.is_outdated(account.password_hash) else account.password_hash
    tokens = model.make_tokens(deps.randomness)
    async with deps.transaction() as tx:
        await _claim_password(tx, account.id)
        now = await deps.users.load(tx, account.id)
        if now.password_hash != account.password_hash:  # it was changed while this one was being checked
            raise _bad_credentials()
        await deps.sessions.open(tx, model.open_session(deps.new_id(), account.id, tokens, cmd.address, deps.clock()))
        if renewed != account.password_hash:
            await deps.users.save(tx, replace(now, password_hash=renewed))
    if cmd.guest_cart_id:
        await _merge_carts(cmd.guest_cart_id, account.id, deps)
    return tokens


async def refresh_session(cmd: c.RefreshSession, deps: UserDeps) -> c.Tokens:
    now, tokens = deps.clock(), model.make_tokens(deps.randomness)
    async with deps.transaction() as tx:
        found = await deps.sessions.by_refresh_token(tx, cmd.refresh_token)
        session, newest = found or (None, False)
        renewed = session is not None and newest and session.refresh_until > now
        if session and renewed:
            await deps.sessions.renew(tx, session, session.renewed(tokens, now))
        elif session:
            await deps.sessions.end(tx, session.id)
            if not newest:
                await tx.append(session.user_id, [c.TokenReused(session.user_id, session.id)])
    if not renewed:  # told after the commit, which ended the session
        raise Unauthenticated("session.bad_refresh_token", "this refresh token is unknown, expired or was used before: sign in again")
    return tokens


async def sign_out(cmd: c.SignOut, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.sessions.end(tx, cmd.holder.session_id)


async def sign_out_everywhere(cmd: c.SignOutEverywhere, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.sessions.end_all(tx, cmd.holder.user_id)


async def drop_expired_sessions(deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.sessions.drop_expired(tx, deps.clock())


# ---------------------------------------------------------------- addresses


async def list_addresses(query: c.ListAddresses, deps: UserDeps) -> c.Addresses:
    return c.Addresses(tuple(await deps.addresses.of(query.holder.user_id)))


async def get_address(query: c.GetAddress, deps: UserDeps) -> c.Address:
    found = _one(await deps.addresses.of(query.user_id), query.address_id)
    return c.Address(city=found.city, street=found.street, postcode=found.postcode, country=found.country)


async def add_address(cmd: c.AddAddress, deps: UserDeps) -> c.AddressView:
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await _claim_addresses(tx, user_id)
        others = await deps.addresses.of(user_id, tx)
        if len(others) >= model.ADDRESSES:
            raise DomainError("address.too_many", f"you have {model.ADDRESSES} addresses: remove one first")
        address = _address(deps.new_id(), cmd, is_default=cmd.is_default or not others)
        await deps.addresses.put(tx, user_id, address)
        return await tx.answer(address)


async def change_address(cmd: c.ChangeAddress, deps: UserDeps) -> c.AddressView:
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await _claim_addresses(tx, user_id)
        before = _one(await deps.addresses.of(user_id, tx), cmd.address_id)
        address = _address(before.id, cmd, is_default=cmd.is_default or before.is_default)
        await deps.addresses.put(tx, user_id, address)
    return address


async def remove_address(cmd: c.RemoveAddress, deps: UserDeps) -> None:
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await _claim_addresses(tx, user_id)
        addresses = await deps.addresses.of(user_id, tx)
        removed = _one(addresses, cmd.address_id)
        await deps.addresses.remove(tx, user_id, removed.id)
        others = [address for address in addresses if address is not removed]
        if removed.is_default and others:
            await deps.addresses.put(tx, user_id, msgspec.structs.replace(others[0], is_default=True))


# ---------------------------------------------------------------- staff


async def list_users(query: c.ListUsers, deps: UserDeps) -> c.UserPage:
    accounts, cursor = await deps.users.page(query.query, query.cursor, query.limit)
    return c.UserPage(tuple(account.view() for account in accounts), cursor)


async def grant_roles(cmd: c.GrantRoles, deps: UserDeps) -> c.User:
    async with deps.transaction() as tx:
        await tx.claim("roles")
        account = await deps.users.load(tx, cmd.user_id)
        changed = replace(account, roles=frozenset(cmd.roles))
        if Role.ADMIN in account.roles - changed.roles and not await deps.users.has_admin_besides(tx, account.id):
            raise DomainError("user.last_admin", "somebody has to be an administrator: make another one first")
        if changed != account:
            await deps.users.save(tx, changed)
            await deps.sessions.forget_held(tx, account.id)
            await tx.append(account.id, [changed.roles_changed()])
        return await tx.answer(changed.view())


# ---------------------------------------------------------------- small print


async def _claim_password(tx: Transaction, user_id: str) -> None:
    """Nobody comes in with a password while it is being changed."""
    await tx.claim(f"password of {user_id}")


async def _claim_addresses(tx: Transaction, user_id: str) -> None:
    """How many there are, and which is the one to begin with, is a rule about all of them."""
    await tx.claim(f"addresses of {user_id}")


def _account(cmd: c.RegisterUser | c.EnsureUser, roles: frozenset[Role], hashed: str, deps: UserDeps) -> Account:
    return Account(
        id=deps.new_id(), email=cmd.email, password_hash=hashed, full_name=cmd.full_name.strip(), city=cmd.city, birth_date=cmd.birth_date,
        language=Language(cmd.language), roles=roles, created_at=deps.clock(),
    )  # fmt: skip


async def _ensured_hash(password: str, found: Account | None, deps: UserDeps) -> str:
    if not password:
        return model.UNUSABLE
    if found and await deps.passwords.verify(found.password_hash, password):
        return found.password_hash
    return await deps.passwords.hash(password)


async def _proven(cmd: c.SignIn, deps: UserDeps) -> Account:
    """The account whose password this is. Whether the address is known makes no difference: neither in the answer nor in its time."""
    account = await deps.users.find_by_email(cmd.email)
    email = model.email_key(cmd.email)[: model.LONGEST_EMAIL]
    keys = {f"{email} {cmd.address}": model.FREE_FAILURES}
    known = account is not None and await deps.sessions.known_address(account.id, cmd.address)
    if not known:
        keys[email] = model.FREE_ACCOUNT_FAILURES
    fits = partial(deps.passwords.verify, account.password_hash if account else model.UNUSABLE, cmd.password, cmd.address, known)
    right = await _verified(fits, keys, deps)
    if account is None or not right:
        raise _bad_credentials()
    return account


async def _verified(fits: Callable[[], Awaitable[bool]], keys: Mapping[str, int], deps: UserDeps) -> bool:
    """Whether it is the password (`fits`); wrong ones count under these keys, a right one is forgotten under the first. Raises TooManyRequests."""
    _refuse_guessing(await deps.attempts.paused_for(keys, deps.clock()))
    if not await fits():
        _refuse_guessing(await deps.attempts.failed(keys, deps.clock()))
        return False
    _refuse_guessing(await deps.attempts.paused_for(keys, deps.clock()))  # once more: of many sent at once, those behind the free ones learn nothing
    await deps.attempts.forget(next(iter(keys)))
    return True


def _refuse_guessing(wait: float) -> None:
    seconds = math.ceil(wait)
    if seconds > 0:
        raise TooManyRequests("session.too_many_attempts", f"too many wrong passwords: wait {seconds} seconds before the next try", seconds)


def _bad_credentials() -> Unauthenticated:
    return Unauthenticated("session.bad_credentials", "the e-mail address or the password is wrong")


async def _merge_carts(guest_cart_id: str, user_id: str, deps: UserDeps) -> None:
    try:
        await deps.call(MergeCarts(guest_cart_id=guest_cart_id, user_id=user_id))
    except Exception as error:  # noqa: BLE001 nobody is kept out of the shop because of their cart
        telemetry.log.warning("a guest's cart was not merged", cart_id=guest_cart_id, user_id=user_id, error=str(error))


async def _profile(account: Account, deps: UserDeps) -> c.Profile:
    return c.Profile(**msgspec.structs.asdict(account.view()), balance=await _balance(account.id, deps))


async def _balance(user_id: str, deps: UserDeps) -> Money | None:
    try:
        return await deps.call(GetBalance(user_id))
    except (Unavailable, DomainError):
        return None  # shown as null: who somebody is does not depend on their wallet


async def _kept_elsewhere(account: Account, deps: UserDeps) -> dict[str, tuple[msgspec.Raw, ...] | None]:
    """Each section of the export; None where its context does not answer. Asked as a customer, so that staff get no more than their own."""
    me = Identity(account.id, frozenset({Role.CUSTOMER}))
    return {name: await _section(partial(ask, me, account.language), deps) for name, ask in SECTIONS.items()}


async def _section(ask: Callable[[str], Query[Page]], deps: UserDeps) -> tuple[msgspec.Raw, ...] | None:
    items, cursor = list[object](), ""
    try:
        while True:
            page = await deps.call(ask(cursor))
            items += page.entries if isinstance(page, Wallet) else [page] if isinstance(page, CartView) else page.items
            cursor = "" if isinstance(page, CartView) else page.next_cursor or ""
            if not cursor:
                return tuple(msgspec.Raw(encode(item)) for item in items)
    except Unavailable:
        return None


def _address(id: str, cmd: c.AddAddress | c.ChangeAddress, is_default: bool) -> c.AddressView:
    return c.AddressView(id=id, city=cmd.city, street=cmd.street, postcode=cmd.postcode, country=cmd.country, is_default=is_default)


def _one(addresses: Sequence[c.AddressView], address_id: str) -> c.AddressView:
    for address in addresses:
        if address.id == address_id:
            return address
    raise NotFound("address.not_found", f"you have no address {address_id}")


def _unknown(user_id: str) -> NotFound:
    return NotFound("user.not_found", f"there is no user {user_id}")


Page = CartView | DeliveryPage | Feed | OrderPage | PaymentPage | ReviewPage | Wallet
SECTIONS: Mapping[str, Callable[[Identity, Language, str], Query[Any]]] = {
    "cart": lambda me, language, _: GetKeptCart(user_id=me.user_id, language=language),
    "orders": lambda me, _, cursor: ListOrders(buyer=me, cursor=cursor, limit=100),
    "payments": lambda me, _, cursor: ListPayments(viewer=me, cursor=cursor, limit=100),
    "wallet": lambda me, _, cursor: GetWallet(owner=me, cursor=cursor, limit=100),
    "deliveries": lambda me, _, cursor: ListDeliveries(viewer=me, cursor=cursor, limit=100),
    "reviews": lambda me, language, cursor: ListMyReviews(author=me, language=language, cursor=cursor, limit=100),
    "notifications": lambda me, language, cursor: ListNotifications(reader=me, language=language, cursor=cursor, limit=100),
}
"""What other contexts keep about a person, and how to ask for it."""

HANDLERS: Handlers = {
    c.RegisterUser: register_user,
    c.EnsureUser: ensure_user,
    c.GetProfile: get_profile,
    c.ChangeProfile: change_profile,
    c.ChangePassword: change_password,
    c.EraseMe: erase_me,
    c.ExportMyData: export_my_data,
    c.GetContact: get_contact,
    c.Authenticate: authenticate,
    c.SignIn: sign_in,
    c.RefreshSession: refresh_session,
    c.SignOut: sign_out,
    c.SignOutEverywhere: sign_out_everywhere,
    c.ListAddresses: list_addresses,
    c.GetAddress: get_address,
    c.AddAddress: add_address,
    c.ChangeAddress: change_address,
    c.RemoveAddress: remove_address,
    c.ListUsers: list_users,
    c.GrantRoles: grant_roles,
}
