"""A notification context on a throw-away store, with a mailer that does as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torg.contexts.inventory import contracts as inventory
from torg.contexts.notification import contracts as c
from torg.contexts.notification.adapters.letters_jinja import JinjaLetterWriter
from torg.contexts.notification.adapters.mailbox_pages import MailboxPages
from torg.contexts.notification.adapters.mails_sql import SqlMailStore
from torg.contexts.notification.adapters.store_sql import SqlContactStore, SqlFeedStore
from torg.contexts.notification.handlers import HANDLERS, REACTIONS, send_due_mails
from torg.contexts.notification.ports import MailRecord, NotificationDeps
from torg.contexts.notification.routes import routes
from torg.contexts.order import contracts as order
from torg.contexts.payment import contracts as payment
from torg.contexts.review import contracts as review
from torg.contexts.user import contracts as user
from torg.kit.auth import Identity, Role
from torg.kit.mail import SENT, Letter, Posted
from torg.kit.mail_files import FileMailer
from torg.kit.messages import Event, Message, Registry
from torg.kit.sealing import Sealer
from torg.kit.testing import TestClock, answering, open_store, test_ids
from torg.kit.testing.http import edge
from torg.kit.values import Language, Money

MIGRATIONS = Path(__file__).parents[1] / "migrations"
REGISTRY = Registry([c, user, order, payment, review, inventory])
ANNA = Identity("anna", frozenset({Role.CUSTOMER}))
BORIS = Identity("boris", frozenset({Role.CUSTOMER}))
CLERK = Identity("clerk", frozenset({Role.SUPPORT}))
PEOPLE = {"anna": ANNA, "boris": BORIS, "clerk": CLERK}
SHOP = "https://torg.example"
SEALER = Sealer("a secret", user.LETTERS, lambda size: b"n" * size)


class ScriptedMailer:
    """Takes letters, and says of them what `outcomes` holds, in turns; sent when that is empty."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.outcomes: list[Posted] = []

    async def send(self, letters: Sequence[Letter]) -> Sequence[Posted]:
        said = [self.outcomes.pop(0) if self.outcomes else SENT for _ in letters]
        self.letters += [letter for letter, outcome in zip(letters, said, strict=True) if outcome is SENT]
        return said

    async def check(self) -> str:
        return ""

    async def close(self) -> None: ...


class House:
    """The context: `do` asks it, `hear` tells it what happened elsewhere, `send` runs its job."""

    def __init__(self, deps: NotificationDeps, clock: TestClock, mailer: ScriptedMailer, folder: Path) -> None:
        self.clock, self.mailer, self.files = clock, mailer, FileMailer(folder / "mailbox", "Torg <shop@torg.example>")
        self.deps = replace(deps, copies=self.files)
        self.app = edge(self.deps, HANDLERS, (*routes(self.deps), *MailboxPages(self.deps.mails, self.files, self.deps.access).routes()), PEOPLE)

    async def do(self, message: Message) -> Any:
        return await HANDLERS[type(message)](message, self.deps)

    async def hear(self, *events: Event) -> None:
        for event in events:
            self.clock.advance(milliseconds=1)
            await REACTIONS[type(event)](event, self.deps)

    async def send(self) -> None:
        await send_due_mails(self.deps)

    async def feed(self, reader: Identity = ANNA, language: Language = Language.EN) -> list[c.Notification]:
        found: c.Feed = await self.do(c.ListNotifications(reader=reader, language=language, limit=100))
        return list(found.items)

    async def mails(self, user_id: str = "") -> list[MailRecord]:
        return list((await self.deps.mails.page(user_id, "", 100))[0])


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    clock, mailer = TestClock(), ScriptedMailer()
    async with open_store(folder, "notification", clock, REGISTRY, MIGRATIONS) as store:
        database = store.database
        deps = NotificationDeps(
            call=answering({}), clock=clock, new_id=test_ids(), store=store, currency="RUB", feed=SqlFeedStore(database, clock),
            contacts=SqlContactStore(database), mails=SqlMailStore(database), writer=JinjaLetterWriter(SHOP, SEALER), mailer=mailer, copies=None,
        )  # fmt: skip
        yield House(deps, clock, mailer, folder)


# ---------------------------------------------------------------- what happens elsewhere


def registered(user_id: str = "anna", language: Language = Language.EN, self_made: bool = False) -> user.UserRegistered:
    return user.UserRegistered(
        user_id=user_id, email=f"{user_id}@example.com", full_name=f"{user_id.title()} <Petrova>", city="Moscow", language=language,
        at=datetime(2026, 3, 1, tzinfo=UTC), self_made=self_made,
    )  # fmt: skip


def line(name: str = "Frozen <Pizza> & Co") -> order.OrderLine:
    return order.OrderLine(product_id="p1", name=name, quantity=2, unit_price=Money(64_525, "RUB"), line_total=Money(129_050, "RUB"))


def placed(order_id: str = "order-1", user_id: str = "anna") -> order.OrderPlaced:
    total, nothing = Money(129_050, "RUB"), Money(0, "RUB")
    home = user.Address(city="Moscow", street="Tverskaya 1", postcode="125009")
    return order.OrderPlaced(
        order_id=order_id, user_id=user_id, bucket_id="cart-1", lines=(line(),), delivery=order.DeliveryPlan(method="courier", address=home),
        payment_method="balance", items_total=total, delivery_price=nothing, discount=nothing, total=total,
    )  # fmt: skip


def confirmed(order_id: str = "order-1", user_id: str = "anna") -> order.OrderConfirmed:
    return order.OrderConfirmed(
        order_id=order_id, user_id=user_id, lines=(line(),), city="Moscow", total=Money(129_050, "RUB"), placed_at=datetime(2026, 3, 1, tzinfo=UTC),
        delivery_date=datetime(2026, 3, 5, tzinfo=UTC),
    )  # fmt: skip


def refunded(order_id: str = "order-1", amount: int = 129_050) -> payment.PaymentRefunded:
    return payment.PaymentRefunded(order_id=order_id, refund_id=f"{order_id}/cancel", payment_id="pay-1", amount=Money(amount, "RUB"))
