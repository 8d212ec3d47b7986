"""What notifications do. The tables at the bottom are the index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from torg.contexts.inventory.contracts import LowStock
from torg.contexts.notification import contracts as c
from torg.contexts.notification import model
from torg.contexts.notification.contracts import Facts, Kind
from torg.contexts.notification.model import Addressee, MailResult, QueuedMail, settle
from torg.contexts.notification.model.wording import say
from torg.contexts.notification.ports import Entry, NotificationDeps
from torg.contexts.order import contracts as order
from torg.contexts.payment.contracts import PaymentRedirected, PaymentRefunded
from torg.contexts.review.contracts import ReviewPublished, ReviewRejected, ReviewReplied
from torg.contexts.user.contracts import (
    EmailChangeAsked,
    EmailChanged,
    FactorChanged,
    LinkMade,
    PasskeyChanged,
    PasskeyStepChanged,
    PasswordChanged,
    RolesChanged,
    SessionsEnded,
    SignedInAnew,
    UserChanged,
    UserErased,
    UserRegistered,
)
from torg.kit import telemetry
from torg.kit.auth import Role
from torg.kit.calls import Handlers
from torg.kit.errors import FieldError, Invalid, NotFound
from torg.kit.mail import Letter
from torg.kit.store import Transaction
from torg.kit.values import Language

# ---------------------------------------------------------------- readers ask


async def list_notifications(query: c.ListNotifications, deps: NotificationDeps) -> c.Feed:
    user_id = query.reader.user_id
    entries, cursor = await deps.feed.page(user_id, query.cursor, query.limit)
    return c.Feed(tuple(shown(entry, query.language) for entry in entries), cursor, await deps.feed.unread(user_id))


async def mark_read(cmd: c.MarkRead, deps: NotificationDeps) -> c.Unread:
    async with deps.transaction() as tx:
        if not await deps.feed.mark_read(tx, cmd.reader.user_id, cmd.notification_id):
            raise NotFound("notification.not_found", f"you have no notification {cmd.notification_id}")
        return await tx.answer(c.Unread(await deps.feed.unread(cmd.reader.user_id, tx)))


async def mark_all_read(cmd: c.MarkAllRead, deps: NotificationDeps) -> c.Unread:
    async with deps.transaction() as tx:
        await deps.feed.mark_read(tx, cmd.reader.user_id)
        return await tx.answer(c.Unread(0))


async def get_preferences(query: c.GetPreferences, deps: NotificationDeps) -> c.Preferences:
    return c.Preferences(model.preferences(await deps.contacts.choices(query.reader.user_id)))


async def change_preferences(cmd: c.ChangePreferences, deps: NotificationDeps) -> c.Preferences:
    refused = [n for n, item in enumerate(cmd.items) if not item.enabled and not model.changeable(item.kind, item.channel)]
    if refused:
        raise Invalid.fields(*(FieldError(f"items[{n}].enabled", "preference.firm", "this belongs to the sale: it is always told") for n in refused))
    async with deps.transaction() as tx:
        for item in cmd.items:
            if model.changeable(item.kind, item.channel):
                await deps.contacts.choose(tx, cmd.reader.user_id, item.kind, item.channel, item.enabled)
    return await get_preferences(c.GetPreferences(cmd.reader), deps)


# ---------------------------------------------------------------- others tell: people


async def on_user_registered(event: UserRegistered, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await deps.contacts.put(tx, event.user_id, Addressee(email=event.email, full_name=event.full_name, language=event.language))
        if event.self_made:
            await _tell(tx, event.user_id, "user.registered", event.user_id, "", Facts(), deps)


async def on_user_changed(event: UserChanged, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await deps.contacts.put(tx, event.user_id, Addressee(email=event.email, full_name=event.full_name, language=event.language))


async def on_roles_changed(event: RolesChanged, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await deps.contacts.put_roles(tx, event.user_id, frozenset(Role(role) for role in event.roles))


async def on_link_made(event: LinkMade, deps: NotificationDeps) -> None:
    kind: Kind = "user.confirm_email" if event.purpose == "confirm" else "user.reset_password"
    async with deps.transaction() as tx:
        if event.sealed:
            await _tell(tx, event.user_id, kind, event.link_id, "", Facts(sealed=event.sealed, subject=event.link_id), deps)


async def on_email_change_asked(event: EmailChangeAsked, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell(tx, event.user_id, "user.email_change_asked", event.link_id, "", Facts(url="/profile"), deps)


async def on_password_changed(event: PasswordChanged, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell(tx, event.user_id, "user.password_changed", deps.new_id(), "", Facts(url="/forgot-password"), deps)


async def on_email_changed(event: EmailChanged, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        if event.sealed:
            await _tell(tx, event.user_id, "user.email_changed", event.link_id, "", Facts(sealed=event.sealed, subject=event.link_id), deps)


async def on_signed_in_anew(event: SignedInAnew, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell(tx, event.user_id, "user.signed_in_anew", event.session_id, "", Facts(url="/profile#sessions", device=event.device), deps)


async def on_sessions_ended(event: SessionsEnded, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell(tx, event.user_id, "user.sessions_ended", deps.new_id(), "", Facts(url="/sign-in"), deps)


async def on_way_in_changed(event: FactorChanged | PasskeyStepChanged | PasskeyChanged, deps: NotificationDeps) -> None:
    """What somebody signs in with besides the password."""
    kind: Kind
    if isinstance(event, PasskeyChanged):
        kind = "user.passkey_added" if event.added else "user.passkey_removed"
    else:
        on = event.totp if isinstance(event, FactorChanged) else event.asked
        kind = "user.factor_added" if on else "user.factor_removed"
    async with deps.transaction() as tx:
        await _tell(tx, event.user_id, kind, deps.new_id(), "", Facts(url="/profile/second-factor"), deps)


async def on_user_erased(event: UserErased, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await deps.contacts.erase(tx, event.user_id)
        await deps.feed.erase(tx, event.user_id)
        sent = await deps.mails.erase(tx, event.user_id)
    if deps.copies:
        for mail_id in sent:
            deps.copies.remove(mail_id)


# ---------------------------------------------------------------- others tell: orders


async def on_order_placed(event: order.OrderPlaced, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell_of(tx, event, Facts(total=event.total), deps)
        await _tell_early(event.order_id, deps)


async def tell_stranded(deps: NotificationDeps) -> None:
    """Where parallel processes heard of an order and of its payment at the same moment, neither knew of the other."""
    for order_id in await deps.feed.stranded(BATCH):
        await deps.store.undisturbed(partial(_tell_early, order_id, deps), "notification.stranded")


async def _tell_early(order_id: str, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        for early in await deps.feed.take_early(tx, order_id):
            await REACTIONS[type(early)](early, deps)


async def on_order_confirmed(event: order.OrderConfirmed, deps: NotificationDeps) -> None:
    facts = Facts(total=event.total, lines=model.receipt(event.lines), city=event.city, delivery_date=event.delivery_date)
    async with deps.transaction() as tx:
        await _tell_of(tx, event, facts, deps)


async def on_order_shipped(event: order.OrderShipped, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell_of(tx, event, Facts(tracking_number=event.tracking_number), deps)


async def on_order_delivered(event: order.OrderDelivered, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell_of(tx, event, Facts(), deps)


async def on_order_ended(event: order.OrderRejected | order.OrderCancelled | order.CancellationFailed, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell_of(tx, event, Facts(reason=event.reason), deps)


async def on_return(event: order.ReturnRequested | order.OrderReturned, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell_of(tx, event, Facts(total=event.refund), deps, subject=event.return_id)


async def on_return_failed(event: order.ReturnFailed, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell_of(tx, event, Facts(reason=event.reason), deps, subject=event.return_id)


async def on_payment_redirected(event: PaymentRedirected, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        buyer = await deps.feed.buyer_of(tx, event.order_id)
        if buyer:
            await _tell(tx, buyer, "payment.redirected", event.payment_id, event.order_id, Facts(url=event.redirect_url), deps)
        else:
            await deps.feed.keep_early(tx, event.order_id, event)


async def on_payment_refunded(event: PaymentRefunded, deps: NotificationDeps) -> None:
    if not event.amount:
        return  # an attempt was closed: there was nothing to give back, and nothing to tell
    async with deps.transaction() as tx:
        buyer = await deps.feed.buyer_of(tx, event.order_id)
        if buyer:
            await _tell(tx, buyer, "payment.refunded", event.refund_id, event.order_id, Facts(total=event.amount), deps)
        else:
            await deps.feed.keep_early(tx, event.order_id, event)


# ---------------------------------------------------------------- others tell: products


async def on_review(event: ReviewPublished | ReviewReplied, deps: NotificationDeps) -> None:
    kind: Kind = "review.published" if isinstance(event, ReviewPublished) else "review.replied"
    async with deps.transaction() as tx:
        await _tell(tx, event.user_id, kind, event.review_id, "", Facts(product_id=event.product_id), deps)


async def on_review_rejected(event: ReviewRejected, deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await _tell(tx, event.user_id, "review.rejected", event.review_id, "", Facts(product_id=event.product_id, reason=event.reason), deps)


async def on_low_stock(event: LowStock, deps: NotificationDeps) -> None:
    """Told to the warehouse, once a day for each product."""
    subject = f"{event.product_id}/{deps.clock():%Y-%m-%d}"
    async with deps.transaction() as tx:
        for user_id in await deps.contacts.with_role(tx, Role.WAREHOUSE):
            await _tell(tx, user_id, "inventory.low_stock", subject, "", Facts(product_id=event.product_id, available=event.available), deps)


# ---------------------------------------------------------------- letters

BATCH = 200
LEASE = timedelta(seconds=60)  # longer than a batch takes; after a crash its letters are tried again then


async def send_due_mails(deps: NotificationDeps) -> None:
    """Sends what is due, outside of any transaction. A crash between sending and filing sends those letters again, under the same ids."""
    while await deps.mails.any_due(deps.clock()):
        async with deps.transaction() as tx:
            mails = await deps.mails.claim(tx, deps.clock(), deps.clock() + LEASE, BATCH)
        results = await _send(mails, deps)
        await deps.store.undisturbed(partial(_settle, results, deps), "notification.letters")  # alone: done anew with the rest they would be sent again


async def _settle(results: Sequence[MailResult], deps: NotificationDeps) -> None:
    async with deps.transaction() as tx:
        await deps.mails.settle(tx, results, deps.clock())


async def _send(mails: Sequence[QueuedMail], deps: NotificationDeps) -> list[MailResult]:
    results, letters = list[MailResult](), list[tuple[QueuedMail, Letter]]()
    for mail in mails:
        letter = _letter_or_why_not(mail, deps)
        if isinstance(letter, Letter):
            letters.append((mail, letter))
        else:
            results.append(settle(mail, *letter, deps.clock()))
    posted = await deps.mailer.send([letter for _, letter in letters]) if letters else ()
    return results + [settle(mail, outcome.outcome, outcome.detail, deps.clock()) for (mail, _), outcome in zip(letters, posted, strict=True)]


def _letter_or_why_not(mail: QueuedMail, deps: NotificationDeps) -> Letter | tuple[str, str]:
    if mail.addressee is None:
        return "deferred", "no address is known yet"
    if not mail.addressee.email:
        return "skipped", "they were erased"
    if mail.unwanted:
        return "skipped", "they do not want this kind by e-mail"
    try:
        return deps.writer.write(mail)
    except Exception as error:  # noqa: BLE001 one letter that cannot be put into words must not hold up the others; its tries say why
        telemetry.log.error("a letter could not be written", mail_id=mail.id, kind=mail.kind, exc_info=error)
        return "deferred", f"{type(error).__name__}: {error}"


# ---------------------------------------------------------------- small print


def shown(entry: Entry, language: Language) -> c.Notification:
    said = say(entry.kind, language, entry.order_id, entry.facts)
    return c.Notification(
        id=entry.id, kind=entry.kind, title=said.title, text=said.text, order_id=entry.order_id or None, link=said.link, read=entry.read,
        created_at=entry.created_at,
    )  # fmt: skip


OrderTold = (
    order.OrderPlaced | order.OrderConfirmed | order.OrderShipped | order.OrderDelivered | order.OrderRejected | order.OrderCancelled
    | order.CancellationFailed | order.ReturnRequested | order.OrderReturned | order.ReturnFailed
)  # fmt: skip


async def _tell_of(tx: Transaction, event: OrderTold, facts: Facts, deps: NotificationDeps, subject: str = "") -> None:
    kind: Kind = KINDS[type(event)]
    await _tell(tx, event.user_id, kind, subject or event.order_id, event.order_id, facts, deps)


async def _tell(tx: Transaction, user_id: str, kind: Kind, subject: str, order_id: str, facts: Facts, deps: NotificationDeps) -> None:
    """Into the feed and, where the kind has a letter, into the queue; whether the letter is wanted is seen when it is sent."""
    telling, now = model.TELLINGS[kind], deps.clock()
    entry = Entry(id=deps.new_id(), user_id=user_id, kind=kind, subject=subject, order_id=order_id, facts=facts, created_at=now)
    in_feed = telling.feed and (telling.of_order or await deps.contacts.wants(tx, user_id, kind, "feed"))
    told_already = in_feed and not await deps.feed.add(tx, entry)
    if telling.email and not told_already:
        await deps.mails.queue(tx, entry)


KINDS: dict[type[OrderTold], Kind] = {
    order.OrderPlaced: "order.placed",
    order.OrderConfirmed: "order.confirmed",
    order.OrderShipped: "order.shipped",
    order.OrderDelivered: "order.delivered",
    order.OrderRejected: "order.rejected",
    order.OrderCancelled: "order.cancelled",
    order.CancellationFailed: "order.cancellation_failed",
    order.ReturnRequested: "order.return_requested",
    order.OrderReturned: "order.returned",
    order.ReturnFailed: "order.return_failed",
}

HANDLERS: Handlers = {
    c.ListNotifications: list_notifications,
    c.MarkRead: mark_read,
    c.MarkAllRead: mark_all_read,
    c.GetPreferences: get_preferences,
    c.ChangePreferences: change_preferences,
}

REACTIONS: Handlers = {
    UserRegistered: on_user_registered,
    UserChanged: on_user_changed,
    RolesChanged: on_roles_changed,
    LinkMade: on_link_made,
    EmailChangeAsked: on_email_change_asked,
    PasswordChanged: on_password_changed,
    EmailChanged: on_email_changed,
    SignedInAnew: on_signed_in_anew,
    SessionsEnded: on_sessions_ended,
    FactorChanged: on_way_in_changed,
    PasskeyStepChanged: on_way_in_changed,
    PasskeyChanged: on_way_in_changed,
    UserErased: on_user_erased,
    order.OrderPlaced: on_order_placed,
    order.OrderConfirmed: on_order_confirmed,
    order.OrderShipped: on_order_shipped,
    order.OrderDelivered: on_order_delivered,
    order.OrderRejected: on_order_ended,
    order.OrderCancelled: on_order_ended,
    order.CancellationFailed: on_order_ended,
    order.ReturnRequested: on_return,
    order.OrderReturned: on_return,
    order.ReturnFailed: on_return_failed,
    PaymentRedirected: on_payment_redirected,
    PaymentRefunded: on_payment_refunded,
    ReviewPublished: on_review,
    ReviewReplied: on_review,
    ReviewRejected: on_review_rejected,
    LowStock: on_low_stock,
}
