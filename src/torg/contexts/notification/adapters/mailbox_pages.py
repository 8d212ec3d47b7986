"""The development mailbox as pages: everybody sees what was written to them, support sees all."""

from __future__ import annotations

from collections.abc import Sequence
from email import message_from_bytes
from email.policy import default

from torg.contexts.notification.adapters.letters_jinja import environment
from torg.contexts.notification.ports import MailStore
from torg.kit.auth import SIGNED_IN, Role
from torg.kit.errors import NotFound
from torg.kit.http import Request, Response, Route, page, signed_in
from torg.kit.mail_files import FileMailer

SHOWN = 50
SEES_ALL = frozenset({Role.SUPPORT})


class MailboxPages:
    """Pages over the letters that a FileMailer has kept."""

    def __init__(self, mails: MailStore, mailer: FileMailer) -> None:
        self._mails, self._mailer = mails, mailer
        templates = environment()
        self._list, self._letter = templates.get_template("mailbox.html"), templates.get_template("mailbox_letter.html")

    def routes(self) -> Sequence[Route]:
        return (
            page("/mailbox", self.list, who=SIGNED_IN, summary="Letters that would have been sent"),
            page("/mailbox/{mail_id}", self.show, who=SIGNED_IN, summary="One letter"),
            page("/mailbox/{mail_id}/source", self.source, who=SIGNED_IN, summary="One letter as it goes on the wire"),
        )

    async def list(self, request: Request) -> Response:
        viewer = signed_in(request)
        whose = "" if viewer.is_one_of(SEES_ALL) else viewer.user_id
        letters, older = await self._mails.page(whose, request.query().get("cursor", ""), SHOWN)
        return Response.html(self._list.render(letters=letters, older=older))

    async def show(self, request: Request) -> Response:
        message = message_from_bytes(await self._read(request), policy=default)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        assert text is not None, "every letter has a plain text"
        assert html is not None, "every letter has an HTML text"
        return Response.html(
            self._letter.render(
                id=request.path_values["mail_id"], subject=message["subject"], sender=message["from"], recipient=message["to"], date=message["date"],
                language=message["content-language"], text=text.get_content(), html=html.get_content(),
            )
        )  # fmt: skip

    async def source(self, request: Request) -> Response:
        return Response(200, await self._read(request), [(b"content-type", b"text/plain; charset=utf-8")])

    async def _read(self, request: Request) -> bytes:
        viewer, mail_id = signed_in(request), request.path_values["mail_id"]
        record = await self._mails.find(mail_id)
        kept = self._mailer.read(record.id) if record and (record.user_id == viewer.user_id or viewer.is_one_of(SEES_ALL)) else None
        if kept is None:
            raise NotFound("letter.not_found", f"there is no letter {mail_id} here")
        return kept
