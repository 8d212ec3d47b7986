"""Cards as a buyer types them, and the test cards with what each of them does. No number is kept: the last four digits are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from torg.kit.card_numbers import passes_luhn

LONGEST_VALIDITY = 20  # years


class Behaviour(StrEnum):
    """What a test card does when it is paid with."""

    SUCCESS = "success"
    REFUSAL = "refusal"
    CONFIRMATION = "confirmation"  # 3-D Secure: the bank asks its customer first
    LATE = "late"  # the bank works on it for a while, then the money is there without a capture
    SILENT = "silent"  # succeeds, and no webhook ever tells


TEST_CARDS: Mapping[Behaviour, str] = {
    Behaviour.SUCCESS: "4242 4242 4242 4242",
    Behaviour.REFUSAL: "4000 0000 0000 0002",
    Behaviour.CONFIRMATION: "4000 0025 0000 3155",
    Behaviour.LATE: "4000 0000 0000 0077",
    Behaviour.SILENT: "4000 0000 0000 0341",
}


@dataclass(frozen=True)
class Card:
    """A test card that was typed in correctly."""

    behaviour: Behaviour
    last_four: str


def read_card(number: str, expiry: str, code: str, today: date) -> tuple[Card | None, dict[str, str]]:
    """The card, or the names of the bad fields with what is wrong: `number.digits`, `number.check`, `number.not_a_test_card`, `expiry.shape`,
    `expiry.past`, `code.digits`."""
    digits = "".join(number.split()).replace("-", "")
    behaviour = next((kind for kind, known in TEST_CARDS.items() if known.replace(" ", "") == digits), None)
    said = {"number": _number_fault(digits, behaviour), "expiry": _expiry_fault(expiry, today), "code": _code_fault(code)}
    faults = {field: fault for field, fault in said.items() if fault}
    return (Card(behaviour, digits[-4:]), {}) if behaviour and not faults else (None, faults)


def _number_fault(digits: str, behaviour: Behaviour | None) -> str:
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19):
        return "number.digits"
    if not passes_luhn(digits):
        return "number.check"
    return "" if behaviour else "number.not_a_test_card"


def _expiry_fault(expiry: str, today: date) -> str:
    """MM/YY, good until the month's end."""
    month, slash, year = (part.strip() for part in expiry.partition("/"))
    if not (slash and len(month) == 2 and len(year) == 2 and (month + year).isascii() and (month + year).isdigit() and 1 <= int(month) <= 12):
        return "expiry.shape"
    ends = (2000 + int(year), int(month))
    if ends[0] > today.year + LONGEST_VALIDITY:
        return "expiry.shape"
    return "expiry.past" if ends < (today.year, today.month) else ""


def _code_fault(code: str) -> str:
    code = code.strip()
    return "" if len(code) in (3, 4) and code.isascii() and code.isdigit() else "code.digits"
