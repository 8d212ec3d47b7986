"""The development mailbox as pages: everybody sees what was written to them, support sees all."""

from __future__ import annotations

from collections.abc import Sequence
from email import message_from_bytes
from email.policy import default

from torg.contexts.notification import model
from torg.contexts.notification.adapters.letters_jinja import TEMPLATES, environment
from torg.contexts.notification.ports import MailStore
from torg.kit.access import Access
from torg.kit.errors import NotFound
from torg.kit.http import Request, Response, Route, page, signed_in
from torg.kit.http.guards import policy, styles_of
from torg.kit.mail_files import FileMailer
from torg.kit.policy import Thing

SHOWN = 50
RIGHT = "notifications:read"
UNKEPT = (b"cache-control", b"private, no-store")


class MailboxPages:
    """Pages over the letters that a FileMailer has kept."""

    def __init__(self, mails: MailStore, mailer: FileMailer, access: Access) -> None:
        self._mails, self._mailer, self._access = mails, mailer, access
        templates = environment()
        self._list, self._letter = templates.get_template("mailbox.html"), templates.get_template("mailbox_letter.html")
        self._of_list, self._of_letter = _guarded("mailbox.html"), _guarded("mailbox_letter.html", "letter.html")

    def routes(self) -> Sequence[Route]:
        return (
            page("/mailbox", self.list, right=RIGHT, summary="Letters that would have been sent"),
            page("/mailbox/{mail_id}", self.show, right=RIGHT, summary="One letter"),
            page("/mailbox/{mail_id}/source", self.source, right=RIGHT, summary="One letter as it goes on the wire"),
        )

    async def list(self, request: Request) -> Response:
        viewer = signed_in(request)
        whose = "" if self._access.sees_all(viewer, RIGHT) else viewer.user_id
        letters, older = await self._mails.page(whose, request.query().get("cursor", ""), SHOWN)
        return _private(self._list.render(letters=letters, older=older), self._of_list)

    async def show(self, request: Request) -> Response:
        message = message_from_bytes(await self._read(request), policy=default)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        assert text is not None, "every letter has a plain text"
        assert html is not None, "every letter has an HTML text"
        return _private(
            self._letter.render(
                id=request.path_values["mail_id"], subject=message["subject"], sender=message["from"], recipient=message["to"], date=message["date"],
                language=message["content-language"], text=text.get_content(), html=html.get_content(),
            ),
            self._of_letter,
        )  # fmt: skip

    async def source(self, request: Request) -> Response:
        return Response(200, await self._read(request), [(b"content-type", b"text/plain; charset=utf-8"), UNKEPT])

    async def _read(self, request: Request) -> bytes:
        viewer, mail_id = signed_in(request), request.path_values["mail_id"]
        record = await self._mails.find(mail_id)
        may = record is not None and self._access.allows(viewer, RIGHT, Thing(owner=record.user_id))
        if record and record.kind in model.CARRY_LINKS and record.user_id != viewer.user_id:
            may = False  # whoever reads it could sign in as somebody else
        kept = self._mailer.read(record.id) if record and may else None
        if kept is None:
            raise NotFound("letter.not_found", f"there is no letter {mail_id} here")
        return kept


def _guarded(*templates: str) -> tuple[bytes, bytes]:
    """The policy of a page that shows these templates: letters have their styles inline, for that is what mail programs read."""
    return policy(styles=styles_of(*((TEMPLATES / name).read_text() for name in templates)), scripts="'none'", images="'none'")


def _private(text: str, guards: tuple[bytes, bytes]) -> Response:
    response = Response.html(text)
    response.headers += [guards, UNKEPT]
    return response
