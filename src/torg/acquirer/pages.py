"""The pages that a buyer sees: the card form, the bank's question, and how a payment stands. They work without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from babel.numbers import format_currency, get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from torg.acquirer.cards import TEST_CARDS
from torg.acquirer.charges import Charge
from torg.acquirer.texts import texts
from torg.kit.http import Response
from torg.kit.http.guards import policy, styles_of
from torg.kit.values import Language, Money

FIELDS = ("number", "expiry", "code")
ALONE = b"; sandbox allow-forms"
"""A document of an origin that is nobody else's (CSP, section 6.3.2)."""


class Pages:
    """Renders pages; `base_url` is where they are."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        files = FileSystemLoader(Path(__file__).parent / "templates")
        self._templates = Environment(loader=files, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._styles = styles_of(files.get_source(self._templates, "page.html")[0])

    def form(self, charge: Charge, language: Language, typed: Mapping[str, str], faults: Mapping[str, str]) -> Response:
        """The card form. What was typed is shown again, except for the code."""
        shown = {name: "" if name == "code" and faults else typed.get(name, "") for name in FIELDS}
        named = {name: faults.get(name, "") for name in FIELDS}
        return self._page("pay.html", 422 if faults else 200, charge, language, typed=shown, faults=named, cards=TEST_CARDS)

    def question(self, charge: Charge, language: Language) -> Response:
        return self._page("confirm.html", 200, charge, language, card=charge.card)

    def state(self, charge: Charge, language: Language) -> Response:
        """How a payment stands that wants nothing from its buyer."""
        t = texts(language)
        return self._page("state.html", 200, charge, language, heading=t["done_title"], sentence=t[charge.status], return_url=charge.return_url)

    def missing(self, language: Language) -> Response:
        t = texts(language)
        text = self._templates.get_template("state.html").render(t=t, language=language.value, heading=t["missing_title"], sentence=t["missing"], return_url="")
        return self._guarded(Response.html(text, 404), "")

    def _page(self, template: str, status: int, charge: Charge, language: Language, **values: object) -> Response:
        action = f"{urlsplit(self._base_url).path}/pay/{charge.id}"
        text = self._templates.get_template(template).render(
            t=texts(language), language=language.value, amount=_money(charge.amount, language), action=action, **values
        )  # fmt: skip
        return self._guarded(Response.html(text, status), charge.return_url)

    def _guarded(self, response: Response, return_url: str) -> Response:
        """No scripts, nothing from elsewhere, never kept; the form may lead to the shop in the end, and nowhere else. An origin of its own, whatever address
        it shares with the shop: neither can look into the other, and no cookie of the shop's comes with a card."""
        parts = urlsplit(return_url)
        shop = f"{parts.scheme}://{parts.netloc}" if return_url else ""
        name, value = policy(shop, styles=self._styles, scripts="'none'", images="data:")
        response.headers += [(name, value + ALONE), (b"cache-control", b"no-store")]
        return response


def example_of(card: str, today: date) -> Mapping[str, str]:
    """A test card typed in, by the name of its behaviour; empty for another name."""
    number = next((number for behaviour, number in TEST_CARDS.items() if behaviour.value == card), None)
    if number is None:
        return {}
    return {"number": number, "expiry": f"12/{(today.year + 2) % 100:02}", "code": "123"}


def _money(amount: Money, language: Language) -> str:
    minor = get_currency_precision(amount.currency)
    text: str = format_currency(amount.amount / 10**minor, amount.currency, locale=language.value)
    return text
