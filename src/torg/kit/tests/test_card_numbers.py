"""Card numbers are found however they are written, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
import uuid
from random import Random

import pytest

from torg.kit import card_numbers

CARDS = {
    "Visa": "4242424242424242", "Visa of 19": "4000000000000000055", "Mastercard": "5555555555554444", "a new Mastercard": "2223003122003222",
    "American Express": "378282246310005", "Diners Club": "30569309025904", "Discover": "6011111111111117", "JCB": "3566002020360505",
    "UnionPay": "6200000000000005", "Maestro": "6759649826438453", "Mir": "2200000000000004",
}  # fmt: skip


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS.keys())
def test_card_of_any_issuer_is_found(number: str):
    assert card_numbers.is_in(f"take {number}, please")
    assert card_numbers.found(f'{{"text": "{number}"}}'.encode())
    assert card_numbers.masked(f"x {number}.") == f"x [card …{number[-4:]}]."


@pytest.mark.parametrize("gap", [" ", "-", ".", "\u00a0", " - ", "   ", "\u2013", "\u2011", "\u200b", "\u2212"], ids=ascii)
def test_it_is_found_as_it_stands_on_the_card(gap: str):
    for groups in (("4242", "4242", "4242", "4242"), ("3782", "822463", "10005")):
        written = gap.join(groups)
        assert card_numbers.found(written.encode())
        assert card_numbers.found(json.dumps({"text": written}).encode())
        assert card_numbers.masked(written) == f"[card …{written[-4:]}]"


@pytest.mark.parametrize("text", ["card4242424242424242", "4242424242424242thanks", "карта4242 4242 4242 4242", "card_4242424242424242_", "№4242424242424242"])
def test_it_is_found_in_one_word_with_letters(text: str):
    assert card_numbers.is_in(text)
    assert "42424242" not in card_numbers.masked(text)


def test_it_is_found_in_escapes_of_json_and_in_other_digits():
    assert card_numbers.found("".join(f"\\u003{digit}" for digit in "4242424242424242").encode())
    for zero in (0x0660, 0xFF10):
        written = "".join(chr(zero + int(digit)) for digit in "4242424242424242")
        assert card_numbers.found(written.encode())
        assert card_numbers.found(json.dumps(written).encode())


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241", "+7 495 123-45-67", "8 800 555 35 35", "1732291200000", "1732291200000000", "1732291200000000000", "40817810099910004312",
        "4006381333931", "4011200296908", "0.4242424242424242", "2026-11-22T16:00:00.424242Z", "RU0204452560040702810412345678901", "4242424242424242a",
        "f4242424242424242", "9780306406157", "55.751244, 37.618423", "1 000 000 000 000", "4242 4242 4242", "12345678901234567890",
    ],
)  # fmt: skip
def test_other_numbers_are_none(text: str):
    assert not card_numbers.is_in(text)
    assert card_numbers.masked(text) == text


def test_ids_are_none():
    random = Random(5)
    ids = [str(uuid.UUID(int=random.getrandbits(128))) for _ in range(20_000)]
    digits = [str(uuid.UUID("".join(random.choices("0123456789", k=32)))) for _ in range(20_000)]
    assert not any(card_numbers.is_in(id) for id in ids + digits)
    assert not any(card_numbers.is_in(f"{random.getrandbits(128):032x}") for _ in range(20_000))
    assert not any(card_numbers.is_in(base64.urlsafe_b64encode(random.randbytes(32)).decode()) for _ in range(20_000))


def test_a_long_text_of_nothing_but_cards_and_letters_takes_no_long_look():
    text = "x4242424242424242" * 20_000
    assert card_numbers.masked(text) == "x[card …4242]" * 20_000


def test_european_article_numbers_are_none():
    random = Random(6)
    for _ in range(5000):
        digits = "4" + "".join(random.choices("0123456789", k=11))
        check = -sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10
        assert not card_numbers.is_in(f"{digits}{check}")
