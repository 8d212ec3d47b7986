"""All that is kept about a person, wherever it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from torg.contexts.cart.contracts import CartView, GetKeptCart
from torg.contexts.notification.contracts import Feed, ListNotifications
from torg.contexts.order.contracts import ListOrders, OrderPage
from torg.contexts.payment.contracts import GetWallet, ListPayments, PaymentPage, Wallet
from torg.contexts.review.contracts import ListMyReviews, ReviewPage
from torg.contexts.shipping.contracts import DeliveryPage, ListDeliveries
from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.accounts import profile_of, unknown
from torg.contexts.user.handlers.proofs import fresh
from torg.contexts.user.model.accounts import Account
from torg.contexts.user.ports import UserDeps
from torg.kit.auth import Identity, Role
from torg.kit.errors import Unavailable
from torg.kit.messages import Query, encode
from torg.kit.values import Language


async def export_my_data(query: c.ExportMyData, deps: UserDeps) -> c.PersonalData:
    user_id = query.holder.user_id
    await fresh(query.holder, deps)
    account = await deps.users.find(user_id)
    if account is None:
        raise unknown(user_id)
    profile, elsewhere = await profile_of(account, deps), await _kept_elsewhere(account, deps)
    sessions = tuple(session.view() for session in await deps.sessions.of(user_id))
    missing = [name for name, found in elsewhere.items() if found is None] + ["balance"] * (profile.balance is None)
    keys = tuple(key.view() for key in await deps.api_keys.of(user_id))
    return c.PersonalData(
        profile=profile, language=account.language, addresses=tuple(await deps.addresses.of(user_id)), sessions=sessions, api_keys=keys,
        programs=tuple(await deps.clients.consents(user_id)), outside=tuple(await deps.users.outside_of(user_id)),
        **{name: found for name, found in elsewhere.items() if found}, missing=tuple(missing), exported_at=deps.clock(),
    )  # fmt: skip


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
