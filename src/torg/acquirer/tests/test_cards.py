"""Cards as they are typed in."""

from __future__ import annotations

from datetime import date

import pytest

from torg.acquirer.cards import TEST_CARDS, Behaviour, read_card
from torg.kit.card_numbers import passes_luhn

TODAY = date(2026, 3, 31)


@pytest.mark.parametrize("behaviour", list(Behaviour))
def test_every_test_card_is_a_card_and_is_known(behaviour: Behaviour) -> None:
    number = TEST_CARDS[behaviour]
    assert passes_luhn(number.replace(" ", ""))
    card, faults = read_card(number, "03/26", "123", TODAY)
    assert card
    assert (card.behaviour, faults) == (behaviour, {})


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        ("", "number.digits"),
        ("4242", "number.digits"),
        ("4242 4242 4242 424x", "number.digits"),
        ("٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", "number.digits"),
        ("4242 4242 4242 4241", "number.check"),
        ("5555 5555 5555 4444", "number.not_a_test_card"),
    ],
)
def test_other_numbers_are_refused(number: str, fault: str) -> None:
    assert read_card(number, "12/30", "123", TODAY) == (None, {"number": fault})


@pytest.mark.parametrize(
    ("expiry", "fault"), [("02/26", "expiry.past"), ("13/30", "expiry.shape"), ("1230", "expiry.shape"), ("1/30", "expiry.shape"), ("12/47", "expiry.shape")]
)
def test_a_card_is_good_until_its_months_end(expiry: str, fault: str) -> None:
    assert read_card("4242424242424242", expiry, "123", TODAY) == (None, {"expiry": fault})


def test_all_bad_fields_are_named_at_once() -> None:
    _, faults = read_card("1", "2", "3", TODAY)
    assert faults == {"number": "number.digits", "expiry": "expiry.shape", "code": "code.digits"}
