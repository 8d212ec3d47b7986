"""The notification context, put together."""

from __future__ import annotations

from functools import partial

from torg.contexts.notification.adapters.audit_sql import SqlLetterAudit
from torg.contexts.notification.adapters.letters_jinja import JinjaLetterWriter
from torg.contexts.notification.adapters.mailbox_pages import MailboxPages
from torg.contexts.notification.adapters.mails_sql import SqlMailStore
from torg.contexts.notification.adapters.store_sql import SqlContactStore, SqlFeedStore
from torg.contexts.notification.handlers import HANDLERS, REACTIONS, send_due_mails, tell_stranded
from torg.contexts.notification.ports import NotificationDeps
from torg.contexts.notification.routes import routes
from torg.contexts.user.contracts import LETTERS
from torg.kit.bus import Consumer
from torg.kit.mail import Mailer
from torg.kit.mail_files import FileMailer
from torg.kit.mail_smtp import SmtpMailer
from torg.kit.module import Kit, Module, bound
from torg.kit.sealing import Sealer
from torg.kit.tasks import Job

EVERY = 0.5  # seconds between looks for letters that are due
STRANDED_EVERY = 10


def build(kit: Kit) -> Module:
    database, settings = kit.store.database, kit.settings
    mails = SqlMailStore(database)
    files = None if settings.smtp else FileMailer(kit.folder / "mailbox", settings.mail_from)
    mailer: Mailer = files or SmtpMailer(settings.smtp, settings.mail_from)
    writer = JinjaLetterWriter(kit.public_url, Sealer(kit.secret, LETTERS, kit.randomness))
    deps = NotificationDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=settings.currency,
        access=kit.access, feed=SqlFeedStore(database, kit.clock),
        contacts=SqlContactStore(database), mails=mails, writer=writer, mailer=mailer, copies=files,
    )  # fmt: skip
    return Module(
        name="notification",
        handlers=bound(HANDLERS, deps),
        routes=(*routes(deps), *(MailboxPages(mails, files, kit.access).routes() if files else ())),
        consumers=(Consumer("notification", bound(REACTIONS, deps)),),
        jobs=(Job("notification.mails", EVERY, partial(send_due_mails, deps)), Job("notification.stranded", STRANDED_EVERY, partial(tell_stranded, deps))),
        invariants=SqlLetterAudit(kit.store).invariants(),
        checks={"mail": mailer.check},
        close=mailer.close,
    )
