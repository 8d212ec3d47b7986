"""Card numbers in text that people type: they belong on the acquirer's page alone, so that whatever else comes with one is refused, and logs have none.

A number counts that is written as on a card (in one piece, by fours, or 4-6-5 and 4-6-4), begins as an issuer's does, is as long as that one's are and has
the right check digit. Ids, telephone numbers, amounts, stamps and the numbers of goods are none, nor is a part of a word that could be hexadecimal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from string import hexdigits
from typing import Final

FEWEST: Final = 13  # digits
_GAP: Final = "[ \u00a0\u2000-\u200b\u2010-\u2015\u202f\u2060\u2212\u3000.-]{1,3}"  # spaces, dashes, full stops
_WRITTEN: Final = re.compile(rf"(?<!\d)(?<!\d[.,])(?:\d{{13,19}}|\d{{4}}(?:{_GAP}\d{{4}}){{3}}(?:{_GAP}\d{{1,3}})?|\d{{4}}{_GAP}\d{{6}}{_GAP}\d{{4,5}})(?!\d)")
_NEAR: Final = 40  # signs of a word on each side that are looked at
_ISSUED: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{17,18})"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|220[0-4]\d{12,15}"  # Mir
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-59]|[689]\d)\d{11,16}"  # Diners Club
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50|5[6-8]|6[37])\d{11,17}"  # Maestro
)
_ESCAPED: Final = re.compile(r"(?i)\\u(00[23a][\da-f]|06[6f]\d|20[016][\da-f]|202f|2212|3000|ff1\d)")  # of JSON: digits, and what stands in gaps
_NO_DIGIT: Final = bytes(set(range(256)) - set(b"0123456789"))


def found(body: bytes) -> bool:
    """Whether a JSON document or other text holds one; costs a microsecond where there are few digits."""
    return may_be_in(body) and is_in(body.decode("utf-8", "replace"))


def may_be_in(body: bytes) -> bool:
    """Whether there are digits enough, or signs that could be some."""
    return not body.isascii() or len(body.translate(None, _NO_DIGIT)) >= FEWEST


def is_in(text: str) -> bool:
    if "\\u" in text:
        text = _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), text)
    return any(map(_is_one, _WRITTEN.finditer(text)))


def masked(text: str) -> str:
    """The text with no more than the last four digits of each."""
    return _WRITTEN.sub(lambda match: f"[card …{_digits(match[0])[-4:]}]" if _is_one(match) else match[0], text)


def passes_luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = [sum(divmod(2 * value, 10)) for value in values[1::2]]
    return (sum(values[0::2]) + sum(doubled)) % 10 == 0


def _is_one(match: re.Match[str]) -> bool:
    digits = _digits(match[0])
    return bool(_ISSUED.fullmatch(digits)) and passes_luhn(digits) and not _is_article(digits) and not _is_hexadecimal(match)


def _is_hexadecimal(match: re.Match[str]) -> bool:
    """Whether it is a part of a word that could be."""
    text, (start, end) = match.string, match.span()
    around = [*_letters(reversed(text[max(start - _NEAR, 0) : start])), *_letters(text[end : end + _NEAR])]
    return bool(around) and all(sign in hexdigits for sign in around)


def _letters(signs: Iterable[str]) -> Iterable[str]:
    """Up to the end of the word."""
    return takewhile(str.isalnum, signs)


def _digits(written: str) -> str:
    return "".join(str(int(sign)) for sign in written if sign.isdecimal())


def _is_article(digits: str) -> bool:
    """Whether it is rather a European article number, of which one in ten would pass for a Visa card of thirteen digits, which nobody issues any more."""
    return len(digits) == FEWEST and sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0
