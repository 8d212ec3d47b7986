"""Periods that people ask for: `since` inclusive, `until` exclusive, each a date, a time, or left open."""

from __future__ import annotations

from datetime import date
from typing import Final

from torg.kit.errors import FieldError, Invalid
from torg.kit.messages import Rule
from torg.kit.values import a_moment

PERIOD: Final[dict[str, Rule]] = {"since": a_moment, "until": a_moment}
"""The rules of a message with a period; on the wire its fields are named `from` and `to`."""


def refuse_reversed(since: date, until: date) -> None:
    """Raises Invalid `period.reversed` when the first day or moment is after the second."""
    if since > until:
        raise Invalid.fields(FieldError("from", "period.reversed", f"{since} is after {until}: 'from' must not be after 'to'"))
