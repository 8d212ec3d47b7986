"""Words, preferences and pauses: no store, no loop."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from torg.contexts.notification import model
from torg.contexts.notification.contracts import Facts, Kind
from torg.contexts.notification.model.wording import FRAMES, date, money, say
from torg.kit.values import Language, Money

EN, RU = Language.EN, Language.RU
FULL = Facts(
    total=Money(129_050, "RUB"), reason="too late", tracking_number="TR-1", product_id="p1", available=3, delivery_date=datetime(2026, 3, 5, tzinfo=UTC)
)


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("language", list(Language))
def test_every_kind_is_said_in_every_language_with_full_and_with_no_facts(kind: Kind, language: Language) -> None:
    for facts in (FULL, Facts()):
        said = say(kind, language, "0194e2a1-7c3e-7000-8000-0000cafe0001", facts)
        assert said.title
        assert said.button
        assert "{" not in said.title + said.text
        assert (language is RU) == any("а" <= letter <= "я" for letter in said.text.lower())


def test_money_and_dates_read_as_people_write_them() -> None:
    assert money(Money(129_050, "RUB"), RU) == "1\u00a0290,50\u00a0₽"
    assert money(Money(129_050, "USD"), EN) == "$1,290.50"
    assert money(Money(-5, "EUR"), EN) == "-€0.05"
    assert money(None, EN) == ""
    assert date(datetime(2026, 3, 5, tzinfo=UTC), RU) == "5\u00a0марта"


def test_a_reason_becomes_a_sentence() -> None:
    assert say("order.rejected", EN, "order-1", Facts(reason="there is too little in stock")).text.startswith("There is too little in stock. ")


def test_a_button_leads_to_what_it_is_about() -> None:
    assert say("order.shipped", EN, "order-1", Facts()).link == "/orders/order-1"
    assert say("payment.redirected", EN, "order-1", Facts(url="https://pay.example/1")).link == "https://pay.example/1"
    assert say("review.published", EN, "", Facts(product_id="p1")).link == "/products/p1"
    assert say("user.registered", EN, "", Facts()).link == "/"


def test_what_belongs_to_the_sale_cannot_be_switched_off() -> None:
    firm = {(p.kind, p.channel) for p in model.preferences({}) if not p.changeable}
    assert ("order.confirmed", "email") in firm
    assert ("payment.refunded", "email") in firm
    assert ("order.shipped", "feed") in firm
    assert ("order.shipped", "email") not in firm
    assert ("review.published", "feed") not in firm
    assert not model.changeable("order.placed", "email"), "there is no such letter"


def test_pauses_between_tries_double_up_to_an_hour() -> None:
    assert [model.pause(n).total_seconds() for n in (1, 2, 3, 10, 11, 12, 500)] == [5, 10, 20, 2560, 3600, 3600, 3600]


def test_both_languages_have_the_same_frame() -> None:
    assert set(FRAMES) == set(Language)
    assert all("{name}" in frame.greeting for frame in FRAMES.values())
