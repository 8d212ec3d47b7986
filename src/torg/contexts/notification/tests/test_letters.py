"""Letters: queued with their notification, sent outside, tried again, never twice."""

from __future__ import annotations

import msgspec

from torg.contexts.notification import contracts as c
from torg.contexts.notification import model
from torg.contexts.notification.adapters.mails_sql import SqlMailStore
from torg.contexts.notification.handlers import LEASE
from torg.contexts.notification.tests.notification_setup import ANNA, SHOP, Notifications, confirmed, placed, registered
from torg.contexts.order import contracts as order
from torg.contexts.user.contracts import UserChanged, UserErased
from torg.kit.mail import Posted
from torg.kit.testing.http import ask
from torg.kit.values import Language, Money

SHIPPED = order.OrderShipped(order_id="order-1", user_id="anna", tracking_number="TR-1")


async def tries(shop: Notifications) -> list[tuple[str, str]]:
    return [(row["outcome"], row["detail"]) for row in await shop.deps.store.database.all("select * from mail_try order by at, number")]


async def broken(shop: Notifications) -> list[str]:
    mails = shop.deps.mails
    assert isinstance(mails, SqlMailStore)
    return await mails.sent_twice() + await mails.confirmations_without_letter()


async def test_a_confirmed_order_gets_one_letter_with_its_receipt(shop: Notifications) -> None:
    await shop.hear(registered(), placed(), confirmed(), confirmed())
    await shop.send()
    await shop.send()
    (letter,) = shop.mailer.letters
    assert (letter.to, letter.language, letter.subject) == ("anna@example.com", "en", "Order ORDER-1 is confirmed")
    assert "Frozen <Pizza> & Co, 2 pcs: ₽1,290.50" in letter.text
    assert "Frozen &lt;Pizza&gt; &amp; Co" in letter.html
    assert "Hello, Anna &lt;Petrova&gt;!" in letter.html
    assert f"{SHOP}/orders/order-1" in letter.text
    assert await tries(shop) == [("sent", "")]
    assert await broken(shop) == []


async def test_a_letter_speaks_the_language_of_who_gets_it(shop: Notifications) -> None:
    await shop.hear(registered(language=Language.RU), confirmed())
    await shop.send()
    (letter,) = shop.mailer.letters
    assert letter.subject == "Заказ ORDER-1 подтверждён"
    assert "Здравствуйте, Anna" in letter.text
    assert '<html lang="ru">' in letter.html
    assert "5\u00a0марта" in letter.text


async def test_a_receipt_adds_up(shop: Notifications) -> None:
    await shop.hear(registered(), msgspec.structs.replace(confirmed(), total=Money(149_050, "RUB")), confirmed("order-2"))
    await shop.send()
    dearer, plain = (letter.text for letter in shop.mailer.letters)
    assert "Delivery and discounts: ₽200.00\nTotal: ₽1,490.50" in dearer
    assert "Delivery" not in plain


async def test_it_goes_to_the_address_of_the_day(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed(), UserChanged(user_id="anna", email="new@example.com", full_name="Anna", city="", language=Language.EN))
    await shop.send()
    assert [letter.to for letter in shop.mailer.letters] == ["new@example.com"]


async def test_a_failed_letter_is_tried_again_later_each_time_and_every_try_is_recorded(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed())
    shop.mailer.outcomes = [Posted("deferred", "451 busy"), Posted("deferred", "the line is dead")]
    await shop.send()
    await shop.send()
    assert shop.mailer.letters == []
    assert len(await tries(shop)) == 1, "not before its pause is over"
    shop.clock.advance(seconds=5)
    await shop.send()
    shop.clock.advance(seconds=9)
    await shop.send()
    assert len(await tries(shop)) == 2
    shop.clock.advance(seconds=1)
    await shop.send()
    assert await tries(shop) == [("deferred", "451 busy"), ("deferred", "the line is dead"), ("sent", "")]
    assert len(shop.mailer.letters) == 1
    assert [(mail.status, mail.tries, mail.recipient) for mail in await shop.mails()] == [("sent", 3, "anna@example.com")]


async def test_after_the_last_try_it_is_a_dead_letter(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed())
    shop.mailer.outcomes = [Posted("deferred", "451 busy")] * (model.TRIES + 5)
    for _ in range(model.TRIES + 3):
        await shop.send()
        shop.clock.advance(hours=2)
    assert [(mail.status, mail.tries) for mail in await shop.mails()] == [("dead", model.TRIES)]


async def test_what_is_refused_for_good_is_not_tried_again(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed(), registered("boris"), confirmed("order-2", "boris"))
    shop.mailer.outcomes = [Posted("refused", "550 no such user")]
    await shop.send()
    assert [letter.to for letter in shop.mailer.letters] == ["boris@example.com"]
    assert [(mail.user_id, mail.status) for mail in await shop.mails()] == [("boris", "sent"), ("anna", "dead")]


async def test_a_letter_waits_for_an_address_that_is_not_known_yet(shop: Notifications) -> None:
    await shop.hear(confirmed())
    await shop.send()
    assert await tries(shop) == [("deferred", "no address is known yet")]
    await shop.hear(registered())
    shop.clock.advance(seconds=5)
    await shop.send()
    assert len(shop.mailer.letters) == 1


async def test_an_unwanted_letter_is_skipped_and_a_firm_one_is_not(shop: Notifications) -> None:
    await shop.do(c.ChangePreferences(ANNA, (c.Preference(kind="order.shipped", channel="email", enabled=False),)))
    await shop.hear(registered(), confirmed(), SHIPPED)
    await shop.send()
    assert [letter.subject for letter in shop.mailer.letters] == ["Order ORDER-1 is confirmed"]
    assert [(mail.kind, mail.status) for mail in await shop.mails()] == [("order.shipped", "skipped"), ("order.confirmed", "sent")]


async def test_a_process_that_dies_while_sending_leaves_its_letters_to_the_next(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed())
    now = shop.clock()
    async with shop.deps.transaction() as tx:
        claimed = await shop.deps.mails.claim(tx, now, now + LEASE, 10)
    assert len(claimed) == 1
    await shop.send()
    assert shop.mailer.letters == [], "somebody else has it"
    shop.clock.advance(seconds=LEASE.total_seconds())
    await shop.send()
    assert len(shop.mailer.letters) == 1


async def test_a_letter_that_cannot_be_written_holds_up_no_other(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed(), confirmed("order-2"))
    async with shop.deps.transaction() as tx:
        await tx.execute("update mail set kind = 'no.such.kind' where order_id = 'order-1'")
    await shop.send()
    assert [letter.subject for letter in shop.mailer.letters] == ["Order ORDER-2 is confirmed"]
    assert ("deferred", "KeyError: 'no.such.kind'") in await tries(shop)


async def test_who_was_erased_gets_no_letter_and_leaves_no_address(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed())
    await shop.send()
    await shop.files.send(shop.mailer.letters)
    await shop.hear(SHIPPED, UserErased("anna"))
    await shop.send()
    assert len(shop.mailer.letters) == 1
    assert [(mail.status, mail.recipient) for mail in await shop.mails()] == [("skipped", ""), ("sent", "")]
    assert shop.files.read(shop.mailer.letters[0].id) is None
    database = shop.deps.store.database
    rows = [dict(row) for table in ("contact", "mail", "notification", "preference") for row in await database.all(f"select * from {table}")]
    assert "anna@" not in repr(rows)
    assert "Petrova" not in repr(rows)


async def test_many_letters_leave_in_batches_once_each(shop: Notifications) -> None:
    await shop.hear(registered(), *(confirmed(f"order-{n}") for n in range(450)))
    await shop.send()
    assert len({letter.id for letter in shop.mailer.letters}) == len(shop.mailer.letters) == 450
    assert await broken(shop) == []


# ---------------------------------------------------------------- the mailbox page


async def test_the_mailbox_shows_people_their_own_letters_and_support_all(shop: Notifications) -> None:
    await shop.hear(registered(), confirmed(), registered("boris", Language.RU), confirmed("order-2", "boris"))
    await shop.send()
    await shop.files.send(shop.mailer.letters)
    mine, his = sorted(shop.mailer.letters, key=lambda letter: letter.to)
    listed = await ask(shop.app, "GET", "/mailbox", authorization="Bearer anna")
    assert (listed.status, mine.id in listed.body.decode(), his.id in listed.body.decode()) == (200, True, False)
    assert his.id in (await ask(shop.app, "GET", "/mailbox", authorization="Bearer clerk")).body.decode()
    page = (await ask(shop.app, "GET", f"/mailbox/{mine.id}", authorization="Bearer anna")).body.decode()
    assert "Order ORDER-1 is confirmed" in page
    assert "Frozen &amp;lt;Pizza&amp;gt;" in page, "escaped in the letter, and again in the frame that shows it"
    source = await ask(shop.app, "GET", f"/mailbox/{mine.id}/source", authorization="Bearer anna")
    assert b"Message-ID: <" + mine.id.encode() in source.body
    for path in (f"/mailbox/{his.id}", f"/mailbox/{his.id}/source", "/mailbox/no-such-letter", "/mailbox/..%2Fnotification"):
        assert (await ask(shop.app, "GET", path, authorization="Bearer anna")).status == 404
    assert (await ask(shop.app, "GET", "/mailbox")).status == 401
