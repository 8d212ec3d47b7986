"""Letters from Jinja templates; compiled once, each is written in some ten microseconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from torg.contexts.notification import model
from torg.contexts.notification.contracts import Facts
from torg.contexts.notification.model import QueuedMail
from torg.contexts.notification.model.wording import FRAMES, money, rest_of, say
from torg.contexts.user.contracts import Link
from torg.kit.mail import Letter
from torg.kit.sealing import Sealer
from torg.kit.values import Language

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined, auto_reload=False,
    )  # fmt: skip


class JinjaLetterWriter:
    """Implements LetterWriter. `shop` is the address that paths of the shop hang on; `sealer` opens links that only the reader is to see."""

    def __init__(self, shop: str, sealer: Sealer) -> None:
        self._shop, self._sealer = shop.rstrip("/"), sealer
        templates = environment()
        self._text, self._html = templates.get_template("letter.txt"), templates.get_template("letter.html")

    def write(self, mail: QueuedMail) -> Letter:
        assert mail.addressee is not None, "a letter needs somebody to go to"
        link = self._link(mail.facts)
        name = "" if mail.kind in model.TO_ANYBODY else mail.addressee.full_name
        words = self._words(mail, name, mail.addressee.language)
        if link:
            words["link"] = f"{self._shop}{link.path}"
        return Letter(
            id=mail.id, to=(link and link.to) or mail.addressee.email, to_name=name,
            language=mail.addressee.language.value, at=mail.created_at,
            subject=words["title"], text=self._text.render(words), html=self._html.render(words),
        )  # fmt: skip

    def _link(self, facts: Facts) -> Link | None:
        """Raises ValueError for one that the shop's secret doesn't open any more."""
        if not facts.sealed:
            return None
        opened = self._sealer.open(facts.sealed, facts.subject)
        if opened is None:
            raise ValueError("the link was sealed with another secret: it can't be sent")
        return msgspec.json.decode(opened, type=Link)

    def _words(self, mail: QueuedMail, name: str, language: Language) -> dict[str, Any]:
        said, frame = say(mail.kind, language, mail.order_id, mail.facts), FRAMES[language]
        lines = [{"name": line.name, "quantity": line.quantity, "total": money(line.total, language)} for line in mail.facts.lines]
        return {
            "title": said.title, "text": said.text, "button": said.button, "link": f"{self._shop}{said.link}" if said.link.startswith("/") else said.link,
            "greeting": frame.greeting.format(name=name) if name else frame.greeting_to_anybody, "frame": frame, "lines": lines,
            "total": money(mail.facts.total, language),
            "rest": money(rest_of(mail.facts), language),
            "language": language.value,
        }  # fmt: skip
