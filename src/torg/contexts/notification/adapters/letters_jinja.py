"""Letters from Jinja templates; compiled once, each is written in some ten microseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from torg.contexts.notification.model import QueuedMail
from torg.contexts.notification.model.wording import FRAMES, money, rest_of, say
from torg.kit.mail import Letter
from torg.kit.values import Language

TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined, auto_reload=False,
    )  # fmt: skip


class JinjaLetterWriter:
    """Implements LetterWriter. `shop` is the address that paths of the shop hang on."""

    def __init__(self, shop: str) -> None:
        self._shop = shop.rstrip("/")
        templates = environment()
        self._text, self._html = templates.get_template("letter.txt"), templates.get_template("letter.html")

    def write(self, mail: QueuedMail) -> Letter:
        assert mail.addressee is not None, "a letter needs somebody to go to"
        words = self._words(mail, mail.addressee.full_name, mail.addressee.language)
        return Letter(
            id=mail.id, to=mail.addressee.email, to_name=mail.addressee.full_name, language=mail.addressee.language.value, at=mail.created_at,
            subject=words["title"], text=self._text.render(words), html=self._html.render(words),
        )  # fmt: skip

    def _words(self, mail: QueuedMail, name: str, language: Language) -> dict[str, Any]:
        said, frame = say(mail.kind, language, mail.order_id, mail.facts), FRAMES[language]
        lines = [{"name": line.name, "quantity": line.quantity, "total": money(line.total, language)} for line in mail.facts.lines]
        return {
            "title": said.title, "text": said.text, "button": said.button, "link": f"{self._shop}{said.link}" if said.link.startswith("/") else said.link,
            "greeting": frame.greeting.format(name=name), "frame": frame, "lines": lines, "total": money(mail.facts.total, language),
            "rest": money(rest_of(mail.facts), language),
            "language": language.value,
        }  # fmt: skip
