"""Values every context shares: money, identifiers, time. All of them plain data; clocks and randomness are passed in, never reached for."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

import msgspec

Clock = Callable[[], datetime]
"""Tells the present moment as an aware UTC datetime."""
NewId = Callable[[], str]
"""Makes a UUIDv7 as canonical text."""
Randomness = Callable[[int], bytes]
"""Gives that many unpredictable bytes."""


class Language(StrEnum):
    """A language the shop speaks; where a message has a field of this type, it is filled from Accept-Language."""

    EN = "en"
    RU = "ru"


def in_language(english: str, russian: str, language: Language) -> str:
    """The text in the reader's language; in English where there is none."""
    return (russian if language is Language.RU else "") or english


class Money(msgspec.Struct, frozen=True, order=True):
    """An amount in integer minor units (cents, kopecks) of an ISO 4217 currency."""

    amount: int
    currency: str

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other).amount, self.currency)

    def __mul__(self, times: int) -> Money:
        return Money(self.amount * times, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __bool__(self) -> bool:
        return self.amount != 0

    def percent(self, share: int) -> Money:
        """`share` per cent of this, rounded down to a minor unit."""
        return Money(self.amount * share // 100, self.currency)

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other


def utc_now() -> datetime:
    """The wall clock, as the process's composition hands it out."""
    return datetime.now(UTC)


def new_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    bits = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def randomness(count: int) -> bytes:
    """The system's randomness, as the process's composition hands it out."""
    return os.urandom(count)


def chance() -> float:
    """Somewhere from 0 to 1, for what may be spread but decides nothing."""
    return random.random()  # noqa: S311


def is_id(text: str) -> bool:
    """Whether the text is an identifier in canonical form."""
    return _UUID.fullmatch(text) is not None


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with six decimals: of fixed width, so that text order is time order in every store."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:26] + "Z"


def moment(text: str) -> datetime:
    """Reads a date (its midnight, UTC) or an RFC 3339 time; raises ValueError with a sentence otherwise."""
    try:
        read = datetime.fromisoformat(text.replace(" ", "+") if " " in text else text)
        if read.tzinfo is UTC:
            return read
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: in UTC it would lie outside the calendar
        raise ValueError(f"{text!r} is neither a date (2026-11-21) nor an RFC 3339 time (2026-11-21T09:30:00Z)") from None


def a_moment(text: str, _: datetime) -> str | None:
    """A message's rule for a field that may be left empty: it reads as a date or time."""
    try:
        moment(text) if text else None
    except ValueError as error:
        return str(error)
    return None


def today(clock: Clock) -> date:
    """The UTC day the clock shows."""
    return clock().date()


Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
"""A short text that a person types: 1 to 200 characters."""
MaybeText = Annotated[str, msgspec.Meta(max_length=200)]
"""A short text that may be left empty."""
LongText = Annotated[str, msgspec.Meta(max_length=5000)]
ProductId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=99)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=100)]
"""How many rows a page may have."""
