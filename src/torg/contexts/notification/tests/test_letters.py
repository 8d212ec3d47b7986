"""Letters: queued with their notification, sent outside, tried again, never twice."""

from __future__ import annotations

import msgspec

from torg.contexts.notification import contracts as c
from torg.contexts.notification import model
from torg.contexts.notification.adapters.audit_sql import SqlLetterAudit
from torg.contexts.notification.handlers import LEASE
from torg.contexts.notification.tests.house import ANNA, SEALER, SHOP, House, confirmed, placed, registered
from torg.contexts.order import contracts as order
from torg.contexts.user.contracts import (
    EmailChangeAsked,
    EmailChanged,
    FactorChanged,
    Link,
    LinkMade,
    PasskeyChanged,
    PasskeyStepChanged,
    PasswordChanged,
    Purpose,
    SessionsEnded,
    SignedInAnew,
    UserChanged,
    UserErased,
)
from torg.kit.mail import Posted
from torg.kit.messages import encode
from torg.kit.testing import START, faults_of
from torg.kit.testing.http import ask
from torg.kit.values import Language, Money

SHIPPED = order.OrderShipped(order_id="order-1", user_id="anna", tracking_number="TR-1")


async def tries(house: House) -> list[tuple[str, str]]:
    return [(row["outcome"], row["detail"]) for row in await house.deps.store.database.all("select * from mail_try order by at, number")]


async def broken(house: House) -> list[str]:
    return await faults_of(SqlLetterAudit(house.deps.store).invariants())


async def test_a_confirmed_order_gets_one_letter_with_its_receipt(house: House) -> None:
    await house.hear(registered(), placed(), confirmed(), confirmed())
    await house.send()
    await house.send()
    (letter,) = house.mailer.letters
    assert (letter.to, letter.language, letter.subject) == ("anna@example.com", "en", "Order ORDER-1 is confirmed")
    assert "Frozen <Pizza> & Co, 2 pcs: ₽1,290.50" in letter.text
    assert "Frozen &lt;Pizza&gt; &amp; Co" in letter.html
    assert "Hello, Anna &lt;Petrova&gt;!" in letter.html
    assert f"{SHOP}/orders/order-1" in letter.text
    assert await tries(house) == [("sent", "")]
    assert await broken(house) == []


async def test_a_letter_speaks_the_language_of_who_gets_it(house: House) -> None:
    await house.hear(registered(language=Language.RU), confirmed())
    await house.send()
    (letter,) = house.mailer.letters
    assert letter.subject == "Заказ ORDER-1 подтверждён"
    assert "Здравствуйте, Anna" in letter.text
    assert '<html lang="ru">' in letter.html
    assert "5\u00a0марта" in letter.text


async def test_a_receipt_adds_up(house: House) -> None:
    await house.hear(registered(), msgspec.structs.replace(confirmed(), total=Money(149_050, "RUB")), confirmed("order-2"))
    await house.send()
    dearer, plain = (letter.text for letter in house.mailer.letters)
    assert "Delivery and discounts: ₽200.00\nTotal: ₽1,490.50" in dearer
    assert "Delivery" not in plain


async def test_it_goes_to_the_address_of_the_day(house: House) -> None:
    await house.hear(registered(), confirmed(), UserChanged(user_id="anna", email="new@example.com", full_name="Anna", city="", language=Language.EN))
    await house.send()
    assert [letter.to for letter in house.mailer.letters] == ["new@example.com"]


async def test_a_failed_letter_is_tried_again_later_each_time_and_every_try_is_recorded(house: House) -> None:
    await house.hear(registered(), confirmed())
    house.mailer.outcomes = [Posted("deferred", "451 busy"), Posted("deferred", "the line is dead")]
    await house.send()
    await house.send()
    assert house.mailer.letters == []
    assert len(await tries(house)) == 1, "not before its pause is over"
    house.clock.advance(seconds=5)
    await house.send()
    house.clock.advance(seconds=9)
    await house.send()
    assert len(await tries(house)) == 2
    house.clock.advance(seconds=1)
    await house.send()
    assert await tries(house) == [("deferred", "451 busy"), ("deferred", "the line is dead"), ("sent", "")]
    assert len(house.mailer.letters) == 1
    assert [(mail.status, mail.tries, mail.recipient) for mail in await house.mails()] == [("sent", 3, "anna@example.com")]


async def test_after_the_last_try_it_is_a_dead_letter(house: House) -> None:
    await house.hear(registered(), confirmed())
    house.mailer.outcomes = [Posted("deferred", "451 busy")] * (model.TRIES + 5)
    for _ in range(model.TRIES + 3):
        await house.send()
        house.clock.advance(hours=2)
    assert [(mail.status, mail.tries) for mail in await house.mails()] == [("dead", model.TRIES)]


async def test_what_is_refused_for_good_is_not_tried_again(house: House) -> None:
    await house.hear(registered(), confirmed(), registered("boris"), confirmed("order-2", "boris"))
    house.mailer.outcomes = [Posted("refused", "550 no such user")]
    await house.send()
    assert [letter.to for letter in house.mailer.letters] == ["boris@example.com"]
    assert [(mail.user_id, mail.status) for mail in await house.mails()] == [("boris", "sent"), ("anna", "dead")]


async def test_a_letter_waits_for_an_address_that_is_not_known_yet(house: House) -> None:
    await house.hear(confirmed())
    await house.send()
    assert await tries(house) == [("deferred", "no address is known yet")]
    await house.hear(registered())
    house.clock.advance(seconds=5)
    await house.send()
    assert len(house.mailer.letters) == 1


async def test_an_unwanted_letter_is_skipped_and_a_firm_one_is_not(house: House) -> None:
    await house.do(c.ChangePreferences(ANNA, (c.Preference(kind="order.shipped", channel="email", enabled=False),)))
    await house.hear(registered(), confirmed(), SHIPPED)
    await house.send()
    assert [letter.subject for letter in house.mailer.letters] == ["Order ORDER-1 is confirmed"]
    assert [(mail.kind, mail.status) for mail in await house.mails()] == [("order.shipped", "skipped"), ("order.confirmed", "sent")]


async def test_a_process_that_dies_while_sending_leaves_its_letters_to_the_next(house: House) -> None:
    await house.hear(registered(), confirmed())
    now = house.clock()
    async with house.deps.transaction() as tx:
        claimed = await house.deps.mails.claim(tx, now, now + LEASE, 10)
    assert len(claimed) == 1
    await house.send()
    assert house.mailer.letters == [], "somebody else has it"
    house.clock.advance(seconds=LEASE.total_seconds())
    await house.send()
    assert len(house.mailer.letters) == 1


async def test_a_letter_that_cannot_be_written_holds_up_no_other(house: House) -> None:
    await house.hear(registered(), confirmed(), confirmed("order-2"))
    async with house.deps.transaction() as tx:
        await tx.execute("update mail set kind = 'no.such.kind' where order_id = 'order-1'")
    await house.send()
    assert [letter.subject for letter in house.mailer.letters] == ["Order ORDER-2 is confirmed"]
    assert ("deferred", "KeyError: 'no.such.kind'") in await tries(house)


async def test_who_was_erased_gets_no_letter_and_leaves_no_address(house: House) -> None:
    await house.hear(registered(), confirmed())
    await house.send()
    await house.files.send(house.mailer.letters)
    await house.hear(SHIPPED, UserErased("anna"))
    await house.send()
    assert len(house.mailer.letters) == 1
    assert [(mail.status, mail.recipient) for mail in await house.mails()] == [("skipped", ""), ("sent", "")]
    assert house.files.read(house.mailer.letters[0].id) is None
    database = house.deps.store.database
    rows = [dict(row) for table in ("contact", "mail", "notification", "preference") for row in await database.all(f"select * from {table}")]
    assert "anna@" not in repr(rows)
    assert "Petrova" not in repr(rows)


async def test_many_letters_leave_in_batches_once_each(house: House) -> None:
    await house.hear(registered(), *(confirmed(f"order-{n}") for n in range(450)))
    await house.send()
    assert len({letter.id for letter in house.mailer.letters}) == len(house.mailer.letters) == 450
    assert await broken(house) == []


# ---------------------------------------------------------------- the mailbox page


async def test_the_mailbox_shows_people_their_own_letters_and_support_all(house: House) -> None:
    await house.hear(registered(), confirmed(), registered("boris", Language.RU), confirmed("order-2", "boris"))
    await house.send()
    await house.files.send(house.mailer.letters)
    mine, his = sorted(house.mailer.letters, key=lambda letter: letter.to)
    listed = await ask(house.app, "GET", "/mailbox", authorization="Bearer anna")
    assert (listed.status, mine.id in listed.body.decode(), his.id in listed.body.decode()) == (200, True, False)
    assert his.id in (await ask(house.app, "GET", "/mailbox", authorization="Bearer clerk")).body.decode()
    page = (await ask(house.app, "GET", f"/mailbox/{mine.id}", authorization="Bearer anna")).body.decode()
    assert "Order ORDER-1 is confirmed" in page
    assert "Frozen &amp;lt;Pizza&amp;gt;" in page, "escaped in the letter, and again in the frame that shows it"
    source = await ask(house.app, "GET", f"/mailbox/{mine.id}/source", authorization="Bearer anna")
    assert b"Message-ID: <" + mine.id.encode() in source.body
    for path in (f"/mailbox/{his.id}", f"/mailbox/{his.id}/source", "/mailbox/no-such-letter", "/mailbox/..%2Fnotification"):
        assert (await ask(house.app, "GET", path, authorization="Bearer anna")).status == 404
    assert (await ask(house.app, "GET", "/mailbox")).status == 401


def link_made(purpose: Purpose = "reset", to: str = "") -> LinkMade:
    sealed = SEALER.seal(encode(Link("/reset-password?token=t0ken", to)), "l1")
    return LinkMade(user_id="anna", link_id="l1", purpose=purpose, sealed=sealed, at=START)


async def test_a_letter_carries_its_link_which_no_record_does(house: House) -> None:
    await house.hear(registered(), link_made(), PasswordChanged("anna"), EmailChangeAsked(user_id="anna", link_id="l1"))
    rows = await house.deps.store.database.all("select * from mail")
    assert not any("t0ken" in str(dict(row)) for row in rows)
    await house.send()
    reset, changed, asked = sorted(house.mailer.letters, key=lambda letter: letter.id)[-3:]
    assert reset.subject == "A new password for Torg"
    assert f"{SHOP}/reset-password?token=t0ken" in reset.text
    assert f"{SHOP}/forgot-password" in changed.text
    assert f"{SHOP}/profile" in asked.text
    assert {entry.kind for entry in await house.feed()} <= {"user.registered"}, "what is for the letter alone is in no feed"


async def test_what_changes_for_an_account_is_told_by_letter_in_its_language(house: House) -> None:
    sealed = SEALER.seal(encode(Link("/profile", "before@example.com")), "l2")
    await house.hear(
        registered(language=Language.RU), SignedInAnew(user_id="anna", session_id="s", device="Firefox, Linux"),
        SignedInAnew(user_id="anna", session_id="t", device=""), SessionsEnded("anna", ("s",)), FactorChanged("anna", totp=True),
        PasskeyStepChanged("anna", asked=False), PasskeyChanged("anna", "p", added=True), PasskeyChanged("anna", "p", added=False),
        EmailChanged(user_id="anna", link_id="l2", sealed=sealed), EmailChanged(user_id="anna", link_id="l3", sealed=""),
    )  # fmt: skip
    await house.send()
    letters = {letter.subject: letter for letter in house.mailer.letters}
    assert set(letters) >= {
        "В ваш аккаунт вошли", "Мы завершили ваши сеансы", "Одного пароля больше не хватит", "Второй шаг отключён",
        "К вашему аккаунту добавлен ключ доступа", "Ваш ключ доступа удалён", "У вашего аккаунта теперь другой адрес почты",
    }  # fmt: skip
    assert len(house.mailer.letters) == 8, "one each; none for who was erased"
    assert max(letter.to for letter in house.mailer.letters) == letters["У вашего аккаунта теперь другой адрес почты"].to == "before@example.com"
    assert ["Firefox, Linux" in letter.text or "программа" in letter.text for letter in house.mailer.letters].count(True) == 2
    assert f"{SHOP}/profile#sessions" in letters["В ваш аккаунт вошли"].text


async def test_a_new_address_is_written_to_before_it_counts(house: House) -> None:
    await house.hear(registered(), link_made("confirm", "anna@new.example"))
    await house.send()
    assert house.mailer.letters[-1].to == "anna@new.example"


async def test_support_reads_no_letter_that_lets_its_reader_in(house: House) -> None:
    await house.hear(registered(), link_made())
    await house.send()
    await house.files.send(house.mailer.letters)
    (reset,) = [mail for mail in await house.mails("anna") if mail.kind == "user.reset_password"]
    assert (await ask(house.app, "GET", f"/mailbox/{reset.id}", authorization="Bearer anna")).status == 200
    assert (await ask(house.app, "GET", f"/mailbox/{reset.id}", authorization="Bearer clerk")).status == 404


async def test_what_anybody_can_have_sent_to_any_address_says_nothing_that_they_typed(house: House) -> None:
    stranger = msgspec.structs.replace(registered(self_made=True), full_name="You have won: https://evil.example")
    await house.hear(stranger, link_made("confirm", "victim@example.com"), msgspec.structs.replace(link_made("reset"), link_id="l1"))
    await house.send()
    assert len(house.mailer.letters) >= 2
    for letter in house.mailer.letters:
        assert letter.to_name == ""
        assert "evil" not in letter.text + letter.html + letter.subject
        assert letter.text.startswith("Hello!\n")
